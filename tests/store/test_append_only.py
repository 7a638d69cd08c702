"""Evidence and the audit trail are append-only by the database itself."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from followup.domain.cadence import Channel
from followup.domain.consent import SuppressionReason
from followup.store import append_only, consents, entries, ledger
from followup.store.db import new_id, reading, transaction
from followup.store.models import Action, Base, Suppression
from tests.store.rows import TUESDAY_TEN
from tests.store.test_consents import ALICE, agree

pytestmark = pytest.mark.every_database

FIXED = [
    (table, column.name)
    for table in append_only.GUARDED
    for column in Base.metadata.tables[table].columns
    if column.name
    not in {
        "consents": ("address_hash", "evidence"),
        "suppressions": ("address_hash", "evidence", "lifted_at", "confirmed_at"),
        "actions": ("note",),
        "audit": ("position", "seal"),
        "audit_heads": ("key", "position", "seal", "mac"),
    }[table]
]


def write_one_of_each(engine: Engine) -> None:
    with transaction(engine) as session:
        agree(session)
        opted_out = SuppressionReason.opted_out
        consents.suppress(session, Channel.sms, ALICE, opted_out, TUESDAY_TEN, "STOP")
        consents.note_confirmed(session, Channel.sms, ALICE, TUESDAY_TEN)
        consents.lift(session, Channel.sms, [ALICE], opted_out, TUESDAY_TEN)
        ledger.add_action(session, lead_id=new_id(), verb="attempt", by="Ann", at=TUESDAY_TEN)
    with transaction(engine) as session:
        assert entries.seal(session, TUESDAY_TEN) == 5


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    write_one_of_each(engine)
    with engine.connect() as connection:
        yield connection


def is_refused(connection: Connection, statement: str) -> bool:
    try:
        with connection.begin():
            connection.execute(text(statement))
    except DBAPIError as error:
        return re.search("are evidence and stay as they are", str(error.orig)) is not None
    return False


def test_nothing_of_evidence_may_be_changed_removed_or_replaced(connection: Connection) -> None:
    statements = [
        *(f'UPDATE {table} SET "{column}" = "{column}"' for table, column in FIXED),  # noqa: S608
        *(f"DELETE FROM {table}" for table in append_only.GUARDED),  # noqa: S608
        "UPDATE suppressions SET lifted_at = NULL",
        "UPDATE suppressions SET confirmed_at = NULL",
        "UPDATE audit SET position = position + 100",
        "UPDATE audit SET seal = NULL",
    ]
    if connection.dialect.name == "sqlite":
        statements += [
            f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}"  # noqa: S608
            for table in append_only.GUARDED
        ]
    else:
        statements += [f"TRUNCATE {table}" for table in append_only.GUARDED]

    assert len(FIXED) > 30
    assert [one for one in statements if not is_refused(connection, one)] == []


@pytest.mark.parametrize(
    "change", ["evidence = evidence", "address_hash = address_hash"], ids=["anew", "rehashed"]
)
def test_what_is_encrypted_or_hashed_may_be_made_anew(connection: Connection, change: str) -> None:
    for table in ("consents", "suppressions"):
        assert not is_refused(connection, f"UPDATE {table} SET {change}")  # noqa: S608


def test_a_row_goes_once_the_trail_says_so(engine: Engine) -> None:
    write_one_of_each(engine)

    with transaction(engine) as session:
        (action,) = session.query(Action).all()
        entries.remove_evidence(session, action, at=TUESDAY_TEN)

    with reading(engine) as session:
        assert session.query(Action).all() == []
        assert len(session.query(Suppression).all()) == 1


def test_without_the_triggers_it_would_be_lost(engine: Engine) -> None:
    write_one_of_each(engine)
    with engine.begin() as connection:
        append_only.remove(connection)
        connection.execute(text("DELETE FROM actions"))
        append_only.install(connection)

    with engine.connect() as connection:
        assert is_refused(connection, "DELETE FROM consents")


def test_the_trail_stands_and_falls_with_what_it_is_about(engine: Engine) -> None:
    def fail() -> None:
        with transaction(engine) as session:
            agree(session)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    counted: dict[str, Any] = {}
    with engine.connect() as connection:
        for table in ("consents", "audit"):
            counted[table] = connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()  # noqa: S608
    assert counted == {"consents": 0, "audit": 0}
