"""Counts of deliveries: what was sent of late, what waits and for how long; and who is alive."""

from collections import Counter
from collections.abc import Collection
from datetime import datetime
from itertools import product

from sqlalchemy import ColumnElement, and_, delete, func, select
from sqlalchemy.orm import Session

from followup.domain.cadence import Channel, Lane
from followup.domain.delivery import Status
from followup.store import history
from followup.store.db import insert_into
from followup.store.models import Delivery, Heartbeat, SendCount
from followup.store.words import said


def hour_of(now: datetime) -> datetime:
    return now.replace(minute=0, second=0, microsecond=0)


def add_sends(session: Session, lane: Lane, now: datetime, count: int) -> None:
    """By lane, so that the workers of two lanes do not wait for each other."""
    statement = insert_into(session, SendCount).values(hour=hour_of(now), lane=lane, count=count)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=[SendCount.hour, SendCount.lane],
            set_={"count": SendCount.count + count},
        )
    )


def count_sends(session: Session, now: datetime) -> int:
    """How many went on their way in this hour, of every lane."""
    statement = select(func.sum(SendCount.count)).where(SendCount.hour == hour_of(now))
    return session.execute(statement).scalar_one() or 0


def forget_sends(session: Session, before: datetime) -> None:
    session.execute(delete(SendCount).where(SendCount.hour < before))


def beat(session: Session, name: str, at: datetime) -> None:
    """It was alive then; the latest counts."""
    statement = insert_into(session, Heartbeat).values(name=name, at=at)
    session.execute(
        statement.on_conflict_do_update(index_elements=[Heartbeat.name], set_={"at": at})
    )


def last_beat(session: Session, name: str) -> datetime | None:
    return session.scalars(select(Heartbeat.at).where(Heartbeat.name == name)).first()


def oldest_due(
    session: Session, now: datetime, channels: Collection[Channel] = tuple(Channel)
) -> dict[Lane, datetime]:
    """Since when the oldest due delivery of each lane waits."""
    # One look into the index for each, however much is planned.
    oldest: dict[Lane, datetime] = {}
    for lane, channel in product(Lane, channels):
        due = select(Delivery.due_at).where(_is_due(lane, channel, now))
        first = session.scalars(due.order_by(Delivery.due_at).limit(1)).first()
        if first is not None:
            oldest[lane] = min(first, oldest.get(lane, first))
    return oldest


def count_due(session: Session, now: datetime) -> dict[Lane, int]:
    """How many deliveries of each lane are due and not sent."""
    counted: Counter[Lane] = Counter()
    for lane, channel in product(Lane, Channel):
        due = select(func.count()).where(_is_due(lane, channel, now))
        counted[lane] += session.execute(due).scalar_one()
    return dict(+counted)


def _is_due(lane: Lane, channel: Channel, now: datetime) -> ColumnElement[bool]:
    return and_(
        Delivery.status == said(Status.planned),
        Delivery.lane == lane,
        Delivery.channel == channel,
        Delivery.due_at <= now,
    )


def count_unknown(session: Session) -> int:
    """How many outcomes nobody knows."""
    statement = select(func.count()).where(Delivery.status == said(Status.unknown))
    return session.execute(statement).scalar_one()


def count_by_status(session: Session, since: datetime) -> dict[tuple[Channel, Status], int]:
    """How many deliveries of patients and staff that were due since then came to which state; what
    is still owed has come to none."""
    statement = (
        select(Delivery.channel, Delivery.status, func.count())
        .where(history.OVER, Delivery.due_at >= since)
        .group_by(Delivery.channel, Delivery.status)
    )
    return {(channel, status): count for channel, status, count in session.execute(statement)}
