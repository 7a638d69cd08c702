"""Two leads that staff say are one person: one goes on, the stricter holds, and it is undone."""

from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from followup.clinic_limits import Retention
from followup.domain.cadence import Channel, Lane
from followup.domain.consent import SuppressionReason
from followup.domain.delivery import Reason, Status
from followup.domain.lead import LeadStatus, Priority
from followup.errors import Conflict
from followup.services import identifying, pruning, receiving, recounting, uniting, working
from followup.services.recounting import What, Whole
from followup.services.uniting import Merged
from followup.store import consents, leads
from followup.store.db import reading, transaction
from followup.store.models import Lead
from tests.services.cast import ALICE, BOB, DAY, MINUTE, Desk

#: At Alice's number, with a name and a mail address of her own.
ALICIA = {"name": "Alicia A.", "email": "alicia@example.com", "phone": ALICE["phone"]}


def merge(desk: Desk, lead: Lead) -> Merged:
    with transaction(desk.engine) as session:
        return uniting.merge_duplicate(session, desk.planner, lead.id, by="Ann", now=desk.now)


def two(desk: Desk, *, first: bool = True, second: bool = True) -> tuple[Lead, Lead]:
    """Both with their acknowledgements sent; whether each agreed to texts."""
    one = desk.submit(ALICE, consent_sms=first)
    desk.now += MINUTE
    other = desk.submit(ALICIA, consent_sms=second)
    desk.send(Lane.ack, Lane.staff)
    return one, other


def opt_out(desk: Desk, lead: Lead, channel: Channel) -> None:
    with transaction(desk.engine) as session:
        working.record_opt_out(
            session, desk.planner, lead.id, by="Ann", now=desk.now, channels=[channel]
        )


def opt_in(desk: Desk, lead: Lead, channel: Channel) -> None:
    with transaction(desk.engine) as session:
        working.record_opt_in(
            session,
            desk.planner,
            lead.id,
            by="Ann",
            now=desk.now,
            note="by phone",
            channels=[channel],
        )


def whole(desk: Desk, lead: Lead) -> Whole:
    with reading(desk.engine) as session:
        return recounting.recount(session, desk.planner, desk.lead(lead), desk.now)


def silent(desk: Desk, lead: Lead) -> set[Channel]:
    return set(whole(desk, lead).silent)


def test_the_noted_one_goes_on_and_nothing_more_is_owed_for_the_duplicate(desk: Desk) -> None:
    one, other = two(desk)
    before = desk.owed(one)

    merged = merge(desk, other)

    assert (merged.lead.id, merged.part.id) == (one.id, other.id)
    assert merged.cancelled > 0
    assert (desk.owed(one), desk.owed(other)) == (before, 0)
    assert desk.lead(other).status is LeadStatus.closed
    assert desk.lead(one).promised_at == one.promised_at


def test_both_histories_stand_under_the_one(desk: Desk) -> None:
    one, other = two(desk)
    merge(desk, other)

    told = whole(desk, one)

    assert [row.payload["name"] for row in told.submissions] == ["Alice Ames", "Alicia A."]
    of_part = {event.what for event in told.events if event.part is not None}
    assert {What.submission, What.consent, What.message, What.action} <= of_part
    assert [event.at for event in told.events] == sorted(event.at for event in told.events)


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        pytest.param(True, True, None, id="both agreed"),
        pytest.param(True, False, Reason.no_consent, id="the duplicate did not"),
        pytest.param(False, True, Reason.no_consent, id="the one that goes on did not"),
    ],
)
def test_the_stricter_of_two_consents_holds(
    desk: Desk, first: bool, second: bool, reason: Reason | None
) -> None:
    one, other = two(desk, first=first, second=second)
    merge(desk, other)

    row = desk.row(one, "not-forgotten", Channel.sms)
    desk.now = row.due_at
    desk.send(Lane.reminder)

    sent = desk.row(one, "not-forgotten", Channel.sms)
    assert (sent.status, sent.reason) == (
        (Status.skipped, reason) if reason else (Status.accepted, None)
    )


def test_what_is_agreed_to_afterwards_counts(desk: Desk) -> None:
    one, other = two(desk, second=False)
    merge(desk, other)
    desk.now += MINUTE
    opt_in(desk, one, Channel.sms)

    desk.now = desk.row(one, "not-forgotten", Channel.sms).due_at
    desk.send(Lane.reminder)

    assert desk.row(one, "not-forgotten", Channel.sms).status is Status.accepted


def test_a_refusal_at_the_duplicates_address_holds_for_the_one_and_ends_when_undone(
    desk: Desk,
) -> None:
    one, other = two(desk)
    opt_out(desk, other, Channel.email)
    assert silent(desk, one) == set()

    merge(desk, other)

    assert silent(desk, one) == {Channel.email}
    row = desk.row(one, "not-forgotten", Channel.email)
    assert (row.status, row.reason) == (Status.cancelled, Reason.refused_elsewhere)

    desk.reopen(other)

    assert (silent(desk, one), silent(desk, other)) == (set(), {Channel.email})


def test_a_refusal_at_the_duplicates_address_counts_after_the_merging_too(desk: Desk) -> None:
    one, other = two(desk)
    merge(desk, other)

    mail = desk.row(other, "acknowledgement", Channel.email)
    receiving.unsubscribe(desk.engine, mail.id, desk.now)

    assert silent(desk, one) == {Channel.email}


def test_start_from_the_ones_own_number_is_newer_than_a_stop_from_the_duplicates(
    desk: Desk,
) -> None:
    one, other = two(desk)
    merge(desk, other)
    desk.submit({**ALICE, "phone": BOB["phone"]})
    desk.reply(ALICE["phone"], "STOP")
    assert silent(desk, one) == {Channel.sms}
    desk.now += MINUTE

    desk.reply(BOB["phone"], "START")

    assert silent(desk, one) == set()
    assert silent(desk, other) == {Channel.sms}


def test_a_refusal_during_the_merging_is_not_missed(desk: Desk) -> None:
    one, other = two(desk)
    # So that neither waits for the other's messages.
    desk.reply(ALICE["phone"], "Hello")
    mail = desk.row(other, "acknowledgement", Channel.email)

    with ThreadPoolExecutor(1) as pool:
        with transaction(desk.engine) as session:
            uniting.merge_duplicate(session, desk.planner, other.id, by="Ann", now=desk.now)
            refusing = pool.submit(receiving.unsubscribe, desk.engine, mail.id, desk.now)
            wait([refusing], timeout=0.3)
        assert refusing.result()

    assert silent(desk, one) == {Channel.email}


def test_what_the_person_said_since_holds_when_a_third_is_merged(desk: Desk) -> None:
    one, other = two(desk)
    opt_out(desk, other, Channel.email)
    merge(desk, other)
    third = desk.submit({**ALICIA, "name": "Al", "email": "al@example.com"})
    desk.now += MINUTE
    opt_in(desk, one, Channel.email)
    assert silent(desk, one) == set()

    merge(desk, third)

    assert silent(desk, one) == set()


def test_undoing_lifts_no_refusal_of_the_persons_own(desk: Desk) -> None:
    one, other = two(desk)
    opt_out(desk, other, Channel.email)
    merge(desk, other)
    opt_out(desk, one, Channel.email)

    desk.reopen(other)

    assert silent(desk, one) == {Channel.email}
    with reading(desk.engine) as session:
        hashes = desk.planner.hashes_of(Channel.email, str(one.email))
        found = consents.list_forbidden(session, hashes)
    assert set(found.values()) == {SuppressionReason.asked_staff}


def test_of_two_merged_undoing_one_leaves_what_the_other_demands(desk: Desk) -> None:
    one, other = two(desk)
    third = desk.submit({**ALICIA, "name": "Al", "email": "al@example.com"}, consent_sms=False)
    for lead in (other, third):
        opt_out(desk, lead, Channel.email)
        merge(desk, lead)

    desk.reopen(other)

    assert silent(desk, one) == {Channel.email}
    assert desk.lead(one).consent_from is not None

    desk.reopen(third)

    assert silent(desk, one) == set()
    assert desk.lead(one).consent_from is None


def test_undone_the_duplicate_is_owed_what_lies_ahead_and_nothing_twice(desk: Desk) -> None:
    one, other = two(desk)
    merge(desk, other)
    sent = len(desk.provider.sent)

    desk.reopen(other)
    desk.send(Lane.ack, Lane.staff)

    assert desk.lead(other).merged_into is None
    assert desk.owed(other) > 0
    assert len(desk.provider.sent) == sent
    assert whole(desk, one).parts == []


def test_danger_goes_along_and_staff_hear_of_it_until_somebody_acts(desk: Desk) -> None:
    one = desk.submit(ALICE)
    other = desk.submit(ALICIA, message="I want to end it all")
    desk.send(Lane.staff)

    merge(desk, other)

    assert desk.lead(one).priority is Priority.urgent
    told = [row.status for row in desk.rows(one) if row.step == "danger"]
    assert len(told) > 0
    assert set(told) == {Status.planned}
    assert desk.owed(other) == 1  # the crisis lines to whoever wrote it
    desk.attempt(one)
    assert {row.status for row in desk.rows(one) if row.step == "danger"} == {Status.cancelled}


def test_a_text_to_the_duplicate_is_answered_and_told_all_the_same(desk: Desk) -> None:
    one, other = two(desk)
    desk.reply(ALICE["phone"], "Can you call after six?")
    assert desk.row(other, "received", Channel.sms).status is Status.planned

    merge(desk, other)
    desk.send(Lane.ack, Lane.staff)

    assert desk.row(other, "received", Channel.sms).status is Status.accepted
    assert {row.status for row in desk.rows(one) if row.step == "replied"} == {Status.accepted}


def test_an_attempt_and_a_mark_on_the_duplicate_are_the_ones(desk: Desk) -> None:
    one, other = two(desk)
    merge(desk, other)

    desk.attempt(other)
    assert desk.lead(one).snoozed_until is not None

    marked = desk.mark(other)

    assert marked.lead.id == one.id
    assert (desk.lead(one).status, desk.owed(one)) == (LeadStatus.contacted, 0)


def test_a_text_from_the_duplicates_number_is_the_ones(desk: Desk) -> None:
    one, other = two(desk)
    merge(desk, other)
    desk.submit({**ALICE, "phone": BOB["phone"]})
    assert desk.row(one, "not-forgotten", Channel.email).status is Status.planned

    desk.reply(ALICE["phone"], "Please call me at work")

    assert desk.row(one, "not-forgotten", Channel.email).reason is Reason.replied
    assert What.reply in {event.what for event in whole(desk, one).events if event.part is None}


def test_who_is_erased_or_exported_is_both(desk: Desk) -> None:
    one, other = two(desk)
    merge(desk, other)

    with reading(desk.engine) as session:
        for lead in (one, other):
            person = identifying.identify(session, desk.planner, reference=lead.reference)
            assert person.references == [one.reference, other.reference]


def test_a_part_is_kept_as_long_as_the_one_that_it_is_a_part_of(desk: Desk) -> None:
    one, other = two(desk)
    merge(desk, other)
    kept = Retention(lead_days=400, held_days=90, evidence_years=7, audit_years=6)

    desk.now += 500 * DAY
    pruning.prune(desk.engine, kept, desk.now)

    assert {lead.id for lead in desk.leads()} == {one.id, other.id}


@pytest.mark.parametrize("which", ["one", "other"])
def test_only_what_is_open_and_noted_is_merged(desk: Desk, which: str) -> None:
    one, other = two(desk)
    with pytest.raises(Conflict, match="no lead is noted"):
        merge(desk, one)
    desk.mark(one if which == "one" else other)

    with pytest.raises(Conflict, match="contacted, and only open leads are merged"):
        merge(desk, other)

    with reading(desk.engine) as session:
        assert leads.list_merged(session, one.id) == []
