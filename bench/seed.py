"""Fills a database as years of work would have left it: open leads with all that they are still
owed, closed ones with all that they were sent.

The bulk is made inside the database, by the same SQL on SQLite and on PostgreSQL, from one
ciphertext for all of a kind: a million rows in seconds. What a row is about to be sent from, `owe`
adds through the store's own functions, each with addresses of its own.
"""

import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, insert, text, update

from followup.domain.cadence import Audience, Channel, Lane
from followup.domain.delivery import Status
from followup.domain.lead import Role
from followup.domain.submission import Kind
from followup.services.planning import Planner
from followup.store.crypto import keyring_of
from followup.store.db import new_id, transaction
from followup.store.models import Delivery, Lead

#: What an open lead of the bulk is owed: the reminders of its cadence, to staff and to itself.
OWED_EACH = 4
#: Nothing of the bulk falls due while a bench runs.
FIRST_DUE_AFTER = timedelta(hours=6)
#: The weeks over which the bulk falls due.
SPREAD = timedelta(days=30)
#: How long ago the people of `owe` wrote: past the last early reminder, so that what follows a
#: reminder is not due within a bench.
WROTE_BEFORE = timedelta(minutes=90)
#: Rows of one INSERT of `owe`.
AT_ONCE = 1000
#: Of SQLite, while the bulk is made; the next connection has the store's own again.
_CARELESS = ("journal_mode=OFF", "synchronous=OFF", "foreign_keys=OFF", "cache_size=-500000")
_TABLES = ("submissions", "leads", "deliveries", "decisions")


@dataclass(frozen=True)
class Crowd:
    """How many people are in the tables."""

    #: Who waits for a call; each is owed `OWED_EACH` reminders.
    open: int
    #: Who was called; each was sent as many, with a decision for each.
    closed: int

    @property
    def planned(self) -> int:
        return self.open * OWED_EACH


EMPTY = Crowd(open=0, closed=0)
MILLION = Crowd(open=250_000, closed=50_000)


def fill(engine: Engine, planner: Planner, crowd: Crowd, now: datetime) -> None:
    """Add the crowd to a database that has the schema. Leaves it analysed where the database would
    do so by itself."""
    values = _values(engine, planner, now)
    with _unguarded(engine) as connection, _without_indexes(connection):
        for name, count in (("open", crowd.open), ("closed", crowd.closed)):
            if count:
                for statement in _statements(connection.dialect.name, is_open=name == "open"):
                    connection.execute(text(statement), {**values, "last": count - 1})
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM (ANALYZE)"))


def owe(engine: Engine, planner: Planner, due: Sequence[datetime], now: datetime) -> list[str]:
    """One reminder to staff for each of the instants, of a lead of its own: mail and text by turns.
    Returns the references of the leads, which the messages name.

    Not to patients: a text of theirs would wait for a proper hour.
    """
    leads, deliveries = [], []
    for number, due_at in enumerate(due):
        lead = _lead(planner, number, now - WROTE_BEFORE)
        leads.append(lead)
        deliveries.append(_reminder(planner, lead, number, due_at))
    with transaction(engine) as session:
        for place in range(0, len(leads), AT_ONCE):
            for table, rows in ((Lead, leads), (Delivery, deliveries)):
                # Else rows with other columns empty would be inserted one by one.
                statement = insert(table).execution_options(render_nulls=True)
                session.execute(statement, rows[place : place + AT_ONCE])
    return [str(lead["reference"]) for lead in leads]


def make_due(engine: Engine, now: datetime) -> int:
    """Have all reminders of the bulk to staff, who are two to a lead, be due. Returns how many."""
    with transaction(engine) as session:
        statement = (
            update(Delivery)
            .where(Delivery.status == Status.planned, Delivery.audience == Audience.staff)
            .values(due_at=now, expires_at=now + timedelta(days=1))
        )
        return session.execute(statement).rowcount  # type: ignore[attr-defined, no-any-return]


def _lead(planner: Planner, number: int, wrote_at: datetime) -> dict[str, Any]:
    lead_id = new_id()
    email, phone = f"owed{number}-{lead_id.hex[:8]}@example.com", f"+1415555{number % 10_000:04}"
    return {
        "id": lead_id,
        "reference": f"O{lead_id.hex[-11:].upper()}",
        "kind": Kind.contact,
        "role": Role.patient,
        "cadence": "contact",
        "name": f"Alice Owed{number}",
        "email": email,
        "email_hash": planner.hash_address(Channel.email, email),
        "phone": phone,
        "phone_hash": planner.hash_address(Channel.sms, phone),
        "language": "en",
        "site": planner.clinic.default_site,
        "created_at": wrote_at,
        "arrived_at": wrote_at,
        "promised_at": wrote_at + planner.clinic.callback_promise,
    }


def _reminder(
    planner: Planner, lead: Mapping[str, Any], number: int, due_at: datetime
) -> dict[str, Any]:
    staff = planner.clinic.escalation[0]
    channel = (Channel.email, Channel.sms)[number % 2]
    address = str(staff.email if channel is Channel.email else staff.phone)
    return {
        "lead_id": lead["id"],
        "step": "reminder",
        "occurrence": 1,
        "audience": Audience.staff,
        "channel": channel,
        "lane": Lane.reminder,
        "recipient": address,
        "recipient_hash": planner.hash_address(channel, address),
        "recipient_name": staff.name,
        "status": Status.planned,
        "arrived_at": lead["arrived_at"],
        "due_at": due_at,
        "expires_at": due_at + timedelta(days=1),
    }


def _values(engine: Engine, planner: Planner, now: datetime) -> dict[str, Any]:
    """What the bulk's rows have in common, by the names that the SQL gives them."""
    encrypt = keyring_of(engine).encrypt
    staff = planner.clinic.escalation[0]
    is_sqlite = engine.dialect.name == "sqlite"
    return {
        "now": int(now.timestamp()) * 1_000_000 if is_sqlite else now,
        "site": planner.clinic.default_site,
        "name": encrypt(b"Alice Bulk"),
        "email": encrypt(b"bulk@example.com"),
        "phone": encrypt(b"+14155550199"),
        "payload": encrypt(b'{"name": "Alice Bulk", "message": "Please call me back."}'),
        "evidence": encrypt(b'{"address": "203.0.113.9"}'),
        "subject": encrypt(b"We have your request"),
        "body": encrypt(b"We have your request and will call you. " * 8),
        "staff_name": staff.name,
        "staff_email": encrypt(str(staff.email).encode()),
        "staff_email_hash": planner.hash_address(Channel.email, str(staff.email)),
        "staff_phone": encrypt(str(staff.phone).encode()),
        "staff_phone_hash": planner.hash_address(Channel.sms, str(staff.phone)),
    }


@contextmanager
def _unguarded(engine: Engine) -> Iterator[Connection]:
    """A transaction in which nothing is checked row by row, nor synced."""
    with engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            for pragma in _CARELESS:
                driver.execute(f"PRAGMA {pragma}")
        else:
            # No triggers, and so no foreign keys.
            connection.execute(text("SET LOCAL session_replication_role = replica"))
            connection.execute(text("SET LOCAL maintenance_work_mem = '512MB'"))
        yield connection
        connection.commit()
        # The pragmas must not outlive this.
        connection.invalidate()


@contextmanager
def _without_indexes(connection: Connection) -> Iterator[None]:
    """Made in one go afterwards, they are made several times as fast."""
    if connection.dialect.name == "sqlite":
        listed = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        table = "tbl_name"
    else:
        listed = (
            "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
            " AND indexname NOT IN (SELECT conname FROM pg_constraint)"
        )
        table = "tablename"
    names = ", ".join(f"'{name}'" for name in _TABLES)
    indexes = connection.execute(text(f"{listed} AND {table} IN ({names})")).all()
    for name, _ in indexes:
        connection.execute(text(f"DROP INDEX {name}"))
    yield
    for _, definition in indexes:
        connection.exec_driver_sql(definition)


#: The reminders that the cadence plans for everybody, by number.
_OWED = """owed(k, step, audience, channel, recipient, digest, recipient_name) AS (
    SELECT 0, 'reminder', 'staff', 'email', :staff_email, :staff_email_hash, :staff_name
    UNION ALL
    SELECT 1, 'reminder', 'staff', 'sms', :staff_phone, :staff_phone_hash, :staff_name
    UNION ALL
    SELECT 2, 'not-forgotten', 'patient', 'email', :email, NULL, NULL
    UNION ALL
    SELECT 3, 'not-forgotten', 'patient', 'sms', :phone, NULL, NULL)"""


@dataclass(frozen=True)
class _Dialect:
    """How a database writes what is made from the number `n` of a person. Ids of other people have
    another number `group`."""

    name: str
    group: int

    @property
    def reference(self) -> str:
        return f"'B{self.group}' || {self._digits('n', 8)}"

    @property
    def provider_id(self) -> str:
        return f"'SM' || {self._digits(f'n * {OWED_EACH} + k', 32)}"

    def id(self, table: int, number: str = "n") -> str:
        """A UUIDv7 of years ago, in the order of the number."""
        written = f"'018f{self.group:04x}{table:04x}70008000' || {self._digits(number, 12)}"
        return written if self.name == "sqlite" else f"({written})::uuid"

    def digest(self, of: str) -> str:
        """As long as a keyed hash, as unique, and as far from any order."""
        salt = zlib.crc32(f"{of}{self.group}".encode())
        # Knuth's multiplicative hash: an odd factor brings no two numbers to the same.
        scattered = self._digits(f"(n * 2654435761 + {salt}) % 4294967296", 8)
        return f"replace('--------', '-', {scattered})"

    def instant(self, seconds: str) -> str:
        """That many after now."""
        if self.name == "sqlite":
            return f":now + ({seconds}) * 1000000"
        return f"CAST(:now AS timestamptz) + ({seconds}) * interval '1 second'"

    @property
    def day(self) -> str:
        return "86400000000" if self.name == "sqlite" else "interval '1 day'"

    def json(self, value: str) -> str:
        return f"'{value}'" if self.name == "sqlite" else f"'{value}'::json"

    def _digits(self, number: str, length: int) -> str:
        if self.name == "sqlite":
            return f"printf('%0{length}x', {number})"
        return f"lpad(to_hex({number}), {length}, '0')"


def _statements(dialect: str, *, is_open: bool) -> Iterator[str]:
    """For each of `last` + 1 people: the submission, the lead, its deliveries, and of those that
    were sent the decisions."""
    one = _Dialect(dialect, group=1 if is_open else 2)
    people = "WITH RECURSIVE people(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM people"
    people += " WHERE n < :last)"
    # Whoever waits wrote in the last month; whoever was called, in the year before.
    ago = "n % 2592000" if is_open else "2592000 + (n * 611) % 31536000"
    wrote_at = one.instant(f"-({ago}) - 3600")
    lead_id, email_hash, phone_hash = one.id(1), one.digest("email"), one.digest("phone")
    contacted_at = "NULL" if is_open else one.instant(f"-({ago})")
    status = "open" if is_open else "contacted"
    yield f"""
        INSERT INTO leads (id, reference, status, kind, role, cadence, name, email, email_hash,
            phone, phone_hash, language, site, created_at, arrived_at, promised_at, contacted_at,
            episode, is_unproven)
        {people} SELECT {lead_id}, {one.reference}, '{status}', 'contact', 'patient', 'contact',
            :name, :email, {email_hash}, :phone, {phone_hash}, 'en', :site, {wrote_at}, {wrote_at},
            {wrote_at}, {contacted_at}, 0, false
        FROM people"""
    yield f"""
        INSERT INTO submissions (id, kind, source, received_at, content_hash, payload, evidence,
            status, due_at, failures, consumed_at, lead_id)
        {people} SELECT {one.id(2)}, 'contact', 'form', {wrote_at}, {one.digest("content")},
            :payload, :evidence, 'consumed', {wrote_at}, 0, {wrote_at}, {lead_id}
        FROM people"""
    due_in = f"{FIRST_DUE_AFTER.total_seconds():.0f} + (n * 7919 + k * 7200)"
    due_in += f" % {SPREAD.total_seconds():.0f}"
    due_at = one.instant(due_in if is_open else f"-({ago})")
    expires_at = f"{due_at} + {one.day}"
    sent_at = "NULL" if is_open else one.instant(f"-({ago})")
    own_hash = f"CASE channel WHEN 'email' THEN {email_hash} ELSE {phone_hash} END"
    recipient_hash = f"COALESCE(digest, {own_hash})"
    message = "NULL, NULL, NULL, NULL" if is_open else f"{one.provider_id}, :subject, :body, 'x@1'"
    yield f"""
        INSERT INTO deliveries (id, lead_id, episode, step, occurrence, audience, channel, lane,
            recipient, recipient_hash, recipient_name, status, arrived_at, due_at, expires_at,
            failures, asked, attempted_at, sent_at, provider_id, subject, body, wording)
        {people}, {_OWED} SELECT {one.id(3, f"n * {OWED_EACH} + k")}, {lead_id}, 0, step, 1,
            audience, channel, 'reminder', recipient, {recipient_hash}, recipient_name,
            '{"planned" if is_open else "delivered"}', {wrote_at}, {due_at}, {expires_at}, 0, 0,
            {sent_at}, {sent_at}, {message}
        FROM people CROSS JOIN owed"""
    if not is_open:
        yield f"""
            INSERT INTO decisions (id, lead_id, delivery_id, at, status, facts)
            {people}, {_OWED} SELECT {one.id(4, f"n * {OWED_EACH} + k")}, {lead_id},
                {one.id(3, f"n * {OWED_EACH} + k")}, {sent_at}, 'sending', {one.json("{}")}
            FROM people CROSS JOIN owed"""
