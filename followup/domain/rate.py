"""How fast a sender may send, and which lane has first call: a bucket of tokens.

It is kept as one instant: `next_at` says when the bucket is full again (the "theoretical arrival
time" of the generic cell rate algorithm, ITU-T I.371); each token taken moves it by one interval.
A token may be taken ahead of its time, and then has a slot, before which it is not used.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from followup.domain.cadence import Lane

#: A call that comes later than that after its slot is not made: many that were held up together
#: would arrive as more than the sender may send. The bucket is so much smaller for it.
LATE = timedelta(milliseconds=200)
#: So much of a second's tokens a lane leaves in the bucket for lanes before it.
_RESERVE: Mapping[Lane, float] = {Lane.ack: 0.0, Lane.staff: 0.25, Lane.reminder: 0.5}
#: So far ahead a lane takes tokens; an acknowledgement in any case the next one.
_AHEAD: Mapping[Lane, timedelta] = {
    Lane.ack: timedelta(seconds=1),
    Lane.staff: timedelta(seconds=0.5),
    Lane.reminder: timedelta(seconds=0.5),
}
#: Farther ahead than that nobody has taken tokens: the database's clock was set back.
_INCREDIBLE = timedelta(minutes=5)


@dataclass(frozen=True)
class Rate:
    """So many tokens a second, and after a pause a second's worth more at once.

    In no second are more than `per_second + burst` used, whoever takes them and in whatever order.
    """

    per_second: float

    @property
    def burst(self) -> float:
        return max(1.0, self.per_second)

    @property
    def interval(self) -> timedelta:
        return timedelta(seconds=1 / self.per_second)

    def room(self, lane: Lane, next_at: datetime | None, now: datetime) -> int:
        """How many tokens the lane may take now: those that are there and those that come soon."""
        latest = now + self._ahead(lane) + self._saved(lane)
        over = (latest - _believed(next_at, now)) / self.interval
        return math.floor(over) + 1 if over >= 0 else 0

    def take(
        self, lane: Lane, next_at: datetime | None, now: datetime, costs: Sequence[int]
    ) -> tuple[list[datetime], datetime]:
        """The slot of each message, which takes so many tokens, and the instant from then on.

        A message goes with its first token; who comes next waits for the others. No slots when
        there is not room for all: somebody else has taken it meanwhile.
        """
        if len(costs) > self.room(lane, next_at, now):
            return [], _believed(next_at, now)
        moving = _believed(next_at, now)
        slots = []
        for cost in costs:
            slots.append(max(now, moving - self._saved(lane)))
            moving += self.interval * cost
        return slots, moving

    def _ahead(self, lane: Lane) -> timedelta:
        ahead = _AHEAD[lane]
        return max(ahead, self.interval) if lane is Lane.ack else ahead

    def _saved(self, lane: Lane) -> timedelta:
        """How long before its time a lane's token may be used, because others were not."""
        depth = max(1.0, self.burst - self.per_second * LATE.total_seconds())
        return self.interval * max(0.0, depth - 1 - _RESERVE[lane] * self.per_second)


def _believed(next_at: datetime | None, now: datetime) -> datetime:
    if next_at is None or next_at > now + _INCREDIBLE:
        return now
    return max(next_at, now)
