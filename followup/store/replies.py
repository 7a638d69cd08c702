"""Rows of `replies` and `receipts`: what came back, each once by the provider's id."""

import uuid
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from followup.store.db import insert_into, new_id
from followup.store.models import Delivery, Receipt, Reply


def add_reply(session: Session, **values: Any) -> Reply:
    """Raises IntegrityError when this text is kept already."""
    reply = Reply(**values)
    session.add(reply)
    session.flush()
    return reply


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
