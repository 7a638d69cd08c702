"""Rows of `intake_counts`: how many submissions of one likeness came in a window of time."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from followup.store.db import insert_into
from followup.store.models import IntakeCount

#: A likeness, hashed, and the window's beginning.
Key = tuple[str, datetime]


def add(session: Session, keys: Collection[Key]) -> dict[str, int]:
    """Count one more of each. Returns how many each are now, by likeness.

    In one order, so that two never wait for each other.
    """
    rows = [
        {"likeness": likeness, "window": window, "count": 1} for likeness, window in sorted(keys)
    ]
    statement = (
        insert_into(session, IntakeCount)
        .values(rows)
        .on_conflict_do_update(
            index_elements=[IntakeCount.likeness, IntakeCount.window],
            set_={"count": IntakeCount.count + 1},
        )
        .returning(IntakeCount.likeness, IntakeCount.count)
    )
    return dict(session.execute(statement).all()) if rows else {}


def list_counts(session: Session, keys: Collection[Key]) -> dict[str, int]:
    """How many each were in the window given, by likeness; those of none are left out."""
    statement = select(IntakeCount.likeness, IntakeCount.window, IntakeCount.count).where(
        IntakeCount.likeness.in_({likeness for likeness, _ in keys}),
        IntakeCount.window.in_({window for _, window in keys}),
    )
    return {
        likeness: count
        for likeness, window, count in session.execute(statement)
        if (likeness, window) in keys
    }


def forget(session: Session, before: datetime) -> None:
    session.execute(delete(IntakeCount).where(IntakeCount.window < before))
