"""Staff read what a form vendor sent that no lead could be made of."""

from pathlib import Path

import pytest

from followup.clinic_sources import Vendor
from followup.store import entries
from followup.store.db import reading
from tests.waiting import eventually
from tests.web.caller import Caller
from tests.web.test_staff_board import Browser
from tests.web.vendors import ANA, PAYLOADS, clinic_with, deliver, with_sources


@pytest.fixture
def vendors(api: Caller, tmp_path: Path) -> Caller:
    return with_sources(api, clinic_with(tmp_path))


@pytest.fixture
def eve(vendors: Caller) -> Browser:
    return Browser(vendors, "Eve")


def verbs(api: Caller, by: str) -> list[str]:
    with reading(api.service.engine) as session:
        return [one.verb for one in entries.list_entries(session) if one.by == by]


def test_the_board_tells_of_what_could_not_be_read_until_somebody_has(
    vendors: Caller, eve: Browser
) -> None:
    unread = {"who": {"called": "<b>Ana</b>"}, "wants": ["a call", "soon"], "more": [{"n": 1}]}
    submission_id = deliver(vendors, "generic", unread).json()["submission_id"]

    assert "1 form could not be read." in eve.get("/staff").text
    page = eve.get("/staff/problems").text
    for name, text in (
        ("who.called", "&lt;b&gt;Ana&lt;/b&gt;"),
        ("wants", "a call, soon"),
        ("more[0].n", "1"),
    ):
        assert f"<dt>{name}</dt>\n<dd>{text}</dd>" in page
    assert "give an email address or a phone number" in page

    assert eve.post(f"/staff/problems/{submission_id}/reject").status_code == 303
    assert "There is nothing to read." in eve.get("/staff/problems").text
    assert "could not be read" not in eve.get("/staff").text
    assert eve.post(f"/staff/problems/{submission_id}/reject").status_code == 409
    assert {"problems", "submission rejected"} <= set(verbs(vendors, "Eve"))


def test_staff_let_in_what_came_with_other_content_under_the_same_id(
    vendors: Caller, eve: Browser
) -> None:
    deliver(vendors, "generic", PAYLOADS[Vendor.generic])
    vendors.consume()
    deliver(vendors, "generic", {**ANA, "ticket": "t-1", "phone": "(949) 555-0198"})
    action = eve.get("/staff/problems").text.split('/replay">')[0].rpartition('"')[2] + "/replay"
    eventually(lambda: vendors.rings)
    vendors.rings.clear()

    assert eve.post(action).status_code == 303
    eventually(lambda: vendors.rings == ["intake"])
    vendors.consume()
    assert "(949) 555-0198" in eve.get("/staff").text
    # A second click finds nothing to do, and says nothing of it.
    assert eve.post(action).status_code == 303
    assert verbs(vendors, "Eve").count("submission replayed") == 1
