"""Rows of `replies` and `receipts`: what came back, each once by the provider's id."""

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from followup.store.models import Receipt, Reply


def add_reply(session: Session, **values: Any) -> Reply:
    """Raises IntegrityError when this text is kept already."""
    reply = Reply(**values)
    session.add(reply)
    session.flush()
    return reply


def add_receipt(session: Session, **values: Any) -> Receipt:
    """Raises IntegrityError when the same report is kept already."""
    receipt = Receipt(**values)
    session.add(receipt)
    session.flush()
    return receipt


def list_replies(session: Session, lead_id: uuid.UUID) -> Sequence[Reply]:
    statement = select(Reply).where(Reply.lead_id == lead_id).order_by(Reply.id)
    return session.scalars(statement).all()
