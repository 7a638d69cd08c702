"""Databases of one run: one durable PostgreSQL, and files of SQLite. What has a crowd in it is
filled once, and copied for each contestant."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import Literal, Self

from cryptography.fernet import Fernet
from sqlalchemy import Engine

from bench import machine, seed
from bench.seed import EMPTY, Crowd
from followup.clinic import Clinic, read_clinic
from followup.services.planning import Planner
from followup.store import counts, db
from followup.store.crypto import Keyring
from followup.store.migrating import migrate
from tests.databases import PostgreSQLDatabases, SQLiteDatabases
from tests.servers import PostgreSQL, find_postgresql

ROOT = Path(__file__).resolve().parent.parent
POSTGRESQL_VERSION = "18"
#: A machine with other work takes its time.
START_TIMEOUT_SECONDS = 120.0

DatabaseKind = Literal["postgresql", "sqlite"]


class DurablePostgreSQL(PostgreSQL):
    """As an operator runs it: what is committed is on the disk."""

    start_timeout_seconds = START_TIMEOUT_SECONDS

    def _command(self) -> Sequence[str]:
        return (
            *(str(self._programs / "postgres"), "-D", str(self._data)),
            *("-k", str(self._data), "-h", "", "-c", "max_connections=200"),
        )

    def cpu_seconds(self) -> float:
        return machine.cpu_seconds(self._process.pid) if self._process else 0.0


class Databases:
    """What is started is started on first use."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        #: All of them have the same, or a copy could not be read.
        self.encryption_key = Fernet.generate_key().decode()
        self._stack = ExitStack()
        self._numbers = count(1)
        self._postgresql: DurablePostgreSQL | None = None
        self._made: dict[tuple[DatabaseKind, Crowd], PostgreSQLDatabases | SQLiteDatabases] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()

    def make(self, kind: DatabaseKind, crowd: Crowd = EMPTY) -> str:
        """The URL of one with our schema and the crowd in it."""
        return self._of(kind, crowd).create(self._folder(kind), with_schema=True)

    def drop(self, url: str) -> None:
        """Of either kind; what is still connected is cut off."""
        if url.startswith("sqlite"):
            for ending in ("", "-wal", "-shm"):
                Path(url.removeprefix("sqlite:///") + ending).unlink(missing_ok=True)
        else:
            self._of("postgresql", EMPTY).drop(url)

    def owe(self, url: str, due: Sequence[datetime]) -> list[str]:
        """A reminder to staff for each of the instants; returns the references of their leads."""
        with self.opened(url) as engine:
            return seed.owe(engine, self._planner(), due, datetime.now(UTC))

    def make_due(self, url: str) -> None:
        """What the crowd is still to remind staff of."""
        with self.opened(url) as engine:
            seed.make_due(engine, datetime.now(UTC))

    def count_due(self, url: str) -> int:
        """How many of all lanes are due."""
        with self.opened(url) as engine, db.reading(engine) as session:
            return sum(counts.count_due(session, datetime.now(UTC)).values())

    @contextmanager
    def opened(self, url: str) -> Iterator[Engine]:
        engine = db.make_engine(url, self._keyring())
        try:
            yield engine
        finally:
            engine.dispose()

    def cpu_seconds(self) -> float:
        """Of PostgreSQL, with all its backends; 0 while it was not needed."""
        return self._postgresql.cpu_seconds() if self._postgresql else 0.0

    def _keyring(self) -> Keyring:
        return Keyring([self.encryption_key])

    def _planner(self) -> Planner:
        return Planner(_clinic(), {}, self._keyring())

    def _of(self, kind: DatabaseKind, crowd: Crowd) -> PostgreSQLDatabases | SQLiteDatabases:
        if (kind, crowd) not in self._made:
            self._made[kind, crowd] = self._open(kind, crowd)
        return self._made[kind, crowd]

    def _open(self, kind: DatabaseKind, crowd: Crowd) -> PostgreSQLDatabases | SQLiteDatabases:
        fill = partial(self._fill, crowd)
        if kind == "sqlite":
            return SQLiteDatabases(self._folder("template"), fill)
        if self._postgresql is None:
            # Its files belong to another account when we are root.
            self.directory.chmod(0o755)
            self._postgresql = DurablePostgreSQL(self._folder("postgresql"), POSTGRESQL_VERSION)
            self._stack.enter_context(self._postgresql)
        # A large one is copied as files, past the log.
        strategy = "wal_log" if crowd == EMPTY else "file_copy"
        databases = PostgreSQLDatabases(self._postgresql.url, fill, strategy=strategy)
        self._stack.callback(databases.close)
        return databases

    def _fill(self, crowd: Crowd, url: str) -> None:
        with self.opened(url) as engine:
            migrate(engine)
            if crowd != EMPTY:
                seed.fill(engine, self._planner(), crowd, datetime.now(UTC))

    def _folder(self, name: str) -> Path:
        folder = self.directory / f"{name}-{next(self._numbers)}"
        folder.mkdir()
        return folder


@cache
def _clinic() -> Clinic:
    return read_clinic(ROOT / "clinic.toml")


def postgresql_version() -> str:
    """Such as `PostgreSQL 18.4`."""
    server = find_postgresql(POSTGRESQL_VERSION) / "postgres"
    done = subprocess.run((server, "--version"), capture_output=True, text=True, check=True)
    return done.stdout.strip().replace("postgres (PostgreSQL)", "PostgreSQL")
