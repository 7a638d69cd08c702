"""Keeps the threads of a lane busy: claims as many rows as threads are idle, records calls as they
end, and looks again when something else may be due. Knows neither the database nor a provider."""

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from queue import Empty, SimpleQueue
from typing import Any

from followup.domain.cadence import Channel
from followup.services.concluding import Claimed, Outcome, Returned

#: What falls due that soon is waited for.
LINGER_SECONDS = 1.0
#: While a run waits it looks again after the first of these, and after ever longer ones while it
#: finds nothing: in a worker with processes nobody else may be there to hear a ring.
PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.02, 0.1
#: Calls that end within that time of each other are recorded together.
GATHER_SECONDS = 0.005

#: None: somebody rang; else a call that ended.
Events = SimpleQueue[Any]


@dataclass
class Taken:
    """What a claim took of one channel: how many rows were looked at and decided upon, those that
    are to be sent, and whether one of them tries a channel that is paused."""

    channel: Channel
    #: How many rows there was room for.
    limit: int
    claim: uuid.UUID
    #: Real seconds: when the lease began.
    claimed_at: float
    #: The same by the service's clock.
    at: datetime
    looked_at: int = 0
    decided: int = 0
    claimed: list[Claimed] = field(default_factory=list)
    is_probe: bool = False
    #: What was recorded of them so far.
    outcomes: list[Outcome] = field(default_factory=list)


@dataclass(frozen=True)
class Ended:
    """A call that is over."""

    taken: Taken
    row: Claimed
    outcome: Outcome


@dataclass(frozen=True, kw_only=True)
class Steps:
    """What a run does. `look` tells which channels have something due, and when the next falls due;
    `claim` takes so many of each channel; `record` may raise, after which nothing is claimed."""

    look: Callable[[], tuple[frozenset[Channel], datetime | None]]
    claim: Callable[[Mapping[Channel, int], float], Sequence[Taken]]
    call: Callable[[Taken, Claimed], Outcome]
    record: Callable[[Sequence[Ended]], None]


class Run:
    """One doorbell's run. Its thread alone has the database; the threads have the network."""

    def __init__(
        self,
        steps: Steps,
        threads: ThreadPoolExecutor,
        events: Events,
        *,
        width: int,
        seconds: float,
        monotonic: Callable[[], float],
        until: Callable[[datetime], float],
    ) -> None:
        """At most `width` calls of a channel are under way, and claims begin within so many
        `seconds`; `until` tells how many real seconds an instant is away."""
        self._steps, self._threads, self._events, self._width = steps, threads, events, width
        self._monotonic, self._until = monotonic, until
        self._ends_at = monotonic() + seconds
        self._under_way: dict[uuid.UUID, Taken] = {}
        #: Channels of which the last claim took all that there was room for.
        self._more: set[Channel] = set()
        #: Channels that gave something back, which is left to another run.
        self._given_back: set[Channel] = set()
        self._look_at = self._claimed_at = 0.0
        self._pause = PAUSE_SECONDS
        #: What falls due next, and until when it is waited for.
        self._next_at: datetime | None = None
        self._lingers_for: tuple[datetime | None, float] = (None, 0.0)
        self._failure: Exception | None = None

    def go(self) -> bool:
        """Until nothing is due. Returns whether all was done; raises what kept it from that, once
        it is known what became of each call."""
        try:
            while True:
                decided = self._claim_more()
                if self._under_way or (not decided and self._lingers()):
                    self._hear(self._seconds_to_wait())
                elif not decided:
                    break
        except BaseException:
            self._let_end()
            raise
        if self._failure is not None:
            raise self._failure
        return not self._is_cut_short()

    def _claim_more(self) -> int:
        """How many rows were decided upon."""
        try:
            decided = self._claim(self._ripe())
        except Exception as error:
            if not self._under_way:
                raise
            # What is under way must not be forgotten for it.
            self._failure = error
            return 0
        now = time.monotonic()
        if decided:
            self._pause, self._claimed_at = PAUSE_SECONDS, now
            self._look_at = now + self._pause
        elif now >= self._look_at:
            self._look_at = now + self._pause
            self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
        return decided

    def _ripe(self) -> dict[Channel, int]:
        """For how many rows of each channel there is room and, as far as we know, need."""
        room = self._room()
        is_time = time.monotonic() >= self._look_at or not self._under_way
        # A claim of one row costs nearly as much as one of many.
        enough = 1 if is_time else self._width // 4
        ripe = {one: count for one, count in room.items() if one in self._more and count >= enough}
        if room and not ripe and is_time:
            due, self._next_at = self._steps.look()
            ripe = {channel: room[channel] for channel in room if channel in due}
        return ripe

    def _room(self) -> dict[Channel, int]:
        """For how many rows of each channel there are threads, and time.

        When the time is up, a channel whose calls take long does not hold up the other: that one
        goes on until the calls that were begun in time have ended.
        """
        if self._failure is not None:
            return {}
        is_over = self._is_over()
        timely = {one.channel for one in self._under_way.values() if one.claimed_at < self._ends_at}
        closed = self._given_back | (timely if is_over else set())
        if is_over and not timely:
            return {}
        busy = [taken.channel for taken in self._under_way.values()]
        free = {channel: self._width - busy.count(channel) for channel in Channel}
        return {one: count for one, count in free.items() if count > 0 and one not in closed}

    def _claim(self, room: Mapping[Channel, int]) -> int:
        takes = self._steps.claim(room, self._monotonic()) if room else ()
        for taken in takes:
            is_full = taken.looked_at >= taken.limit and taken.decided > 0
            (self._more.add if is_full else self._more.discard)(taken.channel)
            self._under_way |= dict.fromkeys((row.delivery_id for row in taken.claimed), taken)
            for row in taken.claimed:
                self._threads.submit(self._call, taken, row)
        return sum(taken.decided for taken in takes)

    def _call(self, taken: Taken, row: Claimed) -> None:
        """In a thread of its own; whatever happens there is told."""
        try:
            self._events.put(Ended(taken, row, self._steps.call(taken, row)))
        except BaseException as error:
            self._events.put((row.delivery_id, error))

    def _seconds_to_wait(self) -> float | None:
        """None: there is nothing else to do until a call ends."""
        if self._under_way and not self._room():
            return None
        seconds = self._look_at - time.monotonic()
        if not self._under_way:
            seconds = min(seconds, self._lingers_for[1] - time.monotonic())
        return max(seconds, 0.0)

    def _hear(self, seconds: float | None) -> None:
        """Wait for a call to end, or for somebody to ring, and record what has ended."""
        ended: list[Ended] = []
        gathers_until = 0.0
        while True:
            try:
                event = self._events.get(timeout=seconds)
            except Empty:
                break
            if event is None:
                # Rings that come one after the other are heard together.
                self._look_at = min(self._look_at, self._claimed_at + PAUSE_SECONDS)
                if not ended:
                    break
            elif isinstance(event, Ended):
                ended += [event] if self._under_way.pop(event.row.delivery_id, None) else []
                if not self._under_way:
                    break
            else:
                self._under_way.pop(event[0], None)
                raise event[1]
            now = time.monotonic()
            gathers_until = gathers_until or now + GATHER_SECONDS
            seconds = max(gathers_until - now, 0.0)
        if ended:
            self._record(ended)

    def _record(self, ended: Sequence[Ended]) -> None:
        for one in ended:
            if isinstance(one.outcome, Returned):
                self._given_back.add(one.row.channel)
        try:
            self._steps.record(ended)
        except Exception as error:
            # The others' outcomes may still be written.
            self._failure = error

    def _lingers(self) -> bool:
        """Whether the next falls due so soon that it is waited for, once."""
        next_at = self._next_at
        if next_at is None or self._is_over() or self._until(next_at) > LINGER_SECONDS:
            return False
        now = time.monotonic()
        if next_at != self._lingers_for[0]:
            # A little longer, for the clock that tells what is due is another one.
            self._lingers_for = next_at, now + self._until(next_at) + 0.002
        return now < self._lingers_for[1]

    def _is_over(self) -> bool:
        return self._monotonic() >= self._ends_at

    def _is_cut_short(self) -> bool:
        """Whether there was more to do when the time was up."""
        if not self._is_over():
            return False
        due, next_at = self._steps.look()
        return bool(due) or (next_at is not None and self._until(next_at) <= LINGER_SECONDS)

    def _let_end(self) -> None:
        """Of calls whose outcome nobody can record any more, the last one ends before we do."""
        while self._under_way:
            event = self._events.get()
            if event is not None:
                is_ended = isinstance(event, Ended)
                self._under_way.pop(event.row.delivery_id if is_ended else event[0], None)
