"""Signatures by the Standard Webhooks specification
(github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md)."""

import base64
import binascii
import hmac
from collections.abc import Sequence
from hashlib import sha256

_PREFIX = "whsec_"
#: Bytes of a key.
_LENGTHS = range(24, 65)


def read_key(secret: str) -> bytes:
    """The key in `whsec_…`, whose padding may be missing. Raises ValueError."""
    text = secret.removeprefix(_PREFIX)
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if text == secret or len(key) not in _LENGTHS:
        raise ValueError(f"must be whsec_ and {_LENGTHS[0]} to {_LENGTHS[-1]} bytes in base64")
    return key


def sign(keys: Sequence[bytes], message_id: str, timestamp: int, body: bytes) -> str:
    """The header `webhook-signature`: one signature by each key, for while they are changed."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    macs = (hmac.new(key, signed, sha256).digest() for key in keys)
    return " ".join(f"v1,{base64.b64encode(mac).decode()}" for mac in macs)
