"""The engine: ids in order, times aware, transactions whole, writers that wait for each other."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import StatementError

from followup.errors import Misconfigured
from followup.store import db
from followup.store.migrating import migrate
from followup.store.models import Lead
from tests.parallel import together
from tests.schema import KEYRING, create
from tests.store.rows import TUESDAY_TEN, add_lead
from tests.store.writing import EACH, here_and_in_a_process, write_leads

pytestmark = pytest.mark.every_database

PROCESSES = 2
THREADS = 3


def test_ids_are_uuid_7_in_the_order_of_their_making() -> None:
    ids = [db.new_id() for _ in range(2000)]

    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
    assert {(one.version, one.variant) for one in ids} == {(7, uuid.RFC_4122)}


def test_an_id_holds_the_time_of_its_making() -> None:
    before = datetime.now(UTC)

    milliseconds = db.new_id().int >> 80

    made_at = datetime.fromtimestamp(milliseconds / 1000, UTC)
    assert abs(made_at - before) < timedelta(seconds=5)


@pytest.mark.parametrize(
    "instant",
    [
        pytest.param(TUESDAY_TEN, id="in UTC"),
        pytest.param(TUESDAY_TEN.replace(microsecond=123_457), id="to the microsecond"),
        pytest.param(TUESDAY_TEN.astimezone(ZoneInfo("Asia/Kolkata")), id="in another zone"),
        pytest.param(datetime(1969, 7, 20, 20, 17, tzinfo=UTC), id="before 1970"),
        pytest.param(datetime(2100, 1, 1, tzinfo=UTC), id="in 2100"),
    ],
)
def test_an_instant_comes_back_as_it_was_in_utc(engine: Engine, instant: datetime) -> None:
    with db.transaction(engine) as session:
        lead_id = add_lead(session, snoozed_until=instant).id

    with db.reading(engine) as session:
        read = session.scalars(select(Lead.snoozed_until).where(Lead.id == lead_id)).one()

    assert read == instant
    assert read is not None
    assert read.tzinfo is UTC


def test_a_naive_datetime_is_refused(engine: Engine) -> None:
    naive = datetime(2026, 10, 20, 17, 0)

    with pytest.raises(StatementError, match="naive"), db.transaction(engine) as session:
        add_lead(session, created_at=naive)


def test_a_transaction_that_fails_leaves_nothing(engine: Engine) -> None:
    def fail() -> None:
        with db.transaction(engine) as session:
            add_lead(session)
            session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    with db.reading(engine) as session:
        assert session.scalars(select(Lead)).all() == []


def test_a_reader_is_not_held_up_by_a_writer(engine: Engine) -> None:
    with db.transaction(engine) as writing:
        add_lead(writing)
        writing.flush()

        with db.reading(engine) as session:
            assert session.scalars(select(Lead)).all() == []


def test_the_database_clock_is_real_time_and_moves_within_a_transaction(engine: Engine) -> None:
    with db.transaction(engine) as session:
        first = db.real_now(session)
        second = db.real_now(session)

    assert abs(first - datetime.now(UTC)) < timedelta(seconds=5)
    assert second >= first
    assert first.tzinfo is UTC


def test_a_database_that_answers_is_pinged(engine: Engine) -> None:
    db.ping(engine)


@pytest.mark.parametrize(
    "url",
    ["nothing", "", "sqlite+//", "postgresql://[:::"],
)
def test_a_url_that_is_none_is_named_by_its_setting(url: str) -> None:
    with pytest.raises(Misconfigured, match="FOLLOWUP_DATABASE_URL"):
        db.make_engine(url, KEYRING)


def test_an_unreachable_database_is_told_without_its_password() -> None:
    engine = db.make_engine("postgresql://someone:hush@127.0.0.1:1/followup", KEYRING)

    with pytest.raises(Misconfigured) as refused:
        migrate(engine)

    engine.dispose()
    told = str(refused.value)
    assert "FOLLOWUP_DATABASE_URL" in told
    assert "127.0.0.1:1" in told
    assert "hush" not in told
    assert "\n" not in told


def test_the_folder_of_a_sqlite_file_is_its_owners_alone(tmp_path: Path) -> None:
    db.make_sqlite_folder(f"sqlite:///{tmp_path}/data/followup.db")

    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/followup.db"
    create(url)
    return url


@pytest.fixture
def sqlite(sqlite_url: str) -> Iterator[Engine]:
    engine = db.make_engine(sqlite_url, KEYRING)

    yield engine

    engine.dispose()


@pytest.mark.parametrize(
    ("pragma", "value"),
    [
        pytest.param("journal_mode", "wal", id="readers and the writer do not wait"),
        pytest.param("synchronous", 2, id="a commit survives a power cut"),
        pytest.param("foreign_keys", 1, id="foreign keys hold"),
        pytest.param("secure_delete", 1, id="what is deleted is overwritten"),
        pytest.param("busy_timeout", db.SQLITE_BUSY_MILLISECONDS, id="a writer waits its turn"),
    ],
)
def test_sqlite_is_set_up_for_safety(sqlite: Engine, pragma: str, value: object) -> None:
    with sqlite.connect() as connection:
        assert connection.exec_driver_sql(f"PRAGMA {pragma}").scalar_one() == value


def test_on_sqlite_who_reads_first_and_writes_then_is_not_turned_away(sqlite: Engine) -> None:
    def read_then_write() -> None:
        with db.transaction(sqlite) as session:
            known = len(session.scalars(select(Lead)).all())
            add_lead(session, name=f"Lead {known}")

    together(*[read_then_write] * 6)

    with db.reading(sqlite) as session:
        names = sorted(session.scalars(select(Lead.name)))
    assert names == [f"Lead {number}" for number in range(6)]


def test_six_writers_in_two_processes_share_one_sqlite_file(
    sqlite_url: str, sqlite: Engine
) -> None:
    here_and_in_a_process(write_leads, sqlite_url, THREADS)

    with db.reading(sqlite) as session:
        assert len(session.scalars(select(Lead.id)).all()) == PROCESSES * THREADS * EACH


def test_on_sqlite_no_writer_of_a_process_is_passed_over_by_the_others(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Shorter than the others take together, longer than one of them takes.
    monkeypatch.setattr(db, "SQLITE_BUSY_MILLISECONDS", 60)
    engine = db.make_engine(sqlite_url, KEYRING, pool_size=6)

    def write_slowly() -> None:
        for _ in range(4):
            with db.transaction(engine) as session:
                add_lead(session)
                Event().wait(0.03)

    together(*[write_slowly] * 6)
    engine.dispose()


def test_a_connection_that_the_server_has_ended_is_not_handed_out(engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        return
    own_id = select(func.pg_backend_pid())
    with engine.connect() as connection:
        ended = connection.execute(own_id).scalar_one()
    other = db.make_engine(engine.url.render_as_string(hide_password=False), KEYRING)
    with other.connect() as connection:
        connection.execute(select(func.pg_terminate_backend(ended, 5000)))
    other.dispose()

    with engine.connect() as connection:
        assert connection.execute(own_id).scalar_one() != ended
