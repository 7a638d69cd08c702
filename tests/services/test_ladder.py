"""What nobody got goes another way, and then to staff: "call this person", once."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine

from followup.domain.alarm import AlarmKind
from followup.domain.cadence import Channel, Lane
from followup.domain.consent import SuppressionReason
from followup.domain.delivery import Reason, Status
from followup.errors import OutcomeUnknown, PermanentFailure
from followup.services.receiving import apply_report
from followup.store import consents, deliveries
from followup.store.db import transaction
from followup.store.models import Delivery
from followup.transports.base import Outgoing, Report
from followup.transports.twilio_words import read_report
from tests.parallel import PATIENCE_SECONDS
from tests.services.cast import ALICE, FRONT_DESK, HOUR, MINUTE, Desk, planner
from tests.services.holding import holding_the_first_commit
from tests.store.waiting_for_locks import meanwhile, until_blocked

REFUSED = PermanentFailure("there is no such address", "550")


def text_first(desk: Desk) -> None:
    """Acknowledgements go by text, and by mail only when the text does not get through."""
    contact = planner().cadences["contact"]
    steps = tuple(
        replace(step, channels=(Channel.sms,), fallback=(Channel.email,))
        if step.acknowledges
        else step
        for step in contact.steps
    )
    cadences = {**planner().cadences, "contact": replace(contact, steps=steps)}
    desk.with_planner(replace(planner(), cadences=cadences))


def acknowledgements(desk: Desk, channel: Channel) -> list[Delivery]:
    return desk.rows(step="acknowledgement", channel=channel)


def text_of(desk: Desk) -> Delivery:
    (row,) = acknowledgements(desk, Channel.sms)
    return row


def refuse(*addresses: str) -> Callable[[Outgoing], PermanentFailure | None]:
    return lambda message: REFUSED if message.to in addresses else None


def be_refused(desk: Desk) -> None:
    desk.provider.answer = refuse(ALICE["phone"])
    desk.send(Lane.ack)


def be_undelivered(desk: Desk) -> None:
    desk.send(Lane.ack)
    desk.report(text_of(desk), "undelivered", Status.undelivered)


def be_failed(desk: Desk) -> None:
    desk.send(Lane.ack)
    desk.report(text_of(desk), "failed", Status.failed)


def expire(desk: Desk) -> None:
    desk.now += HOUR
    desk.send(Lane.ack)


def be_lost_for_good(desk: Desk) -> None:
    """The answer is lost, and the provider cannot be asked before it is too late."""
    desk.provider.answer = lambda _: OutcomeUnknown("the answer was lost", "timeout")
    desk.send(Lane.ack)
    desk.provider.answer = lambda _: None
    desk.now += HOUR
    desk.let_asking_come()
    desk.settle()


WAYS = [be_refused, be_undelivered, be_failed, expire, be_lost_for_good]


@pytest.mark.parametrize("lose", WAYS, ids=lambda lose: lose.__name__)
def test_a_text_that_is_lost_is_followed_by_mail_at_once(
    desk: Desk, lose: Callable[[Desk], None]
) -> None:
    text_first(desk)
    desk.submit(ALICE)
    assert acknowledgements(desk, Channel.email) == []

    lose(desk)

    (mail,) = acknowledgements(desk, Channel.email)
    # A run that is still there sends it, too.
    assert mail.status in (Status.planned, Status.accepted)
    assert (mail.due_at, mail.occurrence) == (desk.now, 1)
    assert desk.tasks() == []
    desk.send(Lane.ack)
    assert len(desk.provider.to(ALICE["email"])) == 1


@pytest.mark.parametrize("lose", WAYS, ids=lambda lose: lose.__name__)
def test_what_has_no_other_way_is_a_task_for_staff_once(
    desk: Desk, lose: Callable[[Desk], None]
) -> None:
    lead = desk.submit({**ALICE, "email": None})

    lose(desk)

    (task,) = desk.tasks()
    assert (task.lead_id, task.episode, task.delivery_id) == (lead.id, 0, text_of(desk).id)
    assert (task.created_at, task.told_at) == (desk.now, None)
    assert task.reason is text_of(desk).reason


def test_a_text_that_arrives_is_followed_by_nothing(desk: Desk) -> None:
    text_first(desk)
    desk.submit(ALICE)
    desk.send(Lane.ack)
    desk.report(text_of(desk), "delivered", Status.delivered)

    assert acknowledgements(desk, Channel.email) == []
    assert desk.tasks() == []


def test_when_every_way_has_failed_staff_get_one_task(desk: Desk) -> None:
    text_first(desk)
    lead = desk.submit(ALICE)
    desk.provider.answer = refuse(ALICE["phone"], ALICE["email"])

    desk.send(Lane.ack)
    desk.send(Lane.ack)
    desk.now += 24 * HOUR
    desk.send(Lane.reminder)

    lost = [row for row in desk.rows(lead) if row.status is Status.failed]
    assert {row.step for row in lost} == {"acknowledgement", "not-forgotten"}
    assert len(desk.tasks()) == 1


def test_what_another_channel_may_still_bring_is_no_task_yet(desk: Desk) -> None:
    desk.submit(ALICE)
    desk.send(Lane.ack)

    desk.report(text_of(desk), "undelivered", Status.undelivered)

    assert desk.tasks() == []


def test_what_the_provider_is_still_asked_about_is_no_task_yet(desk: Desk) -> None:
    desk.submit({**ALICE, "email": None})
    desk.provider.answer = lambda _: OutcomeUnknown("the answer was lost", "timeout")
    desk.send(Lane.ack)
    desk.let_asking_come()

    desk.settle()

    assert text_of(desk).status is Status.unknown
    assert desk.tasks() == []


def test_a_sibling_that_nobody_will_ask_about_is_hoped_for_no_more(desk: Desk) -> None:
    desk.submit(ALICE)
    desk.send(Lane.ack)
    (mail,) = acknowledgements(desk, Channel.email)
    desk.change(mail, status=Status.unknown, ask_at=None)

    desk.report(text_of(desk), "undelivered", Status.undelivered)

    assert len(desk.tasks()) == 1


def test_what_is_not_sent_after_the_other_was_lost_is_a_task(desk: Desk) -> None:
    """The mail came back while the text waited, and then the text was not to be sent."""
    desk.submit(ALICE, consent_sms=False)
    text = text_of(desk)
    desk.change(text, due_at=desk.now + MINUTE)
    desk.provider.answer = refuse(ALICE["email"])
    desk.send(Lane.ack)
    assert desk.tasks() == []

    desk.now += MINUTE
    desk.send(Lane.ack)

    assert text_of(desk).reason is Reason.no_consent
    assert len(desk.tasks()) == 1


def test_a_fallback_that_may_not_be_sent_is_a_task(desk: Desk) -> None:
    text_first(desk)
    desk.submit(ALICE)
    hashed = desk.planner.hash_address(Channel.email, ALICE["email"])
    with transaction(desk.engine) as session:
        reason = SuppressionReason.complained
        consents.suppress(session, Channel.email, hashed, reason, desk.now)
    be_undelivered(desk)
    assert desk.tasks() == []

    desk.send(Lane.ack)

    (mail,) = acknowledgements(desk, Channel.email)
    assert (mail.status, mail.reason) == (Status.skipped, Reason.complained)
    assert len(desk.tasks()) == 1


def test_who_may_not_be_written_to_at_all_is_no_failure(desk: Desk) -> None:
    desk.submit({**ALICE, "email": None}, consent_sms=False)

    desk.send(Lane.ack)

    assert text_of(desk).status is Status.skipped
    assert desk.tasks() == []


def test_nothing_follows_for_a_lead_that_was_contacted(desk: Desk) -> None:
    text_first(desk)
    lead = desk.submit(ALICE)
    desk.send(Lane.ack)
    desk.mark(lead)

    desk.report(text_of(desk), "undelivered", Status.undelivered)

    assert acknowledgements(desk, Channel.email) == []
    assert desk.tasks() == []


def test_nothing_follows_from_before_a_lead_was_reopened(desk: Desk) -> None:
    text_first(desk)
    lead = desk.submit(ALICE)
    desk.send(Lane.ack)
    desk.mark(lead)
    desk.reopen(lead)

    desk.report(text_of(desk), "undelivered", Status.undelivered)

    assert acknowledgements(desk, Channel.email) == []
    assert desk.tasks() == []


def test_a_lead_that_was_reopened_may_be_a_task_again(desk: Desk) -> None:
    lead = desk.submit({**ALICE, "email": None})
    be_undelivered(desk)
    desk.mark(lead)
    desk.reopen(lead)
    (text,) = desk.rows(lead, step="not-forgotten", channel=Channel.sms, status=Status.planned)

    desk.now = text.due_at
    desk.send(Lane.reminder)
    desk.report(desk.rows(id=text.id)[0], "undelivered", Status.undelivered)

    assert [task.episode for task in desk.tasks()] == [0, 1]


# Staff.


def test_an_alert_that_expired_everywhere_is_a_task(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    desk.send(Lane.ack)

    desk.now += 3 * HOUR
    desk.send(Lane.staff)

    assert {row.status for row in desk.rows(lead, lane=Lane.staff)} == {Status.expired}
    (task,) = desk.tasks()
    assert (task.lead_id, task.reason) == (lead.id, Reason.expired)


def test_an_alert_that_somebody_got_is_no_task(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    desk.provider.answer = refuse(FRONT_DESK)

    desk.send(Lane.staff)

    statuses = {row.status for row in desk.rows(lead, lane=Lane.staff)}
    assert statuses == {Status.failed, Status.accepted}
    assert desk.tasks() == []


def test_a_reminder_that_expired_is_no_task_because_another_follows(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    desk.send(Lane.ack, Lane.staff)

    desk.now += 4 * HOUR
    desk.send(Lane.reminder)

    assert desk.rows(lead, lane=Lane.reminder, status=Status.expired)
    assert desk.tasks() == []


@pytest.mark.parametrize("lane", [Lane.staff, Lane.reminder])
def test_an_address_of_the_staff_that_refuses_is_an_alarm(desk: Desk, lane: Lane) -> None:
    desk.submit(ALICE)
    desk.now += 6 * MINUTE
    desk.provider.answer = refuse(FRONT_DESK)

    desk.send(lane)

    assert desk.alarms() == [(AlarmKind.staff_unreached, "Front desk")]


def test_an_alert_that_came_too_late_says_nothing_of_an_address(desk: Desk) -> None:
    desk.submit(ALICE)
    desk.now += 3 * HOUR

    desk.send(Lane.staff)

    assert desk.alarms() == []


# Two deliveries of a lead may fail in two transactions, and one of them must see both.


def come_back(engine: Engine, desk: Desk, row: Delivery) -> None:
    """The provider says that it could not bring the message."""
    report = Report(row.provider_id or "", "undelivered", Status.undelivered)
    with transaction(engine) as session:
        found = deliveries.find_delivery(session, row.id, lock=True)
        assert found is not None
        assert apply_report(session, desk.planner, found, report, desk.now)


def test_two_failures_in_two_transactions_are_one_task(desk: Desk, other_engine: Engine) -> None:
    lead = desk.submit(ALICE)
    desk.send(Lane.ack)
    mail, text = desk.rows(lead, step="acknowledgement")

    with (
        holding_the_first_commit(desk.engine) as commit,
        meanwhile(lambda: come_back(desk.engine, desk, mail)) as first,
    ):
        commit.wait_until_reached()
        with meanwhile(lambda: come_back(other_engine, desk, text)) as second:
            until_blocked(other_engine, second)
            commit.let_go()
            first.result(PATIENCE_SECONDS)
            second.result(PATIENCE_SECONDS)

    (task,) = desk.tasks()
    assert task.lead_id == lead.id


def test_a_fallback_lives_as_long_as_its_channel_says(desk: Desk) -> None:
    text_first(desk)
    desk.submit(ALICE)

    expire(desk)

    (mail,) = acknowledgements(desk, Channel.email)
    assert mail.expires_at == mail.arrived_at + timedelta(hours=12)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("30003", None),
        ("30005", SuppressionReason.unreachable),
        ("30006", SuppressionReason.unreachable),
    ],
    ids=["switched off", "no such number", "a landline"],
)
def test_a_phone_that_takes_no_texts_is_written_to_by_mail_and_texted_no_more(
    desk: Desk, code: str, reason: SuppressionReason | None
) -> None:
    """A phone that is merely off may have a later text."""
    text_first(desk)
    desk.submit(ALICE)
    desk.send(Lane.ack)
    row = text_of(desk)

    desk.take_report(row.id, read_report(row.provider_id or "", "undelivered", code))
    desk.send(Lane.ack)

    (mail,) = acknowledgements(desk, Channel.email)
    assert mail.status is Status.accepted
    with transaction(desk.engine) as session:
        forbidden = consents.list_forbidden(session, [row.recipient_hash])
    assert forbidden.get((Channel.sms, row.recipient_hash)) is reason
