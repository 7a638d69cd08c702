"""What staff do with what the door kept back: released it goes on, rejected it ends."""

from datetime import timedelta
from typing import Any

import pytest

from followup.clinic_limits import Limits
from followup.domain.cadence import Audience, Channel, Lane
from followup.domain.delivery import Reason, Status
from followup.domain.lead import LeadStatus, Priority
from followup.domain.submission import Kind
from followup.domain.suspicion import Suspicion
from followup.errors import Conflict, NotFound
from followup.services import reviewing
from followup.store import ledger, submissions
from followup.store.db import new_id, reading, transaction
from followup.store.models import Lead
from tests.services.cast import ALICE, BOB, FRONT_DESK, HOUR, MINUTE, Desk

SPAMMY = "http://a.example http://b.example http://c.example"


@pytest.fixture
def held(desk: Desk) -> Lead:
    desk.limits = Limits()
    return desk.submit(ALICE, message=SPAMMY)


def release(desk: Desk, lead: Lead) -> Lead:
    with transaction(desk.engine) as session:
        return reviewing.release(session, desk.planner, lead.id, by="Ann", now=desk.now)


def reject(desk: Desk, lead: Lead) -> Lead:
    with transaction(desk.engine) as session:
        return reviewing.reject(session, lead.id, by="Ann", now=desk.now)


def acks(desk: Desk, lead: Lead) -> dict[Channel, Status]:
    return {row.channel: row.status for row in desk.rows(lead, lane=Lane.ack)}


def verbs(desk: Desk, lead: Lead) -> list[tuple[str, str]]:
    with reading(desk.engine) as session:
        return [(one.verb, one.by) for one in ledger.list_actions(session, lead.id)]


def test_a_held_lead_is_sent_nothing_and_nobody_is_told_of_it(desk: Desk, held: Lead) -> None:
    for _ in range(3):
        desk.send()
        desk.now += HOUR

    assert held.held_for is Suspicion.links
    assert desk.provider.sent == []


def test_a_released_lead_is_acknowledged_and_staff_are_alerted(desk: Desk, held: Lead) -> None:
    desk.now += 10 * MINUTE

    lead = release(desk, held)
    desk.send()

    assert lead.status is LeadStatus.open
    assert acks(desk, lead) == {Channel.email: Status.accepted, Channel.sms: Status.accepted}
    assert len(desk.provider.to(FRONT_DESK)) == 1
    assert verbs(desk, lead) == [("released", "Ann")]


def test_reminders_of_a_released_lead_count_from_its_release(desk: Desk, held: Lead) -> None:
    desk.now += 2 * HOUR
    lead = release(desk, held)

    first = [row for row in desk.rows(lead, step="reminder") if row.occurrence == 1]

    assert {row.due_at for row in first} == {desk.now + 5 * MINUTE}


def test_released_too_late_the_text_is_not_sent_and_the_mail_is(desk: Desk, held: Lead) -> None:
    desk.now += HOUR
    lead = release(desk, held)
    desk.send()

    assert acks(desk, lead) == {Channel.email: Status.accepted, Channel.sms: Status.expired}


def test_released_the_next_morning_staff_have_to_call(desk: Desk, held: Lead) -> None:
    desk.now += 20 * HOUR
    lead = release(desk, held)
    desk.send()

    assert set(acks(desk, lead).values()) == {Status.expired}
    (task,) = desk.tasks()
    assert (task.lead_id, task.reason) == (lead.id, Reason.expired)
    assert desk.provider.to(str(ALICE["email"])) == []


def test_a_rejected_lead_is_closed_and_is_sent_nothing(desk: Desk, held: Lead) -> None:
    lead = reject(desk, held)
    desk.send()

    assert lead.status is LeadStatus.closed
    assert desk.provider.sent == []
    assert verbs(desk, lead) == [("rejected", "Ann")]


@pytest.mark.parametrize("act", [release, reject], ids=["release", "reject"])
def test_only_a_held_lead_is_reviewed(desk: Desk, act: Any) -> None:
    lead = desk.submit(BOB)

    with pytest.raises(Conflict, match="is open, not held"):
        act(desk, lead)
    with pytest.raises(NotFound):
        act(desk, Lead(id=new_id()))


def test_all_of_a_burst_are_released_or_rejected_at_once(
    desk: Desk, held: Lead, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reviewing, "BATCH", 2)
    for number in range(5):
        desk.submit({"name": "www.x.example", "email": f"a{number}@example.com"})

    rejected = reviewing.reject_all(
        desk.engine, by="Ann", now=desk.now, held_for=Suspicion.link_in_name
    )
    released = reviewing.release_all(desk.engine, desk.planner, by="Ann", now=desk.now)

    assert (rejected, released) == (5, 1)
    assert desk.lead(held).status is LeadStatus.open
    assert {lead.status for lead in desk.leads()} == {LeadStatus.open, LeadStatus.closed}


def test_what_was_caught_makes_no_lead_and_is_kept(desk: Desk) -> None:
    submission_id = desk.receive(ALICE, caught=Suspicion.honeypot)

    assert desk.consume() == 0
    assert desk.leads() == []
    with reading(desk.engine) as session:
        (spam,) = submissions.list_spam(session)
    assert (spam.id, spam.payload["name"]) == (submission_id, ALICE["name"])


@pytest.mark.parametrize(
    "danger",
    [{"message": "I want to end it all"}, {"answers": {"phq9": [0] * 8 + [1]}}],
    ids=["risk words", "item 9"],
)
def test_what_was_caught_is_held_and_told_at_once_when_somebody_may_be_in_danger(
    desk: Desk, danger: dict[str, Any]
) -> None:
    kind = Kind.screening if "answers" in danger else Kind.contact
    submission_id = desk.receive(ALICE, kind=kind, caught=Suspicion.too_fast, **danger)
    desk.consume()
    lead = desk.lead_of(submission_id)
    desk.send()

    assert (lead.status, lead.held_for) == (LeadStatus.held, Suspicion.too_fast)
    assert lead.priority is Priority.urgent
    assert len(desk.provider.to(FRONT_DESK)) == 1
    assert desk.provider.to(str(ALICE["phone"])) == []

    assert release(desk, lead).status is LeadStatus.open


@pytest.mark.parametrize("is_rejected", [False, True])
def test_what_a_bot_agreed_to_for_somebody_permits_nothing(desk: Desk, is_rejected: bool) -> None:
    desk.limits = Limits()
    bot = desk.submit({**ALICE, "name": "Bot", "email": "bot@example.com"}, message=SPAMMY)
    if is_rejected:
        reject(desk, bot)

    lead = desk.submit(ALICE, consent_sms=False)
    desk.send()

    assert acks(desk, lead) == {Channel.email: Status.accepted, Channel.sms: Status.skipped}
    assert desk.row(lead, "acknowledgement", Channel.sms).reason is Reason.no_consent


def test_what_a_bot_agreed_to_for_somebody_known_permits_nothing(desk: Desk) -> None:
    desk.limits = Limits()
    lead = desk.submit(ALICE, consent_sms=False)
    desk.submit(ALICE, message=SPAMMY)
    desk.send()

    assert acks(desk, lead) == {Channel.email: Status.accepted, Channel.sms: Status.skipped}


def test_what_was_caught_and_is_released_becomes_a_lead_like_any(desk: Desk) -> None:
    desk.limits = Limits()
    submission_id = desk.receive(ALICE, caught=Suspicion.too_fast, message=SPAMMY)
    desk.now += 20 * MINUTE

    with transaction(desk.engine) as session:
        reviewing.release_submission(session, submission_id, by="Ann", now=desk.now)
    desk.consume()
    lead = desk.lead_of(submission_id)
    desk.send()

    assert lead.status is LeadStatus.open
    assert acks(desk, lead) == {Channel.email: Status.accepted, Channel.sms: Status.accepted}
    alerts = [row for row in desk.rows(lead, step="alert") if row.audience is Audience.staff]
    assert {row.arrived_at for row in alerts} == {desk.now}
    assert verbs(desk, lead) == [("released", "Ann")]
    with transaction(desk.engine) as session, pytest.raises(Conflict, match="not spam"):
        reviewing.release_submission(session, submission_id, by="Ann", now=desk.now)


def test_who_did_not_solve_the_captcha_gets_mail_and_no_text(desk: Desk) -> None:
    desk.limits = Limits()
    submission_id = desk.receive(ALICE, evidence={"captcha": "failed"})
    desk.consume()
    lead = desk.lead_of(submission_id)
    desk.send()

    assert acks(desk, lead) == {Channel.email: Status.accepted, Channel.sms: Status.skipped}
    assert desk.row(lead, "acknowledgement", Channel.sms).reason is Reason.not_textable
    assert len(desk.provider.to(FRONT_DESK)) == 1


def test_who_solves_it_the_next_time_may_be_texted(desk: Desk) -> None:
    desk.limits = Limits()
    desk.receive(ALICE, evidence={"captcha": "failed"})
    desk.consume()
    desk.now += timedelta(days=2)
    submission_id = desk.receive(ALICE, evidence={"captcha": "passed"})
    desk.consume()
    desk.send(Lane.ack)

    assert desk.lead_of(submission_id).is_unproven is False
    assert len(desk.provider.to(str(ALICE["phone"]))) == 1
