"""An outcome that nobody knows is asked about; nothing is sent again on a guess."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine

from followup.clinic import Recipient, StaffRole
from followup.domain.cadence import Channel, Lane
from followup.domain.delivery import Reason, Status
from followup.errors import OutcomeUnknown, TemporaryFailure
from followup.services import settling
from followup.store.models import Delivery
from tests.parallel import together
from tests.services.cast import ALICE, BOB, HOUR, MINUTE, TUESDAY_TEN, Desk, clinic

LOST = OutcomeUnknown("the answer was lost", "500")


def lose(desk: Desk, channel: Channel, lane: Lane = Lane.ack) -> Delivery:
    """One delivery whose answer was lost."""
    if not desk.leads():
        desk.submit(ALICE)
    desk.provider.answer = lambda _: LOST
    desk.send(lane)
    desk.provider.answer = lambda _: None
    return desk.rows(lane=lane, channel=channel, status=Status.unknown)[0]


def ask(desk: Desk, row: Delivery) -> Delivery:
    """The time to ask has come; the row afterwards."""
    for other in desk.rows(status=Status.unknown):
        if other.id != row.id:
            desk.change(other, ask_at=None)
    desk.let_asking_come()
    desk.settle()
    return now(desk, row)


def now(desk: Desk, row: Delivery) -> Delivery:
    return desk.rows(id=row.id)[0]


def sent(desk: Desk, row: Delivery) -> int:
    return len(desk.provider.to(row.recipient))


def test_nothing_is_asked_before_its_time(desk: Desk) -> None:
    lose(desk, Channel.sms)

    assert desk.settle() == 0
    assert desk.provider.asked == []


def test_a_text_that_the_provider_has_is_bound(desk: Desk) -> None:
    row = lose(desk, Channel.sms)
    desk.provider.finding = "SM0001"

    row = ask(desk, row)

    assert (row.status, row.provider_id, row.reason) == (Status.sent, "SM0001", None)
    assert (row.ask_at, row.sent_at) == (None, TUESDAY_TEN)
    assert desk.decisions(row)[-1].status is Status.sent
    desk.send(Lane.ack)
    assert sent(desk, row) == 1


def test_the_provider_is_asked_for_that_message_since_the_attempt(desk: Desk) -> None:
    row = ask(desk, lose(desk, Channel.sms))

    (lost,) = desk.provider.asked
    message = lost.message
    assert (message.to, message.text, message.delivery_id) == (row.recipient, row.body, row.id)
    assert TUESDAY_TEN - 2 * MINUTE <= lost.since <= TUESDAY_TEN


def test_a_text_that_is_absent_once_is_asked_about_again(desk: Desk) -> None:
    row = ask(desk, lose(desk, Channel.sms))

    assert (row.status, row.reason) == (Status.unknown, Reason.answer_lost)
    assert row.ask_at is not None
    desk.send(Lane.ack)
    assert sent(desk, row) == 1


def test_a_text_that_is_absent_twice_is_sent_once_more(desk: Desk) -> None:
    row = lose(desk, Channel.sms)
    ask(desk, row)
    row = ask(desk, row)
    assert (row.status, row.reason) == (Status.planned, Reason.not_found)

    desk.send(Lane.ack)

    assert sent(desk, row) == 2
    assert now(desk, row).status is Status.accepted


def test_a_text_is_never_sent_a_third_time(desk: Desk) -> None:
    row = lose(desk, Channel.sms)
    for _ in range(2):
        row = ask(desk, row)
    row = lose(desk, Channel.sms)
    for _ in range(3):
        row = ask(desk, row)
        desk.send(Lane.ack)

    assert sent(desk, row) == 2
    assert (row.status, row.ask_at) == (Status.unknown, None)


def test_a_text_that_is_too_late_is_left_to_staff(desk: Desk) -> None:
    row = lose(desk, Channel.sms)
    desk.now += HOUR
    for _ in range(2):
        row = ask(desk, row)

    assert (row.status, row.ask_at) == (Status.unknown, None)
    desk.send(Lane.ack)
    assert sent(desk, row) == 1


def test_a_text_that_is_found_late_is_bound_all_the_same(desk: Desk) -> None:
    row = lose(desk, Channel.sms)
    desk.now += HOUR
    desk.provider.finding = "SM0001"

    assert ask(desk, row).status is Status.sent


def test_a_listing_that_fails_proves_nothing(desk: Desk) -> None:
    row = lose(desk, Channel.sms)
    desk.provider.finding = TemporaryFailure("no answer to a listing")
    for _ in range(4):
        row = ask(desk, row)
        desk.send(Lane.ack)

    assert row.status is Status.unknown
    assert sent(desk, row) == 1


def test_an_acknowledgement_by_mail_goes_once_more_under_the_same_message_id(desk: Desk) -> None:
    desk.provider.finding = TemporaryFailure("a mail server cannot be asked")
    row = lose(desk, Channel.email)

    row = ask(desk, row)
    assert (row.status, row.reason) == (Status.planned, Reason.not_found)
    row = lose(desk, Channel.email)
    row = ask(desk, row)
    desk.send(Lane.ack)

    ids = [message.message_id for message in desk.provider.to(row.recipient)]
    assert len(ids) == 2
    assert len(set(ids)) == 1
    assert (now(desk, row).status, now(desk, row).ask_at) == (Status.unknown, None)


@pytest.mark.parametrize(
    ("channel", "lane"),
    [
        (Channel.email, Lane.staff),
        (Channel.email, Lane.reminder),
        (Channel.chat, Lane.staff),
    ],
)
def test_no_other_mail_goes_once_more_nor_anything_to_a_chat(
    desk: Desk, channel: Channel, lane: Lane
) -> None:
    chat = Recipient(role=StaffRole.staff, name="Chat", chat="front-desk")
    named = clinic().model_copy(update={"escalation": (*clinic().escalation, chat)})
    desk.with_planner(replace(desk.planner, clinic=named))
    desk.submit(ALICE)
    desk.now += 5 * MINUTE
    desk.provider.finding = TemporaryFailure("a mail server cannot be asked")
    row = lose(desk, channel, lane)

    row = ask(desk, row)
    desk.send(lane)

    assert (row.status, row.ask_at) == (Status.unknown, None)
    assert sent(desk, row) == 1


def test_what_is_settled_for_a_lead_that_was_contacted_is_not_sent(desk: Desk) -> None:
    row = lose(desk, Channel.sms)
    (lead,) = desk.leads()
    desk.mark(lead)
    for _ in range(2):
        row = ask(desk, row)

    desk.send(Lane.ack)

    assert (now(desk, row).status, now(desk, row).reason) == (Status.cancelled, Reason.contacted)
    assert sent(desk, row) == 1


def test_a_callback_that_comes_while_the_provider_is_asked_wins(desk: Desk) -> None:
    row = lose(desk, Channel.sms)
    ask(desk, row)
    desk.report(row, "delivered", Status.delivered)

    row = ask(desk, row)

    assert row.status is Status.delivered
    assert len(desk.provider.asked) == 1


def test_an_unknown_outcome_is_asked_about_by_one_of_many(desk: Desk, other_engine: Engine) -> None:
    row = lose(desk, Channel.sms)
    desk.change(desk.rows(lane=Lane.ack, channel=Channel.email)[0], ask_at=None)
    desk.let_asking_come()
    other = replace(desk.sender, engine=other_engine)

    together(desk.settle, lambda: settling.settle(other, desk.now), desk.settle)

    assert len(desk.provider.asked) == 1
    assert now(desk, row).asked == 1


def test_the_second_asking_comes_minutes_after_the_first(desk: Desk) -> None:
    row = lose(desk, Channel.sms)
    first = row.ask_at
    row = ask(desk, row)

    assert first is not None
    assert row.ask_at is not None
    assert row.ask_at - first > timedelta(minutes=2)
    desk.settle()
    assert len(desk.provider.asked) == 1


def test_all_that_went_to_one_number_is_asked_about_at_once(desk: Desk) -> None:
    """A number of the staff may have hundreds of them, and each question lists them all."""
    for one in range(12):
        desk.submit({**ALICE, "name": f"Alice {one}", "email": f"alice{one}@example.com"})
    desk.provider.answer = lambda _: LOST
    desk.send(Lane.staff)
    (number,) = {row.recipient for row in desk.rows(lane=Lane.staff, channel=Channel.sms)}

    desk.let_asking_come()
    desk.settle()

    assert [lost.message.to for lost in desk.provider.asked].count(number) == 12
    questions = [to for to, _ in desk.provider.questions].count(number)
    assert questions <= 2, "one in each batch of sixteen"


def test_what_the_provider_calls_another_of_ours_does_not_answer_for_this_one(desk: Desk) -> None:
    desk.submit(ALICE)
    desk.submit({**ALICE, "name": "Bob", "email": "bob@example.com"})
    desk.provider.answer = lambda message: LOST if desk.provider.to(message.to)[1:] else None
    desk.send(Lane.staff)
    (known,) = desk.rows(lane=Lane.staff, channel=Channel.sms, status=Status.accepted)

    desk.let_asking_come()
    desk.settle()

    assert (known.recipient, {known.provider_id}) in desk.provider.questions


def test_a_run_that_takes_too_long_leaves_the_rest_to_the_next(desk: Desk) -> None:
    """Upkeep is one process: a provider that takes its time must not keep the watch waiting."""
    for person in (ALICE, BOB):
        desk.submit({**person, "email": None})
    desk.provider.answer = lambda _: LOST
    desk.send(Lane.ack)
    desk.provider.finding = TemporaryFailure("Twilio did not answer a listing")
    desk.let_asking_come()
    late = iter([0.0])
    desk.sender = replace(desk.sender, monotonic=lambda: next(late, 3600.0))

    desk.settle()
    assert len(desk.provider.asked) == 1

    desk.let_asking_come()
    late = iter([0.0] * 10)
    desk.settle()
    assert {lost.message.to for lost in desk.provider.asked} == {ALICE["phone"], BOB["phone"]}
