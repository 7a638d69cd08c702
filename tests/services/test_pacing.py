"""A sender's rate: shared by all workers, by the database's clock; acknowledgements first."""

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import count

import pytest
from sqlalchemy import Engine, update

from followup.domain.breaker import LONGEST_SLOWED
from followup.domain.cadence import Channel, Lane
from followup.domain.delivery import Reason, Status
from followup.domain.rate import Rate
from followup.domain.sms import count_segments
from followup.errors import Throttled
from followup.services import sending
from followup.services.pacing import Overtaken, Pace, take_tokens, tokens
from followup.store import counts, rates
from followup.store.db import new_id, reading, real_now, transaction
from followup.store.models import Breaker
from followup.transports.base import Outgoing
from tests.parallel import flat, together
from tests.services.cast import ALICE, BOB, MINUTE, TUESDAY_TEN, Desk

#: One token at a time, and the next one so late that a test is over by then.
SLOW = Pace("sms:+19495550100", Rate(0.1))
BRISK = Pace("sms:+19495550100", Rate(5))
SLOW_DOWN = Throttled("Twilio asks to slow down", "20429", timedelta(seconds=30))


def pace(desk: Desk, pace: Pace, *channels: Channel) -> None:
    desk.sender = replace(desk.sender, paces=dict.fromkeys(channels or (Channel.sms,), pace))


def message(text: str = "Thank you.") -> Outgoing:
    return Outgoing(delivery_id=new_id(), to="+12125550101", text=text)


def take(engine: Engine, pace: Pace, lane: Lane, wanted: int) -> list[float]:
    """As a claim does: what there is, unless somebody else has it."""
    with reading(engine) as session:
        found = tokens(session, pace, lane, wanted)
    try:
        with transaction(engine) as session:
            messages = [message() for _ in range(found)]
            return take_tokens(session, pace, lane, Channel.sms, messages) or []
    except Overtaken:
        return []


def texts(desk: Desk, lane: Lane, *statuses: Status) -> int:
    wanted = desk.rows(channel=Channel.sms, lane=lane)
    return sum(row.status in statuses for row in wanted)


def storm(desk: Desk, people: int) -> None:
    """Texts to staff about so many people are due."""
    for number in range(people):
        desk.receive({"name": f"P {number}", "email": f"p{number}@example.com"})
    while desk.consume():
        pass


def test_claims_at_once_never_take_the_same_token(engine: Engine, other_engine: Engine) -> None:
    with transaction(engine) as session:
        rates.lock_rate(session, SLOW.sender, real_now(session))
    engines = (engine, other_engine) * 4

    waits = together(*[partial(take, one, SLOW, Lane.ack, 1) for one in engines])

    # The one that is there, and the next one ahead of its time.
    assert sorted(len(taken) for taken in waits) == [0] * 6 + [1] * 2
    assert sorted(round(wait) for wait in flat(waits)) == [0, 10]


def test_a_claim_takes_what_there_is_and_leaves_the_rest_without_a_word(desk: Desk) -> None:
    pace(desk, SLOW)
    storm(desk, 3)

    desk.send(Lane.staff)

    assert texts(desk, Lane.staff, Status.accepted) == 1
    waiting = desk.rows(channel=Channel.sms, lane=Lane.staff, status=Status.planned)
    assert len(waiting) == 2
    assert [desk.decisions(row) for row in waiting] == [[], []]
    assert {row.due_at for row in waiting} == {TUESDAY_TEN}
    # The other channel's sender is another one.
    assert len(desk.rows(channel=Channel.email, lane=Lane.staff, status=Status.accepted)) == 3


def test_what_has_expired_does_not_wait_for_a_token(desk: Desk) -> None:
    """P8: a task for staff, though the sender can send nothing."""
    pace(desk, SLOW)
    take(desk.engine, SLOW, Lane.ack, 2)
    desk.submit(ALICE)

    desk.now += 31 * MINUTE
    desk.send(Lane.ack)

    assert texts(desk, Lane.ack, Status.expired) == 1


def test_an_acknowledgement_goes_next_though_the_reminders_take_all_they_can(desk: Desk) -> None:
    pace(desk, BRISK)
    while take(desk.engine, BRISK, Lane.reminder, 16):
        pass
    desk.submit(ALICE)

    with reading(desk.engine) as session:
        assert tokens(session, BRISK, Lane.reminder, 1) == 0
    desk.send(Lane.ack)

    assert texts(desk, Lane.ack, Status.accepted) == 1


def test_a_worker_that_dies_between_claim_and_call_wastes_its_tokens_alone(desk: Desk) -> None:
    pace(desk, BRISK)
    desk.submit(ALICE)

    def die(_: Outgoing) -> None:
        raise KeyboardInterrupt

    desk.provider.answer = die
    with pytest.raises(KeyboardInterrupt):
        desk.send(Lane.ack)

    with reading(desk.engine) as session:
        next_at, now = rates.next_at(session, BRISK.sender), real_now(session)
    (row,) = desk.rows(channel=Channel.sms, lane=Lane.ack)
    assert next_at is not None
    assert row.status is Status.sending
    assert next_at - now <= count_segments(row.body or "").parts * BRISK.rate.interval


def test_a_claim_that_is_undone_takes_nothing(engine: Engine) -> None:
    with transaction(engine) as session:
        take_tokens(session, SLOW, Lane.ack, Channel.sms, [message()])
        session.rollback()

    assert len(take(engine, SLOW, Lane.reminder, 1)) == 1


def test_a_text_costs_its_parts_and_a_mail_one(engine: Engine) -> None:
    rate = Pace("of both", Rate(1))
    for channel, seconds in ((Channel.sms, 3), (Channel.email, 1)):
        with transaction(engine) as session:
            row = rates.lock_rate(session, rate.sender, real_now(session))
            row.next_at = began = real_now(session)
            take_tokens(session, rate, Lane.ack, channel, [message("a" * 400)])
            moved = row.next_at - began
        assert moved.total_seconds() == pytest.approx(seconds, abs=0.5)


def test_a_message_that_missed_its_turn_goes_back_and_does_not_count(desk: Desk) -> None:
    """Its process stands still for a second wherever it looks at the time."""
    pace(desk, SLOW)
    desk.submit(ALICE)
    desk.sender = replace(desk.sender, monotonic=map(float, count()).__next__)

    sending.send_due(desk.sender, Lane.ack, lambda: desk.now)

    (row,) = desk.rows(channel=Channel.sms, lane=Lane.ack)
    assert not desk.provider.to(ALICE["phone"])
    assert (row.status, row.reason) == (Status.planned, Reason.returned)
    with reading(desk.engine) as session:
        assert counts.count_sends(session, desk.now) == 1  # the mail


# The provider says that it is too much.


def slowed_until(desk: Desk) -> datetime | None:
    row = desk.breaker(Channel.sms)
    return row.slowed_until if row else None


def test_a_provider_that_asks_for_less_is_left_alone_as_long_as_it_says(desk: Desk) -> None:
    storm(desk, 6)
    desk.provider.answer = lambda one: SLOW_DOWN if one.subject == "" else None
    desk.send(Lane.staff)
    with reading(desk.engine) as session:
        until = slowed_until(desk)
        assert until is not None
        assert timedelta(seconds=20) < until - real_now(session) <= timedelta(seconds=30)
    assert texts(desk, Lane.staff, Status.planned) == 6
    # Six at once are one failure, and five would pause it.
    breaker = desk.breaker(Channel.sms)
    assert breaker is not None
    assert (breaker.failures, breaker.paused_at) == (1, None)

    tried = len(desk.provider.sent)
    desk.provider.answer = lambda _: None
    desk.now += MINUTE
    desk.submit(BOB)
    desk.send()
    assert not [one for one in desk.provider.sent[tried:] if one.subject == ""]

    let_it_be_over(desk)
    desk.send()
    assert texts(desk, Lane.staff, Status.accepted) == 7
    assert slowed_until(desk) is None


def let_it_be_over(desk: Desk) -> None:
    with transaction(desk.engine) as session:
        over = real_now(session) - timedelta(seconds=1)
        session.execute(update(Breaker).values(slowed_until=over))


def test_one_that_asks_for_less_again_and_again_is_paused(desk: Desk) -> None:
    desk.submit(ALICE)
    desk.provider.answer = lambda one: SLOW_DOWN if one.to == ALICE["phone"] else None
    for _ in range(5):
        desk.send(Lane.ack)
        let_it_be_over(desk)
        (row,) = desk.rows(channel=Channel.sms, lane=Lane.ack)
        desk.change(row, status=Status.planned, due_at=desk.now)

    breaker = desk.breaker(Channel.sms)
    assert breaker is not None
    assert breaker.paused_at is not None


def test_a_wait_beyond_belief_is_not_kept(desk: Desk) -> None:
    """Such as one of before the database's clock was set back."""
    with transaction(desk.engine) as session:
        far = real_now(session) + 2 * LONGEST_SLOWED
        session.add(Breaker(channel=Channel.sms, failures=1, probes=0, slowed_until=far))
    desk.submit(ALICE)

    desk.send(Lane.ack)

    assert texts(desk, Lane.ack, Status.accepted) == 1
