"""What a person is given: all about them, nothing of others, and a note that it was given."""

import json
from typing import Any

from followup.domain.audit import Door
from followup.domain.cadence import Audience
from followup.services import exporting, working
from followup.services.identifying import identify
from followup.store import entries, ledger
from followup.store.db import reading, transaction
from tests.services.cast import ALICE, BOB, FRONT_DESK, Desk


def export(desk: Desk, **who: str) -> dict[str, Any]:
    with transaction(desk.engine) as session:
        person = identify(session, desk.planner, **who)
        return exporting.export(session, desk.planner, person, by="Ann", now=desk.now)


def test_a_person_gets_all_that_is_kept_about_them(desk: Desk) -> None:
    lead = desk.submit(ALICE, message="Please call me.", interest="tms")
    desk.send()
    desk.reply(ALICE["phone"], "STOP")
    with transaction(desk.engine) as session:
        working.record_attempt(
            session, desk.planner, lead.id, by="Ann", now=desk.now, note="Sounded well"
        )

    whole = export(desk, reference=lead.reference)

    (about,) = whole["leads"]
    assert about["submissions"][0]["fields"]["message"] == "Please call me."
    assert about["submissions"][0]["sent_from"] == {"address": "203.0.113.9"}
    assert about["consents"][0]["evidence"]["address"] == "203.0.113.9"
    assert about["replies"][0]["body"] == "STOP"
    assert about["actions"][0]["note"] == "Sounded well"
    assert {one["channel"] for one in about["deliveries"] if one["body"]} == {"sms", "email"}
    assert (whole["suppressions"][0]["evidence"], whole["exported_by"]) == ("STOP", "Ann")
    json.dumps(whole)


def test_nothing_of_the_staff_or_of_anybody_else_is_in_it(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    desk.submit(BOB)
    desk.send()

    whole = json.dumps(export(desk, email=ALICE["email"]))

    assert FRONT_DESK not in whole
    assert "Bob" not in whole
    staff = {str(row.id) for row in desk.rows(lead, audience=Audience.staff)}
    assert staff
    assert not any(one in whole for one in staff)


def test_what_belongs_to_no_lead_is_given_too(desk: Desk) -> None:
    desk.receive(ALICE)
    desk.receive(BOB)
    desk.reply(ALICE["phone"], "Hello?")

    whole = export(desk, phone=ALICE["phone"])

    assert [one["fields"]["name"] for one in whole["other_submissions"]] == ["Alice Ames"]
    assert [one["body"] for one in whole["other_replies"]] == ["Hello?"]
    assert whole["leads"] == []


def test_that_it_was_given_out_is_kept(desk: Desk) -> None:
    lead = desk.submit(ALICE)

    export(desk, reference=lead.reference)

    with reading(desk.engine) as session:
        (action,) = ledger.list_actions(session, lead.id)
    assert (action.verb, action.by, action.at) == ("exported", "Ann", desk.now)


def test_that_it_was_given_out_is_kept_of_somebody_without_a_lead(desk: Desk) -> None:
    desk.reply(ALICE["phone"], "Hello?")

    export(desk, phone=ALICE["phone"])

    with reading(desk.engine) as session:
        (entry,) = entries.list_entries(session, by="Ann")
    assert (entry.verb, entry.door, entry.lead_id) == ("exported", Door.command_line, None)
