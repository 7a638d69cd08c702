"""Who the visitor is: what a configured proxy says, and never what the visitor says."""

import asyncio
import ipaddress
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from followup.web.proxies import Proxies

TRUSTED = [ipaddress.ip_network(one) for one in ("10.0.0.0/8", "192.0.2.1", "fd00::/8")]


def seen(peer: str | None, trusted: Any = TRUSTED, **headers: str) -> tuple[str | None, str]:
    """The address and the scheme that the application sees."""
    found: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        found.append(scope)

    async def nothing(*_: Any) -> Any: ...

    scope = {
        "type": "http",
        "scheme": "http",
        "client": (peer, 1234) if peer else None,
        "headers": [(name.replace("_", "-").encode(), v.encode()) for name, v in headers.items()],
    }
    asyncio.run(Proxies(app, lambda: trusted)(scope, nothing, nothing))
    client = found[0]["client"]
    return client[0] if client else None, found[0]["scheme"]


@pytest.mark.parametrize(
    ("peer", "forwarded", "visitor"),
    [
        pytest.param("203.0.113.9", "198.51.100.1", "203.0.113.9", id="not from a proxy"),
        pytest.param("10.0.0.1", "198.51.100.1", "198.51.100.1", id="from a proxy"),
        pytest.param("10.0.0.1", "1.1.1.1, 198.51.100.1", "198.51.100.1", id="a lie before it"),
        pytest.param("10.0.0.1", "198.51.100.1, 10.0.0.9", "198.51.100.1", id="two proxies"),
        pytest.param("10.0.0.1", "10.0.0.7, 10.0.0.9", "10.0.0.7", id="a visitor of the house"),
        pytest.param("10.0.0.1", "198.51.100.1, rubbish", "10.0.0.1", id="what is no address"),
        pytest.param("10.0.0.1", "198.51.100.1, unknown, 10.2.2.2", "10.2.2.2", id="unknown"),
        pytest.param("10.0.0.1", "", "10.0.0.1", id="nothing"),
        pytest.param("10.0.0.1", " , ,", "10.0.0.1", id="commas"),
        pytest.param("10.0.0.1", "198.51.100.1:4711", "198.51.100.1", id="with its port"),
        pytest.param("10.0.0.1", "[2001:db8::5]:4711", "2001:db8::5", id="IPv6 with its port"),
        pytest.param("10.0.0.1", "2001:db8::5", "2001:db8::5", id="IPv6"),
        pytest.param("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1", id="a proxy as IPv6"),
        pytest.param("fd00::1", "198.51.100.1", "198.51.100.1", id="a proxy by IPv6"),
        pytest.param("192.0.2.2", "198.51.100.1", "192.0.2.2", id="the proxy's neighbour"),
        pytest.param("::ffff:203.0.113.9", "", "203.0.113.9", id="a visitor as IPv6"),
    ],
)
def test_who_the_visitor_is(peer: str, forwarded: str, visitor: str) -> None:
    assert seen(peer, x_forwarded_for=forwarded)[0] == visitor


def test_with_no_proxy_configured_nobody_is_believed() -> None:
    said = {"x_forwarded_for": "198.51.100.1", "x_forwarded_proto": "https"}

    assert seen("127.0.0.1", trusted=[], **said) == ("127.0.0.1", "http")


@pytest.mark.parametrize(
    ("peer", "said", "scheme"),
    [
        ("10.0.0.1", "https", "https"),
        ("10.0.0.1", "http, HTTPS", "https"),
        ("10.0.0.1", "gopher", "http"),
        ("203.0.113.9", "https", "http"),
    ],
)
def test_which_scheme_the_visitor_used(peer: str, said: str, scheme: str) -> None:
    assert seen(peer, x_forwarded_proto=said)[1] == scheme


def test_a_visitor_without_an_address_stays_without() -> None:
    assert seen(None, x_forwarded_for="198.51.100.1") == (None, "http")
