"""Rows of `delivery_history` and `decision_history`: where old deliveries of leads that are over go
with their decisions, by the month in which they were due.

A row is in exactly one place: each move is one transaction. What is here is only read, or goes:
whoever has to change it (a late receipt) has it come back, and it moves again by night. Decisions
whose delivery is deleted come here at once: `decisions` has those of `deliveries` alone.
"""

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Date,
    Subquery,
    Table,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    text,
    tuple_,
    union_all,
)
from sqlalchemy.orm import Session, aliased

from followup.domain.delivery import Status
from followup.domain.lead import LeadStatus
from followup.store.models import Base, Decision, Delivery, Lead, decision_history, delivery_history
from followup.store.words import said

_DELIVERIES = Base.metadata.tables[Delivery.__tablename__]
_DECISIONS = Base.metadata.tables[Decision.__tablename__]

#: What is not owed and not on its way; in the words of the index on it.
OVER = Delivery.status.not_in((said(Status.planned), said(Status.sending)))


def _both(table: Table, history: Table) -> Subquery:
    past = select(*(history.c[column.name] for column in table.columns))
    return union_all(select(table), past).subquery()


#: Deliveries and decisions wherever they are; to be read, never to be changed.
AnyDelivery = aliased(Delivery, _both(_DELIVERIES, delivery_history), adapt_on_names=True)
AnyDecision = aliased(Decision, _both(_DECISIONS, decision_history), adapt_on_names=True)


@dataclass(frozen=True)
class Place:
    """How far a walk over what is over has come."""

    due_at: datetime
    delivery_id: uuid.UUID


def move_old(
    session: Session, cutoff: datetime, after: Place | None, limit: int
) -> tuple[Place | None, int]:
    """Look at so many deliveries, the oldest first, and move those whose lead was over before the
    cutoff. Returns where to go on, None at the end, and how many moved."""
    statement = (
        select(Delivery.due_at, Delivery.id)
        .where(OVER, Delivery.due_at < cutoff)
        .order_by(Delivery.due_at, Delivery.id)
        .limit(limit)
    )
    if after is not None:
        place = tuple_(Delivery.due_at, Delivery.id)
        statement = statement.where(place > (after.due_at, after.delivery_id))
    seen = session.execute(statement).all()
    old = _lock_old(session, cutoff, [delivery_id for _, delivery_id in seen])
    _move(session, old)
    return (Place(*seen[-1]) if len(seen) == limit else None), len(old)


def _lock_old(
    session: Session, cutoff: datetime, ids: Collection[uuid.UUID]
) -> Mapping[uuid.UUID, datetime]:
    """Of these deliveries those that may go, and when they were due; locked with their leads, so
    that nobody opens or prunes one meanwhile. What somebody holds is left for another night."""
    over_since = func.coalesce(Lead.contacted_at, Lead.arrived_at, type_=Lead.arrived_at.type)
    gone_at = func.coalesce(Delivery.sent_at, Delivery.due_at, type_=Delivery.due_at.type)
    statement = (
        select(Delivery.id, Delivery.due_at)
        .join(Lead, Lead.id == Delivery.lead_id)
        .where(
            Delivery.id.in_(ids),
            OVER,
            gone_at < cutoff,
            # Its provider is still to be asked about it.
            or_(Delivery.status != Status.unknown, Delivery.ask_at.is_(None)),
            Lead.status.in_((LeadStatus.contacted, LeadStatus.closed)),
            over_since < cutoff,
        )
        .with_for_update(key_share=True, skip_locked=True)
    )
    return dict(session.execute(statement).all()) if ids else {}


def _move(session: Session, old: Mapping[uuid.UUID, datetime]) -> None:
    for month, ids in _by_month(old):
        _add_month(session, delivery_history, month)
        of_month = _DELIVERIES.c.id.in_(ids)
        _copy(session, _DELIVERIES, delivery_history, of_month, month)
        _move_decisions(session, month, ids)
        session.execute(delete(_DELIVERIES).where(of_month))


def keep_decisions(session: Session, of_deliveries: ColumnElement[bool]) -> None:
    """Before these deliveries are deleted: why they were sent, or were not, is evidence."""
    going = session.execute(select(Delivery.id, Delivery.due_at).where(of_deliveries)).all()
    for month, ids in _by_month(dict(going)):
        _move_decisions(session, month, ids)


def _by_month(due: Mapping[uuid.UUID, datetime]) -> Iterator[tuple[date, list[uuid.UUID]]]:
    found: dict[date, list[uuid.UUID]] = defaultdict(list)
    for delivery_id, due_at in due.items():
        found[due_at.astimezone(UTC).date().replace(day=1)].append(delivery_id)
    return iter(sorted(found.items()))


def _move_decisions(session: Session, month: date, ids: Collection[uuid.UUID]) -> None:
    _add_month(session, decision_history, month)
    about = _DECISIONS.c.delivery_id.in_(ids)
    _copy(session, _DECISIONS, decision_history, about, month)
    session.execute(delete(_DECISIONS).where(about))


def _copy(
    session: Session, source: Table, target: Table, which: ColumnElement[bool], month: date | None
) -> None:
    """Within the database: what is encrypted stays as it is. Into history by the month."""
    names = [column.name for column in source.columns if column.name in target.c]
    values: list[ColumnElement[Any]] = [source.c[name] for name in names]
    if month is not None:
        names, values = [*names, "month"], [*values, literal(month, Date)]
    session.execute(insert(target).from_select(names, select(*values).where(which)))


def recall(session: Session, delivery_id: uuid.UUID) -> None:
    """Have a delivery come back with its decisions, if it is in history."""
    this = delivery_history.c.id == delivery_id
    # Two who want it at once: the second one waits, and finds that it came back.
    if session.execute(select(delivery_history.c.id).where(this).with_for_update()).first() is None:
        return
    about = decision_history.c.delivery_id == delivery_id
    for history, table, which in (
        (delivery_history, _DELIVERIES, this),
        (decision_history, _DECISIONS, about),
    ):
        _copy(session, history, table, which, None)
        session.execute(delete(history).where(which))


def list_months(session: Session, history: Table) -> Sequence[date]:
    """Of which something is, or was, kept; the oldest first."""
    if session.get_bind().dialect.name == "postgresql":
        parts = text(
            "SELECT right(relname, 7) FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
            " WHERE inhparent = to_regclass(:history) ORDER BY relname"
        )
        names = session.scalars(parts, {"history": history.name})
        return [date.fromisoformat(f"{name.replace('_', '-')}-01") for name in names]
    months: list[date] = []
    # One look into the index each, however many rows a month has.
    while True:
        later = [history.c.month > months[-1]] if months else []
        month = session.scalar(select(func.min(history.c.month)).where(*later))
        if month is None:
            return months
        months.append(month)


def drop_empty_month(session: Session, month: date) -> None:
    """PostgreSQL alone: of deliveries, when all of that month have gone with their leads."""
    is_postgresql = session.get_bind().dialect.name == "postgresql"
    if is_postgresql and not _has_rows(session, delivery_history, month):
        _drop_month(session, delivery_history, month)


def drop_decisions(session: Session, month: date, cutoff: datetime, limit: int) -> int:
    """Delete the month's decisions, if all were made before the cutoff and no delivery of it is
    left: on PostgreSQL at once, on SQLite so many at a time. Returns how many."""
    made_at = func.coalesce(
        decision_history.c.last_at, decision_history.c.at, type_=decision_history.c.at.type
    )
    of_month = decision_history.c.month == month
    is_young = exists().where(of_month, made_at >= cutoff)
    if _has_rows(session, delivery_history, month) or session.scalar(select(is_young)):
        return 0
    if session.get_bind().dialect.name == "postgresql":
        count = session.scalar(select(func.count()).where(of_month)) or 0
        return count if _drop_month(session, decision_history, month) else 0
    some = select(decision_history.c.id).where(of_month).limit(limit)
    gone = session.execute(delete(decision_history).where(decision_history.c.id.in_(some)))
    return gone.rowcount  # type: ignore[attr-defined, no-any-return]


def _has_rows(session: Session, history: Table, month: date) -> bool:
    return bool(session.scalar(select(exists().where(history.c.month == month))))


def _add_month(session: Session, history: Table, month: date) -> None:
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.followup_add_month(history.name, month)))


def _drop_month(session: Session, history: Table, month: date) -> bool:
    """False while somebody is reading the table."""
    return bool(session.scalar(select(func.followup_drop_month(history.name, month))))
