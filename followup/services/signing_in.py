"""Who is at the browser: passwords, codes, and the sign-ins that they begin.

A sign-in is a random token in a cookie, whose hash is a row: it can be ended from elsewhere, and
ends by itself. Real time throughout: a demo's fast clock must not sign anybody out.
"""

import hashlib
import hmac
import re
import secrets
import threading
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

import pyotp
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from followup.clinic_limits import SigningIn
from followup.domain.audit import Door
from followup.domain.suspicion import window_of
from followup.errors import Conflict, Denied, Fault, Invalid, TooMany
from followup.services import staffing
from followup.services.staffing import folded
from followup.store import entries, intake_counts, people, sign_ins
from followup.store.crypto import keyring_of
from followup.store.db import reading, real_now, transaction
from followup.store.models import Person, SignIn

#: OWASP's Password Storage Cheat Sheet, for argon2id: 19 MiB, two passes, one lane.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
#: So many are reckoned at once: each takes 19 MiB and a processor.
_RECKONING = threading.BoundedSemaphore(2)
#: For a name that nobody has: the answer must not come sooner.
_NOBODY = _HASHER.hash(secrets.token_urlsafe(16))

#: NIST SP 800-63B: length is what counts; at least 64 must be allowed.
PASSWORD_LENGTHS = range(12, 201)

#: Attempts in which a name, and an address, may fail.
WINDOW = timedelta(minutes=15)
PER_NAME, PER_ADDRESS = 10, 60

#: What was last done is noted that often: not every page that is opened is a write.
TOUCH_EVERY = timedelta(seconds=30)

#: As `new_totp_secret` makes them: 160 bits in base32.
_SECRET = re.compile("[A-Z2-7]{32}")
#: Codes of the periods before and after are taken: phones' clocks are not exact (RFC 6238 §5.2).
_PERIODS_OFF = 1
_PERIOD_SECONDS = 30


@dataclass(frozen=True)
class SignedIn:
    """Somebody of the staff, in a browser."""

    person: Person
    sign_in: SignIn
    #: What the forms of this sign-in carry, so that no other site's form can act in it.
    csrf: str


def sign_in(
    engine: Engine, *, name: str, password: str, code: str, address: str, now: datetime
) -> str:
    """Begin a sign-in; returns the token for the cookie. `name` may be the person's email.

    Raises Denied, and TooMany after `PER_NAME` attempts of a name in `WINDOW`, or `PER_ADDRESS` of
    an address. Both failures and successes are in the audit trail.
    """
    with transaction(engine) as session:
        _count(session, ("name", folded(name), PER_NAME), ("address", address, PER_ADDRESS))
    with reading(engine) as session:
        person = _find(session, name)
        secret = person.totp_secret if person else None
    is_right = _matches(person.password_hash if person else None, password)
    with transaction(engine) as session:
        step = _step_of(secret, code, real_now(session)) if secret else None
        if person is None or not is_right or (secret and not _use(session, person, step)):
            _note(session, person, "sign-in refused", now)
            refused = True
        else:
            refused = False
            token = _begin(session, person)
            _note(session, person, "signed in", now)
    if refused:
        raise Denied("name, password or code is not right")
    return token


def _count(session: Session, *attempts: tuple[str, str, int]) -> None:
    """One more attempt by each of what it is known by; committed before anything is looked at."""
    keyring = keyring_of(session.connection().engine)
    now = real_now(session)
    begun_at = window_of(now, WINDOW)
    most = {keyring.hash(f"sign-in {kind}\n{value}"): limit for kind, value, limit in attempts}
    counted = intake_counts.add(session, {(likeness, begun_at): 1 for likeness in most})
    if any(counted[likeness, begun_at] > limit for likeness, limit in most.items()):
        raise TooMany(begun_at + WINDOW - now, "attempts to sign in")


def _find(session: Session, name: str) -> Person | None:
    wanted = folded(name)
    return next(
        (
            person
            for person in people.list_people(session, active=True)
            if wanted in (folded(person.name), folded(person.email or person.name))
        ),
        None,
    )


def _matches(kept: str | None, password: str) -> bool:
    with _RECKONING:
        try:
            return _HASHER.verify(kept or _NOBODY, password) and kept is not None
        except (VerificationError, InvalidHashError):
            return False


def _step_of(secret: str, code: str, now: datetime) -> int | None:
    """Which period the code is of; None for a wrong one."""
    digits = "".join(code.split())
    this = int(now.timestamp()) // _PERIOD_SECONDS
    totp = pyotp.TOTP(secret)
    for step in range(this - _PERIODS_OFF, this + _PERIODS_OFF + 1):
        if hmac.compare_digest(totp.generate_otp(step).encode(), digits.encode()):
            return step
    return None


def _use(session: Session, person: Person, step: int | None) -> bool:
    """False for a code that was used before (RFC 6238 §5.2)."""
    return step is not None and people.use_totp_step(session, person.id, step)


def _begin(session: Session, person: Person) -> str:
    token = secrets.token_urlsafe(32)
    sign_ins.add_sign_in(session, person, _hash(token), real_now(session))
    return token


def _note(session: Session, person: Person | None, verb: str, now: datetime) -> None:
    by = person.name if person else "somebody unknown"
    entries.add_entry(session, at=now, verb=verb, by=by, door=Door.page)


def find_signed_in(
    engine: Engine, token: str, rules: SigningIn, *, acts: bool = True
) -> SignedIn | None:
    """Who is signed in with that cookie; None when nobody is any more.

    `acts` says that somebody did something; a page that only asks what is new does not keep the
    sign-in alive.
    """
    with reading(engine) as session:
        found = sign_ins.find_sign_in(session, _hash(token)) if token else None
        if found is None:
            return None
        made, person = found
        now = real_now(session)
    if now - made.seen_at >= rules.idle or now - made.begun_at >= rules.longest:
        return None
    if acts and now - made.seen_at >= TOUCH_EVERY:
        with transaction(engine) as session:
            sign_ins.touch(session, made.id, now)
    return SignedIn(person, made, _csrf(token))


def is_csrf(signed_in: SignedIn, given: str) -> bool:
    return hmac.compare_digest(signed_in.csrf.encode(), given.encode())


def _csrf(token: str) -> str:
    return hashlib.sha256(f"csrf\n{token}".encode()).hexdigest()


def sign_out(engine: Engine, signed_in: SignedIn, now: datetime) -> None:
    with transaction(engine) as session:
        person = signed_in.person
        sign_ins.end(session, person.id, real_now(session), only=signed_in.sign_in.id)
        _note(session, person, "signed out", now)


def end_others(engine: Engine, signed_in: SignedIn, now: datetime) -> None:
    """Sign the person out of every other browser."""
    with transaction(engine) as session:
        person = signed_in.person
        sign_ins.end(session, person.id, real_now(session), but=signed_in.sign_in.id)
        _note(session, person, "signed out elsewhere", now)


def count_others(engine: Engine, signed_in: SignedIn, rules: SigningIn) -> int:
    """In how many other browsers the person is signed in."""
    with reading(engine) as session:
        now = real_now(session)
        found = sign_ins.list_sign_ins(
            session,
            signed_in.person.id,
            seen_since=now - rules.idle,
            begun_since=now - rules.longest,
        )
    return sum(one.id != signed_in.sign_in.id for one in found)


@dataclass(frozen=True)
class Presence:
    """Where one of the staff is signed in."""

    browsers: int
    #: Since something was last done in one of them.
    idle: timedelta


def list_present(engine: Engine, rules: SigningIn) -> dict[uuid.UUID, Presence]:
    """Who is signed in now, by the person's id."""
    present: dict[uuid.UUID, Presence] = {}
    with reading(engine) as session:
        now = real_now(session)
        found = sign_ins.list_sign_ins(
            session, seen_since=now - rules.idle, begun_since=now - rules.longest
        )
    for one in found:
        known = present.get(one.person_id, Presence(0, now - one.seen_at))
        present[one.person_id] = Presence(known.browsers + 1, known.idle)
    return present


def welcome(engine: Engine, *, token: str, password: str, address: str, now: datetime) -> str:
    """Choose a password with the token that `followup staff add` or `staff token` showed, and be
    signed in. Codes are asked for no more, because whoever lost the phone has no other way.

    Returns the cookie's token. Raises Invalid for a password that is too short, Denied for a
    wrong token, TooMany.
    """
    with transaction(engine) as session:
        _count(session, ("address", address, PER_ADDRESS))
    with reading(engine) as session:
        person = staffing.find_by_token(session, token.strip())
    if person is None:
        with transaction(engine) as session:
            _note(session, None, "sign-in refused", now)
        raise Denied("this is nobody's token")
    kept = _hashed(password, person)
    with transaction(engine) as session:
        person = people.get_person(session, person.id)
        person.password_hash, person.totp_secret, person.totp_step = kept, None, None
        sign_ins.end(session, person.id, real_now(session))
        _note(session, person, "password chosen", now)
        return _begin(session, person)


def change_password(
    engine: Engine, signed_in: SignedIn, *, old: str, new: str, now: datetime
) -> None:
    """Every other browser is signed out. Raises Denied, Invalid, TooMany."""
    _confirm(engine, signed_in.person, old, now)
    kept = _hashed(new, signed_in.person)
    with transaction(engine) as session:
        person = people.get_person(session, signed_in.person.id)
        person.password_hash = kept
        sign_ins.end(session, person.id, real_now(session), but=signed_in.sign_in.id)
        _note(session, person, "password changed", now)


def _confirm(engine: Engine, person: Person, password: str, now: datetime) -> None:
    """That it is the person who sits at their browser. Raises Denied, TooMany."""
    with transaction(engine) as session:
        _count(session, ("name", folded(person.name), PER_NAME))
    if not _matches(person.password_hash, password):
        with transaction(engine) as session:
            _note(session, person, "password refused", now)
        raise Denied("the password is not right")


def _hashed(password: str, person: Person) -> str:
    if len(password) not in PASSWORD_LENGTHS:
        shortest, longest = PASSWORD_LENGTHS[0], PASSWORD_LENGTHS[-1]
        raise Invalid(Fault("password", f"must have {shortest} to {longest} characters"))
    if folded(password) in (folded(person.name), folded(person.email or "")):
        raise Invalid(Fault("password", "must not be your name or your email address"))
    with _RECKONING:
        return _HASHER.hash(password)


def new_totp_secret() -> str:
    return pyotp.random_base32()


def totp_url(secret: str, person: Person, clinic_name: str) -> str:
    """What an authenticator app reads as a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=person.name, issuer_name=clinic_name)


def begin_codes(engine: Engine, person: Person, secret: str, code: str, now: datetime) -> None:
    """From now on a code is asked for. Raises Invalid unless the app shows the right one, and
    Conflict where one is asked for already: those end first."""
    if not _SECRET.fullmatch(secret):
        raise Invalid(Fault("secret", "must be one that we have made"))
    with transaction(engine) as session:
        step = _step_of(secret, code, real_now(session))
        if step is None:
            raise Invalid(Fault("code", "is not the one that the app shows now"))
        person = people.get_person(session, person.id)
        if person.totp_secret is not None:
            raise Conflict("codes are asked for already")
        person.totp_secret, person.totp_step = secret, step
        _note(session, person, "codes begun", now)


def end_codes(engine: Engine, person: Person, password: str, now: datetime) -> None:
    """Raises Denied, TooMany: a browser that was left open must not end them."""
    _confirm(engine, person, password, now)
    with transaction(engine) as session:
        person = people.get_person(session, person.id)
        person.totp_secret = person.totp_step = None
        _note(session, person, "codes ended", now)


def _hash(token: str) -> str:
    """The token has 256 random bits, so a fast hash cannot be guessed backwards."""
    return hashlib.sha256(token.encode()).hexdigest()
