"""Rows of `send_counts` and `heartbeats`: how much was sent of late, and who is alive."""

from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from followup.domain.cadence import Lane
from followup.store.db import insert_into
from followup.store.models import Heartbeat, SendCount


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
