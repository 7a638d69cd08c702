"""`python -m bench.providers`: stand-ins for Twilio and a mail server that cost little themselves.

They accept everything after a set latency, and remember when, for whom and what. Protocols are
written by hand as far as the two clients speak them; nothing is checked but that it can be read.
"""

import argparse
import asyncio
import json
import secrets
import ssl
import sys
import time
from collections.abc import Callable, Sequence
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs

HOST = "127.0.0.1"

#: A message is found by its recipient, so its text need not be kept whole.
KEPT_CHARACTERS = 600

SMTP_GREETING = b"220 provider.example.com ESMTP\r\n"
SMTP_ABILITIES = (
    b"250-provider.example.com\r\n250-AUTH PLAIN\r\n250-8BITMIME\r\n250 SIZE 10485760\r\n"
)
SMTP_ANSWERS = {
    b"HELO": b"250 provider.example.com\r\n",
    b"MAIL": b"250 2.1.0 OK\r\n",
    b"RSET": b"250 2.0.0 OK\r\n",
    b"NOOP": b"250 2.0.0 OK\r\n",
    b"AUTH": b"235 2.7.0 Accepted\r\n",
    b"DATA": b"354 Go ahead\r\n",
}


class Book:
    """What was accepted, and who waits for how much of it."""

    def __init__(self, latency_seconds: float) -> None:
        self.latency_seconds = latency_seconds
        self.accepted: list[tuple[float, str, str, str]] = []
        self._waiting: list[tuple[int, Callable[[float], None]]] = []

    def later(self, accept: Callable[[], None]) -> None:
        """Call after the latency; at once without one."""
        if self.latency_seconds:
            asyncio.get_running_loop().call_later(self.latency_seconds, accept)
        else:
            accept()

    def note(self, channel: str, to: str, text: str) -> None:
        self.accepted.append((time.monotonic(), channel, to, text[:KEPT_CHARACTERS]))
        if self._waiting:
            self._tell()

    def when(self, count: int, tell: Callable[[float], None]) -> None:
        """`tell` at which instant so many had been accepted, as soon as they have."""
        self._waiting.append((count, tell))
        self._tell()

    def _tell(self) -> None:
        have = len(self.accepted)
        ready = [one for one in self._waiting if one[0] <= have]
        self._waiting = [one for one in self._waiting if one[0] > have]
        for count, tell in ready:
            tell(self.accepted[count - 1][0] if count else 0.0)


class Conversation(asyncio.Protocol):
    """One connection: what has arrived and was not read yet."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.received = bytearray()
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        while self.read():
            pass

    def read(self) -> bool:
        """Take one thing from what was received; False when it is not whole yet."""
        raise NotImplementedError

    def say(self, answer: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(answer)


class Texts(Conversation):
    """Twilio's create call, `POST /2010-04-01/Accounts/SID/Messages.json`."""

    def read(self) -> bool:
        end = self.received.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(self.received[:end])
        length = _content_length(head)
        if len(self.received) < end + 4 + length:
            return False
        body = bytes(self.received[end + 4 : end + 4 + length])
        del self.received[: end + 4 + length]
        if head.startswith(b"POST ") and b"/Messages.json HTTP" in head:
            fields = {name: values[0] for name, values in parse_qs(body.decode()).items()}
            self.book.later(lambda: self._accept(fields))
        else:
            self._answer("404 Not Found", {"code": 20404, "message": "not found", "status": 404})
        return True

    def _accept(self, fields: dict[str, str]) -> None:
        self.book.note("sms", fields.get("To", ""), fields.get("Body", ""))
        now = formatdate(usegmt=False)
        sid = f"SM{secrets.token_hex(16)}"
        self._answer(
            "201 Created",
            {
                "sid": sid,
                "status": "queued",
                "to": fields.get("To"),
                "from": fields.get("From"),
                "body": fields.get("Body"),
                "messaging_service_sid": fields.get("MessagingServiceSid"),
                "date_created": now,
                "date_updated": now,
                "date_sent": None,
                "direction": "outbound-api",
                "num_segments": "1",
                "num_media": "0",
                "price": None,
                "price_unit": "USD",
                "error_code": None,
                "error_message": None,
                "api_version": "2010-04-01",
                "uri": f"/2010-04-01/Accounts/AC/Messages/{sid}.json",
            },
        )

    def _answer(self, status: str, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.say(
            f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


class Mail(Conversation):
    """A submission server that lets everybody log in."""

    def __init__(self, book: Book) -> None:
        super().__init__(book)
        self._to = ""
        self._takes_data = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.say(SMTP_GREETING)

    def read(self) -> bool:
        return self._read_data() if self._takes_data else self._read_command()

    def _read_command(self) -> bool:
        end = self.received.find(b"\r\n")
        if end < 0:
            return False
        line = bytes(self.received[:end])
        del self.received[: end + 2]
        verb = line[:4].upper()
        if verb == b"EHLO":
            self.say(SMTP_ABILITIES)
        elif verb == b"RCPT":
            self._to = line.partition(b"<")[2].partition(b">")[0].decode()
            self.say(b"250 2.1.5 OK\r\n")
        elif verb == b"QUIT":
            self.say(b"221 2.0.0 Bye\r\n")
            self.transport.close()
            return False
        else:
            self._takes_data = verb == b"DATA"
            self.say(SMTP_ANSWERS.get(verb, b"502 5.5.1 unknown\r\n"))
        return True

    def _read_data(self) -> bool:
        end = self.received.find(b"\r\n.\r\n")
        if end < 0:
            return False
        text, to = bytes(self.received[:KEPT_CHARACTERS]).decode(errors="replace"), self._to
        del self.received[: end + 5]
        self._takes_data = False
        self.book.later(lambda: self._accept(to, text))
        return True

    def _accept(self, to: str, text: str) -> None:
        self.book.note("email", to, text)
        self.say(b"250 2.0.0 OK queued\r\n")


class Control(Conversation):
    """How the stage asks: a command per line, an answer in JSON per line."""

    def read(self) -> bool:
        end = self.received.find(b"\n")
        if end < 0:
            return False
        command, *rest = bytes(self.received[:end]).decode().split()
        del self.received[: end + 1]
        if command == "wait":
            self.book.when(int(rest[0]), self._tell)
        elif command == "list":
            self._tell(self.book.accepted)
        elif command == "count":
            self._tell(len(self.book.accepted))
        elif command == "forget":
            self.book.accepted.clear()
            self._tell(True)
        return True

    def _tell(self, answer: object) -> None:
        self.say(json.dumps(answer).encode() + b"\n")


async def serve(latency_seconds: float, certificate: str | None) -> None:
    """Say in one line of JSON which ports were taken, and serve until ended."""
    book, loop = Book(latency_seconds), asyncio.get_running_loop()
    tls = None
    if certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
    ports = {}
    for name, conversation, context in (
        ("twilio", Texts, tls),
        ("smtp", Mail, tls),
        ("control", Control, None),
    ):
        server = await loop.create_server(
            lambda conversation=conversation: conversation(book),
            *(HOST, 0),
            ssl=context,
            backlog=1024,
        )
        ports[name] = server.sockets[0].getsockname()[1]
    print(json.dumps(ports), flush=True)
    await asyncio.Event().wait()


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench.providers", description=__doc__)
    parser.add_argument("--latency-ms", type=float, default=0.0)
    parser.add_argument("--certificate", help="file with a certificate and its key: speak TLS")
    options = parser.parse_args(arguments)
    asyncio.run(serve(options.latency_ms / 1000, options.certificate))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
