"""The service's parts over each database: its store, its clinic, and transports that record."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine

from followup.domain.cadence import Lane
from followup.services.sending import BATCH
from followup.store.db import make_engine
from tests.schema import KEYRING, empty
from tests.services.cast import Desk
from tests.services.recording import Recording


@pytest.fixture(scope="session")
def threads() -> Iterator[dict[Lane, ThreadPoolExecutor]]:
    with ThreadPoolExecutor(BATCH) as pool:
        yield dict.fromkeys(Lane, pool)


@pytest.fixture(scope="session")
def _engines(_kept: dict[str, str]) -> Iterator[Callable[[str, str], Engine]]:
    """Engines are kept with their databases, because they learn the queries."""
    made: dict[tuple[str, str], Engine] = {}

    def get(url: str, process: str) -> Engine:
        if (url, process) not in made:
            made[url, process] = make_engine(url, KEYRING, pool_size=10)
        return made[url, process]

    yield get

    for engine in made.values():
        engine.dispose()


@pytest.fixture
def engine(kept_database_url: str, _engines: Callable[[str, str], Engine]) -> Iterator[Engine]:
    engine = _engines(kept_database_url, "this")

    yield engine

    empty(engine)


@pytest.fixture
def other_engine(kept_database_url: str, _engines: Callable[[str, str], Engine]) -> Engine:
    """As another process has it, on the same database."""
    return _engines(kept_database_url, "other")


@pytest.fixture
def provider() -> Recording:
    return Recording()


@pytest.fixture
def desk(engine: Engine, provider: Recording, threads: dict[Lane, ThreadPoolExecutor]) -> Desk:
    return Desk(engine, provider, threads)
