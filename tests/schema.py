"""Makes the schema in an empty database, and has the keys that the tests encrypt with."""

from collections.abc import Sequence

from sqlalchemy import Engine
from sqlalchemy.engine.interfaces import DBAPICursor

from followup.domain.audit import head_mac
from followup.store import append_only, db, entries, migrating
from followup.store.crypto import Keyring
from followup.store.models import AuditHead, Base

#: Fernet keys for tests only; the second is one that was rotated out.
ENCRYPTION_KEYS = (
    "dGVzdHMtb25seS1rZXktb25lLW5vdC1hLXNlY3JldCE=",
    "dGVzdHMtb25seS1rZXktdHdvLW5vdC1hLXNlY3JldCE=",
)
KEYRING = Keyring(ENCRYPTION_KEYS)


def create(url: str) -> None:
    """Leaves no connection open, so that the database can be copied."""
    engine = db.make_engine(url, KEYRING)
    try:
        migrating.migrate(engine)
    finally:
        engine.dispose()


def empty(engine: Engine) -> None:
    """Takes all rows away, those that the database keeps too; the audit trail begins anew."""
    with db.transaction(engine) as session:
        # To the driver, because this comes after every test, and most of it would be SQLAlchemy's.
        cursor = session.connection().connection.cursor()
        for statement in _emptying(cursor, engine.dialect.name):
            cursor.execute(statement)
        cursor.close()
        head = entries.get_head(session)
        if head.position:
            mac = head_mac(entries.chain_key(session), 0, "")
            head.position, head.seal, head.mac = 0, "", mac


def _emptying(cursor: DBAPICursor, dialect: str) -> Sequence[str]:
    """Takes the guards away, the rows, and puts the guards back."""
    tables = [table for table in Base.metadata.sorted_tables if table is not AuditHead.__table__]
    deleting = [str(table.delete()) for table in reversed(tables)]
    if dialect == "sqlite":
        cursor.execute("SELECT tbl_name, name, sql FROM sqlite_master WHERE type = 'trigger'")
        guards = [
            (name, sql) for table, name, sql in cursor.fetchall() if table in append_only.GUARDED
        ]
        lifting = [f"DROP TRIGGER {name}" for name, _ in guards]
        return [*lifting, *deleting, *(sql for _, sql in guards)]
    off, on = (
        [f"ALTER TABLE {table} {verb} TRIGGER USER" for table in append_only.GUARDED]
        for verb in ("DISABLE", "ENABLE")
    )
    # One way to the server and back.
    return ["; ".join([*off, *deleting, *on])]
