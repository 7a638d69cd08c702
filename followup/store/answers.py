"""Rows of `deliveries` that answer a text, or tell staff of one: they name their own cadence."""

import uuid
from collections.abc import Collection
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from followup.domain.cadence import Audience, Channel
from followup.domain.delivery import Status
from followup.store.history import AnyDelivery
from followup.store.models import Delivery


def was_answered(
    session: Session,
    hashes: Collection[str],
    step: str,
    since: datetime | None,
    audience: Audience = Audience.patient,
) -> bool:
    """Whether an answer of that kind to the number was planned after `since`, or ever."""
    statement = select(Delivery.id).where(
        Delivery.recipient_hash.in_(hashes),
        Delivery.channel == Channel.sms,
        Delivery.audience == audience,
        Delivery.cadence.is_not(None),
        Delivery.step == step,
    )
    if since is not None:
        statement = statement.where(Delivery.arrived_at > since)
    return session.scalars(statement.limit(1)).first() is not None


def find_untold_channels(
    session: Session, lead_id: uuid.UUID | None, step: str
) -> frozenset[Channel]:
    """On which channels staff are still to hear of an earlier text, of that lead or of none."""
    statement = select(Delivery.channel).where(
        Delivery.lead_id == lead_id,
        Delivery.alarm_id.is_(None),
        Delivery.audience == Audience.staff,
        Delivery.cadence.is_not(None),
        Delivery.step == step,
        Delivery.status == Status.planned,
    )
    return frozenset(session.scalars(statement))


def last_occurrence(session: Session, lead_id: uuid.UUID, step: str) -> int:
    """The highest of the step that was ever planned for the lead; 0 for none."""
    statement = select(func.max(AnyDelivery.occurrence)).where(
        AnyDelivery.lead_id == lead_id, AnyDelivery.step == step
    )
    return session.execute(statement).scalar_one() or 0
