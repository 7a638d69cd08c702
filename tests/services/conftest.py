"""The service's parts over each database: its store, its clinic, and transports that record."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine

from followup.domain.cadence import Lane
from followup.services.sending import BATCH
from followup.store.db import make_engine
from tests.schema import KEYRING
from tests.services.cast import Desk
from tests.services.recording import Recording


@pytest.fixture(scope="session")
def threads() -> Iterator[dict[Lane, ThreadPoolExecutor]]:
    with ThreadPoolExecutor(BATCH) as pool:
        yield dict.fromkeys(Lane, pool)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = make_engine(database_url, KEYRING, pool_size=10)

    yield engine

    engine.dispose()


@pytest.fixture
def other_engine(database_url: str) -> Iterator[Engine]:
    """Another process's engine on the same database."""
    engine = make_engine(database_url, KEYRING)

    yield engine

    engine.dispose()


@pytest.fixture
def provider() -> Recording:
    return Recording()


@pytest.fixture
def desk(engine: Engine, provider: Recording, threads: dict[Lane, ThreadPoolExecutor]) -> Desk:
    return Desk(engine, provider, threads)
