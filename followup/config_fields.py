"""What single settings are: lists, networks, addresses of servers, recipients."""

import ipaddress
import re
from collections.abc import Collection, Mapping
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import BeforeValidator, SecretStr
from pydantic_settings import NoDecode

from followup.domain.address import email_key, normal_email, parse_phone


def _split(value: object) -> object:
    """Lists are comma-separated text."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _networks(value: object) -> object:
    parts = _split(value)
    try:
        return tuple(ipaddress.ip_network(str(part)) for part in parts)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        raise ValueError("must be addresses or networks such as 10.0.0.1, 10.1.0.0/16") from None


Listed = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_split)]
Networks = Annotated[
    tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...],
    NoDecode,
    BeforeValidator(_networks),
]


def _chats(value: object) -> object:
    if not isinstance(value, str):
        return value
    given = [part.partition("=") for part in value.split(";") if part.strip()]
    chats = {name.strip(): address.strip() for name, _, address in given}
    if len(chats) < len(given) or not all(map(_is_chat, chats, chats.values())):
        raise ValueError("must be names with Apprise's addresses: name=slack://…; other=…")
    return chats


def _is_chat(name: str, address: str) -> bool:
    try:
        return bool(re.fullmatch(r"[a-z0-9][a-z0-9-]*", name) and urlsplit(address).scheme)
    except ValueError:
        return False


#: The addresses of chats by the names that clinic.toml has for them.
Chats = Annotated[Mapping[str, SecretStr], NoDecode, BeforeValidator(_chats)]


def usual_recipient(text: str) -> str:
    """An email address or a phone number in the form by which they are compared."""
    return email_key(normal_email(text)) if "@" in text else parse_phone(text).e164


def parts_of(url: str, schemes: Collection[str], expected: str) -> SplitResult:
    """The parts of a URL; raises ValueError(expected) for one that cannot be used."""
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in schemes and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        raise ValueError(expected)
    return parts


def is_loopback(url: str | None) -> bool:
    """Whether the address is of this machine; an unset address is the provider's real one."""
    host = urlsplit(url).hostname if url else None
    if host is None:
        return False
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
