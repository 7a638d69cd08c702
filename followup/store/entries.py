"""Rows of `audit`: written beside what they are about, in one transaction, and sealed afterwards.

An entry joins the chain in a second step (`seal`), so that nobody who marks a lead or consumes a
submission waits for the chain's head. Rows of evidence (`EVIDENCE`) are added, changed and removed
through here alone: the trail knows what each of them holds.
"""

import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Text, cast, exists, func, or_, select, update
from sqlalchemy.orm import Session, class_mapper, object_session

from followup.domain.audit import PRUNED, Door, digest, head_mac, mac_of, seal_of
from followup.errors import FollowupError
from followup.store.db import new_id
from followup.store.models import Action, AuditEntry, AuditHead, Consent, Suppression

Evidence = Consent | Suppression | Action

#: Append-only, and each row's content in the trail.
EVIDENCE: Mapping[str, type[Evidence]] = {
    model.__tablename__: model for model in (Consent, Suppression, Action)
}

#: Entries sealed in one transaction: on SQLite others wait for it, for some milliseconds.
SEAL_BATCH = 200

_CHAINED = ("id", "at", "by", "door", "verb", "lead_id", "row_table", "row_id", "digest", "facts")


def add_entry(
    session: Session,
    *,
    at: datetime,
    verb: str,
    by: str = "",
    door: Door = Door.service,
    lead_id: uuid.UUID | None = None,
    facts: Mapping[str, Any] | None = None,
    row: Evidence | None = None,
) -> None:
    """Somebody saw or did this; with `row`, that row is now as it is here."""
    entry = AuditEntry(
        id=_next_id(session, row) if row is not None else new_id(),
        at=at,
        by=by,
        door=door,
        verb=verb,
        lead_id=lead_id,
        row_table=row.__tablename__ if row is not None else None,
        row_id=row.id if row is not None else None,
        digest=None if row is None or verb == PRUNED else digest_of(session, row),
        facts=dict(facts or {}),
    )
    entry.mac = mac_of(chain_key(session), values_of(entry))
    session.add(entry)


def _next_id(session: Session, row: Evidence) -> uuid.UUID:
    """Behind the row's last entry, also where machines' clocks differ: entries are sealed by it."""
    if row in session.new or object_session(row) is None:
        return new_id()
    last = session.scalars(
        select(AuditEntry.id)
        .where(AuditEntry.row_id == row.id)
        .order_by(AuditEntry.id.desc())
        .limit(1)
    ).first()
    return new_id() if last is None else uuid.UUID(int=max(new_id().int, last.int + 1))


def add_evidence(session: Session, row: Evidence, **about: Any) -> None:
    """A new row of evidence, with its entry; `about` is as for `add_entry`."""
    row.id = row.id or new_id()
    add_entry(session, row=row, **about)
    session.add(row)


def remove_evidence(session: Session, row: Evidence, **about: Any) -> None:
    """The row is past its time. The database lets it go because the trail says so."""
    add_entry(session, row=row, verb=PRUNED, **about)
    session.flush()
    session.delete(row)


def digest_of(session: Session, row: Evidence) -> str:
    values = {
        column.key: getattr(row, column.key) for column in class_mapper(type(row)).column_attrs
    }
    return digest(chain_key(session), row.__tablename__, values)


def values_of(entry: AuditEntry) -> dict[str, Any]:
    """What the entry's mac is made of."""
    return {name: getattr(entry, name) for name in _CHAINED}


def chain_key(session: Session) -> bytes:
    """The trail's own key, which never changes. Read once per engine."""
    dialect: Any = session.get_bind().dialect
    key: bytes | None = getattr(dialect, "followup_audit_key", None)
    if key is None:
        key = dialect.followup_audit_key = bytes.fromhex(get_head(session).key)
    return key


def get_head(session: Session, *, lock: bool = False) -> AuditHead:
    statement = select(AuditHead)
    head = session.scalars(statement.with_for_update() if lock else statement).one_or_none()
    if head is None:
        raise FollowupError(
            "the audit trail has no head: its row was removed, or `followup migrate` was not run"
        )
    return head


def has_unsealed(session: Session) -> bool:
    return bool(session.scalar(select(exists().where(AuditEntry.position.is_(None)))))


def seal(session: Session, now: datetime) -> int:
    """Put what was committed since into the chain, at most `SEAL_BATCH` entries. How many.

    Whoever seals holds the head; a second one waits, and goes on behind.
    """
    head = get_head(session, lock=True)
    key = chain_key(session)
    if head.position == 0:
        _carry_over(session, now)
    unsealed = session.execute(
        select(AuditEntry.id, AuditEntry.mac)
        .where(AuditEntry.position.is_(None))
        .order_by(AuditEntry.id)
        .limit(SEAL_BATCH)
    ).all()
    if not unsealed:
        return 0
    sealed, position, last = [], head.position, head.seal
    for entry_id, mac in unsealed:
        position, last = position + 1, seal_of(key, position + 1, last, mac)
        sealed.append({"id": entry_id, "position": position, "seal": last})
    session.execute(update(AuditEntry), sealed)
    head.position, head.seal, head.mac = position, last, head_mac(key, position, last)
    return len(sealed)


def _carry_over(session: Session, now: datetime) -> None:
    """The chain begins with the evidence of a time when there was none."""
    for model in EVIDENCE.values():
        without = select(model).where(~exists().where(AuditEntry.row_id == model.id))
        row: Evidence
        for row in session.scalars(without).all():  # type: ignore[assignment]
            lead_id = getattr(row, "lead_id", None)
            add_entry(session, row=row, at=now, verb="carried over", lead_id=lead_id)
    session.flush()


def find_seal(session: Session, position: int) -> str | None:
    return session.scalars(select(AuditEntry.seal).where(AuditEntry.position == position)).first()


def list_positions(session: Session, after: int, limit: int) -> Sequence[int]:
    statement = (
        select(AuditEntry.position)
        .where(AuditEntry.position > after)
        .order_by(AuditEntry.position)
        .limit(limit)
    )
    return [position for position in session.scalars(statement) if position is not None]


def read_entries(
    session: Session, positions: Collection[int]
) -> Iterator[tuple[int, AuditEntry | None]]:
    """Each in its place; None for one that can no longer be read."""
    found = _read_each(session, AuditEntry, AuditEntry.position, positions)
    return ((position, found.get(position)) for position in positions)


def read_rows(session: Session, table: str, ids: Collection[uuid.UUID]) -> dict[Any, Any]:
    """Rows of evidence by id; None for one that can no longer be read, nothing for one gone."""
    model = EVIDENCE[table]
    return _read_each(session, model, model.id, ids)


def _read_each(
    session: Session, model: type[Any], key: Any, wanted: Collection[Any]
) -> dict[Any, Any]:
    """At once, or one by one when somebody has spoilt one of them."""
    try:
        found = session.scalars(select(model).where(key.in_(wanted))).all()
        return {getattr(row, key.key): row for row in found}
    except (FollowupError, LookupError, ValueError, TypeError, AttributeError):
        if len(wanted) == 1:
            return dict.fromkeys(wanted)
        each = (_read_each(session, model, key, [one]) for one in wanted)
        return {name: row for found in each for name, row in found.items()}


def last_positions(session: Session, row_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, int]:
    """Of each row of evidence, where the newest entry about it stands."""
    statement = (
        select(AuditEntry.row_id, func.max(AuditEntry.position))
        .where(AuditEntry.row_id.in_(row_ids), AuditEntry.position.is_not(None))
        .group_by(AuditEntry.row_id)
    )
    return {row_id: last for row_id, last in session.execute(statement) if row_id and last}


def list_unaccounted(session: Session, table: str, limit: int) -> Sequence[str]:
    """Ids, as text, of rows of evidence that no entry speaks of."""
    model = EVIDENCE[table]
    statement = (
        select(cast(model.id, Text))
        .where(~exists().where(AuditEntry.row_id == model.id))
        .order_by(model.id)
        .limit(limit)
    )
    return session.scalars(statement).all()


def list_entries(
    session: Session,
    *,
    lead_id: uuid.UUID | None = None,
    reference: str = "",
    by: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 200,
) -> Sequence[AuditEntry]:
    """Newest first. Of a lead also where it was one of several that were shown."""
    statement = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit)
    if lead_id is not None:
        shown = cast(AuditEntry.facts, Text).contains(f'"{reference}"')
        statement = statement.where(or_(AuditEntry.lead_id == lead_id, shown))
    if by is not None:
        statement = statement.where(AuditEntry.by == by)
    if since is not None:
        statement = statement.where(AuditEntry.at >= since)
    if until is not None:
        statement = statement.where(AuditEntry.at < until)
    return session.scalars(statement).all()
