"""The engine over each database's own schema, and a session that is taken back."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from followup.store.db import make_engine, transaction
from tests.schema import KEYRING


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = make_engine(database_url, KEYRING, pool_size=10)

    yield engine

    engine.dispose()


@pytest.fixture
def session(kept_database_url: str) -> Iterator[Session]:
    """For a test of queries alone; nobody sees its rows afterwards."""
    engine = make_engine(kept_database_url, KEYRING)

    with transaction(engine) as session:
        yield session
        session.rollback()

    engine.dispose()
