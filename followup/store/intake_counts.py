"""Rows of `intake_counts`: how many submissions of one likeness came in a window of time."""

from collections.abc import Collection, Mapping
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from followup.store.db import insert_on
from followup.store.models import IntakeCount

_TABLE = IntakeCount.__table__

#: A likeness, hashed, and the window's beginning.
Key = tuple[str, datetime]


def add(session: Session, more: Mapping[Key, int]) -> dict[Key, int]:
    """Count so many more of each. Returns how many each are now.

    In one order, so that two never wait for each other.
    """
    if not more:
        return {}
    rows = [
        {"likeness": likeness, "window": window, "count": count}
        for (likeness, window), count in sorted(more.items())
    ]
    statement = _counting(session.get_bind().dialect.name)
    found = session.connection().execute(statement, rows)
    return {(likeness, window): count for likeness, window, count in found}


@cache
def _counting(dialect: str) -> Any:
    """Put together once, and without the rows: it would else be made anew for each submission."""
    inserted = insert_on(dialect, _TABLE)
    return inserted.on_conflict_do_update(
        index_elements=["likeness", "window"],
        set_={"count": _TABLE.c.count + inserted.excluded.count},
    ).returning(_TABLE.c.likeness, _TABLE.c.window, _TABLE.c.count)


def list_counts(session: Session, keys: Collection[Key]) -> dict[Key, int]:
    """How many there are of each; those of none are left out."""
    statement = select(_TABLE.c.likeness, _TABLE.c.window, _TABLE.c.count).where(
        _TABLE.c.likeness.in_({likeness for likeness, _ in keys}),
        _TABLE.c.window.in_({window for _, window in keys}),
    )
    return {
        (likeness, window): count
        for likeness, window, count in session.connection().execute(statement)
        if (likeness, window) in keys
    }


def forget(session: Session, before: datetime) -> None:
    session.execute(delete(IntakeCount).where(IntakeCount.window < before))
