"""Takes leads from a spreadsheet: each row once, through the same door as every submission.

Its rows are of the past. So nobody is written to because of them, unless whoever imports says so:
no patient is thanked for what was sent long ago, and no phone of the staff rings two hundred times.
The leads are open, and stand on the board.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from followup.clinic import Clinic
from followup.clinic_sources import Naming
from followup.domain.cadence import Audience, Channel
from followup.domain.foreign import Given, Translated, translate
from followup.domain.plain import plain_words
from followup.domain.sheet import Row, Sheet
from followup.domain.submission import Kind, read_submission
from followup.errors import Fault, Invalid, Misconfigured
from followup.services import intake
from followup.services.arriving import AUDIENCES
from followup.services.planning import Planner
from followup.store import leads, submissions
from followup.store.db import reading
from followup.toml_file import key_path, problems_of, read_toml

SOURCE = "import"


@dataclass(frozen=True)
class Examined:
    """One row as it is understood, before anything is taken."""

    row: Row
    #: None: refused, for the faults.
    translated: Translated | None
    faults: tuple[Fault, ...] = ()
    #: It was imported before, or stands above it in the same file.
    is_duplicate: bool = False
    #: Leads that have its email or phone.
    known: tuple[str, ...] = ()

    @property
    def is_welcome(self) -> bool:
        return self.translated is not None and not self.is_duplicate


def read_naming(path: Path, clinic: Clinic, kind: Kind) -> Naming:
    """A file of `[fields]` and `[consent]`, as `[[sources]]` have them. Raises Misconfigured."""
    try:
        naming = Naming.model_validate(read_toml(path))
    except ValidationError as error:
        location, problem = problems_of(error)[0]
        raise Misconfigured(f"{path}: {key_path(location)}: {problem}") from None
    if naming.consent is not None:
        texts = clinic.get_form(kind).consent_texts
        if naming.consent.text_version not in texts:
            known = ", ".join(sorted(texts))
            raise Misconfigured(f"{path}: consent.text_version: expected one of {known}")
    return naming


def examine(
    engine: Engine, planner: Planner, kind: Kind, sheet: Sheet, naming: Naming
) -> list[Examined]:
    """Every row as it would be taken. Raises Invalid for a column that is not there."""
    columns = set(map(plain_words, sheet.columns))
    missing = [name for name in _named(naming) if plain_words(name) not in columns]
    if missing:
        problem = f"the file has no such column; it has {', '.join(sheet.columns)}"
        raise Invalid(*(Fault(name, problem) for name in missing))
    seen: set[str] = set()
    with reading(engine) as session:
        return [_examine(session, planner, kind, row, naming, seen) for row in sheet.rows]


def _named(naming: Naming) -> Iterator[str]:
    for theirs in naming.fields.values():
        yield from (one for one in theirs if "=" not in one)
    if naming.consent is not None:
        yield naming.consent.field


def _examine(
    session: Session, planner: Planner, kind: Kind, row: Row, naming: Naming, seen: set[str]
) -> Examined:
    key = _key(row)
    hashes = intake.key_hashes(planner.keyring, kind, key)
    is_duplicate = key in seen or submissions.find_by_key(session, hashes) is not None
    seen.add(key)
    given = [Given(column, cell) for column, cell in row.cells]
    try:
        translated = translate(kind, given, naming.rules, sites=planner.clinic.sites_by_words)
    except Invalid as error:
        return Examined(row, None, error.faults, is_duplicate)
    known = _known(session, planner, kind, translated)
    return Examined(row, translated, is_duplicate=is_duplicate, known=known)


def _known(
    session: Session, planner: Planner, kind: Kind, translated: Translated
) -> tuple[str, ...]:
    form = read_submission(kind, translated.payload)
    addresses = ((Channel.email, form.email), (Channel.sms, form.phone))
    hashes = [text for channel, one in addresses if one for text in planner.hashes_of(channel, one)]
    return tuple(one.reference for one in leads.list_by_address(session, hashes, limit=3))


def take(
    engine: Engine,
    clinic: Clinic,
    kind: Kind,
    examined: Sequence[Examined],
    *,
    audiences: Sequence[Audience],
    by: str,
    now: datetime,
) -> int:
    """Keep the rows that are welcome, each committed by itself. Returns how many; an import that
    was cut short is begun again, and takes the rest."""
    count = 0
    for one in examined:
        if one.translated is None or one.is_duplicate:
            continue
        received = intake.receive(
            engine,
            clinic,
            kind,
            one.translated.payload,
            now=now,
            source=SOURCE,
            idempotency_key=_key(one.row),
            content=_content(one.row),
            evidence={
                AUDIENCES: [audience.value for audience in audiences],
                "imported_by": by,
                "line": one.row.line,
            },
        )
        count += received.is_new
    return count


def _key(row: Row) -> str:
    """Of what the row says, wherever it stands and whatever its columns are read as."""
    digest = hashlib.sha256(json.dumps(_content(row)).encode()).hexdigest()
    return f"{SOURCE}\n{digest}"


def _content(row: Row) -> list[tuple[str, str]]:
    return sorted(cell for cell in row.cells if cell[1])
