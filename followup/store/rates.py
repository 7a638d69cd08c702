"""Rows of `rates`: one a sender, shared by all workers of all machines; the broker has no part."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from followup.store.db import insert_into
from followup.store.models import SenderRate


def next_at(session: Session, sender: str) -> datetime | None:
    """When the sender's bucket is full again; None: it has never sent."""
    return session.scalars(select(SenderRate.next_at).where(SenderRate.sender == sender)).first()


def lock_rate(session: Session, sender: str, now: datetime) -> SenderRate:
    """The sender's row, locked until the transaction ends; a full bucket when there is none."""
    blank = insert_into(session, SenderRate).values(sender=sender, next_at=now)
    session.execute(blank.on_conflict_do_nothing())
    statement = (
        select(SenderRate)
        .where(SenderRate.sender == sender)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return session.scalars(statement).one()
