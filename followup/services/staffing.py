"""Who of the staff may act: people, their roles and their tokens. Each change is in the trail."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy.orm import Session

from followup.domain.address import email_key, normal_email, parse_phone
from followup.domain.audit import Door
from followup.domain.delivery import Reason
from followup.errors import Conflict, Fault, Invalid, NotFound
from followup.store import deliveries, entries, people
from followup.store.crypto import Keyring, keyring_of
from followup.store.models import Person


class StaffRole(StrEnum):
    staff = "staff"
    manager = "manager"
    admin = "admin"


@dataclass(frozen=True)
class Credential:
    """A person with the token, which is shown this once and kept as a hash only."""

    person: Person
    token: str


def add_person(
    session: Session,
    keyring: Keyring,
    *,
    name: str,
    role: StaffRole,
    now: datetime,
    email: str | None = None,
    phone: str | None = None,
    by: str = "",
    door: Door = Door.service,
) -> Credential:
    """A new person of the staff. Raises Invalid for a bad address, Conflict for a taken name."""
    name = " ".join(name.split())
    if not 1 <= len(name) <= 200:
        raise Invalid(Fault("name", "must have 1 to 200 characters"))
    if people.find_by_name(session, name) is not None:
        raise Conflict(f"there is a person named {name} already")
    number = parse_phone(phone).e164 if phone else None
    token = _new_token()
    person = people.add_person(
        session,
        name=name,
        role=role.value,
        email=normal_email(email) if email else None,
        phone=number,
        phone_hash=keyring.hash(number) if number else None,
        token_hash=_hash(token),
        created_at=now,
    )
    facts = {"person": name, "role": role.value}
    entries.add_entry(session, at=now, verb="staff added", by=by, door=door, facts=facts)
    return Credential(person, token)


def renew_token(
    session: Session, name: str, now: datetime, *, by: str = "", door: Door = Door.service
) -> Credential:
    """A new token; the old one stops working with the commit."""
    person = _get(session, name)
    if person.disabled_at is not None:
        raise Conflict(f"{name} is disabled")
    token = _new_token()
    person.token_hash = _hash(token)
    facts = {"person": name}
    entries.add_entry(session, at=now, verb="token renewed", by=by, door=door, facts=facts)
    return Credential(person, token)


def disable(
    session: Session, name: str, now: datetime, *, by: str = "", door: Door = Door.service
) -> Person:
    """They may no longer act, and are alerted no more: what was planned for them is cancelled."""
    person = _get(session, name)
    people.disable(person, now)
    facts = {"person": name}
    entries.add_entry(session, at=now, verb="staff disabled", by=by, door=door, facts=facts)
    keyring = keyring_of(session.connection().engine)
    hashes = [
        *(keyring.hashes(email_key(person.email)) if person.email else ()),
        *(keyring.hashes(person.phone) if person.phone else ()),
    ]
    deliveries.cancel_recipient(session, person.name, hashes, Reason.staff_left)
    return person


def find_by_token(session: Session, token: str) -> Person | None:
    """Whose token it is; None for a wrong one and for a disabled person."""
    return people.find_by_token(session, _hash(token))


def _get(session: Session, name: str) -> Person:
    person = people.find_by_name(session, name)
    if person is None:
        raise NotFound(f"there is nobody named {name} among the staff")
    return person


def _new_token() -> str:
    return f"fu_{secrets.token_urlsafe(32)}"


def _hash(token: str) -> str:
    """The token has 256 random bits, so a fast hash cannot be guessed backwards."""
    return hashlib.sha256(token.encode()).hexdigest()
