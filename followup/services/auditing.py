"""The audit trail: what joins the chain, whether all of it is as it was written, and who did what.

What a decision says is not chained: repeats are folded into one row, and deliveries, receipts and
the provider's own record say the same.
"""

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

import structlog
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from followup.domain.audit import Door, Flaw, Walk, is_same
from followup.domain.spoken import iso
from followup.errors import Fault, FollowupError, Invalid
from followup.store import entries
from followup.store.db import reading, transaction
from followup.store.models import AuditEntry

log = structlog.get_logger()

#: Entries, and the rows that they speak of, looked at in one go.
BATCH = 500
#: Rows without an entry are named up to that many of each table.
NAMED = 20

_NOTED = re.compile(r"(\d{1,18}):([0-9a-f]{16,64})")


def note(
    engine: Engine,
    now: datetime,
    verb: str,
    *,
    by: str,
    door: Door,
    lead_id: uuid.UUID | None = None,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Somebody saw something; committed before it is shown. `facts`: ids and counts alone."""
    with transaction(engine) as session:
        entries.add_entry(
            session, at=now, verb=verb, by=by, door=door, lead_id=lead_id, facts=facts
        )


def seal(engine: Engine, now: datetime) -> int:
    """Put all that was committed into the chain. Returns how many entries."""
    with reading(engine) as session:
        if not entries.has_unsealed(session):
            return 0
    count = 0
    while sealed := _seal_batch(engine, now):
        count += sealed
    return count


def _seal_batch(engine: Engine, now: datetime) -> int:
    with transaction(engine) as session:
        return entries.seal(session, now)


def tell_head(engine: Engine) -> None:
    """In the log, which is kept elsewhere: who then cuts the chain short has to change that too."""
    with reading(engine) as session:
        head = entries.get_head(session)
        log.info("the audit trail ends here", head=f"{head.position}:{head.seal}")


@dataclass(frozen=True)
class Verdict:
    """What was looked at, where the chain ends, and everything that is not as it was written."""

    entries: int
    rows: int
    #: As `--head` takes it, and as it is to be noted somewhere else.
    head: str
    flaws: Sequence[Flaw]


def verify(engine: Engine, now: datetime, noted: str | None = None) -> Verdict:
    """Walk the whole chain and compare every row of evidence with what the trail knows of it.

    `noted`: a head that was printed before and must still be in the chain.
    """
    position, start = _read_noted(noted)
    flaws: list[Flaw] = []
    try:
        seal(engine, now)
        with reading(engine) as session:
            checked = _Checked(session)
            flaws += checked.run()
            if noted is not None:
                flaws += _compare_noted(session, position, start)
            flaws += _unaccounted(session)
    except FollowupError as error:
        return Verdict(0, 0, "", [*flaws, Flaw("head", str(error))])
    return Verdict(checked.entries, checked.rows, checked.head, flaws)


def _read_noted(noted: str | None) -> tuple[int, str]:
    if noted is None:
        return 0, ""
    match = _NOTED.fullmatch(noted.strip().lower())
    if match is None:
        raise Invalid(Fault("--head", "expected what `followup audit verify` printed, as 12:9f3a…"))
    return int(match[1]), match[2]


def _compare_noted(session: Session, position: int, start: str) -> Iterator[Flaw]:
    seal = entries.find_seal(session, position)
    if seal is None or not is_same(seal[: len(start)], start):
        yield Flaw(f"entry {position}", "is not the one that was noted as head")


class _Checked:
    """One look at everything, in one transaction that reads."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.entries = self.rows = 0
        self.head = ""

    def run(self) -> Iterator[Flaw]:
        head = entries.get_head(self._session)
        self.head = f"{head.position}:{head.seal}"
        walk = Walk(entries.chain_key(self._session))
        after = 0
        while batch := entries.list_positions(self._session, after, BATCH):
            after = batch[-1]
            self.entries += len(batch)
            yield from self._check(batch, walk)
            self._session.expunge_all()
        yield from walk.end(head.position, head.seal, head.mac)

    def _check(self, positions: Sequence[int], walk: Walk) -> Iterator[Flaw]:
        about_rows = []
        for position, entry in entries.read_entries(self._session, positions):
            if entry is None:
                yield from walk.step(position, None)
                continue
            values = entries.values_of(entry)
            yield from walk.step(position, values, entry.mac, entry.seal or "")
            if entry.row_id is not None and entry.row_table in entries.EVIDENCE:
                about_rows.append(entry)
        yield from self._check_rows(about_rows)

    def _check_rows(self, about: Sequence[AuditEntry]) -> Iterator[Flaw]:
        last = entries.last_positions(self._session, [one.row_id for one in about if one.row_id])
        newest = [one for one in about if one.row_id and last.get(one.row_id) == one.position]
        newest.sort(key=lambda one: str(one.row_table))
        for table, group in groupby(newest, key=lambda one: str(one.row_table)):
            of_table = {one.row_id: one for one in group if one.row_id}
            found = entries.read_rows(self._session, table, of_table)
            self.rows += len(found)
            for row_id, entry in of_table.items():
                says = self._compare(entry, found[row_id]) if row_id in found else _absent(entry)
                if says:
                    yield Flaw(f"{table} {row_id}", says)

    def _compare(self, entry: AuditEntry, row: entries.Evidence | None) -> str:
        if row is None:
            return "cannot be read any more"
        if entry.digest is None:
            return f"is there, though entry {entry.position} says that it was pruned"
        if is_same(entry.digest, entries.digest_of(self._session, row)):
            return ""
        return f"was changed since entry {entry.position} ({entry.verb})"


def _absent(entry: AuditEntry) -> str:
    return "" if entry.digest is None else f"missing; entry {entry.position} ({entry.verb}) has it"


def _unaccounted(session: Session) -> Iterator[Flaw]:
    for table in entries.EVIDENCE:
        for row_id in entries.list_unaccounted(session, table, NAMED):
            yield Flaw(f"{table} {row_id}", "no entry speaks of this row")


def show_entry(entry: AuditEntry) -> dict[str, Any]:
    return {
        "position": entry.position,
        "at": iso(entry.at),
        "verb": entry.verb,
        "by": entry.by,
        "door": entry.door.value,
        "lead_id": str(entry.lead_id) if entry.lead_id else None,
        "row": f"{entry.row_table} {entry.row_id}" if entry.row_id else None,
        "facts": entry.facts,
    }
