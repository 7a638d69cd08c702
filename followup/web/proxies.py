"""Who the visitor is when proxies stand between: `X-Forwarded-For` is believed of configured
proxies alone, because anybody can write it."""

import ipaddress
from collections.abc import Callable, Collection

from starlette.types import ASGIApp, Receive, Scope, Send

from followup.domain.suspicion import Network


class Proxies:
    """Puts the visitor's address, and the scheme that the visitor used, into the request."""

    def __init__(self, app: ASGIApp, trusted: Callable[[], Collection[Network]]) -> None:
        self._app = app
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope.get("client"):
            scope = _seen_through(scope, self._trusted())
        await self._app(scope, receive, send)


def _seen_through(scope: Scope, trusted: Collection[Network]) -> Scope:
    peer = _address(scope["client"][0])
    if peer is None or not _is_among(peer, trusted):
        return {**scope, "client": (str(peer), scope["client"][1])} if peer else scope
    visitor = peer
    for hop in reversed(_listed(scope, b"x-forwarded-for")):
        address = _address(hop)
        # Whatever stands left of what is no address was written by we know not whom.
        if address is None:
            break
        visitor = address
        if not _is_among(visitor, trusted):
            break
    schemes = [scheme.lower() for scheme in _listed(scope, b"x-forwarded-proto")]
    is_known = bool(schemes) and schemes[-1] in ("http", "https")
    return {
        **scope,
        "client": (str(visitor), 0),
        "scheme": schemes[-1] if is_known else scope["scheme"],
    }


def _listed(scope: Scope, header: bytes) -> list[str]:
    """A proxy may add a line of its own rather than to the line that is there."""
    lines = [value.decode("latin-1") for name, value in scope["headers"] if name == header]
    return [part.strip() for part in ",".join(lines).split(",") if part.strip()]


Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _address(text: str) -> Address | None:
    """Some proxies write the port, too; an IPv4 address may come in the dress of IPv6."""
    bare = text.strip()
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _is_among(address: Address, trusted: Collection[Network]) -> bool:
    return any(address in network for network in trusted)
