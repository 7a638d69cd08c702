"""Makes the schema in an empty database, and has the keys that the tests encrypt with."""

from sqlalchemy import Connection, Engine, text

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
        connection = session.connection()
        _guard(connection, on=False)
        for table in reversed(Base.metadata.sorted_tables):
            if table is not AuditHead.__table__:
                connection.execute(table.delete())
        head = entries.get_head(session)
        if head.position:
            mac = head_mac(entries.chain_key(session), 0, "")
            head.position, head.seal, head.mac = 0, "", mac
        session.flush()
        _guard(connection, on=True)


def _guard(connection: Connection, *, on: bool) -> None:
    if connection.dialect.name == "sqlite":
        (append_only.install if on else append_only.remove)(connection)
        return
    for table in append_only.GUARDED:
        verb = "ENABLE" if on else "DISABLE"
        connection.execute(text(f"ALTER TABLE {table} {verb} TRIGGER USER"))
