"""Looks for a person in every table: by text, in plain and encrypted columns, by hash and by id."""

import json
import uuid
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, Column, String, Table, select
from sqlalchemy.orm import Session

from followup.domain.erasure import Traces
from followup.services.identifying import Identified
from followup.services.planning import Planner
from followup.store.cells import is_encrypted
from followup.store.models import Base, Lead, Person
from followup.store.removals import EVIDENCE

#: Rows fetched at a time.
BATCH = 500
#: Where an address stays as a keyed hash: what was agreed to, and who said no.
HASHES_KEPT = frozenset({"consents.address_hash", "suppressions.address_hash"})


class Keeping(StrEnum):
    #: The person's own, which erasing removes.
    copy = "copy"
    #: A keyed hash beside a consent or a suppression, which outlives the person.
    evidence = "evidence"
    #: In another person's lead, or the staff's: the same number, or a mention.
    others = "others"


@dataclass
class Found:
    """How many rows of each `table.column` hold something of the person."""

    rows: dict[Keeping, Counter[str]] = field(
        default_factory=lambda: {keeping: Counter() for keeping in Keeping}
    )
    #: References of the other leads.
    others: set[str] = field(default_factory=set)

    @property
    def copies(self) -> Counter[str]:
        return self.rows[Keeping.copy]


def trace(session: Session, planner: Planner, person: Identified) -> Found:
    """Everything that is kept of the person. Reads the whole store."""
    looked_for = _LookedFor(
        person.traces,
        frozenset(person.hashes(planner)),
        frozenset(lead.id for lead in person.leads),
    )
    found = Found()
    for table in Base.metadata.sorted_tables:
        for row in _rows(session, table):
            for column in looked_for.columns_in(table, row):
                place = f"{table.name}.{column}"
                keeping, reference = _whose(session, table, row, place, looked_for.lead_ids)
                found.rows[keeping][place] += 1
                found.others |= {reference} if reference else set()
    return found


@dataclass(frozen=True)
class _LookedFor:
    traces: Traces
    hashes: frozenset[str]
    lead_ids: Collection[uuid.UUID]

    def columns_in(self, table: Table, row: Any) -> Iterator[str]:
        """In which columns of the row something of the person is."""
        for column in table.columns:
            value = row[column.name]
            if value is not None and self._is_in(table, column, value):
                yield column.name

    def _is_in(self, table: Table, column: Column[Any], value: Any) -> bool:
        if column.name.endswith("_hash"):
            return value in self.hashes
        if is_encrypted(column) or isinstance(column.type, String | JSON):
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            return self.traces.are_in(text)
        is_own = table.name == Lead.__tablename__ and column.name == "id"
        is_about = table.name not in EVIDENCE and column.name == "lead_id"
        return (is_own or is_about) and value in self.lead_ids


def _rows(session: Session, table: Table) -> Iterator[Any]:
    statement = select(table).execution_options(yield_per=BATCH)
    return iter(session.execute(statement).mappings())


def _whose(
    session: Session, table: Table, row: Any, place: str, lead_ids: Collection[uuid.UUID]
) -> tuple[Keeping, str | None]:
    """And the reference of the lead, when it is another person's."""
    if place in HASHES_KEPT:
        return Keeping.evidence, None
    if table.name == Person.__tablename__ or row.get("alarm_id") is not None:
        return Keeping.others, None
    owner = row["id"] if table.name == Lead.__tablename__ else row.get("lead_id")
    lead = session.get(Lead, owner) if owner is not None and owner not in lead_ids else None
    return (Keeping.others, lead.reference) if lead else (Keeping.copy, None)
