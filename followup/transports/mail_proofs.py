"""Whether a webhook comes from SendGrid, Mailgun or Postmark."""

import base64
import hmac
import json
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

#: A signed event of SendGrid that is older, or that far ahead, is a replay.
SENDGRID_AGE = timedelta(minutes=5)
#: Mailgun tries for eight hours.
MAILGUN_AGE = timedelta(hours=24)


def read_sendgrid_key(text: str) -> ec.EllipticCurvePublicKey:
    """The verification key as SendGrid shows it. Raises ValueError."""
    key = serialization.load_der_public_key(base64.b64decode(text, validate=True))
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ValueError("not a key on an elliptic curve")
    return key


def is_from_sendgrid(key: str, body: bytes, timestamp: str, signature: str, now: datetime) -> bool:
    """Whether the body, as it came, was signed at that time, which is about now."""
    if not _is_recent(timestamp, now, SENDGRID_AGE):
        return False
    try:
        signed = timestamp.encode() + body
        read_sendgrid_key(key).verify(
            base64.b64decode(signature, validate=True), signed, ec.ECDSA(hashes.SHA256())
        )
    except (InvalidSignature, ValueError):
        return False
    return True


class MailgunTokens:
    """The tokens that vouched for an event. A signature of Mailgun's does not cover the event, so
    each may vouch for one only; the same event again is a retry."""

    def __init__(self, remembered: int = 10_000) -> None:
        self._remembered = remembered
        self._events: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()

    def vouches(self, body: Mapping[str, Any]) -> bool:
        """Whether the token of a signed body has not vouched for another event."""
        token = str(body["signature"]["token"])
        event = json.dumps(body.get("event-data"), sort_keys=True)
        digest = sha256(event.encode()).hexdigest()
        with self._lock:
            vouched = self._events.setdefault(token, digest)
            if len(self._events) > self._remembered:
                self._events.popitem(last=False)
            return vouched == digest


def is_from_mailgun(key: str, proof: Any, now: datetime) -> bool:
    """Whether `signature` of a body was made with the key, within the time that Mailgun tries."""
    fields = proof if isinstance(proof, dict) else {}
    timestamp, token, given = (
        str(fields.get(name)) for name in ("timestamp", "token", "signature")
    )
    if not _is_recent(timestamp, now, MAILGUN_AGE):
        return False
    signed = (timestamp + token).encode(errors="replace")
    expected = hmac.new(key.encode(), signed, sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), given.encode(errors="replace"))


def is_from_postmark(token: str, authorization: str) -> bool:
    """Whether the token is the password of an `Authorization: Basic`, whatever the user."""
    scheme, _, given = authorization.partition(" ")
    try:
        password = base64.b64decode(given.strip(), validate=True).partition(b":")[2]
    except ValueError:
        return False
    return scheme.lower() == "basic" and hmac.compare_digest(password, token.encode())


def _is_recent(timestamp: str, now: datetime, age: timedelta) -> bool:
    if not re.fullmatch(r"[0-9]{1,10}", timestamp):
        return False
    return abs(now - datetime.fromtimestamp(int(timestamp), UTC)) <= age
