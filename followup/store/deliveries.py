"""Rows of `deliveries`: planned once, claimed once, every later change fenced."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from itertools import groupby
from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    Select,
    Table,
    bindparam,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session

from followup.domain.cadence import Audience, Channel, Lane
from followup.domain.delivery import REACHED_PROVIDER, Reason, Status
from followup.store.db import insert_into, new_id
from followup.store.models import Delivery

_TABLE = cast(Table, Delivery.__table__)


@dataclass(kw_only=True, eq=False, slots=True)
class Due:
    """A due row with what sending reads of it and may change. Plain, because thousands pass here
    and a row of the ORM would cost more than all the rest of its message."""

    id: uuid.UUID
    lead_id: uuid.UUID | None
    alarm_id: uuid.UUID | None
    reply_id: uuid.UUID | None
    cadence: str | None
    episode: int
    step: str
    occurrence: int
    audience: Audience
    channel: Channel
    lane: Lane
    recipient: str
    recipient_hash: str
    status: Status
    reason: Reason | None
    arrived_at: datetime
    due_at: datetime
    expires_at: datetime | None
    failures: int
    provider_id: str | None
    wording: str | None
    # Written with the message, and never read here.
    subject: str | None = None
    body: str | None = None


_WRITTEN = ("subject", "body")
_READ = [_TABLE.c[one.name] for one in fields(Due) if one.name not in _WRITTEN]

#: A delivery, whichever way it was read.
Row = Delivery | Due

UNIQUE_KEY = ("lead_id", "episode", "step", "occurrence", "channel", "recipient_hash")


def plan(session: Session, rows: Sequence[dict[str, Any]]) -> int:
    """Add what is not planned yet, by its unique key. Returns how many were new.

    In the order of that key: two that plan the same rows then wait for each other, never both.
    """
    if not rows:
        return 0
    rows = sorted(rows, key=lambda row: [str(row.get(name)) for name in UNIQUE_KEY])
    values = [
        {"id": new_id(), "status": Status.planned, "failures": 0, "asked": 0, **row} for row in rows
    ]
    statement = insert_into(session, Delivery).on_conflict_do_nothing().returning(Delivery.id)
    return len(session.scalars(statement, values).all())


def claim_due(
    session: Session,
    lane: Lane,
    now: datetime,
    limit: int,
    channel: Channel,
    *,
    expired: bool | None = None,
    free: bool = False,
) -> list[Due]:
    """The most overdue of a lane and channel, locked until the transaction ends; none that another
    holds. With `expired` only those whose life is over, or only those that still live; `free` are
    those alone that no cap holds up: alarms, and what has expired.
    """
    statement = (
        select(*_READ)
        .where(*_of_lane(lane, channel), _TABLE.c.due_at <= now)
        .order_by(_TABLE.c.due_at, _TABLE.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    if expired is not None:
        is_over = func.coalesce(_TABLE.c.expires_at <= now, False)
        statement = statement.where(is_over if expired else ~is_over)
    if free:
        statement = statement.where(or_(_TABLE.c.alarm_id.is_not(None), _TABLE.c.expires_at <= now))
    return [Due(**row._mapping) for row in session.execute(statement)]


def lease(
    session: Session, rows: Sequence[Due], claim: uuid.UUID, lease_until: datetime, now: datetime
) -> None:
    """Note that these are on their way, with the message that each of them is."""
    _write(
        session,
        [
            {
                "row_id": row.id,
                "status": row.status,
                "reason": row.reason,
                "claim": claim,
                "lease_until": lease_until,
                "attempted_at": now,
                "provider_id": row.provider_id,
                "subject": row.subject,
                "body": row.body,
                "wording": row.wording,
            }
            for row in rows
        ],
    )


def put_aside(session: Session, rows: Sequence[Due]) -> None:
    """Note that these are not sent now, or not at all."""
    _write(
        session,
        [
            {
                "row_id": row.id,
                "status": row.status,
                "reason": row.reason,
                "due_at": row.due_at,
                "expires_at": row.expires_at,
                "wording": row.wording,
            }
            for row in rows
        ],
    )


def _write(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Give each row its columns; rows with the same columns go in one statement."""
    this = update(_TABLE).where(_TABLE.c.id == bindparam("row_id"))
    for _, alike in groupby(sorted(rows, key=_names), _names):
        session.execute(this, list(alike))


def _names(row: Mapping[str, Any]) -> list[str]:
    return sorted(row)


def look(session: Session, lane: Lane, now: datetime) -> tuple[frozenset[Channel], datetime | None]:
    """On which channels something of the lane is due, and when the next falls due after now."""
    first = [_first(lane, channel) for channel in Channel]
    following = [_first(lane, channel).where(_TABLE.c.due_at > now) for channel in Channel]
    found = session.execute(select(*(one.scalar_subquery() for one in first + following))).one()
    due_at, next_at = found[: len(Channel)], found[len(Channel) :]
    due = (channel for channel, at in zip(Channel, due_at, strict=True) if at and at <= now)
    return frozenset(due), min((at for at in next_at if at), default=None)


def _first(lane: Lane, channel: Channel) -> Select[datetime]:
    return (
        select(_TABLE.c.due_at).where(*_of_lane(lane, channel)).order_by(_TABLE.c.due_at).limit(1)
    )


def _of_lane(lane: Lane, channel: Channel) -> tuple[ColumnElement[bool], ...]:
    return (
        # Written out, so that a plan that is kept knows the partial index.
        _TABLE.c.status == literal(Status.planned, _TABLE.c.status.type, literal_execute=True),
        _TABLE.c.lane == lane,
        _TABLE.c.channel == channel,
    )


def find_delivery(
    session: Session, delivery_id: uuid.UUID, *, lock: bool = False
) -> Delivery | None:
    return session.get(Delivery, delivery_id, with_for_update=lock or None, populate_existing=lock)


def record(
    session: Session,
    claims: Mapping[uuid.UUID, uuid.UUID],
    values: Mapping[uuid.UUID, dict[str, Any]],
) -> set[uuid.UUID]:
    """Write the outcomes of deliveries whose claim still holds. Returns which: not those where a
    callback or the rescue was first."""
    statement = (
        select(_TABLE.c.id, _TABLE.c.claim)
        .where(_TABLE.c.id.in_(claims), _TABLE.c.status == Status.sending)
        .order_by(_TABLE.c.id)
        .with_for_update()
    )
    held = {row_id for row_id, claim in session.execute(statement) if claim == claims[row_id]}
    _write(session, [{"row_id": row_id, **values[row_id]} for row_id in sorted(held)])
    return held


def cancel_planned(session: Session, lead_id: uuid.UUID | None, reason: Reason) -> int:
    """What the lead was still owed is no longer owed. Returns how many deliveries that were.

    Waits for a claim in progress: what that claim takes is `sending` when this returns.
    """
    return _cancel(session, reason, Delivery.lead_id == lead_id)


def cancel_addressed(
    session: Session,
    channel: Channel,
    recipient_hashes: Collection[str],
    reason: Reason,
    lead_id: uuid.UUID | None = None,
) -> int:
    """What patients' addresses were still owed, of one lead or of all. Returns how many."""
    conditions = [
        Delivery.audience == Audience.patient,
        Delivery.channel == channel,
        Delivery.recipient_hash.in_(recipient_hashes),
    ]
    if lead_id is not None:
        conditions.append(Delivery.lead_id == lead_id)
    return _cancel(session, reason, *conditions)


def cancel_reminders(session: Session, lead_ids: Collection[uuid.UUID], reason: Reason) -> int:
    """What patients were still to be reminded of, on every channel. Returns how many."""
    return _cancel(
        session,
        reason,
        Delivery.lead_id.in_(lead_ids),
        Delivery.audience == Audience.patient,
        Delivery.lane == Lane.reminder,
    )


def cancel_notices(session: Session, lead_id: uuid.UUID, reason: Reason) -> int:
    """What staff were still to be told of the lead's texts and of danger. Returns how many."""
    return _cancel(
        session,
        reason,
        Delivery.lead_id == lead_id,
        Delivery.audience == Audience.staff,
        Delivery.cadence.is_not(None),
    )


def cancel_alarm(session: Session, alarm_id: uuid.UUID, reason: Reason) -> int:
    """What was still to be told of an alarm that is over. Returns how many."""
    return _cancel(session, reason, Delivery.alarm_id == alarm_id)


def cancel_recipient(
    session: Session, name: str, recipient_hashes: Collection[str], reason: Reason
) -> int:
    """What a person of the staff was still owed, by name and address. Returns how many."""
    return _cancel(
        session,
        reason,
        Delivery.audience == Audience.staff,
        Delivery.recipient_name == name,
        Delivery.recipient_hash.in_(recipient_hashes),
    )


def _cancel(session: Session, reason: Reason, *conditions: ColumnElement[bool]) -> int:
    statement = (
        update(Delivery)
        .where(Delivery.status == Status.planned, *conditions)
        .values(status=Status.cancelled, reason=reason)
        .execution_options(synchronize_session=False)
    )
    return session.execute(statement).rowcount  # type: ignore[attr-defined, no-any-return]


def list_by_id(session: Session, ids: Collection[uuid.UUID]) -> Sequence[Delivery]:
    statement = select(Delivery).where(Delivery.id.in_(ids)).order_by(Delivery.id)
    return session.scalars(statement.execution_options(populate_existing=True)).all()


def list_in_flight(session: Session, lead_id: uuid.UUID) -> list[uuid.UUID]:
    statement = (
        select(Delivery.id)
        .where(Delivery.lead_id == lead_id, Delivery.status == Status.sending)
        .order_by(Delivery.id)
    )
    return list(session.scalars(statement))


def came_back(session: Session, name: str, since: datetime) -> bool:
    """Whether a message to that person of the staff, attempted since then, was not brought."""
    statement = (
        select(Delivery.id)
        .where(
            Delivery.recipient_name == name,
            Delivery.audience == Audience.staff,
            Delivery.status.in_((Status.failed, Status.undelivered)),
            Delivery.attempted_at > since,
        )
        .limit(1)
    )
    return session.scalars(statement).first() is not None


def was_unfit(session: Session, wording: str, since: datetime) -> bool:
    """Whether a message in those words, due since then, was held back for what it says."""
    statement = (
        select(Delivery.id)
        .where(
            Delivery.reason == Reason.unfit,
            Delivery.wording.startswith(f"{wording}@", autoescape=True),
            Delivery.due_at > since,
        )
        .limit(1)
    )
    return session.scalars(statement).first() is not None


def list_of_lead(session: Session, lead_id: uuid.UUID) -> Sequence[Delivery]:
    statement = (
        select(Delivery).where(Delivery.lead_id == lead_id).order_by(Delivery.due_at, Delivery.id)
    )
    return session.scalars(statement).all()


def list_siblings(session: Session, row: Delivery) -> Sequence[Delivery]:
    """The other deliveries of the same occurrence: other channels, other recipients."""
    statement = select(Delivery).where(
        Delivery.lead_id == row.lead_id,
        Delivery.episode == row.episode,
        Delivery.step == row.step,
        Delivery.occurrence == row.occurrence,
        Delivery.id != row.id,
    )
    return session.scalars(statement).all()


def last_acknowledged_at(session: Session, lead_id: uuid.UUID) -> datetime | None:
    """Arrival of the newest submission for which an acknowledgement was planned."""
    statement = select(func.max(Delivery.arrived_at)).where(
        Delivery.lead_id == lead_id, Delivery.lane == Lane.ack, Delivery.cadence.is_(None)
    )
    return session.execute(statement).scalar_one()


def list_texted(session: Session, hashes: Collection[str], since: datetime) -> set[str]:
    """Which of the numbers got, or may have got, a first text since then."""
    statement = select(Delivery.recipient_hash).where(
        Delivery.recipient_hash.in_(hashes),
        Delivery.channel == Channel.sms,
        Delivery.lane == Lane.ack,
        Delivery.cadence.is_(None),
        Delivery.audience == Audience.patient,
        Delivery.status.in_(REACHED_PROVIDER),
        Delivery.arrived_at >= since,
    )
    return set(session.scalars(statement))


#: What an address has had: sent, or on its way, or of unknown outcome.
_GONE = or_(Delivery.sent_at.is_not(None), Delivery.status.in_((Status.sending, Status.unknown)))
_GONE_AT = func.coalesce(Delivery.sent_at, Delivery.attempted_at, type_=Delivery.sent_at.type)


def count_recent(
    session: Session, hashes: Collection[str], since: datetime
) -> dict[tuple[str, Channel], tuple[int, datetime]]:
    """How many each address got, or may have got, on each channel since then, and when the first
    of them."""
    statement = (
        select(
            Delivery.recipient_hash,
            Delivery.channel,
            func.count(),
            func.min(_GONE_AT),
        )
        .where(Delivery.recipient_hash.in_(hashes), _GONE, since < _GONE_AT)
        .group_by(Delivery.recipient_hash, Delivery.channel)
    )
    return {
        (digits, channel): (count, first)
        for digits, channel, count, first in session.execute(statement)
        if first is not None
    }


def count_recent_of_leads(
    session: Session, lead_ids: Collection[uuid.UUID], since: datetime
) -> dict[uuid.UUID, tuple[int, datetime]]:
    """The same for the patient of each lead."""
    statement = (
        select(Delivery.lead_id, func.count(), func.min(_GONE_AT))
        .where(
            Delivery.lead_id.in_(lead_ids),
            Delivery.audience == Audience.patient,
            _GONE,
            since < _GONE_AT,
        )
        .group_by(Delivery.lead_id)
    )
    return {
        lead_id: (count, first)
        for lead_id, count, first in session.execute(statement)
        if lead_id is not None and first is not None
    }


def rescue(session: Session, real_now: datetime, ask_at: datetime) -> Sequence[Delivery]:
    """Mark what a lost worker held as unknown. Returns the rows."""
    statement = (
        update(Delivery)
        .where(Delivery.status == Status.sending, Delivery.lease_until < real_now)
        .values(status=Status.unknown, reason=Reason.worker_lost, claim=None, ask_at=ask_at)
        .returning(Delivery)
        .execution_options(synchronize_session=False)
    )
    return session.scalars(statement).all()


def claim_unknown(
    session: Session, real_now: datetime, again_at: datetime, limit: int
) -> Sequence[Delivery]:
    """Those to be asked about now, put off until `again_at` so that nobody else asks meanwhile."""
    statement = (
        select(Delivery)
        .where(Delivery.status == Status.unknown, Delivery.ask_at <= real_now)
        .order_by(Delivery.ask_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = session.scalars(statement).all()
    for row in rows:
        row.ask_at = again_at
    return rows


def list_provider_ids(session: Session, row: Delivery, since: datetime) -> frozenset[str]:
    """What the provider calls the other deliveries that went to this one's address since then."""
    statement = select(Delivery.provider_id).where(
        Delivery.recipient_hash == row.recipient_hash,
        Delivery.channel == row.channel,
        Delivery.id != row.id,
        Delivery.sent_at >= since,
        Delivery.provider_id.is_not(None),
    )
    return frozenset(filter(None, session.scalars(statement)))


def claim_unreceipted(
    session: Session,
    real_now: datetime,
    again_at: datetime,
    *,
    since: datetime,
    before: datetime,
    limit: int,
) -> Sequence[Delivery]:
    """Texts that went between the two and whose end is not known, put off until `again_at`."""
    statement = (
        select(Delivery)
        .where(
            Delivery.status.in_((Status.accepted, Status.sent)),
            Delivery.channel == Channel.sms,
            Delivery.sent_at >= since,
            Delivery.sent_at < before,
            or_(Delivery.ask_at.is_(None), Delivery.ask_at <= real_now),
        )
        .order_by(Delivery.sent_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = session.scalars(statement).all()
    for row in rows:
        row.ask_at = again_at
    return rows
