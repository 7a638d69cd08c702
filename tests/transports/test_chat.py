"""Chats, by Apprise's json:// against a server on this machine: what is sure, and what is not."""

import json
import logging
import socket
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from followup.errors import OutcomeUnknown, PermanentFailure, TemporaryFailure, Throttled
from followup.transports import chat
from followup.transports.base import Lost, Outgoing
from followup.transports.chat import ChatTransport
from tests.parallel import PATIENCE_SECONDS, together

WORDS = "New lead K7Q4, Newport Beach, is waiting for a call. https://followup.example.com/act/x*_y"


class Server:
    """A chat's web hook; the last part of a path says how it answers."""

    def __init__(self) -> None:
        taken: list[dict[str, Any]] = []
        both_are_here = threading.Barrier(2)

        class Hook(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                how = self.path.rpartition("/")[2]
                if how == "hangs":
                    ends.wait(PATIENCE_SECONDS)
                if how == "401" or how == "409":
                    both_are_here.wait(PATIENCE_SECONDS)
                if how.isdecimal():
                    self.send_response(int(how))
                    self.send_header("Location", "/200")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                self.close_connection = True

            do_GET = do_POST

            def log_message(self, *_: object) -> None:
                """Silent."""

        self.taken = taken
        self._ends = ends = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def address(self, how: str) -> str:
        return f"json://127.0.0.1:{self._server.server_port}/hook/{how}"

    def close(self) -> None:
        self._ends.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture(scope="module")
def serving() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def server(serving: Server) -> Server:
    serving.taken.clear()
    return serving


def send(address: str, to: str = "desk") -> str:
    delivery = Outgoing(delivery_id=uuid.UUID(int=1), to=to, text=WORDS)
    return ChatTransport({"desk": address}, "Harbor Light").send(delivery)


def test_a_message_goes_as_it_is_written_and_with_nothing_else(server: Server) -> None:
    assert send(server.address("200")) == str(uuid.UUID(int=1))

    (taken,) = server.taken
    said = {name: value for name, value in taken.items() if value and name != "version"}
    assert said == {"message": WORDS, "type": "info"}


@pytest.mark.parametrize(
    ("how", "kind", "code"),
    [
        pytest.param("400", PermanentFailure, "400", id="refused"),
        pytest.param("404", PermanentFailure, "404", id="no such hook"),
        pytest.param("429", Throttled, "429", id="too many"),
        pytest.param("500", OutcomeUnknown, "500", id="the chat broke"),
        pytest.param("307", OutcomeUnknown, "307", id="sent elsewhere, which is not followed"),
        pytest.param("closes", OutcomeUnknown, None, id="no answer"),
        pytest.param("hangs", OutcomeUnknown, None, id="no answer in time"),
    ],
)
def test_what_was_not_taken_for_sure_may_have_been(
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
    kind: type[Exception],
    code: str | None,
) -> None:
    monkeypatch.setattr(chat, "READ_SECONDS", 0.3 if how == "hangs" else 10.0)

    with pytest.raises(kind) as failed:
        send(server.address(how))

    assert failed.value.code == code  # type: ignore[attr-defined]
    assert len(server.taken) == 1


def test_nobody_there_is_unknown_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    with pytest.raises(OutcomeUnknown):
        send(f"json://127.0.0.1:{port}/")


@pytest.mark.parametrize(
    ("address", "to"),
    [
        pytest.param("{200}", "managers", id="a name without an address"),
        pytest.param("nosuchchat://x", "desk", id="no service of Apprise's"),
        pytest.param("slack://T1", "desk", id="half an address"),
        pytest.param("{500}?retry=3", "desk", id="one that tries again"),
        pytest.param("tgram://123456789:abcdefg_hijklmnop/1/2/", "desk", id="two chats in one"),
    ],
)
def test_an_address_that_cannot_be_used_once_is_not_used(
    server: Server, address: str, to: str
) -> None:
    for how in ("200", "500"):
        address = address.replace(f"{{{how}}}", server.address(how))

    with pytest.raises(PermanentFailure) as failed:
        send(address, to)

    assert "://" not in str(failed.value)
    assert server.taken == []


def test_calls_at_once_hear_their_own_answers(server: Server) -> None:
    def code(how: str) -> str | None:
        with pytest.raises(PermanentFailure) as failed:
            send(server.address(how))
        return failed.value.code

    assert together(lambda: code("401"), lambda: code("409")) == ["401", "409"]


class Log(logging.Handler):
    """As the process's own; pytest's listens to loggers that pass nothing on, too."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        self.names.add(record.name.partition(".")[0])


def test_nothing_of_an_address_is_logged(server: Server) -> None:
    log = Log()
    logging.getLogger().addHandler(log)

    for address in (server.address("404"), "slack://T1JJ3T3L2"):
        with pytest.raises(PermanentFailure):
            send(address)

    logging.getLogger().removeHandler(log)
    assert "apprise" not in log.names


def test_a_chat_cannot_be_asked() -> None:
    transport = ChatTransport({}, "Harbor Light")

    with pytest.raises(TemporaryFailure):
        transport.look_up("x")
    lost = Lost(
        Outgoing(delivery_id=uuid.UUID(int=1), to="desk", text=WORDS),
        datetime(2026, 10, 20, tzinfo=UTC),
    )
    assert [type(one) for one in transport.find([lost, lost])] == [TemporaryFailure] * 2
