"""Rows of `alarms` and `tasks`: what is wrong, what staff must do, and whether they know."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from followup.domain.alarm import AlarmKind
from followup.domain.delivery import Reason
from followup.store.db import insert_into, new_id
from followup.store.models import Alarm, Delivery, Task


def open_alarm(
    session: Session, kind: AlarmKind, subject: str, now: datetime, facts: dict[str, Any]
) -> Alarm | None:
    """A new alarm; None when the same one is open, whoever opened it."""
    values = {"id": new_id(), "kind": kind, "subject": subject, "raised_at": now, "facts": facts}
    statement = insert_into(session, Alarm).values(values).on_conflict_do_nothing().returning(Alarm)
    return session.scalars(statement).first()


def add_past_alarm(
    session: Session, kind: AlarmKind, subject: str, now: datetime, facts: dict[str, Any]
) -> Alarm:
    """One that is told, and has no end of its own."""
    alarm = Alarm(kind=kind, subject=subject, raised_at=now, cleared_at=now, facts=facts)
    session.add(alarm)
    session.flush()
    return alarm


def find_open(session: Session, kind: AlarmKind, subject: str) -> Alarm | None:
    statement = select(Alarm).where(
        Alarm.kind == kind, Alarm.subject == subject, Alarm.cleared_at.is_(None)
    )
    return session.scalars(statement).first()


def find_cleared(session: Session, kind: AlarmKind, subject: str, since: datetime) -> Alarm | None:
    """The last such alarm that was over at or after `since`."""
    statement = (
        select(Alarm)
        .where(Alarm.kind == kind, Alarm.subject == subject, Alarm.cleared_at >= since)
        .order_by(Alarm.cleared_at.desc(), Alarm.id.desc())
        .limit(1)
    )
    return session.scalars(statement).first()


def get_alarm(session: Session, alarm_id: uuid.UUID | None) -> Alarm | None:
    return session.get(Alarm, alarm_id) if alarm_id is not None else None


def list_open(session: Session) -> Sequence[Alarm]:
    """What is wrong now, the oldest first."""
    statement = select(Alarm).where(Alarm.cleared_at.is_(None)).order_by(Alarm.id)
    return session.scalars(statement).all()


def list_told(session: Session, alarm_id: uuid.UUID) -> Sequence[Delivery]:
    """What staff were, or are to be, told of the alarm."""
    statement = select(Delivery).where(Delivery.alarm_id == alarm_id).order_by(Delivery.id)
    return session.scalars(statement).all()


def add_task(
    session: Session,
    *,
    lead_id: uuid.UUID,
    episode: int,
    delivery_id: uuid.UUID,
    reason: Reason,
    now: datetime,
) -> bool:
    """Once per lead and episode. Whether it is new."""
    values = {
        "id": new_id(),
        "lead_id": lead_id,
        "episode": episode,
        "delivery_id": delivery_id,
        "reason": reason,
        "created_at": now,
    }
    statement = (
        insert_into(session, Task).values(values).on_conflict_do_nothing().returning(Task.id)
    )
    return session.scalars(statement).first() is not None


def list_untold(session: Session) -> Sequence[Task]:
    """Tasks that staff were not told of, the oldest first, locked until the transaction ends."""
    statement = (
        select(Task)
        .where(Task.told_at.is_(None))
        .order_by(Task.id)
        .with_for_update(skip_locked=True)
    )
    return session.scalars(statement).all()


def find_task(session: Session, lead_id: uuid.UUID, episode: int) -> Task | None:
    statement = select(Task).where(Task.lead_id == lead_id, Task.episode == episode)
    return session.scalars(statement).first()
