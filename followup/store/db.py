"""The engine: SQLite or PostgreSQL, one behaviour; ids; times; whether the schema is of today."""

import os
import secrets
import sqlite3
import threading
import time
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from select import POLLIN, poll
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Connection,
    DateTime,
    Dialect,
    Engine,
    cast,
    create_engine,
    event,
    func,
    inspect,
    make_url,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import (
    ArgumentError,
    InterfaceError,
    InternalError,
    InvalidatePoolError,
    OperationalError,
    SQLAlchemyError,
    TimeoutError,
)
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeDecorator, TypeEngine

from followup.errors import Misconfigured
from followup.store.crypto import Keyring, give_keys

#: A waiting writer of SQLite gives up after that; a batch holds the lock for milliseconds.
SQLITE_BUSY_MILLISECONDS = 5000
#: The database is gone, full or not to be written to, and may be itself again later.
UNUSABLE = (OperationalError, InterfaceError, InternalError, TimeoutError)
#: So long a writer of SQLite stands in line behind others of its process.
_TURN_SECONDS = 5.0
MIGRATIONS = Path(__file__).parent / "migrations"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_JULIAN_DAY_OF_EPOCH = 2440587.5


class UtcDateTime(TypeDecorator[datetime]):
    """An aware instant, back always in UTC. SQLite keeps microseconds since 1970 as a number."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(BigInteger())
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime has no place in the store")
        return (value - _EPOCH) // _MICROSECOND if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        instant: datetime = _EPOCH + value * _MICROSECOND if dialect.name == "sqlite" else value
        return instant.astimezone(UTC)


def new_id() -> uuid.UUID:
    """A UUIDv7 (RFC 9562): ordered by real time of making, 62 random bits.

    Twelve bits hold the fraction of the millisecond (its 6.2, method 3), so that rows made one
    after the other are in order too.
    """
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    fraction = rest * 4096 // 1_000_000
    ordered = milliseconds << 80 | 0x7 << 76 | fraction << 64
    return uuid.UUID(int=ordered | 0b10 << 62 | secrets.randbits(62))


def make_engine(url: str, keyring: Keyring, *, pool_size: int = 5) -> Engine:
    """An engine with the given keys. Raises Misconfigured when the URL is not one."""
    try:
        target = make_url(url)
    except (ArgumentError, ValueError):
        raise Misconfigured(
            "FOLLOWUP_DATABASE_URL must be sqlite:////path or postgresql://…"
        ) from None
    is_sqlite = target.get_backend_name() == "sqlite"
    engine = create_engine(
        target,
        pool_size=pool_size,
        max_overflow=20,
        # An error's text goes to logs, and the values of a statement may be personal.
        hide_parameters=True,
        connect_args={} if is_sqlite else {"connect_timeout": 5},
    )
    if is_sqlite:
        _configure_sqlite(engine)
    else:
        _notice_what_is_over(engine)
    give_keys(engine, keyring)
    return engine


def _notice_what_is_over(engine: Engine) -> None:
    """A pooled connection whose server went away is not handed out.

    The end arrives without being asked for; so only where something has arrived we ask. To ask each
    time (`pool_pre_ping`) costs every request a round trip, or two.
    """
    dialect: Any = engine.dialect

    @event.listens_for(engine, "checkout")
    def look(dbapi: Any, _record: object, _proxy: object) -> None:
        try:
            arrived = poll()
            arrived.register(dbapi.fileno(), POLLIN)
            if arrived.poll(0):
                dialect.do_ping(dbapi)
        except dialect.dbapi.Error:
            raise InvalidatePoolError from None


def _configure_sqlite(engine: Engine) -> None:
    engine.dialect.followup_turn = threading.Lock()  # type: ignore[attr-defined]

    # A deferred transaction that reads and then writes fails at once when another wrote between
    # (SQLITE_BUSY_SNAPSHOT, sqlite.org/isolation.html), so writers begin as writers.
    @event.listens_for(engine, "connect")
    def configure(dbapi: sqlite3.Connection, _record: object) -> None:
        dbapi.isolation_level = None
        dbapi.execute(f"PRAGMA busy_timeout={SQLITE_BUSY_MILLISECONDS}")
        # FULL, because NORMAL may lose the last commits with the power (sqlite.org/pragma.html).
        # What is deleted is overwritten: an erased person must not be found in the file.
        for pragma in (
            *("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"),
        ):
            dbapi.execute(f"PRAGMA {pragma}")
        # Else INSERT OR REPLACE would remove rows past the triggers that keep them.
        dbapi.execute("PRAGMA recursive_triggers=ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        reads_only = connection.get_execution_options().get("reads_only", False)
        connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")


@contextmanager
def transaction(engine: Engine) -> Iterator[Session]:
    """A session that commits when the block ends well, and rolls back otherwise."""
    with _turn(engine), Session(engine, expire_on_commit=False) as session, session.begin():
        yield session


@contextmanager
def _turn(engine: Engine) -> Iterator[None]:
    """On SQLite, the writers of one process stand in line: its own waiting is by trying again at
    intervals, and among many writers somebody would never be the one who finds it free."""
    turn: threading.Lock | None = getattr(engine.dialect, "followup_turn", None)
    if turn is None:
        yield
        return
    # Who waited in vain is told by SQLite itself what is wrong.
    has_turn = turn.acquire(timeout=_TURN_SECONDS)
    try:
        yield
    finally:
        if has_turn:
            turn.release()


@contextmanager
def reading(engine: Engine) -> Iterator[Session]:
    """A session that only reads: on SQLite it does not wait for writers, nor they for it."""
    with Session(engine.execution_options(reads_only=True), expire_on_commit=False) as session:
        yield session


def real_now(session: Session) -> datetime:
    """Real time by the database's clock, for leases; a demo's fast clock does not move it."""
    if session.get_bind().dialect.name == "sqlite":
        days = session.execute(select(func.julianday("now"))).scalar_one()
        return _EPOCH + timedelta(days=days - _JULIAN_DAY_OF_EPOCH)
    instant: datetime = session.execute(select(func.clock_timestamp())).scalar_one()
    return instant.astimezone(UTC)


_INSERT: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def insert_into(session: Session, table: Any) -> Any:
    """An INSERT that knows ON CONFLICT; each database has its own, and they are used alike."""
    return insert_on(session.get_bind().dialect.name, table)


def insert_on(dialect: str, table: Any) -> Any:
    """The same, by the dialect's name."""
    return _INSERT[dialect](table)


def lock_addresses(session: Session, hashes: Sequence[str]) -> None:
    """Let nobody else decide about these addresses until the transaction ends.

    In one order, so that two never wait for each other. SQLite has one writer anyway.
    """
    if session.get_bind().dialect.name == "sqlite" or not hashes:
        return
    numbers = sorted({_lock_number(digits) for digits in hashes})
    session.connection().execute(_LOCK_IN_ORDER, {"numbers": numbers})


# A sorted subquery is evaluated before what is selected of it: so the locks are taken in its order.
_LOCK_IN_ORDER = text(
    "SELECT pg_advisory_xact_lock(number) FROM "
    "(SELECT number FROM unnest(CAST(:numbers AS bigint[])) AS number ORDER BY number) AS sorted"
)


def try_lock_addresses(session: Session, hashes: Collection[str]) -> set[str]:
    """The same for those about which nobody else decides now. Waits for nobody."""
    return _try_lock(session, {digits: _lock_number(digits) for digits in hashes})


def try_lock_references(session: Session, references: Collection[str]) -> set[str]:
    """Let nobody else give these to a lead until the transaction ends; returns those that nobody
    else is giving now."""
    # Below zero, where no address has its number.
    return _try_lock(session, {one: -int(one[:12], 36) for one in references})


def _try_lock(session: Session, numbers: Mapping[str, int]) -> set[str]:
    if session.get_bind().dialect.name == "sqlite" or not numbers:
        return set(numbers)
    asked = func.unnest(cast(sorted(numbers.values()), ARRAY(BigInteger))).column_valued("number")
    found = session.execute(select(asked, func.pg_try_advisory_xact_lock(asked)))
    locked = {number for number, is_ours in found if is_ours}
    return {name for name, number in numbers.items() if number in locked}


def _lock_number(digits: str) -> int:
    return int(digits[:15], 16)


def missing_migrations(engine: Engine) -> bool:
    """Whether the schema is older than this code. Raises OperationalError without a database.

    Asked often, and by processes that never migrate: so without alembic, which would take each of
    them as long to import as all of the store.
    """
    names = sorted(path.name for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))
    newest = names[-1].partition("_")[0]
    with engine.execution_options(reads_only=True).connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return True
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
    return newest not in found


def ping(engine: Engine) -> None:
    """Raises OperationalError unless the database answers."""
    with engine.execution_options(reads_only=True).connect() as connection:
        connection.execute(text("SELECT 1"))


def overwrite_deleted(engine: Engine) -> None:
    """Have what was deleted leave SQLite's log as well, as far as nobody is reading it now.

    PostgreSQL's own vacuum does that in its time.
    """
    if engine.dialect.name != "sqlite":
        return
    with closing(engine.raw_connection()) as connection:
        connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")


def cause_of(error: SQLAlchemyError) -> str:
    """What the database said, in one line and without the values of a statement.

    Said first: when a disk is full, taking back what was written may fail too, and tells less.
    """
    first, step = error, error.__context__
    while step is not None:
        first, step = (step if isinstance(step, UNUSABLE) else first), step.__context__
    said = str(getattr(first, "orig", None) or "").strip().splitlines()
    return said[0] if said else type(first).__name__


def make_sqlite_folder(url: str) -> None:
    """The folder of a SQLite file, readable by its owner alone."""
    path = make_url(url).database
    if make_url(url).get_backend_name() == "sqlite" and path and path != ":memory:":
        os.makedirs(os.path.dirname(path) or ".", mode=0o700, exist_ok=True)  # noqa: PTH103, PTH120
