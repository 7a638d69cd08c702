"""The wire below the routes."""

import socket
from collections.abc import Iterator

import pytest

from followup.errors import Misconfigured
from followup.sandbox.listener import MAX_BODY, HttpListener, Request, Response, Silence


def echo(request: Request) -> Response | Silence:
    if request.path == "/silence":
        return Silence()
    return Response(200, request.body, "text/plain")


@pytest.fixture
def listener() -> Iterator[HttpListener]:
    listener = HttpListener("127.0.0.1", 0, echo, "FOLLOWUP_SANDBOX_PORT")
    listener.start()
    yield listener
    listener.stop()


def talk(listener: HttpListener, sent: bytes) -> bytes:
    """Everything that comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", listener.port), timeout=5) as line:
        line.sendall(sent)
        received = b""
        while chunk := line.recv(65536):
            received += chunk
    return received


def test_one_connection_carries_many_requests(listener: HttpListener) -> None:
    one = b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nab"
    last = b"POST / HTTP/1.1\r\nContent-Length: 2\r\nConnection: close\r\n\r\ncd"

    received = talk(listener, one + last)

    assert received.count(b"HTTP/1.1 200 OK") == 2
    assert received.endswith(b"Content-Type: text/plain\r\n\r\ncd")


def test_silence_closes_without_a_byte(listener: HttpListener) -> None:
    assert talk(listener, b"GET /silence HTTP/1.1\r\n\r\n") == b""


@pytest.mark.parametrize(
    "header",
    [f"Content-Length: {MAX_BODY + 1}", "Content-Length: -1", "Transfer-Encoding: chunked"],
)
def test_a_body_of_unknown_or_excessive_length_is_refused(
    listener: HttpListener, header: str
) -> None:
    received = talk(listener, f"POST / HTTP/1.1\r\n{header}\r\n\r\n".encode())

    assert received.startswith(b"HTTP/1.1 413")


def test_a_busy_port_is_named_with_its_setting(listener: HttpListener) -> None:
    expected = rf"^FOLLOWUP_SANDBOX_PORT: cannot listen on port {listener.port} of 127\.0\.0\.1"

    with pytest.raises(Misconfigured, match=expected):
        HttpListener("127.0.0.1", listener.port, echo, "FOLLOWUP_SANDBOX_PORT")


def test_a_port_that_is_none_is_refused() -> None:
    with pytest.raises(Misconfigured, match="port 99999"):
        HttpListener("127.0.0.1", 99999, echo, "FOLLOWUP_SANDBOX_PORT")


def test_a_stopped_listener_cuts_open_connections_and_takes_no_more() -> None:
    listener = HttpListener("127.0.0.1", 0, echo, "PORT")
    listener.start()
    with socket.create_connection(("127.0.0.1", listener.port), timeout=5) as line:
        line.sendall(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nab")
        assert line.recv(65536)

        listener.stop()

        assert line.recv(65536) == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", listener.port), timeout=5)


@pytest.mark.parametrize(
    ("header", "credentials"),
    [
        ("Basic dXNlcjpwYTpzcw==", ("user", "pa:ss")),
        ("basic dXNlcjo=", ("user", "")),
        ("Basic !!!", None),
        ("Basic /w==", None),
        ("Bearer dXNlcjo=", None),
        ("", None),
    ],
)
def test_credentials_are_read(header: str, credentials: tuple[str, str] | None) -> None:
    request = Request("GET", "/", "", {"authorization": header}, b"")

    assert request.credentials() == credentials
