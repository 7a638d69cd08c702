"""The keys of hashes: the store's own, whatever becomes of the encryption keys."""

from collections.abc import Iterator

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Engine

from followup.errors import Misconfigured
from followup.store.crypto import Keyring
from followup.store.db import make_engine
from followup.store.hash_keys import find_hash_keys
from followup.store.migrating import migrate
from tests.schema import ENCRYPTION_KEYS, KEYRING
from tests.store.test_migrations import downgrade

NEW = Fernet.generate_key().decode()


@pytest.fixture
def empty(empty_database_url: str) -> Iterator[Engine]:
    engine = make_engine(empty_database_url, KEYRING)
    yield engine
    engine.dispose()


def with_keys(engine: Engine, *keys: str) -> Engine:
    url = engine.url.render_as_string(hide_password=False)
    return make_engine(url, Keyring(keys))


def test_a_store_begins_with_the_keys_that_made_its_hashes_until_then(engine: Engine) -> None:
    keyring = Keyring([NEW, *ENCRYPTION_KEYS])
    keyring.find_hash_keys_by(lambda: find_hash_keys(engine))

    assert keyring.hash("a") == KEYRING.hash("a")
    assert keyring.hashes("a") == KEYRING.hashes("a")


def test_the_store_is_asked_once() -> None:
    answers = iter([[b"a key of the store's"]])
    keyring = Keyring([NEW])
    keyring.find_hash_keys_by(lambda: next(answers))

    assert keyring.hash("a") == keyring.hash("a") != Keyring([NEW]).hash("a")


def test_before_the_migration_the_encryption_keys_make_them(empty: Engine) -> None:
    keyring = Keyring(ENCRYPTION_KEYS)
    keyring.find_hash_keys_by(lambda: find_hash_keys(empty))

    assert find_hash_keys(empty) is None
    before = keyring.hash("a")
    migrate(empty)
    assert keyring.hash("a") == before


def test_going_back_is_refused_once_hashes_depend_on_what_is_kept(empty: Engine) -> None:
    migrate(empty)
    other = with_keys(empty, NEW, ENCRYPTION_KEYS[0])

    with pytest.raises(Misconfigured, match="has left the list"):
        downgrade(other, "0002")

    other.dispose()
    downgrade(empty, "0002")
    assert find_hash_keys(empty) is None
