"""Rows of `deliveries`: planned once, claimed once, every later change fenced."""

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from followup.domain.cadence import Audience, Channel, Lane
from followup.domain.delivery import REACHED_PROVIDER, Reason, Status
from followup.store.db import new_id
from followup.store.models import Delivery

UNIQUE_KEY = ("lead_id", "episode", "step", "occurrence", "channel", "recipient_hash")

_INSERT: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def plan(session: Session, rows: Sequence[dict[str, Any]]) -> int:
    """Add what is not planned yet, by its unique key. Returns how many were new.

    In the order of that key: two that plan the same rows then wait for each other, never both.
    """
    if not rows:
        return 0
    rows = sorted(rows, key=lambda row: [str(row[name]) for name in UNIQUE_KEY])
    insert = _INSERT[session.get_bind().dialect.name]
    values = [
        {"id": new_id(), "status": Status.planned, "failures": 0, "asked": 0, **row} for row in rows
    ]
    statement = insert(Delivery).on_conflict_do_nothing().returning(Delivery.id)
    return len(session.scalars(statement, values).all())


def claim_due(session: Session, lane: Lane, now: datetime, limit: int) -> Sequence[Delivery]:
    """The most overdue of a lane, locked until the transaction ends; none that another holds."""
    statement = (
        select(Delivery)
        .where(Delivery.status == Status.planned, Delivery.lane == lane, Delivery.due_at <= now)
        .order_by(Delivery.due_at, Delivery.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return session.scalars(statement).all()


def find_delivery(
    session: Session, delivery_id: uuid.UUID, *, lock: bool = False
) -> Delivery | None:
    return session.get(Delivery, delivery_id, with_for_update=lock or None, populate_existing=lock)


def record(
    session: Session, delivery_id: uuid.UUID, claim: uuid.UUID, values: dict[str, Any]
) -> bool:
    """Write an outcome if the claim still holds. False when a callback or the rescue was first."""
    statement = (
        update(Delivery)
        .where(
            Delivery.id == delivery_id, Delivery.claim == claim, Delivery.status == Status.sending
        )
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    return session.execute(statement).rowcount == 1  # type: ignore[attr-defined, no-any-return]


def cancel_planned(session: Session, lead_id: uuid.UUID, reason: Reason) -> int:
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


def _cancel(session: Session, reason: Reason, *conditions: ColumnElement[bool]) -> int:
    statement = (
        update(Delivery)
        .where(Delivery.status == Status.planned, *conditions)
        .values(status=Status.cancelled, reason=reason)
        .execution_options(synchronize_session=False)
    )
    return session.execute(statement).rowcount  # type: ignore[attr-defined, no-any-return]


def list_in_flight(session: Session, lead_id: uuid.UUID) -> list[uuid.UUID]:
    statement = (
        select(Delivery.id)
        .where(Delivery.lead_id == lead_id, Delivery.status == Status.sending)
        .order_by(Delivery.id)
    )
    return list(session.scalars(statement))


def list_of_lead(session: Session, lead_id: uuid.UUID) -> Sequence[Delivery]:
    statement = (
        select(Delivery).where(Delivery.lead_id == lead_id).order_by(Delivery.due_at, Delivery.id)
    )
    return session.scalars(statement).all()


def last_occurrences(session: Session, lead_id: uuid.UUID) -> dict[str, int]:
    """The highest occurrence that was ever planned, by step."""
    statement = (
        select(Delivery.step, func.max(Delivery.occurrence))
        .where(Delivery.lead_id == lead_id)
        .group_by(Delivery.step)
    )
    return dict(session.execute(statement).all())


def last_acknowledged_at(session: Session, lead_id: uuid.UUID) -> datetime | None:
    """Arrival of the newest submission for which an acknowledgement was planned."""
    statement = select(func.max(Delivery.arrived_at)).where(
        Delivery.lead_id == lead_id, Delivery.lane == Lane.ack
    )
    return session.execute(statement).scalar_one()


def list_texted(session: Session, hashes: Collection[str], since: datetime) -> set[str]:
    """Which of the numbers got, or may have got, a first text since then."""
    statement = select(Delivery.recipient_hash).where(
        Delivery.recipient_hash.in_(hashes),
        Delivery.channel == Channel.sms,
        Delivery.lane == Lane.ack,
        Delivery.audience == Audience.patient,
        Delivery.status.in_(REACHED_PROVIDER),
        Delivery.arrived_at >= since,
    )
    return set(session.scalars(statement))


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


def oldest_due(session: Session, now: datetime) -> dict[Lane, datetime]:
    """Since when the oldest due delivery of each lane waits."""
    statement = (
        select(Delivery.lane, func.min(Delivery.due_at))
        .where(Delivery.status == Status.planned, Delivery.due_at <= now)
        .group_by(Delivery.lane)
    )
    return dict(session.execute(statement).all())


def count_due(session: Session, now: datetime) -> dict[Lane, int]:
    """How many deliveries of each lane are due and not sent."""
    statement = (
        select(Delivery.lane, func.count())
        .where(Delivery.status == Status.planned, Delivery.due_at <= now)
        .group_by(Delivery.lane)
    )
    return dict(session.execute(statement).all())


def count_unknown(session: Session) -> int:
    """How many outcomes nobody knows."""
    statement = select(func.count()).where(Delivery.status == Status.unknown)
    return session.execute(statement).scalar_one()


def count_by_status(session: Session, since: datetime) -> dict[tuple[Channel, Status], int]:
    """How many deliveries of patients and staff came to which state since then."""
    statement = (
        select(Delivery.channel, Delivery.status, func.count())
        .where(Delivery.due_at >= since)
        .group_by(Delivery.channel, Delivery.status)
    )
    return {(channel, status): count for channel, status, count in session.execute(statement)}
