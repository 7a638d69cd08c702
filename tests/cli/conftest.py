"""Runs commands in a directory of their own, on a store with the schema."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from followup.cli import main
from followup.clinic import Clinic, read_clinic
from followup.config import PREFIX, Settings
from followup.domain.submission import Kind
from followup.services import intake, staffing
from followup.services.planning import Planner
from followup.store.db import make_engine, reading, transaction
from followup.store.models import Lead
from followup.templates import Templates
from tests.cli.running import ALICE, ROOT, Ran, Run
from tests.databases import SQLiteDatabases
from tests.schema import ENCRYPTION_KEYS, KEYRING, create

_read = Templates.read
#: By public URL.
_shipped: dict[str, tuple[Clinic, Templates]] = {}


def read_shipped_once(folder: Path, clinic: Clinic, public_url: str = "") -> Templates:
    """As every command does, which takes it half a second, and a test runs several; a folder of
    the test's own is read each time."""
    if folder != ROOT / "templates":
        return _read(folder, clinic, public_url)
    if public_url not in _shipped or _shipped[public_url][0] != clinic:
        _shipped[public_url] = clinic, _read(folder, clinic, public_url)
    return _shipped[public_url][1]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs one command in a directory of its own, with the shipped clinic and nothing set."""
    for name in Settings.model_fields:
        monkeypatch.delenv(PREFIX + name.upper(), raising=False)
    monkeypatch.setenv(f"{PREFIX}CLINIC_FILE", str(ROOT / "clinic.toml"))
    monkeypatch.setenv(f"{PREFIX}TEMPLATES_DIR", str(ROOT / "templates"))
    monkeypatch.setattr(Templates, "read", read_shipped_once)
    # What logs for the first time then would do so in that way for all tests that follow.
    for command in ("api", "sandbox"):
        monkeypatch.setattr(f"followup.cli.{command}.configure_logging", lambda _settings: None)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Ran:
        # As `python -m followup` does, which is what `.venv/bin/followup` runs.
        monkeypatch.setattr(sys, "argv", ["__main__.py", *map(str, arguments)])
        status = 0
        try:
            main()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        told = capsys.readouterr()
        return Ran(status, told.out, told.err)

    return run


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> SQLiteDatabases:
    return SQLiteDatabases(tmp_path_factory.mktemp("template"), create)


@pytest.fixture
def engine(
    databases: SQLiteDatabases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Engine]:
    """The store that the commands open: SQLite, for what they call is tested on both."""
    database_url = databases.create(tmp_path, with_schema=True)
    monkeypatch.setenv(f"{PREFIX}DATABASE_URL", database_url)
    monkeypatch.setenv(f"{PREFIX}ENCRYPTION_KEYS", ",".join(ENCRYPTION_KEYS))
    made = make_engine(database_url, KEYRING)

    yield made

    made.dispose()


@pytest.fixture(scope="module")
def planner() -> Planner:
    clinic = read_clinic(ROOT / "clinic.toml")
    return Planner(clinic, read_shipped_once(ROOT / "templates", clinic).cadences, KEYRING)


@pytest.fixture
def lead(engine: Engine, planner: Planner) -> str:
    """The reference of Alice's lead, which came in just now."""
    now = datetime.now(UTC)
    intake.receive(engine, planner.clinic, Kind.contact, ALICE, now=now)
    intake.consume(engine, planner, now)
    with reading(engine) as session:
        return session.execute(select(Lead.reference)).scalar_one()


@pytest.fixture
def ana(engine: Engine) -> str:
    """The token of Ana, who is of the staff."""
    now = datetime.now(UTC)
    with transaction(engine) as session:
        made = staffing.add_person(
            session, KEYRING, name="Ana", role=staffing.StaffRole.admin, now=now
        )
        return made.token
