"""A cadence: which messages a kind of lead is owed, and when. Its file is read elsewhere."""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from followup.domain.hours import BusinessHours


class Audience(StrEnum):
    patient = "patient"
    staff = "staff"


class Channel(StrEnum):
    email = "email"
    sms = "sms"
    #: Of staff alone.
    chat = "chat"


#: On which patients are written to.
TO_PATIENTS = (Channel.email, Channel.sms)


class Lane(StrEnum):
    """The order of urgency; each lane is a queue with workers of its own."""

    ack = "ack"
    staff = "staff"
    reminder = "reminder"


class Clock(StrEnum):
    """How a step's delays are counted."""

    wall = "wall"
    #: Only while the lead's site is open.
    business = "business"


@dataclass(frozen=True)
class Step:
    """One thing that a cadence owes. Occurrences are numbered from 1."""

    name: str
    audience: Audience
    channels: tuple[Channel, ...]
    lane: Lane
    #: Delay of each of the first occurrences, from the submission's arrival.
    after: tuple[timedelta, ...]
    clock: Clock = Clock.wall
    #: After the last of `after`, one more occurrence each such time until contacted.
    then_every: timedelta | None = None
    #: From this occurrence on the manager hears it too; None means never.
    escalate_from: int | None = None
    #: How long after `due_at` a message of a channel is still worth sending; a channel not
    #: named is worth sending until the step's next occurrence is due.
    expires: Mapping[Channel, timedelta] | None = None
    #: Channels that wait for business hours when due outside them, though the step does not.
    waits_for_opening: frozenset[Channel] = frozenset()
    #: Channels that are tried when none of the others reached the patient.
    fallback: tuple[Channel, ...] = ()
    #: Says that the submission arrived (RFC 3834 `auto-replied`), rather than reminding of it.
    acknowledges: bool = False
    #: Speaks of the person's own request alone; what promotes needs consent in words.
    informational: bool = True

    @property
    def every_channel(self) -> tuple[Channel, ...]:
        """Those on which its message may go at all."""
        return (*self.channels, *self.fallback)

    def escalates(self, occurrence: int) -> bool:
        """Whether the manager hears that occurrence too."""
        return self.escalate_from is not None and occurrence >= self.escalate_from

    @property
    def repeats(self) -> bool:
        """Whether there is an occurrence after the first."""
        return len(self.after) > 1 or self.then_every is not None

    def due_at(
        self, occurrence: int, arrived_at: datetime, hours: BusinessHours
    ) -> datetime | None:
        """When the given occurrence is due, or None when the step has no such occurrence."""
        if occurrence <= len(self.after):
            delay = self.after[occurrence - 1]
        elif self.then_every is None:
            return None
        else:
            delay = self.after[-1] + self.then_every * (occurrence - len(self.after))
        if self.clock is Clock.business:
            return hours.add(arrived_at, delay)
        return arrived_at + delay

    def next_after(
        self, occurrence: int, now: datetime, arrived_at: datetime, hours: BusinessHours
    ) -> tuple[int, datetime] | None:
        """The first occurrence after the given one that is due after `now`.

        What fell due during an outage is passed over: late is not sent.
        """

        def is_ahead(number: int) -> bool:
            due_at = self.due_at(number, arrived_at, hours)
            return due_at is None or due_at > now

        # Searched by halving, because a lead that waits for a year has a thousand occurrences.
        farthest = occurrence + 1
        while not is_ahead(farthest):
            farthest += farthest - occurrence
        numbers = range(occurrence + 1, farthest + 1)
        following = numbers[bisect_left(numbers, True, key=is_ahead)]
        due_at = self.due_at(following, arrived_at, hours)
        return None if due_at is None else (following, due_at)

    def expires_at(
        self, occurrence: int, channel: Channel, arrived_at: datetime, hours: BusinessHours
    ) -> datetime | None:
        """When the occurrence's message on that channel is no longer worth sending.

        Counted from the occurrence's due time, or from the opening it waits for.
        """
        due_at = self.due_at(occurrence, arrived_at, hours)
        if due_at is None:
            return None
        life = (self.expires or {}).get(channel)
        if life is not None:
            waits = channel in self.waits_for_opening
            return (hours.next_open(due_at) if waits else due_at) + life
        return self.due_at(occurrence + 1, arrived_at, hours)

    def useless_at(
        self, occurrence: int, promised_at: datetime, arrived_at: datetime, hours: BusinessHours
    ) -> datetime | None:
        """From when on the occurrence's words are of no use, however long they had to wait: an
        acknowledgement's from the call that it promises, others from the next of their kind."""
        if self.acknowledges:
            return promised_at
        return self.due_at(occurrence + 1, arrived_at, hours)


@dataclass(frozen=True)
class Cadence:
    """The ordered steps owed to one kind of lead."""

    name: str
    version: int
    steps: tuple[Step, ...]

    def find_step(self, name: str) -> Step | None:
        return next((step for step in self.steps if step.name == name), None)
