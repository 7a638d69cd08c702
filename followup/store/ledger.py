"""Rows of `decisions` and `actions`: why each message was sent or not, and what staff did."""

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from followup.domain.audit import Door
from followup.domain.delivery import Reason, Status
from followup.store import entries
from followup.store.models import Action, Decision, Lead, Reply, RiskMatch, Submission


def add_decision(
    session: Session,
    *,
    lead_id: uuid.UUID | None,
    delivery_id: uuid.UUID,
    at: datetime,
    status: Status,
    reason: Reason | None = None,
    facts: dict[str, Any] | None = None,
) -> None:
    """A postponement for the same reason as the last is counted there, and not written again."""
    if status is Status.planned and reason is not None:
        last = _last_decision(session, delivery_id)
        if last is not None and (last.status, last.reason) == (status, reason):
            last.times, last.last_at, last.facts = last.times + 1, at, facts or {}
            return
    session.add(
        Decision(
            lead_id=lead_id,
            delivery_id=delivery_id,
            at=at,
            status=status,
            reason=reason,
            facts=facts or {},
        )
    )


def _last_decision(session: Session, delivery_id: uuid.UUID) -> Decision | None:
    statement = (
        select(Decision)
        .where(Decision.delivery_id == delivery_id)
        .order_by(Decision.id.desc())
        .limit(1)
    )
    return session.scalars(statement).first()


def list_decisions(session: Session, lead_id: uuid.UUID | None) -> Sequence[Decision]:
    statement = select(Decision).where(Decision.lead_id == lead_id).order_by(Decision.id)
    return session.scalars(statement).all()


def add_action(
    session: Session,
    *,
    lead_id: uuid.UUID,
    verb: str,
    by: str,
    at: datetime,
    door: Door = Door.service,
    note: str | None = None,
    facts: dict[str, Any] | None = None,
) -> None:
    action = Action(lead_id=lead_id, verb=verb, by=by, at=at, note=note, facts=facts or {})
    entries.add_evidence(session, action, at=at, verb=verb, by=by, door=door, lead_id=lead_id)


def list_actions(session: Session, lead_id: uuid.UUID) -> Sequence[Action]:
    statement = select(Action).where(Action.lead_id == lead_id).order_by(Action.id)
    return session.scalars(statement).all()


def list_last_actions(
    session: Session, lead_ids: Collection[uuid.UUID], verb: str
) -> dict[uuid.UUID, Action]:
    """The newest of that verb of each lead that has one."""
    newest = (
        select(func.max(Action.id))
        .where(Action.lead_id.in_(lead_ids), Action.verb == verb)
        .group_by(Action.lead_id)
    )
    found = session.scalars(select(Action).where(Action.id.in_(newest)))
    return {action.lead_id: action for action in found}


def newest_ids(session: Session) -> tuple[uuid.UUID | None, ...]:
    """Changes whenever something did that staff's pages show: a lead, a submission, an act, a
    reply, a danger that was found."""
    return tuple(
        session.scalars(select(model.id).order_by(model.id.desc()).limit(1)).first()
        for model in (Lead, Submission, Action, Reply, RiskMatch)
    )


def find_last_action(session: Session, lead_id: uuid.UUID, verb: str) -> Action | None:
    statement = (
        select(Action)
        .where(Action.lead_id == lead_id, Action.verb == verb)
        .order_by(Action.id.desc())
        .limit(1)
    )
    return session.scalars(statement).first()
