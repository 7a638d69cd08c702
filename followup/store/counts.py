"""Counts of deliveries: what was sent of late, what waits and for how long; and who is alive."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from followup.domain.cadence import Channel, Lane
from followup.domain.delivery import Status
from followup.store.db import insert_into
from followup.store.models import Delivery, Heartbeat, SendCount


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
    statement = (
        select(Delivery.lane, func.min(Delivery.due_at))
        .where(
            Delivery.status == Status.planned,
            Delivery.due_at <= now,
            Delivery.channel.in_(channels),
        )
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
