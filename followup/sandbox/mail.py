"""An SMTP server (RFC 5321) that keeps every mail in the outbox and delivers none.

Written by hand, because scripts must cut or hold the connection at an exact step.
"""

import secrets
import ssl
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from socketserver import StreamRequestHandler
from threading import Event

from followup.sandbox.listener import Listener, close_at_once, wait_for_hang_up
from followup.sandbox.mail_scripts import MailScript
from followup.sandbox.mime import read_mail
from followup.sandbox.outbox import Message, Outbox
from followup.sandbox.rules import ANY, Rules

#: More than any mail of ours.
MAX_SIZE = 10_000_000

#: RFC 5321 §4.5.3.1 asks for 512; long addresses and AUTH lines need more.
_MAX_LINE = 4096


@dataclass(frozen=True)
class MailDoor:
    """What a client must show to be let in: by default nothing, as on any loopback sink."""

    user: str | None = None
    password: str | None = None
    #: A server-side context; None offers no encryption.
    tls: ssl.SSLContext | None = None
    #: TLS from the first byte, rather than by STARTTLS.
    implicit_tls: bool = False

    def admits(self, user: str, password: str) -> bool:
        return self.user is None or (user, password) == (self.user, self.password)


class MailListener(Listener):
    """Accepts mail for anybody; `scripts` decides by recipient how each attempt ends."""

    def __init__(
        self,
        host: str,
        port: int,
        outbox: Outbox,
        now: Callable[[], datetime],
        door: MailDoor,
        setting: str,
    ) -> None:
        super().__init__(host, port, _Dialogue, setting)
        self.scripts: Rules[MailScript] = Rules()
        self.door = door
        self.stopping = Event()
        self._outbox = outbox
        self._now = now

    def stop(self) -> None:
        self.stopping.set()
        super().stop()

    def take(self, address: str, step: str) -> MailScript | None:
        return self.scripts.take(address, lambda script: script.takes_hold_at == step)

    def store(self, recipient: str, content: bytes) -> None:
        mail = read_mail(content)
        now = self._now()
        self._outbox.add(
            Message(
                id=f"ML{secrets.token_hex(16)}",
                channel="email",
                to=recipient,
                sender=mail.sender,
                subject=mail.subject,
                text=mail.text,
                html=mail.html,
                headers=mail.headers,
                message_id=mail.message_id,
                at=now,
                updated_at=now,
                sent_at=now,
                status="delivered",
            )
        )


class _HungUp(Exception):
    """The dialogue is over: the client left, or a script cut it."""


@dataclass
class _Envelope:
    sender: str | None = None
    recipients: list[str] = field(default_factory=list)


class _Dialogue(StreamRequestHandler):
    disable_nagle_algorithm = True
    server: MailListener

    def setup(self) -> None:
        super().setup()
        self._is_secure = False
        self._is_known = False
        self._greeted = False
        self._offers_tls = self.server.door.tls is not None and not self.server.door.implicit_tls
        self._envelope = _Envelope()

    def handle(self) -> None:
        try:
            if self.server.door.implicit_tls:
                self._encrypt()
            self._greet()
            while self._command():
                pass
        except _HungUp:
            close_at_once(self.connection)

    def finish(self) -> None:
        try:
            super().finish()
        finally:
            self.server.forget(self.connection)
            self.connection.close()

    def _greet(self) -> None:
        if self._is_stopped_by(self.server.take(ANY, "banner")):
            raise _HungUp
        self._say("220 sandbox ESMTP, nothing leaves this machine")

    def _command(self) -> bool:
        """One command and its answer; False after QUIT."""
        line = self._line()
        word, _, rest = line.partition(" ")
        match word.upper():
            case "EHLO" | "HELO":
                self._hello(word.upper())
            case "STARTTLS" if self._offers_tls and not self._is_secure:
                self._say("220 2.0.0 go ahead")
                self._encrypt()
            case "AUTH":
                self._authenticate(rest)
            case "MAIL":
                self._mail(rest)
            case "RCPT":
                self._recipient(rest)
            case "DATA":
                self._data()
            case "RSET":
                self._envelope = _Envelope()
                self._say("250 2.0.0 forgotten")
            case "NOOP":
                self._say("250 2.0.0 still here")
            case "VRFY":
                self._say("252 2.1.5 try and see")
            case "QUIT":
                self._say("221 2.0.0 goodbye")
                return False
            case _:
                self._say("500 5.5.2 unknown command")
        return True

    def _hello(self, word: str) -> None:
        self._greeted = True
        self._envelope = _Envelope()
        script = self.server.take(ANY, "helo")
        if script is not None and script.script == "no_starttls":
            self._offers_tls = False
            script = None
        if self._is_stopped_by(script):
            return
        if word == "HELO":
            self._say("250 sandbox")
            return
        offers = ["8BITMIME", "SMTPUTF8", "PIPELINING", "ENHANCEDSTATUSCODES", f"SIZE {MAX_SIZE}"]
        if self._offers_tls and not self._is_secure:
            offers.append("STARTTLS")
        else:
            # Where TLS is to be had, no password is asked for in clear (RFC 4954 §4).
            offers.append("AUTH PLAIN LOGIN")
        self._say("\r\n".join(["250-sandbox", *(f"250-{o}" for o in offers[:-1])]))
        self._say(f"250 {offers[-1]}")

    def _authenticate(self, rest: str) -> None:
        mechanism, _, initial = rest.partition(" ")
        match mechanism.upper():
            case "PLAIN":
                answer = _decode(initial) if initial else self._ask("")
                _, user, password = (*answer.split("\0"), "", "", "")[:3]
            case "LOGIN":
                user = _decode(initial) if initial else self._ask("Username:")
                password = self._ask("Password:")
            case _:
                self._say("504 5.5.4 expected PLAIN or LOGIN")
                return
        if self._is_stopped_by(self.server.take(ANY, "auth")):
            return
        self._is_known = self.server.door.admits(user, password)
        self._say("235 2.7.0 welcome" if self._is_known else "535 5.7.8 wrong user or password")

    def _mail(self, rest: str) -> None:
        if not self._greeted:
            self._say("503 5.5.1 EHLO comes first")
        elif self.server.door.user is not None and not self._is_known:
            self._say("530 5.7.0 authentication required")
        elif self._envelope.sender is not None:
            self._say("503 5.5.1 a mail is under way already")
        elif (sender := _address(rest, "FROM:")) is None:
            self._say("501 5.5.4 expected MAIL FROM:<address>")
        elif not self._is_stopped_by(self.server.take(ANY, "mail")):
            self._envelope.sender = sender
            self._say("250 2.1.0 sender noted")

    def _recipient(self, rest: str) -> None:
        address = _address(rest, "TO:")
        if self._envelope.sender is None:
            self._say("503 5.5.1 MAIL comes first")
        elif not address:
            self._say("501 5.5.4 expected RCPT TO:<address>")
        elif not self._is_stopped_by(self.server.take(address, "rcpt")):
            self._envelope.recipients.append(address)
            self._say("250 2.1.5 recipient noted")

    def _data(self) -> None:
        """Drops before the dot happen instead of the 354, so that no byte was on the wire."""
        if not self._envelope.recipients:
            self._say("503 5.5.1 RCPT comes first")
            return
        script = self._take_for_recipients("data")
        if script is not None and script.script == "drop_before_dot":
            raise _HungUp
        if self._is_stopped_by(script):
            return
        self._say("354 end with a dot on its own")
        content = self._content()
        if content is None:
            self._say(f"552 5.3.4 longer than {MAX_SIZE} bytes")
        else:
            self._take_in(content)
        self._envelope = _Envelope()

    def _take_in(self, content: bytes) -> None:
        script = self._take_for_recipients("dot")
        if script is not None and script.refused is not None:
            self._say(script.refused.line)
            return
        for recipient in self._envelope.recipients:
            self.server.store(recipient, content)
        match script.script if script else "ok":
            case "drop_after_dot":
                raise _HungUp
            case "hang_after_dot" if script:
                wait_for_hang_up(self.connection, script.seconds)
                raise _HungUp
            case "slow" if script:
                self.server.stopping.wait(script.seconds)
        self._say("250 2.0.0 kept")

    def _take_for_recipients(self, step: str) -> MailScript | None:
        for recipient in self._envelope.recipients:
            script = self.server.take(recipient, step)
            if script is not None:
                return script
        return None

    def _is_stopped_by(self, script: MailScript | None) -> bool:
        """Carries a script out; True when it has refused the step."""
        if script is None:
            return False
        if script.refused is not None:
            self._say(script.refused.line)
            return True
        if script.script == "slow":
            self.server.stopping.wait(script.seconds)
        return False

    def _encrypt(self) -> None:
        """The client's trust in the certificate ends in an `SSLError` here: its hang-up."""
        tls = self.server.door.tls
        if tls is None:
            raise _HungUp
        plain = self.connection
        self.connection = tls.wrap_socket(plain, server_side=True)
        self.server.forget(plain)
        self.server.keep(self.connection)
        self.rfile = self.connection.makefile("rb")
        self._is_secure, self._greeted, self._is_known = True, False, False

    def _say(self, line: str) -> None:
        self.connection.sendall(line.encode() + b"\r\n")

    def _line(self) -> str:
        line = self.rfile.readline(_MAX_LINE)
        if not line.endswith(b"\n"):
            raise _HungUp
        return line.decode(errors="replace").rstrip("\r\n")

    def _ask(self, question: str) -> str:
        """The client's answer to an AUTH challenge, decoded."""
        self._say(f"334 {_encode(question)}")
        return _decode(self._line())

    def _content(self) -> bytes | None:
        """The mail without its dots' stuffing (RFC 5321 §4.5.2); None when it was too long."""
        lines: list[bytes] = []
        size = 0
        while (line := self.rfile.readline(MAX_SIZE)) not in (b".\r\n", b".\n"):
            if not line:
                raise _HungUp
            size += len(line)
            if size <= MAX_SIZE:
                lines.append(line.removeprefix(b"."))
        return b"".join(lines) if size <= MAX_SIZE else None


def _address(rest: str, prefix: str) -> str | None:
    """The address of `FROM:<a@example.com> SIZE=1`; empty for `<>`, None when there is none."""
    if not rest.upper().startswith(prefix):
        return None
    path = rest[len(prefix) :].strip()
    if not path.startswith("<") or ">" not in path:
        return None
    return path[1 : path.index(">")]


def _decode(text: str) -> str:
    try:
        return b64decode(text, validate=True).decode()
    except (NotBase64, UnicodeDecodeError):
        return ""


def _encode(text: str) -> str:
    return b64encode(text.encode()).decode()
