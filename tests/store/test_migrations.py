"""Migrations: forth, back and forth again, the same schema as the rows, safe to run twice."""

from collections.abc import Iterator
from importlib import resources
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Engine, Select, inspect, literal_column, select, text
from sqlalchemy import table as sa_table

from followup.domain.alarm import AlarmKind
from followup.domain.cadence import Audience
from followup.domain.delivery import Status
from followup.errors import Misconfigured
from followup.store import alarms, deliveries, ledger, replies
from followup.store.db import make_engine, missing_migrations, reading, transaction
from followup.store.migrating import migrate
from followup.store.models import Base, Decision, Delivery, Lead
from tests.schema import KEYRING
from tests.store.rows import TUESDAY_TEN, add_delivery, add_lead, add_submission, row_for
from tests.store.writing import here_and_in_a_process, migrate_database

pytestmark = pytest.mark.every_database

TABLES = frozenset(Base.metadata.tables)


@pytest.fixture
def empty(empty_database_url: str) -> Iterator[Engine]:
    engine = make_engine(empty_database_url, KEYRING)
    yield engine
    engine.dispose()


def tables_of(engine: Engine) -> set[str]:
    return set(inspect(engine).get_table_names()) - {"alembic_version"}


def configuration(engine: Engine) -> Config:
    config = Config()
    config.set_main_option(
        "script_location", str(resources.files("followup.store").joinpath("migrations"))
    )
    config.attributes["engine"] = engine
    return config


def downgrade(engine: Engine, revision: str = "base") -> None:
    command.downgrade(configuration(engine), revision)


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

    assert sum("WHERE" in one for one in definitions) == 30


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


# Rows that were there before a migration are there after it, and after it is taken back.

OLD_TABLES = ("leads", "deliveries", "decisions", "submissions")
#: What the first revision does not have.
NEW_COLUMNS = {
    *("alarm_id", "times", "last_at", "caught", "held_for", "is_unproven"),
    *("reply_id", "cadence", "priority"),
    *("merged_into", "merged_at", "consent_from"),
}


def write_old_rows(engine: Engine) -> None:
    """A lead with a delivery and its decision, as the first revision wrote them."""
    with transaction(engine) as session:
        lead = add_lead(session)
        add_submission(session)
        delivery = add_delivery(session, lead, status=Status.accepted, sent_at=TUESDAY_TEN)
        ledger.add_decision(
            session,
            lead_id=lead.id,
            delivery_id=delivery.id,
            at=TUESDAY_TEN,
            status=Status.accepted,
            facts={"consent": True},
        )


def rows_of(engine: Engine, table: str) -> list[dict[str, Any]]:
    """As the database has them, without what only the newest revision knows."""
    everything: Select[Any] = select(literal_column("*")).select_from(sa_table(table))
    with engine.connect() as connection:
        found = connection.execute(everything).mappings()
        return [
            {name: str(value) for name, value in row.items() if name not in NEW_COLUMNS}
            for row in found
        ]


def old_rows(engine: Engine) -> dict[str, list[dict[str, Any]]]:
    return {table: rows_of(engine, table) for table in OLD_TABLES}


def test_rows_survive_the_way_down_and_up_again(empty: Engine) -> None:
    migrate(empty)
    write_old_rows(empty)
    before = old_rows(empty)
    assert all(before.values())

    downgrade(empty, "0001")
    assert missing_migrations(empty)
    assert old_rows(empty) == before

    migrate(empty)
    assert old_rows(empty) == before
    with reading(empty) as session:
        (decision,) = session.scalars(select(Decision))
        (delivery,) = session.scalars(select(Delivery))
    assert (decision.times, decision.last_at) == (1, None)
    assert (delivery.alarm_id, delivery.status) == (None, Status.accepted)
    assert delivery.recipient == "+12125550101"


def test_the_way_down_takes_what_was_told_of_alarms_and_nothing_else(empty: Engine) -> None:
    migrate(empty)
    write_old_rows(empty)
    before = old_rows(empty)
    with transaction(empty) as session:
        alarm = alarms.add_past_alarm(session, AlarmKind.unreached, "", TUESDAY_TEN, {})
        (lead,) = session.scalars(select(Lead))
        row = row_for(lead, lead_id=None, alarm_id=alarm.id, audience=Audience.staff)
        deliveries.plan(session, [row])
        (told,) = alarms.list_told(session, alarm.id)
        ledger.add_decision(
            session, lead_id=None, delivery_id=told.id, at=TUESDAY_TEN, status=Status.sending
        )

    downgrade(empty, "0001")

    assert old_rows(empty) == before


def test_after_the_way_down_and_up_planning_twice_still_plans_once(empty: Engine) -> None:
    migrate(empty)
    write_old_rows(empty)
    downgrade(empty, "0001")
    migrate(empty)

    assert differences(empty) == []
    with transaction(empty) as session:
        (lead,) = session.scalars(select(Lead))
        assert deliveries.plan(session, [row_for(lead)]) == 0
        assert deliveries.plan(session, [row_for(lead, occurrence=2)]) == 1


def test_texts_from_before_they_were_heeded_are_history_and_alert_nobody(empty: Engine) -> None:
    migrate(empty)
    downgrade(empty, "0002")
    old = "INSERT INTO replies (id, provider_id, sender, sender_hash, body, received_at)"
    with empty.begin() as connection:
        received_at = "0" if empty.dialect.name == "sqlite" else "'1970-01-01T00:00:00Z'"
        values = f"VALUES ('{'0' * 32}', 'SM1', '', '', '', {received_at})"
        connection.execute(text(f"{old} {values}"))

    migrate(empty)

    with reading(empty) as session:
        assert replies.list_unheeded(session, TUESDAY_TEN) == []
