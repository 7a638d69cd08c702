"""Rows of `replies` and `receipts`: what came back, each once by the provider's id."""

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from followup.store.db import insert_into, new_id
from followup.store.models import Delivery, Receipt, Reply, RiskMatch


def add_reply(session: Session, **values: Any) -> Reply:
    """Raises IntegrityError when this text is kept already."""
    reply = Reply(**values)
    session.add(reply)
    session.flush()
    return reply


def find_reply(session: Session, reply_id: uuid.UUID | None) -> Reply | None:
    return session.get(Reply, reply_id) if reply_id is not None else None


def find_by_provider_id(session: Session, provider_id: str) -> Reply | None:
    return session.scalars(select(Reply).where(Reply.provider_id == provider_id)).first()


def lock_unheeded(session: Session, reply_id: uuid.UUID) -> Reply | None:
    """The text, if its alert and answer are not planned; nobody else plans them meanwhile."""
    statement = (
        select(Reply)
        .where(Reply.id == reply_id, Reply.heeded_at.is_(None))
        .with_for_update(skip_locked=True)
    )
    return session.scalars(statement).first()


def list_unheeded(session: Session, before: datetime, limit: int = 100) -> Sequence[uuid.UUID]:
    """Texts that came before then and whose alert and answer are still not planned."""
    statement = (
        select(Reply.id)
        .where(Reply.heeded_at.is_(None), Reply.received_at <= before)
        .order_by(Reply.id)
        .limit(limit)
    )
    return session.scalars(statement).all()


def list_unassigned(session: Session, limit: int = 200) -> Sequence[Reply]:
    """Texts from numbers of no lead, newest first."""
    statement = select(Reply).where(Reply.lead_id.is_(None)).order_by(Reply.id.desc()).limit(limit)
    return session.scalars(statement).all()


def add_risk_match(session: Session, **values: Any) -> RiskMatch:
    match = RiskMatch(**values)
    session.add(match)
    return match


def list_risk_matches(session: Session, lead_id: uuid.UUID) -> Sequence[RiskMatch]:
    statement = select(RiskMatch).where(RiskMatch.lead_id == lead_id).order_by(RiskMatch.id)
    return session.scalars(statement).all()


def add_receipt(session: Session, **values: Any) -> bool:
    """Whether it is new: the same report is kept once, whoever brings it."""
    statement = (
        insert_into(session, Receipt)
        .values(id=new_id(), **values)
        .on_conflict_do_nothing()
        .returning(Receipt.id)
    )
    return session.scalars(statement).first() is not None


def list_receipts_to(
    session: Session, recipient_hashes: Collection[str], newest: int = 50
) -> Sequence[Receipt]:
    """Reports on what went to the address, newest first."""
    statement = (
        select(Receipt)
        .join(Delivery, Delivery.id == Receipt.delivery_id)
        .where(Delivery.recipient_hash.in_(recipient_hashes))
        .order_by(Receipt.id.desc())
        .limit(newest)
    )
    return session.scalars(statement).all()


def list_replies(session: Session, lead_id: uuid.UUID) -> Sequence[Reply]:
    statement = select(Reply).where(Reply.lead_id == lead_id).order_by(Reply.id)
    return session.scalars(statement).all()
