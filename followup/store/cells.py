"""Encrypted cells as they lie in the database, of every table that has any: read, and renewed.

Which columns these are, the models say by their types; a new one needs nothing here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, LargeBinary, Table, bindparam, literal, select, type_coerce, update
from sqlalchemy.orm import Session

from followup.store.crypto import EncryptedJson, EncryptedText
from followup.store.models import Base


@dataclass(frozen=True)
class Place:
    """A table with its encrypted columns, walked in the order of its key."""

    table: Table
    columns: tuple[str, ...]

    @property
    def key(self) -> Column[Any]:
        """Of history, the id alone, which is in it once, whatever the month."""
        key: Column[Any] = self.table.primary_key.columns[0]
        return key


@dataclass(frozen=True)
class CellRow:
    """The encrypted cells of one row that are not empty, by column."""

    key: Any
    cells: Mapping[str, bytes]


def encrypted_places() -> Sequence[Place]:
    """Every table with encrypted columns, in the order of its name."""
    found = (
        Place(table, tuple(column.name for column in table.columns if is_encrypted(column)))
        for table in Base.metadata.tables.values()
    )
    return sorted((one for one in found if one.columns), key=lambda one: one.table.name)


def is_encrypted(column: Column[Any]) -> bool:
    return isinstance(column.type, EncryptedText | EncryptedJson)


def read_cells(
    session: Session, place: Place, after: Any, limit: int, *, lock: bool = False
) -> Sequence[CellRow]:
    """The rows that follow the given key; with `lock` those that nobody else holds.

    Who never waits for a row is never part of a deadlock.
    """
    raw = [type_coerce(place.table.c[name], LargeBinary).label(name) for name in place.columns]
    statement = select(place.key.label("row_key"), *raw).order_by(place.key).limit(limit)
    if after is not None:
        statement = statement.where(place.key > after)
    if lock:
        statement = statement.with_for_update(key_share=True, skip_locked=True)
    return [
        CellRow(row["row_key"], {name: bytes(row[name]) for name in place.columns if row[name]})
        for row in session.execute(statement).mappings()
    ]


def walk_cells(session: Session, place: Place, batch: int) -> Iterator[CellRow]:
    after = None
    while rows := read_cells(session, place, after, batch):
        yield from rows
        after = rows[-1].key


def write_cells(session: Session, place: Place, key: Any, cells: Mapping[str, bytes]) -> None:
    """Replace ciphertext by other ciphertext of the same text."""
    values = {name: literal(token, LargeBinary) for name, token in cells.items()}
    this = place.key == bindparam("row_key", key, place.key.type)
    session.execute(update(place.table).where(this).values(values))
