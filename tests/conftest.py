"""Fixtures for every test: real servers, the guard against outward connections, what is missing.

`dev.py test` starts all this; a test of a pure rule needs none of it and starts none of it.
"""

import importlib
import os
import shutil
import tempfile
import zlib
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, TypeVar

import hypothesis
import pytest
from xdist.scheduler import LoadScopeScheduling

from tests import bytecode, loopback
from tests.databases import Databases, PostgreSQLDatabases, SQLiteDatabases
from tests.keeper import Keeper, ask_for
from tests.rabbitmq import find_rabbitmq
from tests.servers import ServerMissing, Valkey, find_chromium

#: A server of one's own takes the place of the ones that the wheel brings.
OWN_DATABASE = os.environ.get("FOLLOWUP_TEST_DATABASE_URL")

USUAL_DATABASES = ("sqlite", "postgresql") if OWN_DATABASE else ("sqlite", "postgresql-18")
EVERY_DATABASE = USUAL_DATABASES if OWN_DATABASE else (*USUAL_DATABASES, "postgresql-16")

#: In CI a test that cannot run is a failure; at home it is told about at the end.
REQUIRE_ALL = any(
    os.environ.get(name, "").lower() in {"1", "true"}
    for name in ("FOLLOWUP_TEST_REQUIRE_ALL", "CI")
)

MISSING = "real part missing: "

#: Fixtures of a database; a test has one of them.
URLS = ("database_url", "empty_database_url", "kept_database_url")

#: Where a test is run on one database, each by turns.
BY_TURNS = ("services", "web")

#: Of these, those about what two do at once, about statements, and the heart of it.
ON_BOTH = (
    *("test_assigning.py", "test_flat.py", "test_working.py", "test_intake.py", "test_sending.py"),
    *("test_obeying.py", "test_surveying.py", "test_meeting.py"),
    *("test_staff_board.py", "test_staff_lead.py"),
)

#: Tests that share a whole clinic, which is long in starting: one worker runs a file of them.
TOGETHER = (
    "chaos/test_broker_faults.py",
    "chaos/test_database_faults.py",
    "chaos/test_rabbitmq.py",
    "chaos/test_soak.py",
    "test_tasks.py",
)

loopback.guard()
# How long an example takes says nothing on a machine that runs several tests at once.
hypothesis.settings.register_profile("tests", deadline=None)
hypothesis.settings.load_profile("tests")

_keeper = pytest.StashKey[Keeper]()
Found = TypeVar("Found")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run the chaos tests at full length")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "every_database: on PostgreSQL 16 too")
    config.addinivalue_line("markers", "long: runs with --long only")
    config.addinivalue_line("markers", "briefly_on(database): on others with --long only")
    # Workers of xdist share the servers of the process that started them.
    if not hasattr(config, "workerinput"):
        # There is none with `-p no:cacheprovider`.
        if cache := getattr(config, "cache", None):
            bytecode.keep(cache.mkdir("bytecode"))
        config.stash[_keeper] = Keeper()


def pytest_unconfigure(config: pytest.Config) -> None:
    if keeper := config.stash.get(_keeper, None):
        keeper.close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for name in URLS:
        if name in metafunc.fixturenames:
            node = metafunc.definition
            every = node.get_closest_marker("every_database")
            kinds = EVERY_DATABASE if every else USUAL_DATABASES
            metafunc.parametrize(name, kinds, indirect=True)


# After those that shuffle.
@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # Deselected, not skipped: CI takes a skipped test for one that could not run.
    if not config.getoption("--long"):
        left_out = {item for item in items if _is_long(item)}
        config.hook.pytest_deselected(items=[item for item in items if item in left_out])
        items[:] = [item for item in items if item not in left_out]
    # Begun last, a long one would be waited for by everybody.
    items.sort(key=_seconds_at_most, reverse=True)


def _seconds_at_most(item: pytest.Item) -> float:
    """What a test says that it may take; none of the short ones says anything."""
    marker = item.get_closest_marker("timeout")
    return float(marker.args[0]) if marker else 0.0


def _is_long(item: pytest.Item) -> bool:
    if _is_others_turn(item):
        return True
    briefly_on = item.get_closest_marker("briefly_on")
    if briefly_on is not None and isinstance(item, pytest.Function):
        return not str(item.callspec.params["database_url"]).startswith(briefly_on.args)
    return item.get_closest_marker("long") is not None


def _is_others_turn(item: pytest.Item) -> bool:
    """A rule of a service or a page is tested on one database, each by turns, and on both with
    --long; what leans on a database's own ways is in `ON_BOTH`, in tests/store, marked for it, or
    asks for `api_everywhere`."""
    if not isinstance(item, pytest.Function) or item.path.parent.name not in BY_TURNS:
        return False
    if item.path.name in ON_BOTH or "api_everywhere" in item.fixturenames:
        return False
    if OWN_DATABASE or not hasattr(item, "callspec"):
        return False
    kinds = [item.callspec.params[name] for name in URLS if name in item.callspec.params]
    if len(kinds) != 1:
        return False
    turn = zlib.crc32(item.nodeid.replace(str(kinds[0]), "").encode()) % len(USUAL_DATABASES)
    return bool(USUAL_DATABASES[turn] != kinds[0])


class _Together(LoadScopeScheduling):  # type: ignore[misc]
    """Each test goes where there is room, but those of a file that is to stay together."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if file.endswith(TOGETHER) else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _Together:
    return _Together(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, where every test has to run: {_reason(report)}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons = [_reason(report) for report in terminalreporter.stats.get("skipped", [])]
    absent = [reason.partition(MISSING)[2] for reason in reasons if MISSING in reason]
    if absent:
        terminalreporter.section("NOT EVERYTHING WAS TESTED", sep="!", red=True, bold=True)
        for part in sorted(set(absent)):
            tests = "1 test" if absent.count(part) == 1 else f"{absent.count(part)} tests"
            terminalreporter.line(f"{tests} did not run without {part}")


def _reason(report: pytest.TestReport) -> str:
    return str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)


def _or_say_missing(part: str, find: Callable[[], Found]) -> Found:
    try:
        return find()
    except ServerMissing as missing:
        pytest.skip(f"{MISSING}{part} ({missing})")


@pytest.fixture(scope="session")
def is_long(request: pytest.FixtureRequest) -> bool:
    """Whether chaos runs at full length, rather than in CI's few minutes."""
    return bool(request.config.getoption("--long"))


@pytest.fixture(autouse=True)
def _stays_on_this_machine() -> Iterator[None]:
    loopback.refused.clear()

    yield

    assert not loopback.refused, "the code under test tried to reach another machine"


@pytest.fixture
def short_directory() -> Iterator[Path]:
    """A directory whose path leaves room for a unix socket's name, open to other accounts:
    for a server that the test starts, stops and kills itself."""
    directory = Path(tempfile.mkdtemp(prefix="fu-"))
    directory.chmod(0o755)

    yield directory

    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def _databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Databases]]:
    made: dict[str, Databases] = {}

    def find(kind: str) -> Databases:
        if kind not in made:
            made[kind] = _connect(kind, tmp_path_factory)
        return made[kind]

    yield find

    for databases in made.values():
        databases.close()


def _connect(kind: str, directories: pytest.TempPathFactory) -> Databases:
    # Imported late, so that a store which does not import fails its own tests only.
    create_schema = importlib.import_module("tests.schema").create
    if kind == "sqlite":
        return SQLiteDatabases(directories.mktemp("template"), create_schema)
    return PostgreSQLDatabases(OWN_DATABASE or ask_for(kind), create_schema)


@pytest.fixture
def database_url(
    request: pytest.FixtureRequest, tmp_path: Path, _databases: Callable[[str], Databases]
) -> Iterator[str]:
    """A database with the schema and nothing in it, on SQLite and on PostgreSQL."""
    databases = _databases(request.param)
    url = databases.create(tmp_path, with_schema=True)

    yield url

    databases.drop(url)


@pytest.fixture(scope="session")
def _kept(_databases: Callable[[str], Databases]) -> Iterator[dict[str, str]]:
    urls: dict[str, str] = {}

    yield urls

    for kind, url in urls.items():
        _databases(kind).drop(url)


@pytest.fixture
def kept_database_url(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    _databases: Callable[[str], Databases],
    _kept: dict[str, str],
) -> str:
    """One database with the schema, for the tests that take back what they write."""
    kind = request.param
    if kind not in _kept:
        _kept[kind] = _databases(kind).create(tmp_path_factory.mktemp("kept"), with_schema=True)
    return _kept[kind]


@pytest.fixture
def empty_database_url(
    request: pytest.FixtureRequest, tmp_path: Path, _databases: Callable[[str], Databases]
) -> Iterator[str]:
    """A database without anything, for migrations."""
    databases = _databases(request.param)
    url = databases.create(tmp_path, with_schema=False)

    yield url

    databases.drop(url)


@pytest.fixture
def broker_url(worker_id: str) -> str:
    """An empty Valkey that no other worker uses."""
    return _flushed(ask_for("valkey", worker_id))


@pytest.fixture
def native_redis_url(worker_id: str) -> str:
    """The machine's own Redis, empty; a test of it does not run where there is none."""
    url = _or_say_missing("a native Redis", lambda: ask_for("redis", worker_id))
    return _flushed(url)


def _flushed(url: str) -> str:
    socket_path = Path(url.removeprefix("redis+socket://").partition("?")[0])
    Valkey(socket_path.parent).ask("FLUSHALL")
    return url


@pytest.fixture(scope="session")
def rabbitmq() -> None:
    """A test with a RabbitMQ of its own does not run where there is none."""
    _or_say_missing("RabbitMQ", find_rabbitmq)


@pytest.fixture(scope="session")
def chromium() -> Path:
    """The browser's program, for Playwright's `executable_path`."""
    return _or_say_missing("a browser", find_chromium)
