"""Migrations: forth, back and forth again, the same schema as the rows, safe to run twice."""

from collections.abc import Iterator
from importlib import resources
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect, text

from followup.errors import Misconfigured
from followup.store.db import make_engine, migrate, missing_migrations
from followup.store.models import Base
from tests.schema import KEYRING
from tests.store.writing import here_and_in_a_process, migrate_database

TABLES = frozenset(Base.metadata.tables)


@pytest.fixture
def empty(empty_database_url: str) -> Iterator[Engine]:
    engine = make_engine(empty_database_url, KEYRING)
    yield engine
    engine.dispose()


def tables_of(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names()) - {"alembic_version"}


def downgrade(engine: Engine) -> None:
    config = Config()
    config.set_main_option(
        "script_location", str(resources.files("followup.store").joinpath("migrations"))
    )
    config.attributes["engine"] = engine
    command.downgrade(config, "base")


def differences(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, Base.metadata))


def test_the_schema_goes_up_down_and_up_again(empty: Engine) -> None:
    migrate(empty)
    assert tables_of(empty) == TABLES

    downgrade(empty)
    assert tables_of(empty) == set()

    migrate(empty)
    assert tables_of(empty) == TABLES


def test_the_migrations_make_exactly_what_the_rows_say(empty: Engine) -> None:
    migrate(empty)

    assert differences(empty) == []


def test_partial_indexes_are_partial(empty: Engine) -> None:
    migrate(empty)

    query = {
        "sqlite": "SELECT sql FROM sqlite_master WHERE type = 'index'",
        "postgresql": "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'",
    }[empty.dialect.name]
    with empty.connect() as connection:
        definitions = [one for one in connection.execute(text(query)).scalars() if one]

    assert sum("WHERE" in one for one in definitions) == 5


def test_a_schema_that_is_too_old_is_noticed(empty: Engine) -> None:
    assert missing_migrations(empty)

    migrate(empty)

    assert not missing_migrations(empty)


def test_migrating_twice_changes_nothing(empty: Engine) -> None:
    migrate(empty)
    migrate(empty)

    assert tables_of(empty) == TABLES


def test_two_processes_may_migrate_at_once(empty: Engine, empty_database_url: str) -> None:
    here_and_in_a_process(migrate_database, empty_database_url)

    assert not missing_migrations(empty)


def test_migrating_an_unreachable_database_names_the_setting() -> None:
    engine = make_engine("postgresql://someone@127.0.0.1:1/followup", KEYRING)

    with pytest.raises(Misconfigured, match="FOLLOWUP_DATABASE_URL"):
        migrate(engine)

    engine.dispose()
