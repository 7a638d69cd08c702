"""Around every route: headers on every answer, and an end to waiting for slow callers."""

import asyncio
import base64
import re
import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
import uvicorn
from starlette.types import Message, Receive, Scope, Send

from followup.web import patience
from followup.web.edge import Edge
from followup.web.patience import PatientProtocol
from tests.waiting import eventually
from tests.web.caller import Caller

PAGES = ["/forms/contact", "/forms/screening", "/act/x", "/unsubscribe/x", "/docs"]
ANSWERS = [*PAGES, "/healthz", "/readyz", "/forms", "/admin/leads", "/nowhere", "/metrics", "/"]


@pytest.mark.parametrize("path", ANSWERS)
def test_every_answer_has_its_headers(api: Caller, path: str) -> None:
    headers = api.http.get(path).headers

    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert "geolocation=()" in headers["permissions-policy"]
    assert headers["strict-transport-security"] == "max-age=31536000"
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", PAGES)
def test_the_style_of_a_page_is_let_in_by_its_hash_and_there_is_no_other(
    api: Caller, path: str
) -> None:
    page = api.http.get(path)
    (style,) = re.findall("<style>(.*?)</style>", page.text, re.DOTALL)
    digest = base64.b64encode(sha256(style.encode()).digest()).decode()

    assert f"style-src 'sha256-{digest}'" in page.headers["content-security-policy"]
    assert "<script" not in page.text
    assert not re.search(r'\s(style|on\w+)="', page.text)


def exchange(app: Any, parts: list[Message | None], **options: Any) -> list[Message]:
    """What the edge answers to a body that comes in these parts; None never comes."""
    sent: list[Message] = []

    async def receive() -> Message:
        part = parts.pop(0)
        if part is None:
            await asyncio.Event().wait()
        assert part is not None
        if part["type"] == "http.disconnect":
            # Comes later than what was said before it.
            await asyncio.get_running_loop().run_in_executor(None, lambda: None)
        return part

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/x", "headers": []}
    asyncio.run(Edge(app, **options)(scope, receive, send))
    return sent


async def reads_all(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    empty = [(b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 200, "headers": empty})
    await send({"type": "http.response.body", "body": b""})


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    begun: Message = {"type": "http.request", "body": b"name=", "more_body": True}

    start, _ = exchange(reads_all, [begun, None], body_within=0.01)

    assert start["status"] == 408
    assert (b"connection", b"close") in start["headers"]


def test_a_body_that_has_come_may_be_worked_on_for_longer() -> None:
    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        assert (await receive())["type"] == "http.disconnect"
        await reads_all(scope, receive, send)

    whole: Message = {"type": "http.request", "body": b"x", "more_body": False}
    gone: Message = {"type": "http.disconnect"}

    start, _ = exchange(slow, [whole, gone, whole], body_within=0)

    assert start["status"] == 200


def test_without_tls_nobody_is_told_to_insist_on_it() -> None:
    whole: Message = {"type": "http.request", "body": b"", "more_body": False}

    start, _ = exchange(reads_all, [whole])

    assert b"strict-transport-security" not in dict(start["headers"])


class _Server(uvicorn.Server):
    def install_signal_handlers(self) -> None: ...


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A server that waits a twentieth of a second for a head."""
    monkeypatch.setattr(patience, "HEAD_WITHIN", timedelta(seconds=0.05))
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        reads_all, http=PatientProtocol, ws="none", lifespan="off", log_config=None
    )
    server = _Server(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    eventually(lambda: server.started)

    yield listener.getsockname()[1]

    server.should_exit = True
    thread.join()
    listener.close()


@pytest.mark.parametrize(
    "said", [b"", b"POST /x HTTP/1.1\r\nHost: x\r\n"], ids=["nothing", "half a head"]
)
def test_a_connection_that_does_not_come_to_the_point_is_closed(port: int, said: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as caller:
        caller.sendall(said)

        assert caller.recv(100) == b""


def test_a_connection_is_kept_for_further_requests_and_each_has_its_time(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as caller:
        for _ in range(2):
            caller.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
            assert caller.recv(1000).startswith(b"HTTP/1.1 200 OK")
        begun = time.monotonic()
        caller.sendall(b"GET /x HTTP/1.1\r\nHos")

        assert caller.recv(1000) == b""
        assert time.monotonic() - begun < 4, "sooner than the pause between two requests may last"
