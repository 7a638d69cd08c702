"""Who of the staff may act: people, their roles and their tokens. Each change is in the trail."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy.orm import Session

from followup.domain.address import email_key, normal_email, parse_phone
from followup.domain.audit import Door
from followup.domain.cadence import Channel
from followup.domain.delivery import Reason
from followup.errors import Conflict, Fault, Invalid, NotFound
from followup.store import deliveries, entries, people, sign_ins
from followup.store.crypto import Keyring, keyring_of
from followup.store.db import real_now
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
    # By either's name they sign in, in whatever case it is typed.
    if folded(name) in {folded(one.name) for one in people.list_people(session)}:
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


def folded(text: str) -> str:
    """A name or an address, as people may type it to sign in."""
    return " ".join(text.split()).casefold()


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


def change_person(
    session: Session,
    name: str,
    now: datetime,
    *,
    role: StaffRole | None = None,
    email: str | None = None,
    phone: str | None = None,
    by: str = "",
    door: Door = Door.service,
) -> Person:
    """Another role or address, "" for none any more; what is None stays.

    What was planned for an address goes to the new one. Raises Invalid for a bad address, Conflict
    for who is disabled, and for the last admin's role.
    """
    person = _get(session, name)
    if person.disabled_at is not None:
        raise Conflict(f"{name} is disabled")
    email = person.email if email is None else normal_email(email) if email.strip() else None
    phone = person.phone if phone is None else parse_phone(phone).e164 if phone.strip() else None
    role = role or StaffRole(person.role)
    changes = {
        "role": role.value != person.role,
        "email": email != person.email,
        "phone": phone != person.phone,
    }
    if not any(changes.values()):
        return person
    if role is not StaffRole.admin:
        _spare_last_admin(session, person)
    person.role = role.value
    keyring = keyring_of(session.connection().engine)
    if changes["email"]:
        key, old = email_key(email) if email else None, person.email
        person.email = email
        _redirect(session, keyring, person, Channel.email, email_key(old) if old else None, key)
    if changes["phone"]:
        old, person.phone = person.phone, phone
        person.phone_hash = keyring.hash(phone) if phone else None
        _redirect(session, keyring, person, Channel.sms, old, phone)
    facts = {"person": name, "changed": [one for one, is_new in changes.items() if is_new]}
    if changes["role"]:
        facts["role"] = role.value
    entries.add_entry(session, at=now, verb="staff changed", by=by, door=door, facts=facts)
    return person


def _redirect(
    session: Session,
    keyring: Keyring,
    person: Person,
    channel: Channel,
    old: str | None,
    new: str | None,
) -> None:
    """What was planned for the old address goes to the new one, where nobody has it yet."""
    if old is None:
        return
    hashes, address = keyring.hashes(old), person.address(channel)
    if new is not None and address is not None:
        digits = keyring.hash(new)
        deliveries.redirect_recipient(session, person.name, channel, hashes, address, digits)
        hashes = [one for one in hashes if one != digits]
    deliveries.cancel_recipient(session, person.name, hashes, Reason.superseded)


def reset_codes(
    session: Session, name: str, now: datetime, *, by: str = "", door: Door = Door.service
) -> Person:
    """Codes are asked for no more, until the person begins them anew: the phone is lost."""
    person = _get(session, name)
    if person.totp_secret is not None:
        person.totp_secret = person.totp_step = None
        facts = {"person": name}
        entries.add_entry(session, at=now, verb="codes reset", by=by, door=door, facts=facts)
    return person


def sign_out(
    session: Session, name: str, now: datetime, *, by: str = "", door: Door = Door.service
) -> Person:
    """Out of every browser, one that was lost among them; the password opens the pages again."""
    person = _get(session, name)
    if sign_ins.end(session, person.id, real_now(session)):
        facts = {"person": name}
        entries.add_entry(session, at=now, verb="staff signed out", by=by, door=door, facts=facts)
    return person


def disable(
    session: Session, name: str, now: datetime, *, by: str = "", door: Door = Door.service
) -> Person:
    """They may no longer act, and are alerted no more: what was planned for them is cancelled.

    Raises Conflict for the last admin.
    """
    person = _get(session, name)
    _spare_last_admin(session, person)
    people.disable(person, now)
    sign_ins.end(session, person.id, real_now(session))
    facts = {"person": name}
    entries.add_entry(session, at=now, verb="staff disabled", by=by, door=door, facts=facts)
    keyring = keyring_of(session.connection().engine)
    hashes = [
        *(keyring.hashes(email_key(person.email)) if person.email else ()),
        *(keyring.hashes(person.phone) if person.phone else ()),
    ]
    deliveries.cancel_recipient(session, person.name, hashes, Reason.staff_left)
    return person


def _spare_last_admin(session: Session, person: Person) -> None:
    """Of two admins who end each other's role at once, one stays."""
    if [one.id for one in people.lock_admins(session, StaffRole.admin.value)] == [person.id]:
        raise Conflict(f"{person.name} is the last admin; make somebody else one first")


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
