"""The admin API: who may, and what it shows, lists and finds."""

import uuid
from datetime import timedelta

import pytest

from followup.services import staffing
from followup.store import submissions
from followup.store.db import transaction
from tests.web.caller import NOW, Caller, faults

NOBODY = uuid.UUID(int=7)
BOB = {"name": "Bob Oak", "email": "bob@example.com", "phone": "(415) 555-0102"}
#: What scripts rely on; more may be added.
LEAD = {
    *("id", "reference", "status", "kind", "role", "name", "email", "phone", "language"),
    *("interest", "location", "created_at", "contacted_at", "contacted_by", "outcome"),
    *("assigned_to", "snoozed_until", "overdue"),
}
DELIVERY = {
    *("id", "step", "occurrence", "audience", "channel", "lane", "status", "reason", "due_at"),
    *("expires_at", "sent_at", "provider_id"),
}


def listed(api: Caller, staff: dict[str, str], query: str = "") -> list[str]:
    answer = api.http.get(f"/admin/leads{query}", headers=staff)
    assert answer.status_code == 200, answer.text
    return [lead["name"] for lead in answer.json()["items"]]


ROUTES = [
    ("GET", "/admin/leads"),
    ("POST", "/admin/leads/search"),
    ("GET", f"/admin/leads/{NOBODY}"),
    *(
        ("POST", f"/admin/leads/{NOBODY}/{verb}")
        for verb in ("contacted", "attempts", "snooze", "reopen", "opt-out")
    ),
    ("GET", "/admin/stats"),
    ("GET", "/admin/submissions/problems"),
]
BODIES = {"search": {"q": "Alice"}, "snooze": {"until": "2026-11-24T17:00:00Z"}}


#: By what is wrong with them.
AUTHORIZATIONS: dict[str, bytes | None] = {
    "none": None,
    "no token": b"Bearer",
    "an empty token": b"Bearer ",
    "a wrong token": b"Bearer fu_wrong",
    "another scheme": b"Basic ZGFuYTpkYW5h",
    "rubbish": b"Bearer \xff\x00",
}


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_admin_route_refuses_without_a_valid_token(
    api: Caller, method: str, path: str
) -> None:
    body = BODIES.get(path.rpartition("/")[2])
    for wrong, header in AUTHORIZATIONS.items():
        headers = {b"Authorization": header} if header is not None else {}
        answer = api.http.request(method, path, headers=headers, json=body)

        assert answer.status_code == 401, wrong
        assert answer.headers["www-authenticate"] == "Bearer"
        assert faults(answer) == {}


def test_a_disabled_persons_token_stops_working(api: Caller, dana: dict[str, str]) -> None:
    with transaction(api.service.engine) as session:
        staffing.disable(session, "Dana", NOW)

    assert api.http.get("/admin/leads", headers=dana).status_code == 401


def test_an_old_token_stops_working_when_a_new_one_is_made(
    api: Caller, dana: dict[str, str]
) -> None:
    with transaction(api.service.engine) as session:
        renewed = staffing.renew_token(session, "Dana", NOW)

    fresh = {"Authorization": f"Bearer {renewed.token}"}
    assert api.http.get("/admin/leads", headers=dana).status_code == 401
    assert api.http.get("/admin/leads", headers=fresh).status_code == 200


def test_a_lead_is_shown_in_the_shape_that_scripts_rely_on(api_everywhere: Caller) -> None:
    dana = api_everywhere.staff()
    whole = api_everywhere.lead(dana, language="es", interest="tms", location="manhattan-beach")
    (short,) = api_everywhere.http.get("/admin/leads", headers=dana).json()["items"]

    assert set(short) >= LEAD
    assert {key: whole[key] for key in short} == short
    assert short["created_at"] == "2026-11-23T17:05:00Z"
    assert (short["status"], short["kind"], short["role"]) == ("open", "contact", "patient")
    assert (short["phone"], short["email"]) == ("+14155550101", "alice@example.com")
    assert (short["language"], short["interest"]) == ("es", "tms")
    assert short["location"] == "manhattan-beach"
    assert short["overdue"] is False
    nothing_yet = ("contacted_at", "contacted_by", "outcome", "assigned_to", "snoozed_until")
    assert [short[name] for name in nothing_yet] == [None] * 5


def test_a_leads_own_page_has_all_that_came_in_was_agreed_was_sent_and_why(
    api_everywhere: Caller,
) -> None:
    api = api_everywhere
    dana = api.staff()
    lead = api.lead(dana)
    api.send_due()
    whole = api.whole(dana, lead["id"])

    assert whole["submissions"][0]["fields"]["message"] == "Please call me."
    assert whole["consents"][0]["given"] is True
    assert all(set(one) >= DELIVERY for one in whole["deliveries"])
    acknowledged = [one for one in whole["deliveries"] if one["step"] == "acknowledgement"]
    assert {one["channel"] for one in acknowledged} == {"email", "sms"}
    assert {one["status"] for one in acknowledged} == {"accepted"}
    assert all(one["sent_at"] == "2026-11-23T17:05:00Z" for one in acknowledged)
    decided = {one["delivery_id"] for one in whole["decisions"]}
    assert {one["id"] for one in acknowledged} <= decided


def test_no_answer_with_personal_data_may_be_kept_by_a_cache(
    api: Caller, dana: dict[str, str]
) -> None:
    assert api.http.get("/admin/leads", headers=dana).headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("query", "names"),
    [
        pytest.param("", ["Bob Oak", "Alice Ng"], id="newest first"),
        pytest.param("?status=open", ["Alice Ng"], id="open"),
        pytest.param("?status=contacted", ["Bob Oak"], id="contacted"),
        pytest.param("?status=closed", [], id="closed"),
        pytest.param("?kind=screening", ["Bob Oak"], id="screening"),
        pytest.param("?kind=screening&status=open", [], id="both"),
        pytest.param("?overdue=true", ["Alice Ng"], id="overdue"),
        pytest.param("?overdue=false", ["Bob Oak"], id="not overdue"),
        pytest.param("?reference=ZZ99", [], id="no such reference"),
        pytest.param(f"?submission={NOBODY}", [], id="no such submission"),
    ],
)
def test_the_list_is_filtered(
    api: Caller, dana: dict[str, str], query: str, names: list[str]
) -> None:
    api.lead(dana)
    bob = api.lead(dana, "screening", **BOB)
    api.act(dana, bob, "contacted")
    api.clock.pass_by(timedelta(days=1))

    assert listed(api, dana, query) == names


def test_a_lead_is_found_by_its_reference_as_it_is_spoken(
    api: Caller, dana: dict[str, str]
) -> None:
    lead = api.lead(dana)
    api.lead(dana, **BOB)

    assert listed(api, dana, f"?reference=%20{lead['reference'].lower()}%20") == ["Alice Ng"]


def test_a_snoozed_lead_is_not_overdue(api: Caller, dana: dict[str, str]) -> None:
    lead = api.lead(dana)
    api.clock.pass_by(timedelta(days=1))
    until = (api.clock.now() + timedelta(hours=1)).isoformat()
    api.act(dana, lead, "snooze", {"until": until})

    assert listed(api, dana, "?overdue=true") == []
    api.clock.pass_by(timedelta(hours=2))
    assert listed(api, dana, "?overdue=true") == ["Alice Ng"]


def test_pages_follow_one_another_without_a_gap_or_a_double(
    api: Caller, dana: dict[str, str]
) -> None:
    for number in range(101):
        api.submit(name=f"Person {number:03}", email=f"p{number}@example.com", phone=None)
    api.consume()

    names: list[str] = []
    query: str | None = ""
    pages = 0
    while query is not None:
        page = api.http.get(f"/admin/leads{query}", headers=dana).json()
        names += [lead["name"] for lead in page["items"]]
        query = f"?cursor={page['next_cursor']}" if page["next_cursor"] else None
        pages += 1

    assert pages == 3
    assert names == sorted(names, reverse=True)
    assert len(set(names)) == 101


@pytest.mark.parametrize(
    "query",
    [
        "status=gone",
        "kind=other",
        "overdue=maybe",
        "submission=x",
        "cursor=x",
        "reference=" + "K" * 21,
        "reference=K7%Q4",
        "statuss=open",
    ],
)
def test_a_filter_that_makes_no_sense_is_named(
    api: Caller, dana: dict[str, str], query: str
) -> None:
    answer = api.http.get(f"/admin/leads?{query}", headers=dana)

    assert answer.status_code == 422
    assert set(faults(answer)) == {query.partition("=")[0]}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        pytest.param("alice@example.com", ["Alice Ng"], id="email"),
        pytest.param("ALICE@Example.COM", ["Alice Ng"], id="email in capitals"),
        pytest.param("415-555-0102", ["Bob Oak"], id="phone as typed"),
        pytest.param("oak", ["Bob Oak"], id="part of a name"),
        pytest.param("nobody", [], id="nobody"),
        pytest.param("carol@example.com", [], id="another address"),
        pytest.param("...", [], id="nothing to look for"),
        pytest.param("%", [], id="no pattern"),
        pytest.param("' OR 1=1 --", [], id="no statement"),
    ],
)
def test_staff_search_by_what_they_know(
    api: Caller, dana: dict[str, str], query: str, names: list[str]
) -> None:
    api.lead(dana)
    api.lead(dana, **BOB)
    answer = api.http.post("/admin/leads/search", headers=dana, json={"q": query})

    assert [lead["name"] for lead in answer.json()["items"]] == names


def test_staff_search_by_reference(api: Caller, dana: dict[str, str]) -> None:
    lead = api.lead(dana)
    body = {"q": lead["reference"].lower()}
    answer = api.http.post("/admin/leads/search", headers=dana, json=body)

    assert [one["id"] for one in answer.json()["items"]] == [lead["id"]]


@pytest.mark.parametrize("q", ["", "x" * 201, "a\x00b", None, 7])
def test_a_search_for_what_cannot_be_searched_is_named(
    api: Caller, dana: dict[str, str], q: object
) -> None:
    answer = api.http.post("/admin/leads/search", headers=dana, json={"q": q})

    assert answer.status_code == 422
    assert set(faults(answer)) == {"q"}


def test_statistics_count_who_waits_and_how_soon_people_were_reached(
    api_everywhere: Caller,
) -> None:
    api = api_everywhere
    dana = api.staff()
    api.lead(dana)
    bob = api.lead(dana, **BOB)
    api.clock.pass_by(timedelta(minutes=30))
    api.act(dana, bob, "contacted")
    api.clock.pass_by(timedelta(days=1))
    stats = api.http.get("/admin/stats", headers=dana).json()

    assert (stats["waiting"], stats["overdue"], stats["contacted"]) == (1, 1, 1)
    assert stats["seconds_to_contact"]["median"] == 1800
    assert stats["promise_kept"] == 1
    assert stats["submissions"]["consumed"] == 2


def test_statistics_of_nothing_are_empty(api: Caller, dana: dict[str, str]) -> None:
    stats = api.http.get("/admin/stats", headers=dana).json()

    assert stats["seconds_to_contact"] == {"median": None, "p90": None}
    assert stats["promise_kept"] is None


def test_a_submission_that_cannot_be_consumed_is_shown_with_its_fields(
    api: Caller, dana: dict[str, str]
) -> None:
    submission_id = api.submit()
    with transaction(api.service.engine) as session:
        row = submissions.find_submission(session, uuid.UUID(submission_id))
        assert row is not None
        row.payload = {**row.payload, "role": "unheard of"}
    api.consume()
    (problem,) = api.http.get("/admin/submissions/problems", headers=dana).json()["items"]

    assert problem["id"] == submission_id
    assert problem["problem"].startswith("role: ")
    assert problem["fields"]["name"] == "Alice Ng"
    assert problem["received_at"] == "2026-11-23T17:05:00Z"


def test_what_postgresql_cannot_hold_is_named_and_no_error_of_ours(api_everywhere: Caller) -> None:
    dana = api_everywhere.staff()
    listing = api_everywhere.http.get("/admin/leads?reference=%00", headers=dana)
    search = api_everywhere.http.post("/admin/leads/search", headers=dana, json={"q": "a\x00b"})

    assert (listing.status_code, set(faults(listing))) == (422, {"reference"})
    assert (search.status_code, set(faults(search))) == (422, {"q"})


def test_a_lead_is_found_on_every_database(api_everywhere: Caller) -> None:
    dana = api_everywhere.staff()
    lead = api_everywhere.lead(dana)
    api_everywhere.lead(dana, "screening", **BOB)
    body = {"q": "alice@EXAMPLE.com"}
    search = api_everywhere.http.post("/admin/leads/search", headers=dana, json=body)

    assert [one["id"] for one in search.json()["items"]] == [lead["id"]]
    assert listed(api_everywhere, dana, "?kind=screening&status=open&overdue=false") == ["Bob Oak"]
