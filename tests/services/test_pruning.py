"""Pruning: what was kept long enough goes, who waits and who said no stays, killed or not."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from followup.clinic_limits import Retention
from followup.domain.alarm import AlarmKind
from followup.domain.cadence import Channel
from followup.domain.consent import SuppressionReason
from followup.domain.delivery import Status
from followup.domain.lead import LeadStatus
from followup.services import erasing, pruning
from followup.services.erasing import Eraser
from followup.services.identifying import identify_leads
from followup.store import alarms, consents
from followup.store.db import reading, transaction
from followup.store.history import AnyDecision
from followup.store.models import (
    Action,
    Alarm,
    Base,
    Consent,
    Decision,
    Delivery,
    ErasedLead,
    Erasure,
    Lead,
    Receipt,
    Reply,
    RiskMatch,
    SendCount,
    Submission,
    Suppression,
)
from followup.store.words import SubmissionStatus
from tests.schema import KEYRING
from tests.services.cast import ALICE, BOB, DAY, TUESDAY_TEN, Desk
from tests.services.dying import Died, dying_at_commit
from tests.store.rows import add_delivery, add_lead

YEAR = timedelta(days=366)
KEPT = Retention(lead_days=400, held_days=90, evidence_years=7, audit_years=6)


def prune(desk: Desk, after: timedelta = timedelta(0)) -> bool:
    return pruning.prune(desk.engine, KEPT, desk.now + after)


def count(desk: Desk, row: type[Any]) -> int:
    """Of decisions, those in history too, which they are in when their delivery goes."""
    with reading(desk.engine) as session:
        found = session.scalars(select(AnyDecision if row is Decision else row))
        return len(found.all())


def set_status(desk: Desk, lead: Lead, status: LeadStatus) -> None:
    with transaction(desk.engine) as session:
        session.execute(update(Lead).where(Lead.id == lead.id).values(status=status))


def contacted_alice(desk: Desk) -> Lead:
    lead = desk.submit(ALICE)
    desk.send()
    desk.mark(lead)
    return lead


def test_a_contacted_lead_goes_with_all_about_it(desk: Desk) -> None:
    contacted_alice(desk)

    assert prune(desk, 401 * DAY)

    assert [count(desk, row) for row in (Lead, Submission, Delivery)] == [0, 0, 0]
    assert all(count(desk, row) for row in (Consent, Decision, Action))


@pytest.mark.parametrize(
    ("status", "after", "stays"),
    [
        pytest.param(LeadStatus.open, 4000 * DAY, True, id="open, however long ago"),
        pytest.param(LeadStatus.contacted, 399 * DAY, True, id="contacted, not long enough"),
        pytest.param(LeadStatus.contacted, 401 * DAY, False, id="contacted long ago"),
        pytest.param(LeadStatus.closed, 401 * DAY, False, id="closed long ago"),
        pytest.param(LeadStatus.held, 89 * DAY, True, id="held, not long enough"),
        pytest.param(LeadStatus.held, 91 * DAY, False, id="held and never released"),
    ],
)
def test_which_leads_go(desk: Desk, status: LeadStatus, after: timedelta, stays: bool) -> None:
    lead = desk.submit(ALICE)
    set_status(desk, lead, status)

    prune(desk, after)

    assert count(desk, Lead) == stays


def reply(desk: Desk, _: Lead) -> None:
    desk.reply(ALICE["phone"], "Hello again")


def another_form(desk: Desk, lead: Lead) -> None:
    submission_id = desk.receive(ALICE)
    with transaction(desk.engine) as session:
        values = {"lead_id": lead.id, "status": SubmissionStatus.consumed}
        session.execute(update(Submission).where(Submission.id == submission_id).values(**values))


def act(desk: Desk, lead: Lead) -> None:
    desk.reopen(lead)
    desk.mark(lead)


def message(desk: Desk, lead: Lead) -> None:
    desk.change(desk.rows(lead)[0], sent_at=desk.now)


@pytest.mark.parametrize("happens", [reply, another_form, act, message])
def test_what_happened_last_is_what_counts(desk: Desk, happens: Any) -> None:
    lead = contacted_alice(desk)
    desk.now += 300 * DAY
    happens(desk, lead)

    prune(desk, 399 * DAY)
    assert count(desk, Lead) == 1

    prune(desk, 401 * DAY)
    assert count(desk, Lead) == 0


def test_a_message_of_unknown_outcome_keeps_its_lead_while_it_is_asked_about(desk: Desk) -> None:
    lead = contacted_alice(desk)
    row = desk.row(lead, "acknowledgement", Channel.sms)
    desk.change(row, status=Status.unknown, ask_at=desk.now)

    prune(desk, 401 * DAY)

    assert count(desk, Lead) == 1


def test_somebody_who_said_no_has_said_so_for_ever(desk: Desk) -> None:
    digits = KEYRING.hash(ALICE["phone"])
    with transaction(desk.engine) as session:
        for reason in (SuppressionReason.opted_out, SuppressionReason.asked_staff):
            consents.suppress(session, Channel.sms, digits, reason, desk.now)
        consents.lift(session, Channel.sms, [digits], SuppressionReason.asked_staff, desk.now)

    prune(desk, 6 * YEAR)
    assert count(desk, Suppression) == 2

    prune(desk, 50 * YEAR)
    (left,) = desk_rows(desk, Suppression)
    assert left.reason is SuppressionReason.opted_out


def desk_rows(desk: Desk, row: type[Any]) -> list[Any]:
    with reading(desk.engine) as session:
        return list(session.scalars(select(row)))


@pytest.mark.parametrize(
    ("row", "years"),
    [
        pytest.param(Consent, 7, id="consents"),
        pytest.param(Decision, 7, id="decisions"),
        pytest.param(Action, 6, id="what staff did"),
    ],
)
def test_evidence_outlives_its_lead_and_then_goes(desk: Desk, row: type[Any], years: int) -> None:
    contacted_alice(desk)

    prune(desk, timedelta(days=years * 365 - 2))
    assert (count(desk, Lead), count(desk, row) > 0) == (0, True)

    # Decisions go by the month.
    prune(desk, years * YEAR + 31 * DAY)
    assert count(desk, row) == 0


def test_evidence_of_a_lead_that_is_open_stays_with_it(desk: Desk) -> None:
    desk.submit(ALICE)
    desk.send()
    before = [count(desk, row) for row in (Consent, Decision)]

    prune(desk, 20 * YEAR)

    assert [count(desk, row) for row in (Consent, Decision)] == before


@pytest.mark.parametrize(
    ("status", "after", "stays"),
    [
        pytest.param(SubmissionStatus.accepted, 4000 * DAY, True, id="to be consumed"),
        pytest.param(SubmissionStatus.problem, 399 * DAY, True, id="to be mended"),
        pytest.param(SubmissionStatus.problem, 401 * DAY, False, id="never mended"),
        pytest.param(SubmissionStatus.consumed, 89 * DAY, True, id="without a lead, of late"),
        pytest.param(SubmissionStatus.consumed, 91 * DAY, False, id="without a lead"),
    ],
)
def test_which_submissions_of_no_lead_go(
    desk: Desk, status: SubmissionStatus, after: timedelta, stays: bool
) -> None:
    desk.receive(ALICE)
    with transaction(desk.engine) as session:
        session.execute(update(Submission).values(status=status))

    prune(desk, after)

    assert count(desk, Submission) == stays


def test_strangers_texts_alarms_and_counts_go_in_their_time(desk: Desk) -> None:
    desk.reply(BOB["phone"], "Who is this?")
    with transaction(desk.engine) as session:
        alarms.add_past_alarm(session, AlarmKind.unreached, "", desk.now, {})
        session.add(SendCount(hour=TUESDAY_TEN, lane="ack", count=1))
    everything = (Reply, Alarm, SendCount)

    prune(desk, 399 * DAY)
    assert [count(desk, row) for row in everything] == [1, 1, 1]

    prune(desk, 401 * DAY)
    assert [count(desk, row) for row in everything] == [0, 0, 0]


def test_with_a_strangers_text_go_its_answer_what_was_found_in_it_and_what_staff_were_told(
    desk: Desk,
) -> None:
    desk.reply(BOB["phone"], "HELP")
    desk.reply(BOB["phone"], "I want to end it all")
    desk.send()
    (answer, *_) = desk.rows(recipient=BOB["phone"])
    desk.report(answer, "delivered", Status.delivered)
    everything = (Reply, RiskMatch, Receipt, Delivery)
    assert [count(desk, row) > 0 for row in everything] == [True] * 4

    prune(desk, 399 * DAY)
    assert [count(desk, row) > 0 for row in everything] == [True] * 4

    prune(desk, 401 * DAY)
    assert [count(desk, row) for row in everything] == [0] * 4


def test_an_erasure_is_remembered_as_long_as_the_consent_that_it_made_void(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    with reading(desk.engine) as session:
        whom = identify_leads(session, [lead.id])
    erasing.erase(Eraser(desk.engine, desk.planner, {}), whom, by="Ann", now=desk.now)

    prune(desk, timedelta(days=6 * 365 + 30))
    assert (count(desk, Erasure), count(desk, ErasedLead), count(desk, Consent)) == (1, 1, 1)

    prune(desk, 8 * YEAR)
    assert (count(desk, Erasure), count(desk, ErasedLead), count(desk, Consent)) == (0, 0, 0)


def test_killed_at_any_batch_the_next_night_goes_on(desk: Desk) -> None:
    with transaction(desk.engine) as session:
        for _ in range(45):
            add_delivery(session, add_lead(session, status=LeadStatus.closed))

    with pytest.raises(Died), dying_at_commit(desk.engine, 1):
        prune(desk, 401 * DAY)
    assert count(desk, Lead) == 25

    assert prune(desk, 401 * DAY)
    assert (count(desk, Lead), count(desk, Delivery)) == (0, 0)


def test_a_run_ends_in_time_and_says_that_it_is_not_done(desk: Desk) -> None:
    contacted_alice(desk)
    clock = iter([0.0, *[31.0] * 100])

    is_done = pruning.prune(desk.engine, KEPT, desk.now + 401 * DAY, lambda: next(clock))

    assert not is_done
    assert count(desk, Lead) == 1


def test_pruning_twice_deletes_nothing_more(desk: Desk) -> None:
    contacted_alice(desk)
    prune(desk, 401 * DAY)
    before = {table: rows(desk, table) for table in Base.metadata.tables}

    assert prune(desk, 401 * DAY)

    assert {table: rows(desk, table) for table in Base.metadata.tables} == before


def rows(desk: Desk, table: str) -> int:
    with reading(desk.engine) as session:
        return len(session.execute(select(Base.metadata.tables[table])).all())


def test_the_log_has_counts_alone(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    lead = contacted_alice(desk)
    capsys.readouterr()

    prune(desk, 401 * DAY)

    told = capsys.readouterr().out
    assert "leads=1" in told
    assert lead.reference not in told
