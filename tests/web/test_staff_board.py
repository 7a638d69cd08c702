"""The board: whom to call now, in which order; what one move does; and two who move at once."""

import re
import uuid
from collections.abc import Mapping
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from httpx2 import Response

from followup.clinic_limits import Limits
from followup.domain.lead import LeadStatus
from followup.services import working
from followup.store import entries
from followup.store.db import reading, transaction
from tests.web.caller import Caller

PASSWORD = "a sentence to remember"


class Browser:
    """Somebody of the staff, signed in."""

    def __init__(self, api: Caller, name: str = "Dana") -> None:
        self.api = api
        token = api.staff(name)["Authorization"].removeprefix("Bearer ")
        api.http.cookies.clear()
        api.http.post("/staff/welcome", data={"token": token, "password": PASSWORD})
        self._cookies = dict(api.http.cookies)
        found = re.search(r'name="csrf" value="(\w+)"', self.get("/staff/account").text)
        assert found is not None
        self._csrf = found[1]

    def get(self, path: str, **headers: str) -> Response:
        self.api.http.cookies.clear()
        self.api.http.cookies.update(self._cookies)
        return self.api.http.get(path, headers=headers)

    def post(self, path: str, **fields: str) -> Response:
        self.api.http.cookies.clear()
        self.api.http.cookies.update(self._cookies)
        return self.api.http.post(path, data={"csrf": self._csrf, **fields})

    def references(self, path: str = "/staff") -> list[str]:
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        return re.findall(r'class="reference">(\w+)<', answer.text)

    def act(self, lead: Mapping[str, Any], verb: str, **fields: str) -> Response:
        return self.post(f"/staff/leads/{lead['id']}/{verb}", **fields)


@pytest.fixture
def dana(api: Caller) -> Browser:
    return Browser(api)


@pytest.fixture
def eve(api: Caller, dana: Browser) -> Browser:
    return Browser(api, "Eve")


@pytest.fixture
def bearer(api: Caller) -> dict[str, str]:
    return api.staff("Somebody with a token")


def add(api: Caller, bearer: dict[str, str], name: str, number: int, **fields: Any) -> Any:
    phone, email = f"(415) 555-01{number:02}", f"{number}@example.com"
    return api.lead(bearer, **{"name": name, "phone": phone, "email": email, **fields})


def test_the_longest_past_the_promise_is_first_and_danger_before_all(
    api: Caller, dana: Browser, bearer: dict[str, str]
) -> None:
    first = add(api, bearer, "Alice", 1)
    api.clock.pass_by(timedelta(minutes=5))
    second = add(api, bearer, "Bob", 2)
    api.clock.pass_by(timedelta(minutes=5))
    danger = add(api, bearer, "Carol", 3, message="I want to end it all")
    order = [danger["reference"], first["reference"], second["reference"]]

    assert dana.references() == order

    api.clock.pass_by(timedelta(minutes=53))
    page = dana.get("/staff").text
    assert "May be in danger: call now" in page
    assert "3 minutes late" in page
    assert "2 minutes left" in page
    assert dana.references("/staff?overdue=yes") == [danger["reference"], first["reference"]][1:]


def test_one_move_marks_a_lead_and_one_takes_it_back(
    api: Caller, dana: Browser, bearer: dict[str, str]
) -> None:
    lead = add(api, bearer, "Alice", 1)

    answer = dana.act(lead, "contacted", next="/staff?kind=contact")

    back = answer.headers["location"]
    assert back == f"/staff?kind=contact&marked={lead['id']}"
    assert f"{lead['reference']} is marked contacted" in dana.get(back).text
    assert dana.references() == []
    assert dana.references("/staff?done=yes") == [lead["reference"]]

    dana.act(lead, "reopen")

    assert dana.references() == [lead["reference"]]


def test_of_two_who_mark_at_once_one_wins_and_the_other_is_told_who(
    api: Caller, dana: Browser, eve: Browser, bearer: dict[str, str]
) -> None:
    lead = add(api, bearer, "Alice", 1)

    answers = [eve.act(lead, "contacted"), dana.act(lead, "contacted")]

    assert [one.status_code for one in answers] == [303, 409]
    assert f"Eve was first: {lead['reference']} is contacted" in answers[1].text


def test_two_never_take_one_lead_unknowingly(
    api: Caller, dana: Browser, eve: Browser, bearer: dict[str, str]
) -> None:
    """Case 83."""
    lead = add(api, bearer, "Alice", 1)

    first = dana.act(lead, "assign", to="me", expected="")
    second = eve.act(lead, "assign", to="me", expected="")

    assert (first.status_code, second.status_code) == (303, 409)
    assert "Dana has it" in second.text
    assert dana.references("/staff?mine=yes") == [lead["reference"]]
    assert eve.references("/staff?mine=yes") == []

    assert eve.act(lead, "assign", to="me", expected="Dana").status_code == 303
    assert eve.references("/staff?mine=yes") == [lead["reference"]]
    assert eve.act(lead, "assign", to="nobody", expected="Eve").status_code == 303
    assert eve.references("/staff?mine=yes") == []


def test_an_attempt_and_a_snooze_show_on_the_row(
    api: Caller, dana: Browser, bearer: dict[str, str]
) -> None:
    tried, put_off = add(api, bearer, "Alice", 1), add(api, bearer, "Bob", 2)

    dana.act(tried, "attempts")
    dana.act(put_off, "snooze", **{"for": "1d"})

    page = dana.get("/staff").text
    assert "Tried by Dana, today 9:05 AM" in page
    assert "Rests until tomorrow 9:05 AM" in page
    assert dana.act(tried, "snooze", **{"for": "forever"}).status_code == 422


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("?site=manhattan-beach", ["Bob"]),
        ("?site=newport-beach", ["Alice"]),
        ("?kind=screening", ["Bob"]),
        ("?kind=contact&site=manhattan-beach", []),
    ],
)
def test_filters_are_addresses(
    api: Caller, dana: Browser, bearer: dict[str, str], query: str, shown: list[str]
) -> None:
    add(api, bearer, "Alice", 1)
    add(api, bearer, "Bob", 2, kind="screening", location="manhattan-beach", message=None)

    page = dana.get(f"/staff{query}").text

    assert [name for name in ("Alice", "Bob") if f">{name}<" in page] == shown


def test_the_board_of_those_who_are_done_says_so(dana: Browser) -> None:
    page = dana.get("/staff?done=yes").text

    assert "<h1>Contacted or closed</h1>" in page
    assert "Nobody here yet." in page
    assert "0 people" not in page


@pytest.mark.parametrize(
    "query", ["?kind=other", "?color=red", "?after=1", "?done=no", "?site=mars", "?site=%00"]
)
def test_a_filter_that_is_spelled_wrong_shows_nobody(dana: Browser, query: str) -> None:
    assert dana.get(f"/staff{query}").status_code == 404


def test_pages_follow_one_another_without_a_gap(
    api: Caller, dana: Browser, bearer: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("followup.services.overseeing.PAGE", 2)
    leads = [add(api, bearer, f"Person {letter}", n) for n, letter in enumerate("ABCDE", 1)]
    shown, path = list[str](), "/staff"
    while path:
        shown += dana.references(path)
        found = re.search(r'<a href="([^"]*after=[^"]*)">More', dana.get(path).text)
        path = found[1].replace("&amp;", "&") if found else ""

    assert shown == [lead["reference"] for lead in leads]


def test_a_page_that_begins_after_somebody_who_was_reached_meanwhile_leaves_nobody_out(
    api: Caller, dana: Browser, bearer: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("followup.services.overseeing.PAGE", 1)
    danger = {"message": "I want to end it all"}
    waits = add(api, bearer, "Alice", 1)
    reached, urgent = add(api, bearer, "Bob", 2, **danger), add(api, bearer, "Carol", 3, **danger)
    assert dana.references() == [reached["reference"]]

    dana.act(reached, "contacted")

    assert dana.references(f"/staff?after={reached['id']}") == [urgent["reference"]]
    assert dana.references(f"/staff?after={urgent['id']}") == [waits["reference"]]


def hold(api: Caller, bearer: dict[str, str], number: int, **fields: Any) -> Any:
    """A lead of somebody whose name looks like a bot's."""
    given = {"name": "Buy at www.example.com", "email": f"{number}@example.com"}
    submission_id = api.submit(**given, phone=f"(415) 555-01{number:02}", **fields)
    api.consume(Limits())
    found = api.http.get(f"/admin/leads?submission={submission_id}", headers=bearer).json()
    (lead,) = found["items"]
    assert lead["status"] == "held"
    return lead


def test_what_is_held_is_counted_on_the_board_and_let_in_or_not_from_there(
    api: Caller, dana: Browser, bearer: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("followup.services.overseeing.PAGE", 1)
    person, bot = hold(api, bearer, 1), hold(api, bearer, 2)

    assert dana.references() == []
    assert "2 are held for review." in dana.get("/staff").text
    page = dana.get("/staff?held=yes").text
    assert "There is a web address in the name." in page
    assert "<h1>Held for review</h1>" in page
    assert dana.references("/staff?held=yes") == [person["reference"]]
    assert dana.references(f"/staff?held=yes&after={person['id']}") == [bot["reference"]]
    for lead, verb in ((person, "release"), (bot, "reject")):
        assert f'action="/staff/leads/{person["id"]}/{verb}"' in page
        dana.act(lead, verb)

    assert dana.references() == [person["reference"]]
    assert dana.references("/staff?held=yes") == []
    assert "Nothing is held." in dana.get("/staff?held=yes").text
    assert "held for review" not in dana.get("/staff").text


def test_who_may_be_in_danger_is_on_the_board_though_held(
    api: Caller, dana: Browser, bearer: dict[str, str]
) -> None:
    add(api, bearer, "Alice", 1)
    lead = hold(api, bearer, 2, message="I want to end it all")

    assert dana.references()[0] == lead["reference"]
    page = dana.get("/staff").text
    assert "May be in danger: call now" in page
    assert "The lead is held for review. There is a web address in the name." in page
    assert dana.act(lead, "contacted").status_code == 303


def test_one_view_takes_the_place_of_another_and_keeps_the_other_filters(dana: Browser) -> None:
    page = unescape(dana.get("/staff?kind=contact&overdue=yes").text)

    paths = set(re.findall(r'<a href="(/staff\?[^"]*)"', page))
    assert {"/staff?kind=contact&done=yes", "/staff?kind=contact&held=yes"} <= paths
    assert {"/staff?kind=contact", "/staff?overdue=yes"} <= paths
    assert not any("overdue" in path and "done" in path for path in paths)


def test_search_finds_by_what_staff_know_and_leaves_no_name_in_an_address(
    api: Caller, dana: Browser, bearer: dict[str, str]
) -> None:
    alice = add(api, bearer, "Álice Ng", 1)
    add(api, bearer, "Bob", 2)

    for query in ("alice", "(415) 555-0101", "1@EXAMPLE.com", alice["reference"].lower()):
        page = dana.post("/staff/search", q=query).text
        assert re.findall(r'class="reference">(\w+)<', page) == [alice["reference"]], query
    assert "Nobody was found" in dana.post("/staff/search", q="zzz").text
    assert dana.get("/staff/search?q=alice").status_code in (404, 405)


def test_from_a_leads_page_one_comes_back_to_the_same_view(
    api: Caller, dana: Browser, bearer: dict[str, str]
) -> None:
    add(api, bearer, "Alice", 1)
    view = "/staff?kind=contact&mine=yes"
    (lead_id,) = re.findall(r'id="lead-([^"]+)"', dana.get("/staff?kind=contact").text)
    dana.post(f"/staff/leads/{lead_id}/assign", to="me", expected="")
    found = re.search(r'href="(/staff/leads/[^"]+)">Alice', dana.get(view).text)
    assert found is not None
    path = unescape(found[1])

    page = unescape(dana.get(path).text)
    assert f'<a href="{view}">Back to the leads</a>' in page
    assert f'name="next" value="{path}"' in page
    elsewhere = dana.get(f"/staff/leads/{lead_id}?back=https://evil.example/staff").text
    assert "evil" not in elsewhere


def test_what_was_seen_is_in_the_trail(api: Caller, dana: Browser, bearer: dict[str, str]) -> None:
    lead = add(api, bearer, "Alice", 1)

    dana.get("/staff")
    dana.act(lead, "contacted")

    with reading(api.service.engine) as session:
        told = [(one.verb, one.by, one.door) for one in entries.list_entries(session)][:2]
    assert told == [("contacted", "Dana", "page"), ("listed", "Dana", "page")]


def test_what_somebody_wrote_is_text_on_the_page(
    api: Caller, dana: Browser, bearer: dict[str, str]
) -> None:
    add(api, bearer, "<b>Eve</b>", 1)

    page = dana.get("/staff").text

    assert "&lt;b&gt;Eve" in page
    assert "<b>Eve" not in page


def test_a_stale_page_marks_nobody_that_is_closed(
    api: Caller, dana: Browser, bearer: dict[str, str]
) -> None:
    lead = add(api, bearer, "Alice", 1)
    with transaction(api.service.engine) as session:
        marked = working.mark_contacted(session, uuid.UUID(lead["id"]), by="X", now=api.clock.now())
        marked.lead.status = LeadStatus.closed

    assert dana.act(lead, "contacted").status_code == 409
    assert dana.act(lead, "attempts").status_code == 409
