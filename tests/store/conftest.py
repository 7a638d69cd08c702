"""The engine over each database's own schema."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from followup.store.db import make_engine
from tests.schema import KEYRING


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = make_engine(database_url, KEYRING, pool_size=10)

    yield engine

    engine.dispose()
