"""Rows of `erasures`, the leads they took, and what providers still have of these."""

import uuid
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from followup.domain.cadence import Audience, Channel
from followup.store.db import insert_into
from followup.store.models import (
    Delivery,
    ErasedLead,
    Erasure,
    Lead,
    ProviderCopy,
    Receipt,
)


def add_erasure(
    session: Session,
    *,
    by: str,
    now: datetime,
    lead_ids: Iterable[uuid.UUID],
    references: list[str],
) -> Erasure:
    """From now on what these leads agreed to permits nothing."""
    erasure = Erasure(by=by, requested_at=now, facts={"references": references})
    session.add(erasure)
    session.flush()
    rows = [{"lead_id": one, "erasure_id": erasure.id, "removed_at": None} for one in lead_ids]
    if rows:
        session.execute(insert_into(session, ErasedLead).on_conflict_do_nothing(), rows)
    return erasure


def lock_erasure(session: Session, erasure_id: uuid.UUID) -> Erasure:
    statement = select(Erasure).where(Erasure.id == erasure_id).with_for_update()
    return session.scalars(statement).one()


def find_of_reference(session: Session, reference: str) -> Erasure | None:
    """The erasure that took the lead of that reference; few enough to be looked through."""
    wanted = reference.strip().upper()
    newest_first = session.scalars(select(Erasure).order_by(Erasure.id.desc()))
    return next((one for one in newest_first if wanted in one.facts["references"]), None)


def list_pending(session: Session) -> Sequence[uuid.UUID]:
    """Erasures that are not finished, the oldest first."""
    statement = select(Erasure.id).where(Erasure.finished_at.is_(None)).order_by(Erasure.id)
    return session.scalars(statement).all()


def list_unremoved(session: Session, erasure_id: uuid.UUID) -> Sequence[uuid.UUID]:
    """Leads of the erasure of which something is left."""
    statement = (
        select(ErasedLead.lead_id)
        .where(ErasedLead.erasure_id == erasure_id, ErasedLead.removed_at.is_(None))
        .order_by(ErasedLead.lead_id)
    )
    return session.scalars(statement).all()


def note_removed(session: Session, erasure_id: uuid.UUID, now: datetime) -> None:
    """Of the erasure's leads, those whose rows are gone."""
    statement = (
        update(ErasedLead)
        .where(
            ErasedLead.erasure_id == erasure_id,
            ErasedLead.removed_at.is_(None),
            ErasedLead.lead_id.not_in(select(Lead.id)),
        )
        .values(removed_at=now)
    )
    session.execute(statement.execution_options(synchronize_session=False))


def add_copies(
    session: Session, erasure_id: uuid.UUID, provider_ids: Collection[str], now: datetime
) -> None:
    """Texts that the provider is to forget."""
    rows = [
        {
            "channel": Channel.sms,
            "provider_id": one,
            "erasure_id": erasure_id,
            "due_at": now,
            "failures": 0,
        }
        for one in sorted(provider_ids)
    ]
    if rows:
        session.execute(insert_into(session, ProviderCopy).on_conflict_do_nothing(), rows)


def list_provider_ids(session: Session, rows: Collection[Delivery]) -> set[str]:
    """What the provider calls the texts to the patient: an attempt that was taken for lost has an
    id too. Those to staff say nothing of anybody."""
    texts = [row for row in rows if row.channel is Channel.sms and row.audience is Audience.patient]
    statement = select(Receipt.provider_id).where(
        Receipt.delivery_id.in_([row.id for row in texts])
    )
    return {row.provider_id for row in texts if row.provider_id} | set(session.scalars(statement))


def claim_copies(
    session: Session,
    now: datetime,
    again_at: datetime,
    limit: int,
    erasure_id: uuid.UUID | None = None,
) -> Sequence[ProviderCopy]:
    """Those to be deleted now, put off until `again_at` so that nobody else asks meanwhile."""
    statement = (
        select(ProviderCopy)
        .where(ProviderCopy.due_at <= now)
        .order_by(ProviderCopy.due_at, ProviderCopy.provider_id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    if erasure_id is not None:
        statement = statement.where(ProviderCopy.erasure_id == erasure_id)
    rows = session.scalars(statement).all()
    for row in rows:
        row.due_at = again_at
    return rows


def drop_copy(session: Session, copy: ProviderCopy) -> None:
    """The provider has it no more, and so we need not know it."""
    session.execute(
        delete(ProviderCopy).where(
            ProviderCopy.channel == copy.channel, ProviderCopy.provider_id == copy.provider_id
        )
    )


def note_refusal(session: Session, copy: ProviderCopy, code: str | None) -> None:
    statement = (
        update(ProviderCopy)
        .where(ProviderCopy.channel == copy.channel, ProviderCopy.provider_id == copy.provider_id)
        .values(failures=ProviderCopy.failures + 1, code=code)
    )
    session.execute(statement.execution_options(synchronize_session=False))


def count_copies(session: Session, erasure_id: uuid.UUID) -> int:
    statement = select(func.count()).where(ProviderCopy.erasure_id == erasure_id)
    return session.execute(statement).scalar_one()


def get_facts(session: Session, erasure_id: uuid.UUID) -> dict[str, Any]:
    return session.get_one(Erasure, erasure_id).facts
