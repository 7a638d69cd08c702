"""Whether a form's post comes from the source that it names: each vendor's own proof.

The bytes of the body are what is signed. Whatever goes wrong while they are looked at is a no.
"""

import base64
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from followup.clinic_sources import Proof, Source, Vendor
from followup.domain.signature import read_key, sign

#: What is older, or that far ahead, is a replay.
TOLERANCE = timedelta(minutes=5)


@dataclass(frozen=True)
class Post:
    """One post, as it came; `url` is the public address, which some vendors sign."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    #: From the end of the address.
    key: str = ""


def is_proven(source: Source, secrets: Sequence[str], post: Post, now: datetime) -> bool:
    """Whether one of the secrets, of which one may be on its way out, made the proof."""
    check = _CHECKS[source.vendor if source.proven_by is Proof.signature else source.proven_by]
    return any(_is_proven(check, secret, post, now) for secret in secrets)


def _is_proven(check: "_Check", secret: str, post: Post, now: datetime) -> bool:
    try:
        return bool(secret) and check(secret, post, now)
    except Exception:  # no header, no number, no base64, no UTF-8: no proof
        return False


_Check = Callable[[str, Post, datetime], bool]


def _typeform(secret: str, post: Post, _now: datetime) -> bool:
    """typeform.com/developers/webhooks/secure-your-webhooks"""
    expected = b"sha256=" + base64.b64encode(_mac(secret, post.body).digest())
    return _equal(expected, post.headers["typeform-signature"])


def _formspree(secret: str, post: Post, now: datetime) -> bool:
    """help.formspree.io, "Webhooks": `t=<unix seconds>,v1=<hexadecimal>`."""
    parts = [part.strip().partition("=") for part in post.headers["formspree-signature"].split(",")]
    (stamp,) = (value for name, _, value in parts if name == "t")
    expected = _mac(secret, stamp.encode() + b"." + post.body).hexdigest().encode()
    given = [value for name, _, value in parts if name == "v1"]
    return _is_recent(stamp, now) and any(_equal(expected, one) for one in given)


def _webflow(secret: str, post: Post, now: datetime) -> bool:
    """developers.webflow.com/data/docs/working-with-webhooks: milliseconds, and `stamp:body`."""
    stamp = post.headers["x-webflow-timestamp"]
    expected = _mac(secret, stamp.encode() + b":" + post.body).hexdigest().encode()
    return _is_recent(stamp, now, 1000) and _equal(expected, post.headers["x-webflow-signature"])


def _hubspot(secret: str, post: Post, now: datetime) -> bool:
    """developers.hubspot.com, "Validating requests". A post with the third signature is not proven
    by an older one, which covers less."""
    address = post.method.encode() + post.url.encode()
    if (third := post.headers.get("x-hubspot-signature-v3")) is not None:
        stamp = post.headers["x-hubspot-request-timestamp"]
        expected = _mac(secret, address + post.body + stamp.encode()).digest()
        return _is_recent(stamp, now, 1000) and _equal(base64.b64encode(expected), third)
    signed = {"v1": post.body, "v2": address + post.body}
    body = signed[post.headers.get("x-hubspot-signature-version", "v1").lower()]
    expected = sha256(secret.encode() + body).hexdigest().encode()
    return _equal(expected, post.headers["x-hubspot-signature"])


def _opnform(secret: str, post: Post, _now: datetime) -> bool:
    """docs.opnform.com/api-reference/integrations/webhook-security"""
    expected = b"sha256=" + _mac(secret, post.body).hexdigest().encode()
    return _equal(expected, post.headers["x-webhook-signature"])


def _standard(secret: str, post: Post, now: datetime) -> bool:
    """github.com/standard-webhooks/standard-webhooks, "Signature scheme". Signatures of another
    version, and what is no signature at all, stand beside ours and are passed over."""
    stamp, text = post.headers["webhook-timestamp"], post.body.decode()
    expected = sign([read_key(secret)], post.headers["webhook-id"], int(stamp), text.encode())
    given = post.headers["webhook-signature"].split(" ")
    return _is_recent(stamp, now) and any(_equal(expected.encode(), one) for one in given)


def _bearer(secret: str, post: Post, _now: datetime) -> bool:
    scheme, _, given = post.headers["authorization"].partition(" ")
    return scheme.lower() == "bearer" and _equal(secret.encode(), given.strip())


def _path(secret: str, post: Post, _now: datetime) -> bool:
    return _equal(secret.encode(), post.key)


_CHECKS: Mapping[str, _Check] = {
    Vendor.typeform: _typeform,
    Vendor.formspree: _formspree,
    Vendor.webflow: _webflow,
    Vendor.hubspot: _hubspot,
    Vendor.opnform: _opnform,
    Vendor.standard: _standard,
    Proof.bearer: _bearer,
    Proof.path: _path,
}


def _mac(secret: str, signed: bytes) -> hmac.HMAC:
    return hmac.new(secret.encode(), signed, sha256)


def _equal(expected: bytes, given: str) -> bool:
    return hmac.compare_digest(expected, given.encode())


def _is_recent(stamp: str, now: datetime, per_second: int = 1) -> bool:
    if not re.fullmatch(r"[0-9]{1,13}", stamp):
        return False
    return abs(now - datetime.fromtimestamp(int(stamp) / per_second, UTC)) <= TOLERANCE
