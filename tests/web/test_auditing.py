"""Whoever sees or changes a lead through the API or a link stands in the audit trail."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from followup.store import entries
from followup.store.db import reading
from followup.store.models import AuditEntry
from tests.web.caller import PUBLIC_URL, Caller

Headers = dict[str, str]


def trail(api: Caller) -> list[AuditEntry]:
    """What stands in it of people, oldest first."""
    with reading(api.service.engine) as session:
        return [one for one in reversed(entries.list_entries(session)) if one.by]


def act(verb: str, **body: Any) -> Callable[[Caller, Headers, str], None]:
    def post(api: Caller, dana: Headers, lead_id: str) -> None:
        path = f"/admin/leads/{lead_id}/{verb}"
        assert api.http.post(path, headers=dana, json=body).status_code == 200

    return post


def reopen(api: Caller, dana: Headers, lead_id: str) -> None:
    act("contacted")(api, dana, lead_id)
    act("reopen")(api, dana, lead_id)


def look(api: Caller, dana: Headers, lead_id: str) -> None:
    assert api.http.get(f"/admin/leads/{lead_id}", headers=dana).status_code == 200


@pytest.mark.parametrize(
    ("does", "verb"),
    [
        pytest.param(look, "seen", id="reads the lead's page"),
        pytest.param(act("contacted"), "contacted", id="reached the person"),
        pytest.param(act("attempts", note="busy"), "attempt", id="tried"),
        pytest.param(act("snooze", until="2026-11-24T17:00:00Z"), "snooze", id="puts it off"),
        pytest.param(act("opt-out", note="no texts"), "opt-out", id="was asked to stop"),
        pytest.param(reopen, "reopened", id="opens it again"),
    ],
)
def test_who_does_something_with_a_lead_by_the_api_is_noted(
    api: Caller, dana: Headers, does: Callable[[Caller, Headers, str], None], verb: str
) -> None:
    lead = api.lead(dana)

    does(api, dana, lead["id"])

    last = trail(api)[-1]
    assert (last.verb, last.by, last.door.value) == (verb, "Dana", "api")
    assert str(last.lead_id) == lead["id"]


def test_who_lists_or_searches_is_noted_with_what_they_were_shown_and_not_with_what_they_typed(
    api: Caller, dana: Headers
) -> None:
    lead = api.lead(dana)
    api.http.get("/admin/leads", headers=dana)
    api.http.post("/admin/leads/search", headers=dana, json={"q": "alice@example.com"})
    api.http.post("/admin/leads/search", headers=dana, json={"q": "nobody@example.com"})
    for what in ("submissions/problems", "submissions/spam", "replies/unassigned"):
        api.http.get(f"/admin/{what}", headers=dana)

    told = [(one.verb, one.facts) for one in trail(api)[-6:]]
    assert told == [
        ("listed", {"leads": [lead["reference"]]}),
        ("searched", {"leads": [lead["reference"]]}),
        ("searched", {"leads": []}),
        ("problems", {"submissions": []}),
        ("spam", {"submissions": []}),
        ("unassigned", {"replies": []}),
    ]


def test_who_is_refused_sees_nothing_and_is_not_noted(api: Caller, dana: Headers) -> None:
    lead = api.lead(dana)
    before = len(trail(api))

    api.http.get(f"/admin/leads/{lead['id']}")
    api.http.get("/admin/leads/01900000-0000-7000-8000-000000000000", headers=dana)

    assert len(trail(api)) == before


def test_who_marks_by_the_link_in_an_alert_is_noted_by_name(api: Caller, dana: Headers) -> None:
    api.lead(dana)
    texts = " ".join(one.text for one in api.send_due())
    link = re.findall(rf"{PUBLIC_URL}(/act/[^\s)]+)", texts)[0]

    assert api.http.post(link).status_code == 200

    last = trail(api)[-1]
    assert (last.verb, last.door.value) == ("contacted", "link")
    assert last.by


def test_what_cannot_be_noted_is_not_shown(api: Caller, dana: Headers) -> None:
    lead = api.lead(dana)
    with api.service.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE audit RENAME TO gone")

    answer = api.http.get(f"/admin/leads/{lead['id']}", headers=dana)

    assert answer.status_code >= 500
    assert "alice@example.com" not in answer.text
