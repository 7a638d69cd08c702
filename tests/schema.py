"""Makes the schema in an empty database, and has the keys that the tests encrypt with."""

from followup.store import db
from followup.store.crypto import Keyring

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
        db.migrate(engine)
    finally:
        engine.dispose()
