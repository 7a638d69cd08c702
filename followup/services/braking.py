"""Brakes: the most that an address, a lead, or everybody together may be sent, counted in rows."""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from followup.clinic_limits import Caps
from followup.domain.cadence import Audience, Channel, Lane
from followup.store import counts, deliveries
from followup.store.claims import Row

_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)

_Address = tuple[str, Channel]
_Had = tuple[int, datetime]


class Brake:
    """What the recipients and leads of one batch have had of late."""

    def __init__(self, session: Session, rows: Sequence[Row], caps: Caps, now: datetime) -> None:
        self._caps = caps
        self._now = now
        braked = [row for row in rows if row.alarm_id is None]
        patients = [row for row in braked if row.audience is Audience.patient]
        staff = [row for row in braked if row.audience is Audience.staff]
        self._patients = _recent(session, patients, now - _DAY)
        self._staff = _recent(session, staff, now - _HOUR)
        ids = {row.lead_id for row in patients if row.lead_id is not None}
        had = deliveries.count_recent_of_leads(session, ids, now - _DAY)
        self._leads: dict[uuid.UUID | None, _Had] = {one: had[one] for one in had}

    def capped_until(self, row: Row, most_per_day: int | None = None) -> datetime | None:
        """When the row may go, if it would be one too many now: the oldest then counts no more.

        `most_per_day` is what the law of the patient's state allows, whatever the clinic's cap.
        """
        address = (row.recipient_hash, row.channel)
        if row.audience is Audience.staff:
            return _until(self._staff.get(address), self._caps.staff_per_hour, _HOUR)
        caps = [self._caps.patient_per_day, *([most_per_day] if most_per_day else [])]
        waits = (
            _until(self._patients.get(address), min(caps), _DAY),
            _until(self._leads.get(row.lead_id), self._caps.lead_per_day, _DAY),
        )
        return max((until for until in waits if until is not None), default=None)

    def note_going(self, row: Row) -> None:
        """One more of this batch is on its way."""
        address = (row.recipient_hash, row.channel)
        if row.audience is Audience.staff:
            _add(self._staff, address, self._now)
        else:
            _add(self._patients, address, self._now)
            if row.lead_id is not None:
                _add(self._leads, row.lead_id, self._now)


def room(session: Session, caps: Caps | None, now: datetime, wanted: int) -> int:
    """How many of so many may go on their way in this hour of the whole service."""
    if caps is None:
        return wanted
    return max(min(wanted, caps.service_per_hour - counts.count_sends(session, now)), 0)


def take_room(session: Session, lane: Lane, now: datetime, count: int) -> None:
    """So many went."""
    if count:
        counts.add_sends(session, lane, now, count)


def return_room(session: Session, lane: Lane, claimed_at: datetime, count: int) -> None:
    """So many of those that were claimed then did not go after all."""
    if count:
        counts.add_sends(session, lane, claimed_at, -count)


def _recent(session: Session, rows: Sequence[Row], since: datetime) -> dict[_Address, _Had]:
    hashes = {row.recipient_hash for row in rows}
    return deliveries.count_recent(session, hashes, since) if hashes else {}


def _until(had: _Had | None, most: int, window: timedelta) -> datetime | None:
    if had is None or had[0] < most:
        return None
    return had[1] + window


def _add(had: dict[Any, _Had], key: Any, now: datetime) -> None:
    count, first = had.get(key, (0, now))
    had[key] = count + 1, first
