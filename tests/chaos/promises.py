"""A second account of what was promised to whom, kept from what people said and staff did.

It never looks at the service's consents, suppressions or statuses of leads: it judges them.
"""

import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from followup.domain.cadence import Audience, Channel, Lane
from followup.store.models import Delivery

#: A reminder by text may come from eight to nine by the clinic's clock, at most.
DAYTIME = range(8, 21)
FIRST_TEXT_EVERY = timedelta(days=30)

#: Answers that go to a number that is silent.
ASKED_FOR = frozenset({"opted-out", "help"})

Address = tuple[Channel, str]


def _follows_text(row: Delivery) -> bool:
    """It answers a text of the person's own, or tells staff of one, and reminds nobody."""
    return row.reply_id is not None


@dataclass
class Promises:
    """What is wrong is added to `broken`, at the moment at which it goes wrong."""

    zone: ZoneInfo
    broken: list[str] = field(default_factory=list)
    _consented: set[str] = field(default_factory=set)
    _unwelcome: dict[Address, set[str]] = field(default_factory=dict)
    #: Leads that were marked, closed or merged into others: what may still begin of each.
    _silent: dict[uuid.UUID, set[uuid.UUID]] = field(default_factory=dict)
    #: What a worker holds and has not begun to send.
    _underway: set[uuid.UUID] = field(default_factory=set)
    _first_texts: dict[str, datetime] = field(default_factory=dict)
    _rows: dict[uuid.UUID, Delivery] = field(default_factory=dict)
    #: Leads of which one part did not agree to texts, and their numbers.
    _withheld: set[tuple[uuid.UUID, str]] = field(default_factory=set)

    def agreed(self, number: str) -> None:
        self._consented.add(number)
        self._withheld = {one for one in self._withheld if one[1] != number}

    def withheld(self, lead_id: uuid.UUID, number: str) -> None:
        """The lead was merged with another, and one of the two had not agreed to texts."""
        self._withheld.add((lead_id, number))

    def parted(self, lead_id: uuid.UUID) -> None:
        """What the merging alone forbade may be allowed again."""
        self._withheld = {one for one in self._withheld if one[0] != lead_id}

    def refused(self, channel: Channel, address: str, why: str) -> None:
        self._unwelcome.setdefault((channel, address), set()).add(why)

    def lifted(self, channel: Channel, address: str, why: str) -> None:
        self._unwelcome.get((channel, address), set()).discard(why)

    def marked(self, lead_id: uuid.UUID, in_flight: Collection[uuid.UUID]) -> None:
        self._silent[lead_id] = self._underway & set(in_flight)

    def is_silent(self, lead_id: uuid.UUID) -> bool:
        return lead_id in self._silent

    def reasons(self, channel: Channel, address: str) -> frozenset[str]:
        """Why the address must not be written to."""
        return frozenset(self._unwelcome.get((channel, address), ()))

    def reopened(self, lead_id: uuid.UUID) -> None:
        self._silent.pop(lead_id, None)

    def claimed(self, rows: Iterable[Delivery], now: datetime) -> None:
        """A worker has just committed that it will send these."""
        for row in rows:
            self._rows[row.id] = row
            self._underway.add(row.id)
            if row.lead_id in self._silent and not _follows_text(row):
                self._break(row, "was claimed after its lead was marked")
            if row.expires_at is not None and now >= row.expires_at:
                self._break(row, "was claimed after it had expired")
            if row.audience is Audience.patient:
                self._judge_patients(row, now)

    def _judge_patients(self, row: Delivery, now: datetime) -> None:
        why = self._unwelcome.get((row.channel, row.recipient))
        if why and not (_follows_text(row) and row.step in ASKED_FOR):
            self._break(row, f"was claimed although {', '.join(sorted(why))}")
        is_text = row.channel is Channel.sms and not _follows_text(row)
        if is_text and row.recipient not in self._consented:
            self._break(row, "was claimed without consent")
        if is_text and (row.lead_id, row.recipient) in self._withheld:
            self._break(row, "was claimed although a part of its lead had not agreed")
        hour = now.astimezone(self.zone).hour
        if row.channel is Channel.sms and row.lane is Lane.reminder and hour not in DAYTIME:
            self._break(row, f"was claimed at {hour} o'clock")

    def dropped(self, delivery_ids: Iterable[uuid.UUID]) -> None:
        """The worker that held these holds them no more."""
        self._underway.difference_update(delivery_ids)

    def begun(self, delivery_id: uuid.UUID) -> None:
        """A call begins."""
        row = self._rows[delivery_id]
        self._underway.discard(delivery_id)
        if row.lead_id in self._silent and not _follows_text(row):
            if delivery_id not in self._silent[row.lead_id]:
                self._break(row, "began after its lead was marked, and was not named in flight")
            self._silent[row.lead_id].discard(delivery_id)

    def took(self, delivery_id: uuid.UUID, now: datetime) -> None:
        """A provider took it."""
        row = self._rows[delivery_id]
        is_ack = row.lane is Lane.ack and not _follows_text(row)
        if row.audience is Audience.patient and row.channel is Channel.sms and is_ack:
            before = self._first_texts.get(row.recipient)
            if before is not None and now - before < FIRST_TEXT_EVERY:
                self._break(row, "is a second first text to its number")
            self._first_texts[row.recipient] = now

    def heard(self, delivery_id: uuid.UUID, why: str) -> None:
        """A provider says that the address must not be written to, and the worker has heard it."""
        row = self._rows[delivery_id]
        if row.audience is Audience.patient:
            self.refused(row.channel, row.recipient, why)

    def _break(self, row: Delivery, how: str) -> None:
        self.broken.append(f"{row.step} {row.occurrence} by {row.channel} {how}")
