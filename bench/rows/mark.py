"""Mark contacted, in the database, with a million reminders planned."""

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

from sqlalchemy import Engine, select

from bench.databases import DatabaseKind
from bench.figures import Line, Row, percentile
from bench.rounds import interleave
from bench.stage import Stage
from followup.domain.lead import LeadStatus
from followup.services import working
from followup.store.db import reading, transaction
from followup.store.models import Lead

ROW = Row(
    "mark",
    "mark contacted with 1,000,000 planned, in the database",
    "services.working.mark_contacted from begin to commit, of leads at random one after the other",
)

KINDS: tuple[DatabaseKind, ...] = ("postgresql", "sqlite")
MARKS = 200


def measure(stage: Stage) -> Sequence[Line]:
    with ExitStack() as stack:
        contestants = {}
        for kind in KINDS:
            url = stage.make_database(kind, stage.crowd)
            engine = stack.enter_context(stage.databases.opened(url))
            leads = _shuffled(engine)
            _mark(engine, leads)
            contestants[str(kind)] = partial(_mark, engine, leads)
        rounds = interleave(contestants, count=stage.rounds)
    return list(_lines({kind: rounds.of(kind) for kind in contestants}, rounds.note))


def _lines(marks: Mapping[str, Sequence[Sequence[float]]], note: str) -> Iterator[Line]:
    for kind, rounds in marks.items():
        for share, goal in ((0.5, None), (0.99, 10.0)):
            samples = [percentile(one, share) for one in rounds]
            yield Line(f"{kind}, p{share * 100:.0f}", samples, "ms", at_most=goal, note=note)


def _shuffled(engine: Engine) -> Iterator[UUID]:
    with reading(engine) as session:
        ids = list(session.scalars(select(Lead.id).where(Lead.status == LeadStatus.open)))
    random.shuffle(ids)
    return iter(ids)


def _mark(engine: Engine, leads: Iterator[UUID]) -> list[float]:
    """Milliseconds that each mark took."""
    took = []
    for _ in range(MARKS):
        lead_id = next(leads)
        began = time.monotonic()
        with transaction(engine) as session:
            marked = working.mark_contacted(session, lead_id, by="Ann", now=datetime.now(UTC))
        took.append((time.monotonic() - began) * 1000)
        assert marked.cancelled
    return took
