"""Rows whose time is over, found and deleted a batch at a time, each in the caller's transaction.

A lead that is open is never among them, nor a suppression that holds.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, delete, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from followup.domain.delivery import Status
from followup.domain.lead import LeadStatus
from followup.domain.retention import Cutoffs
from followup.store import announcements, entries, history, removals
from followup.store.history import AnyDelivery
from followup.store.models import (
    Action,
    Alarm,
    Consent,
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
    decision_history,
    delivery_history,
)
from followup.store.words import SubmissionStatus, said


def claim_stale_leads(session: Session, cutoffs: Cutoffs, limit: int) -> Sequence[uuid.UUID]:
    """Leads that are over and of which nothing was heard or done since, locked; and those that
    were held for review and that nobody released."""
    whole = aliased(Lead)
    over = and_(
        Lead.status.not_in((said(LeadStatus.open), said(LeadStatus.held))),
        # What is a part of another goes after it.
        ~exists().where(whole.id == Lead.merged_into),
    )
    held = Lead.status == said(LeadStatus.held)
    # Each by its own index, and the second only when the first leaves room.
    stale = _oldest(over, cutoffs.leads, Lead.arrived_at, limit)
    found = list(session.scalars(stale))
    if len(found) < limit:
        never_released = _oldest(held, cutoffs.held, Lead.created_at, limit - len(found))
        found += session.scalars(never_released)
    return found


def _oldest(
    which: ColumnElement[bool], cutoff: datetime, came_at: Any, limit: int
) -> Select[uuid.UUID]:
    statement: Select[Any] = (
        select(Lead.id)
        .where(which, came_at < cutoff, _untouched_since(cutoff))
        .order_by(came_at, Lead.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return statement


def _untouched_since(cutoff: Any) -> ColumnElement[bool]:
    moving = or_(
        AnyDelivery.status == Status.sending,
        and_(AnyDelivery.status == Status.unknown, AnyDelivery.ask_at.is_not(None)),
        AnyDelivery.sent_at >= cutoff,
    )
    return and_(
        Lead.arrived_at < cutoff,
        func.coalesce(Lead.contacted_at, Lead.arrived_at, type_=Lead.arrived_at.type) < cutoff,
        ~exists().where(Submission.lead_id == Lead.id, Submission.received_at >= cutoff),
        ~exists().where(Reply.lead_id == Lead.id, Reply.received_at >= cutoff),
        ~exists().where(Action.lead_id == Lead.id, Action.at >= cutoff),
        ~exists().where(AnyDelivery.lead_id == Lead.id, moving),
    )


Delete = Callable[[Session, Cutoffs, int], int]


def _ownerless(status: SubmissionStatus, cutoff: datetime) -> Select[uuid.UUID]:
    """Of no lead. One status at a time, because each has its index, the oldest first."""
    statement: Select[Any] = select(Submission.id).where(
        Submission.status == said(status),
        Submission.lead_id.is_(None),
        Submission.received_at < cutoff,
    )
    return statement


def _problems(session: Session, cutoffs: Cutoffs, limit: int) -> int:
    """What could not be consumed, and nobody mended."""
    old = _ownerless(SubmissionStatus.problem, cutoffs.leads)
    return _delete(session, Submission, old, limit)


def _spam(session: Session, cutoffs: Cutoffs, limit: int) -> int:
    return _delete(session, Submission, _ownerless(SubmissionStatus.spam, cutoffs.held), limit)


def _consumed(session: Session, cutoffs: Cutoffs, limit: int) -> int:
    """What lost its lead."""
    return _delete(session, Submission, _ownerless(SubmissionStatus.consumed, cutoffs.held), limit)


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
    history.keep_decisions(session, Delivery.alarm_id.in_(ids))
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
        Consent.recorded_at < cutoffs.evidence, ~exists().where(Lead.id == Consent.lead_id)
    )
    return _remove_evidence(session, Consent, old.order_by(Consent.recorded_at), limit, cutoffs.now)


def _suppressions(session: Session, cutoffs: Cutoffs, limit: int) -> int:
    """Who said no has said so for ever; only what was lifted is history."""
    old = select(Suppression.id).where(Suppression.lifted_at < cutoffs.evidence)
    old = old.order_by(Suppression.lifted_at)
    return _remove_evidence(session, Suppression, old, limit, cutoffs.now)


def _decisions(session: Session, cutoffs: Cutoffs, limit: int) -> int:
    """A month at a time, once every delivery of it is gone: decisions that outlived theirs are in
    history. Deliveries' own months, which their leads have emptied, go with nothing in them."""
    for month in history.list_months(session, delivery_history):
        if _ended_before(month, cutoffs.leads):
            history.drop_empty_month(session, month)
    gone = 0
    for month in history.list_months(session, decision_history):
        if gone < limit and _ended_before(month, cutoffs.evidence):
            gone += history.drop_decisions(session, month, cutoffs.evidence, limit - gone)
    return gone


def _ended_before(month: date, cutoff: datetime) -> bool:
    return (month.year, month.month) < (cutoff.year, cutoff.month)


def _actions(session: Session, cutoffs: Cutoffs, limit: int) -> int:
    old = select(Action.id).where(
        Action.at < cutoffs.audit, ~exists().where(Lead.id == Action.lead_id)
    )
    return _remove_evidence(session, Action, old.order_by(Action.at), limit, cutoffs.now)


def _erased_leads(session: Session, cutoffs: Cutoffs, limit: int) -> int:
    """Not before the consents that they make void."""
    old = select(ErasedLead.lead_id).where(
        ErasedLead.removed_at < min(cutoffs.evidence, cutoffs.audit),
        ~exists().where(Consent.lead_id == ErasedLead.lead_id),
    )
    return _delete(session, ErasedLead, old, limit)


def _erasures(session: Session, cutoffs: Cutoffs, limit: int) -> int:
    old = select(Erasure.id).where(
        Erasure.finished_at < min(cutoffs.evidence, cutoffs.audit),
        ~exists().where(ErasedLead.erasure_id == Erasure.id),
        ~exists().where(ProviderCopy.erasure_id == Erasure.id),
    )
    return _delete(session, Erasure, old, limit)


def _announcements(session: Session, cutoffs: Cutoffs, limit: int) -> int:
    return announcements.forget(session, cutoffs.held, limit)


#: Besides leads with all about them; evidence in the order in which it depends on other rows.
DELETIONS: Mapping[str, Delete] = {
    "problems": _problems,
    "spam": _spam,
    "submissions": _consumed,
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
    "announcements": _announcements,
}


def _remove_evidence(
    session: Session, row: type[entries.Evidence], old: Select[Any], limit: int, now: datetime
) -> int:
    """The trail keeps that they were there."""
    ids = session.scalars(old.limit(limit)).all()
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
