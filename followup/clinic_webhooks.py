"""The tables `[[webhooks]]` of clinic.toml: which systems of the clinic are told what happened.

Their secrets are a setting (`FOLLOWUP_WEBHOOK_SECRETS`), because that file may be read by many.
"""

import ipaddress
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from followup.domain.announcement import Event
from followup.domain.signature import LENGTHS, PREFIX, read_key
from followup.named_secrets import NamedSecrets
from followup.toml_file import Table


def _receiver(url: str) -> str:
    """What is told goes over TLS, or stays on this machine."""
    expected = "expected an address such as https://hooks.example.com/followup"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise ValueError(expected) from error
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))
    if not (is_safe and host and url.isascii() and url.isprintable()) or " " in url:
        raise ValueError(f"{expected} (http only on this machine)")
    if parts.username or parts.password or parts.fragment:
        raise ValueError(f"{expected}, without a password or a #part")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Webhook(Table):
    """One receiver."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
    url: Annotated[str, AfterValidator(_receiver)]
    events: Annotated[frozenset[Event], Field(min_length=1)] = frozenset(Event)
    #: Who the person is, too, and not ids and references alone.
    details: bool = False

    @property
    def is_here(self) -> bool:
        """Whether what is told stays on this machine."""
        return _is_loopback(urlsplit(self.url).hostname or "")


def _distinct(webhooks: tuple[Webhook, ...]) -> tuple[Webhook, ...]:
    names = [one.name for one in webhooks]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"expected a different name for each, got {twice!r} twice")
    return webhooks


Webhooks = Annotated[tuple[Webhook, ...], Field(max_length=8), AfterValidator(_distinct)]


def _keys(secrets: NamedSecrets) -> NamedSecrets:
    for name, those in secrets.items():
        if not all(_is_made_by_the_rules(one.get_secret_value()) for one in those):
            expected = f"{PREFIX} and {LENGTHS[0]} to {LENGTHS[-1]} bytes in base64"
            raise ValueError(f"of {name} must be {expected}")
    return secrets


def _is_made_by_the_rules(secret: str) -> bool:
    """The clinic makes these itself, and a receiver's library need take no other."""
    try:
        return secret.startswith(PREFIX) and len(read_key(secret)) in LENGTHS
    except ValueError:
        return False


WebhookSecrets = Annotated[NamedSecrets, AfterValidator(_keys)]


def keys_of(secrets: NamedSecrets, name: str) -> tuple[bytes, ...]:
    """What is signed with for that webhook; none, where no secret is set."""
    return tuple(read_key(one.get_secret_value()) for one in secrets.get(name, ()))
