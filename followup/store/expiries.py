"""Rows whose time is over, found and deleted a batch at a time, each in the caller's transaction.

A lead that is open is never among them, nor a suppression that holds.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, delete, exists, func, or_, select
from sqlalchemy.orm import Session

from followup.domain.delivery import Status
from followup.domain.lead import LeadStatus
from followup.domain.retention import Cutoffs
from followup.store import entries, removals
from followup.store.models import (
    Action,
    Alarm,
    Consent,
    Decision,
    Delivery,
    ErasedLead,
    Erasure,
    Lead,
    ProviderCopy,
    Receipt,
    Reply,
    SendCount,
    Submission,
    Suppression,
)
from followup.store.words import SubmissionStatus

#: A submission that waits to be consumed, or for somebody to mend why it could not be.
_UNDONE = (SubmissionStatus.accepted, SubmissionStatus.problem)


def claim_stale_leads(session: Session, cutoffs: Cutoffs, limit: int) -> Sequence[uuid.UUID]:
    """Leads that are over and of which nothing was heard or done since, locked; and those that
    were held for review and that nobody released."""
    over = Lead.status.in_((LeadStatus.contacted, LeadStatus.closed))
    statement = (
        select(Lead.id)
        .where(
            or_(
                and_(over, _untouched_since(cutoffs.leads)),
                and_(Lead.status == LeadStatus.held, _untouched_since(cutoffs.held)),
            )
        )
        .order_by(Lead.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return session.scalars(statement).all()


def _untouched_since(cutoff: Any) -> ColumnElement[bool]:
    moving = or_(
        Delivery.status == Status.sending,
        and_(Delivery.status == Status.unknown, Delivery.ask_at.is_not(None)),
        Delivery.sent_at >= cutoff,
    )
    return and_(
        Lead.arrived_at < cutoff,
        func.coalesce(Lead.contacted_at, Lead.arrived_at, type_=Lead.arrived_at.type) < cutoff,
        ~exists().where(Submission.lead_id == Lead.id, Submission.received_at >= cutoff),
        ~exists().where(Reply.lead_id == Lead.id, Reply.received_at >= cutoff),
        ~exists().where(Action.lead_id == Lead.id, Action.at >= cutoff),
        ~exists().where(Delivery.lead_id == Lead.id, moving),
    )


Delete = Callable[[Session, Cutoffs, int], int]


def _submissions(session: Session, cutoffs: Cutoffs, limit: int) -> int:
    """Of no lead: what could not be consumed, and sooner what was no submission at all."""
    undone = and_(
        Submission.status == SubmissionStatus.problem, Submission.received_at < cutoffs.leads
    )
    spam = and_(Submission.status.not_in(_UNDONE), Submission.received_at < cutoffs.held)
    old = select(Submission.id).where(Submission.lead_id.is_(None), or_(undone, spam))
    return _delete(session, Submission, old, limit)


def _replies(session: Session, cutoffs: Cutoffs, limit: int) -> int:
    old = select(Reply).where(Reply.lead_id.is_(None), Reply.received_at < cutoffs.leads)
    rows = session.scalars(old.order_by(Reply.id).limit(limit)).all()
    removals.remove_of_strangers(session, rows)
    return len(rows)


def _answers(session: Session, cutoffs: Cutoffs, limit: int) -> int:
    """To numbers of no lead, and what staff were told of their texts."""
    old = select(Delivery).where(
        Delivery.lead_id.is_(None), Delivery.alarm_id.is_(None), Delivery.due_at < cutoffs.leads
    )
    rows = session.scalars(old.order_by(Delivery.id).limit(limit)).all()
    removals.remove_of_strangers(session, (), rows)
    return len(rows)


def _alarms(session: Session, cutoffs: Cutoffs, limit: int) -> int:
    """With what staff were told of them."""
    old = select(Alarm.id).where(Alarm.cleared_at < cutoffs.leads).order_by(Alarm.id).limit(limit)
    ids = session.scalars(old).all()
    told = select(Delivery.id).where(Delivery.alarm_id.in_(ids))
    session.execute(delete(Receipt).where(Receipt.delivery_id.in_(told)))
    session.execute(delete(Delivery).where(Delivery.alarm_id.in_(ids)))
    session.execute(delete(Alarm).where(Alarm.id.in_(ids)))
    return len(ids)


def _send_counts(session: Session, cutoffs: Cutoffs, limit: int) -> int:
    old = select(SendCount.hour).where(SendCount.hour < cutoffs.leads).distinct().limit(limit)
    hours = session.scalars(old).all()
    session.execute(delete(SendCount).where(SendCount.hour.in_(hours)))
    return len(hours)


def _consents(session: Session, cutoffs: Cutoffs, limit: int) -> int:
    old = select(Consent.id).where(
        Consent.recorded_at < cutoffs.evidence, Consent.lead_id.not_in(select(Lead.id))
    )
    return _remove_evidence(session, Consent, old, limit, cutoffs.now)


def _suppressions(session: Session, cutoffs: Cutoffs, limit: int) -> int:
    """Who said no has said so for ever; only what was lifted is history."""
    old = select(Suppression.id).where(Suppression.lifted_at < cutoffs.evidence)
    return _remove_evidence(session, Suppression, old, limit, cutoffs.now)


def _decisions(session: Session, cutoffs: Cutoffs, limit: int) -> int:
    at = func.coalesce(Decision.last_at, Decision.at, type_=Decision.at.type)
    old = select(Decision.id).where(
        at < cutoffs.evidence, Decision.delivery_id.not_in(select(Delivery.id))
    )
    return _delete(session, Decision, old, limit)


def _actions(session: Session, cutoffs: Cutoffs, limit: int) -> int:
    old = select(Action.id).where(Action.at < cutoffs.audit, Action.lead_id.not_in(select(Lead.id)))
    return _remove_evidence(session, Action, old, limit, cutoffs.now)


def _erased_leads(session: Session, cutoffs: Cutoffs, limit: int) -> int:
    """Not before the consents that they make void."""
    old = select(ErasedLead.lead_id).where(
        ErasedLead.removed_at < min(cutoffs.evidence, cutoffs.audit),
        ErasedLead.lead_id.not_in(select(Consent.lead_id)),
    )
    return _delete(session, ErasedLead, old, limit)


def _erasures(session: Session, cutoffs: Cutoffs, limit: int) -> int:
    old = select(Erasure.id).where(
        Erasure.finished_at < min(cutoffs.evidence, cutoffs.audit),
        Erasure.id.not_in(select(ErasedLead.erasure_id)),
        Erasure.id.not_in(select(ProviderCopy.erasure_id)),
    )
    return _delete(session, Erasure, old, limit)


#: Besides leads with all about them; evidence in the order in which it depends on other rows.
DELETIONS: Mapping[str, Delete] = {
    "submissions": _submissions,
    "replies": _replies,
    "answers": _answers,
    "alarms": _alarms,
    "hours_counted": _send_counts,
    "consents": _consents,
    "suppressions": _suppressions,
    "decisions": _decisions,
    "actions": _actions,
    "erased_leads": _erased_leads,
    "erasures": _erasures,
}


def _remove_evidence(
    session: Session, row: type[entries.Evidence], old: Select[Any], limit: int, now: datetime
) -> int:
    """The trail keeps that they were there."""
    ids = session.scalars(old.order_by(row.id).limit(limit)).all()
    one: entries.Evidence
    for one in session.scalars(select(row).where(row.id.in_(ids))).all():  # type: ignore[assignment]
        entries.remove_evidence(session, one, at=now)
    session.flush()
    return len(ids)


def _delete(session: Session, row: type[Any], old: Select[Any], limit: int) -> int:
    (key,) = row.__table__.primary_key.columns
    ids = session.scalars(old.order_by(key).limit(limit)).all()
    session.execute(delete(row).where(key.in_(ids)))
    return len(ids)
