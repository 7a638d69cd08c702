"""A lane's run: threads are kept busy, what ends is recorded at once, and what is due soon is
waited for."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from queue import Empty
from threading import Event
from typing import Any

import pytest

from followup.domain.cadence import Channel
from followup.services.concluding import Claimed, Outcome, Returned
from followup.services.flowing import PAUSE_SECONDS, Ended, Events, Run, Steps, Taken
from followup.store.db import new_id
from followup.transports.base import Outgoing
from tests.parallel import PATIENCE_SECONDS
from tests.services.cast import TUESDAY_TEN

WIDTH = 4
SMS, EMAIL = Channel.sms, Channel.email


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2 * WIDTH) as pool:
        yield pool


class Patient(Events):
    """Where a run waits for the clock, without waiting: the clock goes on by as much."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        if self._world.calls_under_way:
            return super().get(timeout=timeout)
        self._world.now += timedelta(seconds=timeout or 0)
        raise Empty


class World:
    """What is due on each channel, how calls end, and what was recorded in which company."""

    def __init__(self, due: Mapping[Channel, int] | None = None) -> None:
        self.due = {channel: (due or {}).get(channel, 0) for channel in Channel}
        self.later: dict[datetime, Channel] = {}
        self.now = TUESDAY_TEN
        self.answer: Callable[[Claimed], Outcome] = lambda row: f"SM{row.delivery_id}"
        self.calls_under_way = 0
        self.most_under_way: dict[Channel, int] = dict.fromkeys(Channel, 0)
        self.claims: list[dict[Channel, int]] = []
        self.recorded: list[list[Ended]] = []
        self.real = 0.0

    def look(self) -> tuple[frozenset[Channel], datetime | None]:
        for at in [at for at in self.later if at <= self.now]:
            self.due[self.later.pop(at)] += 1
        due = frozenset(channel for channel, count in self.due.items() if count)
        return due, min(self.later, default=None)

    def claim(self, room: Mapping[Channel, int], claimed_at: float) -> Sequence[Taken]:
        takes = []
        for channel, limit in room.items():
            count = min(limit, self.due[channel])
            self.due[channel] -= count
            rows = [row_of(channel) for _ in range(count)]
            takes.append(Taken(channel, limit, new_id(), claimed_at, self.now, count, count, rows))
            self.calls_under_way += count
        self.claims.append({one.channel: len(one.claimed) for one in takes})
        return takes

    def call(self, _taken: Taken, row: Claimed) -> Outcome:
        return self.answer(row)

    def record(self, ended: Sequence[Ended]) -> None:
        self.recorded.append(list(ended))
        self.calls_under_way -= len(ended)

    def go(
        self, pool: ThreadPoolExecutor, events: Events | None = None, width: int = WIDTH
    ) -> bool:
        steps = Steps(look=self.look, claim=self.claim, call=self.call, record=self.record)
        return Run(
            steps,
            pool,
            events or Events(),
            width=width,
            seconds=10,
            monotonic=lambda: self.real,
            until=lambda at: (at - self.now).total_seconds(),
        ).go()

    def count_recorded(self) -> int:
        return sum(map(len, self.recorded))


def row_of(channel: Channel) -> Claimed:
    delivery_id = new_id()
    message = Outgoing(delivery_id=delivery_id, to="+12125550101", text="Hello")
    return Claimed(delivery_id, None, channel, message, 0, None)


def test_all_that_is_due_goes_and_never_more_at_once_than_there_are_threads(
    pool: ThreadPoolExecutor,
) -> None:
    world = World({SMS: 3 * WIDTH + 1, EMAIL: 2})

    assert world.go(pool)

    assert world.count_recorded() == 3 * WIDTH + 3
    assert max(claim.get(SMS, 0) for claim in world.claims) == WIDTH


def test_a_thread_that_is_free_waits_a_moment_for_others_to_be_claimed_for_together(
    pool: ThreadPoolExecutor,
) -> None:
    """A claim of one row costs nearly as much as one of many."""
    width = 2 * WIDTH
    world, may_end = World({SMS: 2 * width}), Event()
    begun: list[Claimed] = []
    alone: list[float] = []

    def answer(row: Claimed) -> Outcome:
        begun.append(row)
        if len(begun) > 1:
            assert may_end.wait(PATIENCE_SECONDS)
        return "SM1"

    def claim(room: Mapping[Channel, int], claimed_at: float) -> Sequence[Taken]:
        if world.claims:
            alone.extend([time.monotonic() - claimed[-1]] if room[SMS] == 1 else [])
            may_end.set()
        takes = World.claim(world, room, claimed_at)
        claimed.append(time.monotonic())
        return takes

    claimed: list[float] = []
    world.answer, world.claim = answer, claim  # type: ignore[method-assign]

    assert world.go(pool, width=width)

    assert world.count_recorded() == 2 * width
    assert all(seconds >= PAUSE_SECONDS for seconds in alone)


def test_a_slow_call_holds_up_neither_the_record_nor_the_claim_of_others(
    pool: ThreadPoolExecutor,
) -> None:
    world, may_end = World({SMS: 3 * WIDTH}), Event()
    slow: list[Claimed] = []

    def answer(row: Claimed) -> Outcome:
        if not slow:
            slow.append(row)
            assert may_end.wait(PATIENCE_SECONDS)
        return "SM1"

    def record(ended: Sequence[Ended]) -> None:
        World.record(world, ended)
        # All others are known by then.
        if world.count_recorded() == 3 * WIDTH - 1:
            may_end.set()

    world.answer, world.record = answer, record  # type: ignore[method-assign]

    assert world.go(pool)

    assert [one.row for one in world.recorded[-1]] == slow
    assert world.count_recorded() == 3 * WIDTH


def test_what_falls_due_within_a_second_is_waited_for(pool: ThreadPoolExecutor) -> None:
    world = World()
    world.later = {TUESDAY_TEN + timedelta(seconds=0.4): SMS}

    assert world.go(pool, Patient(world))

    assert world.count_recorded() == 1


def test_what_falls_due_later_is_left_to_the_next_ring(pool: ThreadPoolExecutor) -> None:
    world = World()
    world.later = {TUESDAY_TEN + timedelta(seconds=1.1): SMS}

    assert world.go(pool, Patient(world))

    assert world.count_recorded() == 0


def test_a_clock_that_stands_still_is_not_waited_for_twice(pool: ThreadPoolExecutor) -> None:
    world = World()
    world.later = {TUESDAY_TEN + timedelta(milliseconds=1): SMS}

    assert world.go(pool)

    assert world.now == TUESDAY_TEN


class Rung(Events):
    """Where a text falls due, and somebody rings, when a run begins to wait for longer."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.has_rung = self.is_unheard = False

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        if not self.has_rung and timeout is not None and timeout > PAUSE_SECONDS:
            self.has_rung = True
            self._world.due[SMS] += 1
            return None
        self.is_unheard |= bool(self._world.due[SMS])
        return super().get(timeout=timeout)


def test_who_rings_while_a_run_waits_is_heard_at_once(pool: ThreadPoolExecutor) -> None:
    world, texted = World({EMAIL: 1}), Event()
    events = Rung(world)

    def answer(row: Claimed) -> Outcome:
        if row.channel is SMS:
            texted.set()
        else:
            assert texted.wait(PATIENCE_SECONDS)
        return "1"

    world.answer = answer

    assert world.go(pool, events)

    assert world.count_recorded() == 2
    assert events.has_rung
    assert not events.is_unheard


def test_a_channel_that_gave_back_is_left_to_another_run(pool: ThreadPoolExecutor) -> None:
    world = World({SMS: 1})

    def give_back(row: Claimed) -> Outcome:
        world.due[row.channel] += 1
        return Returned()

    world.answer = give_back

    assert world.go(pool)

    assert world.count_recorded() == 1


def test_a_claim_that_fails_forgets_no_call_under_way(pool: ThreadPoolExecutor) -> None:
    world, has_failed = World({SMS: 1}), Event()

    def claim(room: Mapping[Channel, int], claimed_at: float) -> Sequence[Taken]:
        if world.claims:
            has_failed.set()
            raise ConnectionError
        world.due[EMAIL] = 1
        return World.claim(world, {SMS: 1}, claimed_at)

    def answer(row: Claimed) -> Outcome:
        assert has_failed.wait(PATIENCE_SECONDS)
        return "SM1"

    world.claim, world.answer = claim, answer  # type: ignore[method-assign]

    with pytest.raises(ConnectionError):
        world.go(pool)

    assert world.count_recorded() == 1


def test_a_run_whose_time_is_up_claims_no_more_and_says_so(pool: ThreadPoolExecutor) -> None:
    world = World({SMS: 3 * WIDTH})

    def answer(_: Claimed) -> Outcome:
        world.real = 11.0
        return "SM1"

    world.answer = answer

    assert not world.go(pool)

    assert world.count_recorded() == WIDTH
