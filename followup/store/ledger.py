"""Rows of `decisions` and `actions`: why each message was sent or not, and what staff did."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Table, insert, select
from sqlalchemy.orm import Session

from followup.domain.announcement import OF_ACTS
from followup.domain.audit import Door
from followup.domain.delivery import Reason, Status
from followup.store import announcements, entries
from followup.store.history import AnyDecision
from followup.store.models import Action, Decision, Lead, Reply, RiskMatch, Submission

_DECISIONS = cast(Table, Decision.__table__)

#: Of an act's facts, what is announced of it.
_ANNOUNCED = ("outcome", "why", "into")


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
    """One decision, as `add_decisions` keeps many."""
    add_decisions(
        session,
        [
            {
                "lead_id": lead_id,
                "delivery_id": delivery_id,
                "at": at,
                "status": status,
                "reason": reason,
                "facts": facts or {},
            }
        ],
    )


def add_decisions(session: Session, decisions: Sequence[dict[str, Any]]) -> None:
    """A postponement for the same reason as the last is counted there, and not written again."""
    postponed = [one["delivery_id"] for one in decisions if _is_postponed(one)]
    last = _last_decisions(session, postponed) if postponed else {}
    new = []
    for one in decisions:
        known = last.get(one["delivery_id"]) if _is_postponed(one) else None
        if known is not None and (known.status, known.reason) == (one["status"], one["reason"]):
            known.times, known.last_at, known.facts = known.times + 1, one["at"], one["facts"]
        else:
            new.append(one)
    if new:
        session.execute(insert(_DECISIONS), new)


def _is_postponed(decision: Mapping[str, Any]) -> bool:
    return decision["status"] is Status.planned and decision["reason"] is not None


def _last_decisions(
    session: Session, delivery_ids: Collection[uuid.UUID]
) -> dict[uuid.UUID, Decision]:
    statement = select(Decision).where(Decision.delivery_id.in_(delivery_ids)).order_by(Decision.id)
    return {one.delivery_id: one for one in session.scalars(statement)}


def list_decisions(session: Session, lead_id: uuid.UUID | None) -> Sequence[Decision]:
    """All of them, those in history too."""
    statement = select(AnyDecision).where(AnyDecision.lead_id == lead_id).order_by(AnyDecision.id)
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
    """Somebody did this; the clinic's other systems are told of it, if they want to be."""
    facts = facts or {}
    action = Action(lead_id=lead_id, verb=verb, by=by, at=at, note=note, facts=facts)
    entries.add_evidence(session, action, at=at, verb=verb, by=by, door=door, lead_id=lead_id)
    if verb in OF_ACTS:
        told = {"by": by, **{name: facts[name] for name in _ANNOUNCED if name in facts}}
        announcements.announce(session, OF_ACTS[verb], at, [{"lead_id": lead_id, "facts": told}])


def list_actions(session: Session, lead_id: uuid.UUID) -> Sequence[Action]:
    statement = select(Action).where(Action.lead_id == lead_id).order_by(Action.id)
    return session.scalars(statement).all()


def list_last_actions(
    session: Session, lead_ids: Collection[uuid.UUID], verb: str
) -> dict[uuid.UUID, Action]:
    """The newest of that verb of each lead that has one."""
    statement = (
        select(Action).where(Action.lead_id.in_(lead_ids), Action.verb == verb).order_by(Action.id)
    )
    # Later ones take the place of earlier ones.
    return {action.lead_id: action for action in session.scalars(statement)}


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
