"""Rows of `staff`: who may act, and by which token."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from followup.store.models import Person

_EVERYBODY = "everybody of the staff"


def add_person(session: Session, **values: Any) -> Person:
    session.info.pop(_EVERYBODY, None)
    person = Person(**values)
    session.add(person)
    session.flush()
    return person


def find_by_name(session: Session, name: str) -> Person | None:
    return session.scalars(select(Person).where(Person.name == name)).first()


def find_by_token(session: Session, token_hash: str) -> Person | None:
    """The person, unless disabled."""
    statement = select(Person).where(Person.token_hash == token_hash, Person.disabled_at.is_(None))
    return session.scalars(statement).first()


def list_people(session: Session, *, active: bool = False) -> Sequence[Person]:
    """Read once in a session, because each reminder that is planned asks."""
    everybody: Sequence[Person] | None = session.info.get(_EVERYBODY)
    if everybody is None:
        everybody = session.scalars(select(Person).order_by(Person.id)).all()
        session.info[_EVERYBODY] = everybody
    return [one for one in everybody if one.disabled_at is None] if active else everybody


def disable(person: Person, now: datetime) -> None:
    """Their token stops working with the commit; their name stays on what they did."""
    person.disabled_at = person.disabled_at or now


def get_person(session: Session, person_id: uuid.UUID) -> Person:
    return session.get_one(Person, person_id, populate_existing=True)


def lock_admins(session: Session, role: str) -> Sequence[Person]:
    """Those who have the role and are not disabled, as it is committed; nobody else changes them
    until the transaction ends."""
    statement = (
        select(Person)
        .where(Person.role == role, Person.disabled_at.is_(None))
        .order_by(Person.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return session.scalars(statement).all()


def find_person(session: Session, person_id: uuid.UUID) -> Person | None:
    return session.get(Person, person_id)


def use_totp_step(session: Session, person_id: uuid.UUID, step: int) -> bool:
    """False when a code of that period, or of a later one, was used before."""
    is_unused = or_(Person.totp_step.is_(None), Person.totp_step < step)
    statement = update(Person).where(Person.id == person_id, is_unused).values(totp_step=step)
    return session.execute(statement).rowcount == 1  # type: ignore[attr-defined, no-any-return]
