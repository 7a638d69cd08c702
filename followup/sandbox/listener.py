"""Listening sockets with a thread per connection, and a small HTTP/1.1 server on top.

Threads rather than an event loop, because scripts must hang, drop or slow down one connection.
"""

import json
import select
import selectors
import socket
import sys
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Lock, Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

from followup.errors import Misconfigured

#: More than any message or form that we accept.
MAX_BODY = 1_000_000


class Listener(ThreadingTCPServer):
    """Serves until `stop`, which also cuts every open connection, as a killed process would.

    Port 0 picks a free one. A busy port raises `Misconfigured`, naming `setting`.
    """

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 512
    #: Of `handle_request`, which is called when somebody is there.
    timeout = 0

    def __init__(
        self, host: str, port: int, serve_one: type[BaseRequestHandler], setting: str
    ) -> None:
        self._open: set[socket.socket] = set()
        self._lock = Lock()
        try:
            super().__init__((host, port), serve_one)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise Misconfigured(
                f"{setting}: cannot listen on port {port} of {host} ({reason}); "
                "expected a port that is free"
            ) from error

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def start(self) -> None:
        self._hears, self._stops = socket.socketpair()
        self._thread = Thread(target=self._accept, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stops.close()
        self._thread.join()
        self.server_close()
        self._hears.close()
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            close_at_once(connection)

    def _accept(self) -> None:
        """As `serve_forever`, which would look twice a second or more often whether to stop."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._hears, selectors.EVENT_READ)
            selector.register(self, selectors.EVENT_READ)
            while all(key.fileobj is self for key, _ in selector.select()):
                self.handle_request()

    def keep(self, connection: socket.socket) -> None:
        """Cut this connection too on `stop`."""
        with self._lock:
            self._open.add(connection)

    def forget(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.discard(connection)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.keep(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self.forget(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that hung up, or our own stop, is no defect of the sandbox.
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def close_at_once(connection: socket.socket) -> None:
    """Both directions, and without an answer that is still buffered."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def wait_for_hang_up(connection: socket.socket, seconds: float) -> None:
    """Says nothing until the client has gone, or for so long."""
    watch = select.poll()
    watch.register(connection, select.POLLIN)
    watch.poll(seconds * 1000)


@dataclass(frozen=True)
class Request:
    """One request; header names are in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_form(self) -> bool:
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        return kind == "application/x-www-form-urlencoded"

    def form(self) -> dict[str, list[str]]:
        return parse_qs(self.body.decode(errors="replace"), keep_blank_values=True)

    def arguments(self) -> dict[str, str]:
        """The query, the first value of each name."""
        parsed = parse_qs(self.query, keep_blank_values=True)
        return {name: values[0] for name, values in parsed.items()}

    def credentials(self) -> tuple[str, str] | None:
        """User and password of HTTP Basic, or None."""
        scheme, _, encoded = self.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            user, _, password = b64decode(encoded, validate=True).decode().partition(":")
        except (NotBase64, UnicodeDecodeError):
            return None
        return user, password


@dataclass(frozen=True)
class Response:
    status: int
    body: bytes = b""
    kind: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    def encode(self, keep_alive: bool) -> bytes:
        head = [
            f"HTTP/1.1 {self.status} {_phrase(self.status)}",
            f"Content-Length: {len(self.body)}",
            f"Connection: {'keep-alive' if keep_alive else 'close'}",
        ]
        if self.body:
            head.append(f"Content-Type: {self.kind}")
        head.extend(f"{name}: {value}" for name, value in self.headers.items())
        return "\r\n".join([*head, "", ""]).encode("latin-1") + self.body


@dataclass(frozen=True)
class Silence:
    """No answer at all: the connection is held so long, or until the client goes, then cut."""

    seconds: float = 0


def json_response(status: int, value: object, headers: Mapping[str, str] | None = None) -> Response:
    body = json.dumps(value, ensure_ascii=False).encode()
    return Response(status, body, headers=headers or {})


Answer = Callable[[Request], Response | Silence]


class HttpListener(Listener):
    """HTTP/1.1 with keep-alive; each request goes to `answer`."""

    def __init__(self, host: str, port: int, answer: Answer, setting: str) -> None:
        super().__init__(host, port, _Conversation, setting)
        self.answer = answer


class _Conversation(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: HttpListener

    def _serve(self) -> None:
        body = self._body()
        if body is None:
            self.close_connection = True
            refusal = {"message": f"expected Content-Length of at most {MAX_BODY}"}
            self.wfile.write(json_response(413, refusal).encode(keep_alive=False))
            return
        target = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.answer(Request(self.command, target.path, target.query, headers, body))
        if isinstance(answer, Silence):
            self.close_connection = True
            wait_for_hang_up(self.connection, answer.seconds)
            close_at_once(self.connection)
        else:
            self.wfile.write(answer.encode(not self.close_connection))

    do_GET = do_POST = do_PUT = do_DELETE = _serve

    def _body(self) -> bytes | None:
        """The body; None when it is too long or of unknown length."""
        if "Transfer-Encoding" in self.headers:
            return None
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > MAX_BODY:
            return None
        return self.rfile.read(int(length))

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: request lines hold phone numbers."""


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
