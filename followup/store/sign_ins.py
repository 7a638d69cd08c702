"""Rows of `sign_ins`: browsers in which somebody of the staff signed in."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from followup.store.models import Person, SignIn


def add_sign_in(session: Session, person: Person, token_hash: str, at: datetime) -> SignIn:
    made = SignIn(person_id=person.id, token_hash=token_hash, begun_at=at, seen_at=at)
    session.add(made)
    session.flush()
    return made


def find_sign_in(session: Session, token_hash: str) -> tuple[SignIn, Person] | None:
    """The one that has not been ended, with its person, unless disabled."""
    statement = (
        select(SignIn, Person)
        .join(Person, Person.id == SignIn.person_id)
        .where(
            SignIn.token_hash == token_hash,
            SignIn.ended_at.is_(None),
            Person.disabled_at.is_(None),
        )
    )
    found = session.execute(statement).first()
    return (found[0], found[1]) if found else None


def list_sign_ins(
    session: Session,
    person_id: uuid.UUID | None = None,
    *,
    seen_since: datetime,
    begun_since: datetime,
) -> Sequence[SignIn]:
    """Those of a person, or of everybody, that are not over, the latest first."""
    statement = (
        select(SignIn)
        .where(
            SignIn.ended_at.is_(None),
            SignIn.seen_at > seen_since,
            SignIn.begun_at > begun_since,
        )
        .order_by(SignIn.seen_at.desc())
    )
    if person_id is not None:
        statement = statement.where(SignIn.person_id == person_id)
    return session.scalars(statement).all()


def touch(session: Session, sign_in_id: uuid.UUID, at: datetime) -> None:
    session.execute(update(SignIn).where(SignIn.id == sign_in_id).values(seen_at=at))


def end(
    session: Session,
    person_id: uuid.UUID,
    at: datetime,
    *,
    only: uuid.UUID | None = None,
    but: uuid.UUID | None = None,
) -> int:
    """End a person's sign-ins, or `only` one, or all `but` one. Returns how many."""
    statement = update(SignIn).where(SignIn.person_id == person_id, SignIn.ended_at.is_(None))
    if only is not None:
        statement = statement.where(SignIn.id == only)
    if but is not None:
        statement = statement.where(SignIn.id != but)
    return session.execute(statement.values(ended_at=at)).rowcount  # type: ignore[attr-defined, no-any-return]


def forget(session: Session, before: datetime) -> None:
    """Those that were over by then; the audit trail keeps that they were."""
    is_over = or_(SignIn.ended_at < before, SignIn.begun_at < before)
    session.execute(delete(SignIn).where(is_over))
