"""A channel whose provider fails pauses for every worker, is tried one message at a time, and loses
nobody an attempt."""

from collections.abc import Callable
from dataclasses import replace
from threading import Event

import pytest
from sqlalchemy import Connection, Engine, event

from followup.domain.breaker import FAILURES_TO_PAUSE, probe_delay
from followup.domain.cadence import Channel, Lane
from followup.domain.delivery import Reason, Status
from followup.errors import (
    ChannelFailure,
    ConfigurationFailure,
    OutcomeUnknown,
    PermanentFailure,
    TemporaryFailure,
    TransportError,
)
from followup.services import sending
from followup.store import breakers
from followup.store.db import reading, real_now, transaction
from followup.store.models import Breaker, Delivery
from followup.transports.base import Outgoing, Report
from tests.parallel import together
from tests.services.cast import ALICE, HOUR, MINUTE, Desk

DOWN = ChannelFailure("the provider is not there", "503")
WRONG_ACCOUNT = ConfigurationFailure("the account is refused", "535")
REFUSED = PermanentFailure("no such mailbox", "550")


def submit_mails(desk: Desk, count: int, start: int = 0) -> list[Delivery]:
    """So many people are owed an acknowledgement by mail, and nothing by text."""
    names = [f"p{number}@example.com" for number in range(start, start + count)]
    for name in names:
        desk.receive({"name": name.partition("@")[0], "email": name})
    while desk.consume():
        pass
    return [row for row in desk.rows(lane=Lane.ack) if row.recipient in names]


def send_mails(desk: Desk, count: int, answer: str | TransportError, start: int = 0) -> None:
    """So many acknowledgements go in one batch, and the provider answers that to each."""
    submit_mails(desk, count, start)
    desk.provider.answer = lambda _: answer
    desk.send(Lane.ack)


def paused(desk: Desk) -> set[Channel]:
    with reading(desk.engine) as session:
        return set(breakers.list_paused(session))


def breaker(desk: Desk, channel: Channel = Channel.email) -> Breaker:
    row = desk.breaker(channel)
    assert row is not None
    return row


def answer_by_address(
    answers: dict[str, TransportError],
) -> Callable[[Outgoing], TransportError | None]:
    return lambda message: answers.get(message.to)


@pytest.mark.parametrize(
    "failure",
    [DOWN, OutcomeUnknown("the answer was lost", "timeout")],
    ids=["nobody there", "answer lost"],
)
def test_five_calls_in_a_row_that_the_channel_failed_pause_it(
    desk: Desk, failure: TransportError
) -> None:
    send_mails(desk, FAILURES_TO_PAUSE - 1, failure)
    assert paused(desk) == set()

    send_mails(desk, 1, failure, start=10)

    assert paused(desk) == {Channel.email}
    assert (breaker(desk).reason, breaker(desk).code) == (Reason.will_retry, failure.code)


def test_the_failures_of_all_workers_count_together(desk: Desk, other_engine: Engine) -> None:
    send_mails(desk, 3, DOWN)
    submit_mails(desk, 2, start=10)

    other = replace(desk.sender, engine=other_engine)
    sending.send_due(other, Lane.ack, lambda: desk.now)

    assert paused(desk) == {Channel.email}


@pytest.mark.parametrize(
    "answer",
    ["<1@example.com>", REFUSED, TemporaryFailure("greylisted", "451")],
    ids=["taken", "refused for its own sake", "put off for its own sake"],
)
def test_one_message_that_shows_that_the_channel_works_ends_the_row(
    desk: Desk, answer: str | TransportError
) -> None:
    send_mails(desk, FAILURES_TO_PAUSE - 1, DOWN)
    send_mails(desk, 1, answer, start=10)
    send_mails(desk, FAILURES_TO_PAUSE - 1, DOWN, start=20)

    assert paused(desk) == set()


def test_failures_beside_a_message_that_was_taken_pause_nothing(desk: Desk) -> None:
    mails = submit_mails(desk, FAILURES_TO_PAUSE + 1)
    desk.provider.answer = answer_by_address({row.recipient: DOWN for row in mails[1:]})

    desk.send(Lane.ack)

    assert paused(desk) == set()


def test_a_wrong_account_pauses_at_once_and_burns_no_attempt(desk: Desk) -> None:
    send_mails(desk, 1, WRONG_ACCOUNT)

    assert paused(desk) == {Channel.email}
    assert (breaker(desk).reason, breaker(desk).code) == (Reason.channel_broken, "535")
    (row,) = desk.rows(lane=Lane.ack)
    assert (row.status, row.failures) == (Status.planned, 0)
    assert row.reason is Reason.channel_broken


def test_a_fault_of_one_messages_own_beside_one_that_went_pauses_nothing(desk: Desk) -> None:
    first, _ = submit_mails(desk, 2)
    desk.provider.answer = answer_by_address({first.recipient: WRONG_ACCOUNT})

    desk.send(Lane.ack)

    assert paused(desk) == set()


def test_of_a_paused_channel_nothing_is_claimed_in_any_lane_by_any_worker(
    desk: Desk, other_engine: Engine
) -> None:
    desk.pause(Channel.email)
    lead = desk.submit(ALICE)
    other = replace(desk.sender, engine=other_engine)

    desk.send()
    for lane in Lane:
        sending.send_due(other, lane, lambda: desk.now)

    due = [row for row in desk.rows(lead) if row.due_at <= desk.now]
    by_mail = [row for row in due if row.channel is Channel.email]
    assert {row.status for row in by_mail} == {Status.planned}
    assert {row.attempted_at for row in by_mail} == {None}
    assert {row.status for row in due if row.channel is Channel.sms} == {Status.accepted}


def test_what_waits_for_a_paused_channel_goes_when_it_works_again(desk: Desk) -> None:
    desk.pause(Channel.email)
    mails = submit_mails(desk, 3)
    desk.send(Lane.ack)
    assert desk.provider.sent == []

    desk.let_probe_come()
    desk.send(Lane.ack)
    desk.send(Lane.ack)

    assert sorted(one.to for one in desk.provider.sent) == [row.recipient for row in mails]
    assert {row.failures for row in desk.rows(lane=Lane.ack)} == {0}


def test_what_waits_for_a_paused_channel_too_long_expires(desk: Desk) -> None:
    desk.pause(Channel.email)
    submit_mails(desk, 1)

    desk.now += 13 * HOUR
    desk.send(Lane.ack)

    (row,) = desk.rows(lane=Lane.ack)
    assert (row.status, row.reason) == (Status.expired, Reason.expired)
    assert desk.provider.sent == []


def test_a_paused_channel_is_tried_with_one_message(desk: Desk) -> None:
    desk.pause(Channel.email)
    submit_mails(desk, 3)
    desk.let_probe_come()
    desk.provider.answer = lambda _: DOWN

    desk.send(Lane.ack)
    desk.send(Lane.ack)

    assert len(desk.provider.sent) == 1
    assert sorted(row.failures for row in desk.rows(lane=Lane.ack)) == [0, 0, 1]


def test_many_workers_try_a_paused_channel_once(desk: Desk, other_engine: Engine) -> None:
    desk.pause(Channel.email)
    submit_mails(desk, 4)
    desk.let_probe_come()
    desk.provider.answer = lambda _: DOWN
    other = replace(desk.sender, engine=other_engine)

    together(
        *[lambda: sending.send_due(desk.sender, Lane.ack, lambda: desk.now)] * 2,
        *[lambda: sending.send_due(other, Lane.ack, lambda: desk.now)] * 2,
    )

    assert len(desk.provider.sent) == 1


def test_a_try_that_works_opens_the_channel(desk: Desk) -> None:
    desk.pause(Channel.email, probes=3)
    desk.let_probe_come()

    send_mails(desk, 1, "<1@example.com>")

    row = breaker(desk)
    assert (row.paused_at, row.probe_at, row.reason, row.code) == (None, None, None, None)
    assert (row.failures, row.probes) == (0, 0)


def test_each_try_that_fails_makes_the_next_wait_longer(desk: Desk) -> None:
    desk.pause(Channel.email)
    (mail,) = submit_mails(desk, 1)
    desk.provider.answer = lambda _: DOWN

    for probes in range(1, 7):
        desk.let_probe_come()
        desk.change(mail, due_at=desk.now)
        with reading(desk.engine) as session:
            before = real_now(session)
        desk.send(Lane.ack)
        with reading(desk.engine) as session:
            after = real_now(session)

        probe_at = breaker(desk).probe_at
        assert probe_at is not None
        assert before + probe_delay(probes) <= probe_at <= after + probe_delay(probes)
    assert len(desk.provider.sent) == 6


def test_a_try_that_was_not_made_is_left_to_the_next(desk: Desk) -> None:
    desk.pause(Channel.sms)
    desk.submit(ALICE, consent_sms=False)
    desk.let_probe_come()

    desk.send(Lane.ack)
    assert desk.rows(channel=Channel.sms, lane=Lane.ack, status=Status.skipped)
    desk.send(Lane.staff)

    (row,) = desk.rows(channel=Channel.sms, lane=Lane.staff)
    assert row.status is Status.accepted
    assert paused(desk) == set()


def test_one_channel_that_pauses_does_not_hold_up_the_other(desk: Desk) -> None:
    desk.submit(ALICE)
    desk.provider.answer = answer_by_address({ALICE["email"]: WRONG_ACCOUNT})

    desk.send(Lane.ack)

    assert paused(desk) == {Channel.email}
    (text,) = desk.rows(channel=Channel.sms, lane=Lane.ack)
    assert text.status is Status.accepted


# With a messaging service the provider takes every text, and says later what is wrong with it.


def texted(desk: Desk) -> Delivery:
    desk.submit(ALICE)
    desk.send(Lane.ack)
    (row,) = desk.rows(channel=Channel.sms, lane=Lane.ack)
    return row


def unregistered(row: Delivery) -> Report:
    """What Twilio says of a text whose campaign is not registered."""
    provider_id = row.provider_id or "SM1"
    said = ("undelivered", Status.undelivered, "30034")
    return Report(provider_id, *said, misconfigured=True)


def test_a_receipt_that_the_sender_is_wrong_pauses_the_channel(desk: Desk) -> None:
    row = texted(desk)

    assert desk.take_report(row.id, unregistered(row))

    assert paused(desk) == {Channel.sms}
    found = breaker(desk, Channel.sms)
    assert (found.reason, found.code) == (Reason.channel_broken, "30034")


def test_a_receipt_that_only_one_number_is_wrong_pauses_nothing(desk: Desk) -> None:
    row = texted(desk)

    assert desk.report(row, "undelivered", Status.undelivered, code="30003")

    assert paused(desk) == set()


def test_a_second_such_receipt_does_not_put_off_the_next_try(desk: Desk) -> None:
    row = texted(desk)
    desk.take_report(row.id, unregistered(row))
    desk.let_probe_come()
    due = breaker(desk, Channel.sms).probe_at

    (alert,) = desk.rows(channel=Channel.sms, lane=Lane.staff)
    desk.change(alert, status=Status.accepted, attempted_at=desk.now, provider_id="SM2")
    assert desk.take_report(alert.id, unregistered(desk.rows(id=alert.id)[0]))

    assert breaker(desk, Channel.sms).probe_at == due


def test_a_text_that_was_on_its_way_when_the_sender_was_found_wrong_opens_nothing(
    desk: Desk,
) -> None:
    row = texted(desk)

    def be_told_meanwhile(_: Outgoing) -> None:
        desk.take_report(row.id, unregistered(row))

    desk.provider.answer = be_told_meanwhile
    desk.send(Lane.staff)

    assert paused(desk) == {Channel.sms}


def test_an_answer_long_after_the_pause_is_no_try_that_failed(desk: Desk) -> None:
    """Its batch was under way when others paused the channel."""
    submit_mails(desk, 1)

    def be_paused_meanwhile(_: Outgoing) -> TransportError:
        with transaction(desk.engine) as session:
            row = breakers.lock_breaker(session, Channel.email)
            row.paused_at = row.probe_at = real_now(session) + MINUTE
        return DOWN

    desk.provider.answer = be_paused_meanwhile
    desk.send(Lane.ack)

    row = breaker(desk)
    assert (row.probes, row.probe_at) == (0, row.paused_at)


def test_a_paused_channel_is_not_looked_at_all_the_time_while_the_other_is_busy(desk: Desk) -> None:
    desk.submit(ALICE)
    desk.pause(Channel.sms)
    looks, enough = [0], Event()

    def look(_connection: Connection) -> None:
        looks[0] += 1
        if looks[0] > 20:
            enough.set()

    def wait_a_while(_message: Outgoing) -> None:
        enough.wait(0.7)

    desk.provider.answer = wait_a_while
    event.listen(desk.engine, "commit", look)
    try:
        desk.send(Lane.ack)
    finally:
        event.remove(desk.engine, "commit", look)

    assert not enough.is_set()
