"""Why each message was sent or was not, and what comes next: read from the ledger alone."""

from typing import Any

from followup.domain.cadence import Channel, Lane
from followup.domain.delivery import SENTENCES, Reason, Status
from followup.errors import ConfigurationFailure
from followup.services import explaining
from followup.store.db import reading
from followup.store.models import Lead
from tests.services.cast import ALICE, HOUR, MINUTE, Desk, at


def explained(desk: Desk, lead: Lead) -> dict[str, Any]:
    with reading(desk.engine) as session:
        return explaining.explain(session, desk.lead(lead), desk.now)


def the(found: list[dict[str, Any]], step: str, channel: str) -> dict[str, Any]:
    return next(one for one in found if (one["step"], one["channel"]) == (step, channel))


def test_what_was_sent_says_by_which_facts(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    desk.send(Lane.ack)

    text = the(explained(desk, lead)["deliveries"], "acknowledgement", "sms")

    assert (text["status"], text["explanation"]) == ("accepted", None)
    assert [one["status"] for one in text["decisions"]] == ["sending", "accepted"]
    assert text["decisions"][0]["facts"]["consent"] is True


def test_what_was_not_sent_says_why(desk: Desk) -> None:
    lead = desk.submit(ALICE, consent_sms=False)
    desk.send(Lane.ack)

    text = the(explained(desk, lead)["deliveries"], "acknowledgement", "sms")

    assert (text["status"], text["explanation"]) == ("skipped", SENTENCES[Reason.no_consent])


def test_what_comes_next_and_when_the_soonest_first(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    desk.send()

    ahead = explained(desk, lead)["next"]

    assert [one["due_at"] for one in ahead] == sorted(one["due_at"] for one in ahead)
    assert the(ahead, "reminder", "email")["due_at"] == "2026-10-20T17:05:00Z"
    assert {one["step"] for one in ahead} == {"reminder", "not-forgotten"}


def test_after_contact_nothing_comes_next(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    desk.send()
    desk.mark(lead)

    told = explained(desk, lead)

    assert told["next"] == []
    reminder = desk.row(lead, "reminder", Channel.email, occurrence=1)
    assert (reminder.status, reminder.reason) == (Status.cancelled, Reason.contacted)
    assert the(told["deliveries"], "acknowledgement", "email")["status"] == "accepted"


def test_a_paused_channel_is_what_a_message_waits_for(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    desk.provider.answer = lambda _: ConfigurationFailure("no account", "20003")
    desk.send(Lane.ack)
    desk.now += MINUTE

    waiting = the(explained(desk, lead)["next"], "acknowledgement", "sms")

    assert waiting["explanation"] == "The channel is paused until its provider works again."


def test_a_lead_that_rests_is_postponed_once_in_the_ledger_however_often_it_is_looked_at(
    desk: Desk,
) -> None:
    lead = desk.submit(ALICE)
    row = desk.row(lead, "reminder", Channel.email)
    desk.change(row, due_at=desk.now)
    desk.attempt(lead)
    for _ in range(3):
        desk.send(Lane.reminder)
        desk.change(row, due_at=desk.now)
        desk.now += MINUTE

    decisions = the(explained(desk, lead)["next"], "reminder", "email")
    entries = [one for one in desk.decisions(row) if one.status is Status.planned]

    assert decisions["explanation"] == SENTENCES[Reason.snoozed]
    assert [(one.reason, one.times) for one in entries] == [(Reason.snoozed, 3)]
    assert entries[0].last_at == desk.now - MINUTE


def test_a_person_whom_nothing_reached_is_a_task(desk: Desk) -> None:
    desk.now = at("2026-10-20 10:00")
    lead = desk.submit(ALICE)
    desk.now += 13 * HOUR
    desk.send(Lane.ack)

    task = explained(desk, lead)["task"]

    assert (task["task"], task["reason"], task["told_at"]) == ("call", "expired", None)
