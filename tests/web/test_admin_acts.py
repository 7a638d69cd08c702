"""What staff do with a lead over the API, and what each act answers."""

import uuid
from datetime import timedelta
from typing import Any

import pytest

from followup.domain.cadence import Lane
from followup.domain.delivery import Status
from followup.store import deliveries
from followup.store.db import transaction
from tests.web.caller import Caller, faults

NOBODY = uuid.UUID(int=7)
BODIES = {
    "search": {"q": "Alice"},
    "notes": {"note": "works nights"},
    "assign": {"to": None, "expected": None},
    "close": {"why": "spam"},
    "snooze": {"until": "2026-11-24T17:00:00Z"},
    "opt-in": {"note": "asked for it", "channels": ["sms"]},
}


def test_contacted_ends_what_is_planned_and_says_what_is_in_flight(
    api_everywhere: Caller,
) -> None:
    api = api_everywhere
    dana = api.staff()
    lead = api.lead(dana)
    with transaction(api.service.engine) as session:
        flying = deliveries.list_of_lead(session, uuid.UUID(lead["id"]))[0]
        flying.status = Status.sending

    answer = api.act(dana, lead, "contacted", {"outcome": "booked", "note": "Tuesday at ten"})

    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"lead", "cancelled", "in_flight"}
    assert body["in_flight"] == [str(flying.id)]
    assert body["cancelled"] == len(lead["deliveries"]) - 1
    marked = body["lead"]
    assert (marked["status"], marked["outcome"]) == ("contacted", "booked")
    assert (marked["contacted_by"], marked["contacted_at"]) == ("Dana", "2026-11-23T17:05:00Z")
    whole = api.whole(dana, lead["id"])
    assert whole["actions"][-1]["note"] == "Tuesday at ten"
    planned = [one for one in whole["deliveries"] if one["id"] != str(flying.id)]
    assert {(one["status"], one["reason"]) for one in planned} == {("cancelled", "contacted")}


def test_after_contacted_nothing_more_goes_out(api: Caller, dana: dict[str, str]) -> None:
    lead = api.lead(dana)
    api.act(dana, lead, "contacted")

    for _ in range(20):
        api.clock.pass_by(timedelta(hours=8))
        assert api.send_due() == []


def test_contacted_without_a_body_is_reached(api: Caller, dana: dict[str, str]) -> None:
    lead = api.lead(dana)
    answer = api.http.post(f"/admin/leads/{lead['id']}/contacted", headers=dana)

    assert answer.json()["lead"]["outcome"] == "reached"


def test_contacted_again_by_the_same_person_gets_the_same_answer(
    api_everywhere: Caller,
) -> None:
    dana = api_everywhere.staff()
    lead = api_everywhere.lead(dana)
    first = api_everywhere.act(dana, lead, "contacted", {"outcome": "booked"})
    api_everywhere.clock.pass_by(timedelta(minutes=5))
    again = api_everywhere.act(dana, lead, "contacted", {"outcome": "other"})

    assert (again.status_code, again.json()) == (200, first.json())


def test_contacted_by_another_names_who_was_first(api_everywhere: Caller) -> None:
    dana, eve = api_everywhere.staff("Dana"), api_everywhere.staff("Eve")
    lead = api_everywhere.lead(dana)
    api_everywhere.act(dana, lead, "contacted")
    api_everywhere.clock.pass_by(timedelta(minutes=5))
    answer = api_everywhere.act(eve, lead, "contacted")

    assert answer.status_code == 409
    faults(answer)
    assert answer.json()["contacted_by"] == "Dana"
    assert answer.json()["contacted_at"] == "2026-11-23T17:05:00Z"


@pytest.mark.parametrize(
    "verb",
    [
        *("contacted", "attempts", "notes", "snooze", "assign", "close", "merge", "reopen"),
        *("opt-out", "opt-in"),
    ],
)
@pytest.mark.parametrize(("lead_id", "status"), [(NOBODY, 404), ("x", 422), ("%00", 422)])
def test_acting_on_no_lead_is_not_found(
    api: Caller, dana: dict[str, str], verb: str, lead_id: object, status: int
) -> None:
    answer = api.http.post(
        f"/admin/leads/{lead_id}/{verb}", headers=dana, json=BODIES.get(verb, {})
    )

    assert answer.status_code == status
    faults(answer)


@pytest.mark.parametrize(
    ("verb", "body", "named"),
    [
        ("contacted", {"outcome": "gone"}, "outcome"),
        ("contacted", {"note": "x" * 2001}, "note"),
        ("contacted", {"note": "\x00"}, "note"),
        ("contacted", {"notes": "typo"}, "notes"),
        ("attempts", {"note": 7}, "note"),
        ("snooze", {}, "until"),
        ("snooze", {"until": "tomorrow"}, "until"),
        ("snooze", {"until": "2026-11-24T17:00:00"}, "until"),
        ("snooze", {"until": "2026-11-23T17:05:00Z"}, "until"),
        ("snooze", {"until": "9999-12-31T23:59:59-12:00"}, "until"),
        ("snooze", {"until": "0001-01-01T00:00:00+12:00"}, "until"),
        ("notes", {}, "note"),
        ("notes", {"note": " "}, "note"),
        ("assign", {"to": "Dana"}, "expected"),
        ("assign", {"to": "Nobody", "expected": None}, "to"),
        ("close", {}, "why"),
        ("close", {"why": "tired"}, "why"),
        ("merge", {"into": "K7Q4"}, "into"),
        ("reopen", {"x": 1}, "x"),
        ("opt-out", {"note": []}, "note"),
        ("opt-out", {"channels": ["fax"]}, "channels.0"),
        ("opt-out", {"channels": ["chat"]}, "channels"),
        ("opt-out", {"channels": []}, "channels"),
        ("opt-in", {"channels": ["sms"]}, "note"),
        ("opt-in", {"channels": ["sms"], "note": ""}, "note"),
        ("opt-in", {"channels": ["sms"], "note": "  "}, "note"),
        ("opt-in", {"note": "said so on the phone"}, "channels"),
    ],
)
def test_a_wrong_body_names_the_field_and_changes_nothing(
    api: Caller, dana: dict[str, str], verb: str, body: dict[str, Any], named: str
) -> None:
    lead = api.lead(dana)
    answer = api.act(dana, lead, verb, body)

    assert answer.status_code == 422
    assert set(faults(answer)) == {named}
    assert api.whole(dana, lead["id"]) == lead


@pytest.mark.parametrize(
    "body",
    [b'{"note": "\\ud800"}', b'{"\\ud800": 1}', b"{", b"[" * 30_000, b'"x"', b"\xff"],
)
@pytest.mark.parametrize("verb", ["contacted", "search"])
def test_rubbish_in_a_body_is_a_problem_and_no_error_of_ours(
    api: Caller, dana: dict[str, str], verb: str, body: bytes
) -> None:
    path = "search" if verb == "search" else f"{api.lead(dana)['id']}/contacted"
    headers = {**dana, "Content-Type": "application/json"}
    answer = api.http.post(f"/admin/leads/{path}", headers=headers, content=body)

    assert answer.status_code in (400, 422)
    faults(answer)


def test_an_attempt_quiets_reminders_for_two_business_hours_and_ends_nothing(
    api: Caller, dana: dict[str, str]
) -> None:
    lead = api.lead(dana)
    api.send_due()
    answer = api.act(dana, lead, "attempts", {"note": "voicemail"})

    assert answer.json()["lead"]["status"] == "open"
    assert answer.json()["lead"]["snoozed_until"] == "2026-11-23T19:05:00Z"
    api.clock.pass_by(timedelta(minutes=90))
    assert api.send_due(Lane.reminder) == []
    api.clock.pass_by(timedelta(minutes=91))
    assert api.send_due(Lane.reminder), "the next that is due after the rest"


def test_an_attempt_never_shortens_a_snooze(api: Caller, dana: dict[str, str]) -> None:
    lead = api.lead(dana)
    api.act(dana, lead, "snooze", {"until": "2026-11-25T17:00:00Z"})
    answer = api.act(dana, lead, "attempts")

    assert answer.json()["lead"]["snoozed_until"] == "2026-11-25T17:00:00Z"


@pytest.mark.parametrize(
    "until", ["2026-11-24T17:00:00Z", "2026-11-24T09:00:00-08:00", "2026-11-24T18:00:00+01:00"]
)
def test_a_snooze_is_shown_in_utc_whatever_zone_it_was_given_in(
    api: Caller, dana: dict[str, str], until: str
) -> None:
    answer = api.act(dana, api.lead(dana), "snooze", {"until": until})

    assert answer.json()["lead"]["snoozed_until"] == "2026-11-24T17:00:00Z"


@pytest.mark.parametrize("verb", ["attempts", "snooze"])
def test_what_needs_an_open_lead_names_who_marked_it(
    api: Caller, dana: dict[str, str], verb: str
) -> None:
    lead = api.lead(dana)
    api.act(dana, lead, "contacted")
    answer = api.act(dana, lead, verb, BODIES.get(verb))

    assert answer.status_code == 409
    assert answer.json()["contacted_by"] == "Dana"


def test_reopen_owes_a_call_again_and_repeats_nothing_that_was_sent(
    api: Caller, dana: dict[str, str]
) -> None:
    lead = api.lead(dana)
    api.send_due()
    api.act(dana, lead, "contacted")
    answer = api.act(dana, lead, "reopen")

    assert answer.status_code == 200
    assert answer.json()["lead"]["status"] == "open"
    assert answer.json()["lead"]["contacted_by"] is None
    assert api.send_due() == []
    api.clock.pass_by(timedelta(minutes=6))
    again = api.send_due()
    assert again, "reminders go on"
    assert {message.to for message in again} <= {"frontdesk@example.com", "+19495550111"}


def test_reopening_an_open_lead_is_a_conflict(api: Caller, dana: dict[str, str]) -> None:
    answer = api.act(dana, api.lead(dana), "reopen")

    assert answer.status_code == 409
    assert faults(answer) == {}


def test_an_opt_out_told_to_staff_silences_both_addresses(
    api: Caller, dana: dict[str, str]
) -> None:
    lead = api.lead(dana)
    answer = api.act(dana, lead, "opt-out", {"note": "asked on the phone"})
    sent = api.send_due()

    assert answer.status_code == 200
    assert sent, "staff are alerted all the same"
    assert {message.to for message in sent}.isdisjoint({"alice@example.com", "+14155550101"})
    patient = [o for o in api.whole(dana, lead["id"])["deliveries"] if o["audience"] == "patient"]
    assert {(one["status"], one["reason"]) for one in patient} == {("cancelled", "asked_staff")}


def test_what_was_said_about_one_channel_holds_there_and_can_be_taken_back(
    api: Caller, dana: dict[str, str]
) -> None:
    lead = api.lead(dana)

    api.act(dana, lead, "opt-out", {"note": "texts cost her", "channels": ["sms"]})
    (held,) = api.whole(dana, lead["id"])["suppressions"]
    assert (held["channel"], held["reason"], held["matched_by"], held["evidence"]) == (
        "sms",
        "asked_staff",
        "staff",
        "texts cost her",
    )

    api.act(dana, lead, "opt-in", {"note": "has a new plan, said so", "channels": ["sms"]})
    found = api.whole(dana, lead["id"])
    assert found["suppressions"][0]["lifted_at"] == "2026-11-23T17:05:00Z"
    assert found["consents"][-1]["act"] == "told_staff"


def test_a_lead_is_noted_taken_and_closed(api: Caller, dana: dict[str, str]) -> None:
    lead = api.lead(dana)

    noted = api.act(dana, lead, "notes", {"note": "works nights"})
    taken = api.act(dana, lead, "assign", {"to": "Dana", "expected": None})
    late = api.act(dana, lead, "assign", {"to": None, "expected": "Eve"})
    closed = api.act(dana, lead, "close", {"why": "wrong_number", "note": "a bakery"})

    assert [one.status_code for one in (noted, taken, late, closed)] == [200, 200, 409, 200]
    assert taken.json()["lead"]["assigned_to"] == "Dana"
    assert closed.json()["lead"]["status"] == "closed"
    assert closed.json()["cancelled"] > 0
    told = [one["verb"] for one in api.whole(dana, lead["id"])["actions"]]
    assert told == ["note", "assigned", "closed"]


def test_a_noted_duplicate_is_merged_and_taken_apart(api: Caller, dana: dict[str, str]) -> None:
    lead = api.lead(dana)
    part = api.lead(dana, name="Alicia", email="alicia@example.com")

    merged = api.act(dana, part, "merge").json()

    assert (merged["lead"]["id"], merged["part"]["merged_into"]) == (lead["id"], lead["id"])
    assert [one["id"] for one in api.whole(dana, lead["id"])["parts"]] == [part["id"]]
    assert api.act(dana, part, "merge").status_code == 409
    assert api.act(dana, part, "reopen").json()["lead"]["merged_into"] is None
