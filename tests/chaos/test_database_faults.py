"""A database that is killed, full or not to be written to: nothing that was accepted is lost or
doubled, and everybody goes on by themselves."""

import resource
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path

import psycopg
import pytest

from followup.domain.delivery import Status
from tests.crew import Crew, Program
from tests.keeper import ask_for
from tests.servers import PostgreSQL
from tests.waiting import eventually

BOTH = ["email", "sms"]
#: What SQLite says when a file cannot grow, and what we say.
FULL = '"cause": "disk I/O error", "event": "the database cannot be used"'
UNWRITTEN = "what was sent cannot be recorded yet"


class Clinic:
    """The API, and some workers and as many beats, around a database."""

    def __init__(self, crew: Crew, workers: int) -> None:
        self.crew = crew
        self.api = crew.start_api()
        self.workers = [crew.start_worker() for _ in range(workers)]
        for _ in range(workers):
            crew.start_beat()
        # Of numbers that are nobody's there are a hundred.
        self._people = count(1)
        self.accepted: list[int] = []

    def post(self) -> int:
        """Somebody new submits the form: the API's status."""
        person = next(self._people)
        status, _ = self.crew.post(person)
        if status == 202:
            self.accepted.append(person)
        return status

    def accept(self) -> None:
        """Somebody new submits the form to an API that has room."""
        person = next(self._people)
        self.crew.receive(person)
        self.accepted.append(person)

    def workers_said(self, words: str, times: int = 1) -> bool:
        return sum(worker.output.count(words) for worker in self.workers) >= times

    def assert_lost_nothing(self) -> None:
        """Who was accepted hears once on each channel, in the provider's own record."""
        eventually(lambda: self.crew.are_acknowledged(*self.accepted), within=60)
        eventually(self.crew.is_quiet, within=60)
        heard = [self.crew.acknowledgements(person) for person in self.accepted]
        assert heard == [BOTH] * len(self.accepted)
        assert self.crew.count(Status.unknown) == 0
        assert not self.crew.ended


# The long form takes minutes.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgreSQL]:
    directory = Path(tempfile.mkdtemp(prefix="fu-"))
    with PostgreSQL(directory, "18") as server:
        yield server
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def clinic(
    postgresql: PostgreSQL, worker_id: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Clinic]:
    broker_url = ask_for("valkey", f"{worker_id}-database-faults")
    with Crew(tmp_path_factory.mktemp("clinic"), broker_url, database_url=postgresql.url) as crew:
        crew.sandbox.script("slow", times=None, seconds=0.3)
        yield Clinic(crew, workers=2)


def test_postgresql_dies_amid_sending_and_nothing_is_lost_or_sent_twice(
    clinic: Clinic, postgresql: PostgreSQL, is_long: bool
) -> None:
    for times in range(1, 11 if is_long else 3):
        assert [clinic.post() for _ in range(4)] == [202] * 4
        eventually(lambda: clinic.crew.count(Status.sending), within=30)
        postgresql.kill()
        assert clinic.post() == 503
        eventually(partial(clinic.workers_said, UNWRITTEN, times), within=30)
        postgresql.start()
        eventually(clinic.crew.is_quiet, within=60)
    clinic.assert_lost_nothing()

    assert clinic.post() == 202
    clinic.assert_lost_nothing()


def test_postgresql_ends_its_connections_amid_sending_and_nothing_is_lost_or_sent_twice(
    clinic: Clinic, postgresql: PostgreSQL, is_long: bool
) -> None:
    for _ in range(10 if is_long else 5):
        assert [clinic.post() for _ in range(4)] == [202] * 4
        eventually(lambda: clinic.crew.count(Status.sending), within=30)
        with psycopg.connect(postgresql.url, autocommit=True) as admin:
            ended = admin.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            )
            assert ended.rowcount
    clinic.assert_lost_nothing()


def test_sqlite_on_a_full_disk_takes_nothing_and_goes_on_when_there_is_room(
    tmp_path: Path, broker_url: str
) -> None:
    with Crew(tmp_path, broker_url) as crew:
        crew.sandbox.script("slow", times=None, seconds=1)
        clinic = Clinic(crew, workers=1)
        assert [clinic.post() for _ in range(5)] == [202] * 5
        eventually(lambda: crew.count(Status.sending), within=30)

        with no_room_for(clinic.api, *clinic.workers):
            eventually(lambda: clinic.post() == 503, within=30)
            eventually(lambda: clinic.workers_said(UNWRITTEN), within=30)
        clinic.assert_lost_nothing()

        with no_room_for(clinic.api, *clinic.workers):
            # Of whom the worker would make a lead.
            clinic.accept()
            eventually(lambda: clinic.workers_said(FULL), within=30)
            assert FULL in clinic.api.output

        assert clinic.post() == 202
        clinic.assert_lost_nothing()


@contextmanager
def no_room_for(*programs: Program) -> Iterator[None]:
    """A file of theirs cannot grow beyond a size that the database's log soon reaches."""
    pids = [pid for program in programs for pid in program.pids()]
    before = {pid: resource.prlimit(pid, resource.RLIMIT_FSIZE) for pid in pids}
    for pid, (_, hard) in before.items():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        yield
    finally:
        for pid, limits in before.items():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)
