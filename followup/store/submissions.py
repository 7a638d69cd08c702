"""Rows of `submissions`: kept as received, claimed once to be consumed."""

import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Table, func, insert, select, text, update
from sqlalchemy.orm import Session

from followup.store.db import new_id
from followup.store.models import Submission
from followup.store.words import SubmissionStatus, said

_ACCEPTED = said(SubmissionStatus.accepted)


#: So many are counted one by one.
FEW = 10_000

_ADDING = insert(cast(Table, Submission.__table__))


def add_submission(session: Session, **values: Any) -> uuid.UUID:
    """Keep what came in. Returns its id."""
    submission_id = new_id()
    kept = {"id": submission_id, "failures": 0, **values}
    session.connection().execute(_ADDING, kept)
    return submission_id


def find_by_key(session: Session, key_hashes: Sequence[str]) -> Submission | None:
    statement = select(Submission).where(Submission.key_hash.in_(key_hashes))
    return session.scalars(statement).first()


def find_submission(
    session: Session, submission_id: uuid.UUID, *, lock: bool = False
) -> Submission | None:
    return session.get(
        Submission, submission_id, with_for_update=lock or None, populate_existing=lock
    )


def claim_unconsumed(session: Session, now: datetime, limit: int) -> Sequence[Submission]:
    """The oldest that may be consumed now, locked until the transaction ends."""
    statement = (
        select(Submission)
        .where(Submission.status == _ACCEPTED, Submission.due_at <= now)
        .order_by(Submission.due_at, Submission.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return session.scalars(statement).all()


def list_of_lead(session: Session, lead_id: uuid.UUID) -> Sequence[Submission]:
    statement = select(Submission).where(Submission.lead_id == lead_id).order_by(Submission.id)
    return session.scalars(statement).all()


def count_of_lead(session: Session, lead_id: uuid.UUID) -> int:
    statement = select(func.count()).where(Submission.lead_id == lead_id)
    return session.execute(statement).scalar_one()


def last_received_at(session: Session, lead_id: uuid.UUID) -> datetime | None:
    """When the newest submission of the lead came in."""
    statement = select(func.max(Submission.received_at)).where(Submission.lead_id == lead_id)
    return session.execute(statement).scalar_one()


def list_problems(session: Session, limit: int = 100) -> Sequence[Submission]:
    statement = (
        select(Submission)
        .where(Submission.status == said(SubmissionStatus.problem))
        .order_by(Submission.id)
        .limit(limit)
    )
    return session.scalars(statement).all()


def count_problems(session: Session) -> int:
    statement = select(func.count()).where(Submission.status == said(SubmissionStatus.problem))
    return session.execute(statement).scalar_one()


def list_spam(
    session: Session, before: uuid.UUID | None = None, limit: int = 50
) -> Sequence[Submission]:
    """What was caught at the door, the newest first; `before` is the id to go on from."""
    statement = (
        select(Submission)
        .where(Submission.status == said(SubmissionStatus.spam))
        .order_by(Submission.id.desc())
        .limit(limit)
    )
    if before is not None:
        statement = statement.where(Submission.id < before)
    return session.scalars(statement).all()


def count_by_status(session: Session) -> dict[SubmissionStatus, int]:
    """Exactly, but for those that were consumed, which may be all: of a large table as many as the
    database believes that there are (PostgreSQL), or that there ever were (SQLite)."""
    counted: Counter[SubmissionStatus] = Counter(
        {
            status: session.scalar(select(func.count()).where(Submission.status == said(status)))
            for status in SubmissionStatus
            if status is not SubmissionStatus.consumed
        }
    )
    some = select(Submission.id).where(Submission.status == said(SubmissionStatus.consumed))
    few = session.scalar(select(func.count()).select_from(some.limit(FEW).subquery())) or 0
    many = _estimated(session) - counted.total() if few == FEW else 0
    counted[SubmissionStatus.consumed] = max(few, many)
    return dict(+counted)


def _estimated(session: Session) -> int:
    guess = {
        "postgresql": "SELECT reltuples::bigint FROM pg_class WHERE oid = 'submissions'::regclass",
        "sqlite": "SELECT max(rowid) FROM submissions",
    }
    return session.scalar(text(guess[session.get_bind().dialect.name])) or 0


def retry_problems(session: Session, now: datetime, submission_id: uuid.UUID | None) -> int:
    """Hand the problems, or the one given, to the consumer again. Returns how many."""
    statement = (
        update(Submission)
        .where(Submission.status == said(SubmissionStatus.problem))
        .values(status=SubmissionStatus.accepted, due_at=now, problem=None)
    )
    if submission_id is not None:
        statement = statement.where(Submission.id == submission_id)
    return session.execute(statement).rowcount  # type: ignore[attr-defined, no-any-return]


def oldest_unconsumed(session: Session, now: datetime) -> datetime | None:
    """Since when the oldest submission waits that could have been consumed."""
    statement = select(func.min(Submission.due_at)).where(
        Submission.status == _ACCEPTED, Submission.due_at <= now
    )
    return session.execute(statement).scalar_one()


def newest_received_at(session: Session) -> datetime | None:
    """When the last submission of all came in."""
    # By id, which is in the order of arrival and has an index.
    statement = select(Submission.received_at).order_by(Submission.id.desc()).limit(1)
    return session.scalars(statement).first()
