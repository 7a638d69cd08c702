"""Personal fields at rest: encrypted as they pass, and keyed hashes where we must find them.

45 CFR 164.312(a)(2)(iv) asks for encryption at rest. The keys belong to an engine, so that two
stores with other keys can live in one process.
"""

import hmac
import json
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any, cast

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import Dialect, Engine, LargeBinary
from sqlalchemy.types import TypeDecorator

from followup.errors import Misconfigured


class Keyring:
    """Fernet keys, of which the first one writes and all read; and the keys of hashes.

    Hashes have keys of their own, which lie encrypted in the store: a suppression has no text any
    more from which a hash under another key could be made, and a delivery is planned once by its
    recipient's hash. So encryption keys come and go, and no hash ever changes.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._fernets = [Fernet(key) for key in keys]
        self._fernet = MultiFernet(self._fernets)
        self._derived = [_derive(key) for key in keys]
        self._find_hash_keys: Callable[[], Sequence[bytes] | None] = lambda: None
        self._hash_keys: Sequence[bytes] | None = None

    def find_hash_keys_by(self, find: Callable[[], Sequence[bytes] | None]) -> None:
        """Ask the store for them before the first hash; None from it means: not yet migrated."""
        self._find_hash_keys = find

    @property
    def derived_hash_keys(self) -> Sequence[bytes]:
        """One of each encryption key: what a store begins with."""
        return self._derived

    @property
    def size(self) -> int:
        return len(self._fernets)

    def encrypt(self, plain: bytes) -> bytes:
        return self._fernet.encrypt(plain)

    def decrypt(self, token: bytes) -> bytes:
        try:
            return self._fernet.decrypt(token)
        except InvalidToken:
            raise Misconfigured(
                "FOLLOWUP_ENCRYPTION_KEYS: no key reads a stored field; "
                "was the key that wrote it removed from the list?"
            ) from None

    def place_of_key(self, token: bytes) -> int | None:
        """Which key of the list wrote it, from 0; None: none of them."""
        for place, fernet in enumerate(self._fernets):
            try:
                fernet.decrypt(token)
            except InvalidToken:
                continue
            return place
        return None

    def hash(self, text: str) -> str:
        """64 hexadecimal digits; equal for equal text."""
        return _hash(self._known_hash_keys()[0], text)

    def hashes(self, text: str) -> list[str]:
        """The text's hash under every key that ever hashed here, to find what an older one did."""
        return [_hash(key, text) for key in self._known_hash_keys()]

    def _known_hash_keys(self) -> Sequence[bytes]:
        if self._hash_keys is None:
            self._hash_keys = self._find_hash_keys()
        return self._hash_keys or self._derived


def _derive(key: str) -> bytes:
    """A key of its own for hashes, so that neither use weakens the other. Not a random one: a hash
    must be the same whether it was made before or after the store began to keep the key."""
    return HKDF(SHA256(), 32, salt=None, info=b"followup address hash").derive(key.encode())


def _hash(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), sha256).hexdigest()


def give_keys(engine: Engine, keyring: Keyring) -> None:
    engine.dialect.followup_keyring = keyring  # type: ignore[attr-defined]


def keyring_of(engine: Engine) -> Keyring:
    return _of(engine.dialect)


def _of(dialect: Dialect) -> Keyring:
    return cast(Keyring, dialect.followup_keyring)  # type: ignore[attr-defined]


class EncryptedText(TypeDecorator[str]):
    """Text that is ciphertext in the database."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:
        return None if value is None else _of(dialect).encrypt(value.encode())

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> str | None:
        return None if value is None else _of(dialect).decrypt(bytes(value)).decode()


class EncryptedJson(TypeDecorator[Any]):
    """A JSON value that is ciphertext in the database."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> bytes | None:
        return None if value is None else _of(dialect).encrypt(json.dumps(value).encode())

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> Any:
        return None if value is None else json.loads(_of(dialect).decrypt(bytes(value)))
