"""Rows of `staff`: who may act, and by which token."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
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
