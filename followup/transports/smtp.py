"""Mail by SMTP submission. DATA is driven by hand: a connection that is lost before the final dot
sent nothing, and one that is lost after it may have (RFC 1047)."""

import re
import select
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from email.errors import MessageError
from email.utils import parseaddr
from typing import Any, NoReturn
from urllib.parse import unquote, urlsplit

from followup.errors import (
    ChannelFailure,
    ConfigurationFailure,
    OutcomeUnknown,
    PermanentFailure,
    TemporaryFailure,
    TransportError,
)
from followup.transports.base import Finding, Lost, Outgoing, Report
from followup.transports.mail import WIRE, build


@dataclass(frozen=True)
class Limits:
    """How long one mail may take, in real time: up to the final dot, and for its answer, together
    below the limit of a call; and for small talk, such as whether anybody is still there."""

    until_dot: timedelta = timedelta(seconds=15)
    after_dot: timedelta = timedelta(seconds=25)
    small_talk: timedelta = timedelta(seconds=2)
    #: A kept connection is asked before use when it was idle for longer than this.
    idle: timedelta = timedelta(seconds=15)


#: Greylisting lets nobody through who comes back sooner.
GREYLISTING = timedelta(minutes=5)


@dataclass(frozen=True)
class Server:
    """Where mail is submitted, and as whom."""

    host: str
    port: int
    user: str | None
    password: str | None
    implicit_tls: bool
    starttls: bool

    @classmethod
    def from_url(cls, url: str, *, on_this_machine: bool) -> "Server":
        """`smtp://` with STARTTLS unless on this machine, `smtps://` for implicit TLS."""
        parts = urlsplit(url)
        implicit = parts.scheme == "smtps"
        return cls(
            host=parts.hostname or "",
            port=parts.port or (465 if implicit else 587),
            user=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            implicit_tls=implicit,
            starttls=not implicit and not on_this_machine,
        )


@dataclass
class _Kept:
    """An open connection, and when it was last of use."""

    smtp: smtplib.SMTP
    used_at: float = field(default_factory=time.monotonic)


class SmtpTransport:
    """Sends mail over as many connections as there are mails at once, kept open."""

    def __init__(
        self,
        server: Server,
        sender: str,
        reply_to: str | None = None,
        tls: ssl.SSLContext | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._server = server
        self._sender = sender
        self._reply_to = reply_to
        self._tls = tls or ssl.create_default_context()
        self._limits = limits or Limits()
        #: The last that was used is the first to be used again, so that few stay warm.
        self._idle: list[_Kept] = []
        self._open: set[smtplib.SMTP] = set()

    def send(self, message: Outgoing) -> str:
        body = self._write(message)
        deadline = _in(self._limits.until_dot)
        connection = self._connection(deadline)
        dot_sent = threading.Event()
        try:
            self._transmit(connection, message.to, body, deadline, dot_sent)
        except TransportError:
            self._reset(connection)
            raise
        except (OSError, smtplib.SMTPException) as error:
            self._end(connection)
            if dot_sent.is_set():
                raise OutcomeUnknown("the mail server's answer was lost") from None
            raise ChannelFailure("the mail server broke off", type(error).__name__) from None
        except BaseException:
            self._end(connection)
            raise
        self._idle.append(_Kept(connection))
        return message.message_id

    def find(self, lost: Sequence[Lost], known: Collection[str] = ()) -> Sequence[Finding]:
        """SMTP has no way to ask."""
        return [TemporaryFailure("a mail server cannot be asked about a mail")] * len(lost)

    def look_up(self, provider_id: str) -> Report | None:
        """SMTP has no way to ask; a bounce tells, if anything does."""
        raise TemporaryFailure("a mail server cannot be asked about a mail")

    def delete(self, provider_id: str) -> None:
        """A mail lies in the recipient's mailbox, and is theirs."""
        raise PermanentFailure("a mail that was handed over cannot be taken back")

    def close(self) -> None:
        self._idle.clear()
        while self._open:
            self._open.pop().close()

    def _write(self, message: Outgoing) -> bytes:
        """The mail as it goes over the wire. What cannot be written was certainly not sent."""
        try:
            return build(message, self._sender, self._reply_to).as_bytes(policy=WIRE)
        except (ValueError, LookupError, MessageError) as error:
            raise PermanentFailure("no mail can be made of it", type(error).__name__) from None

    def _transmit(
        self,
        smtp: smtplib.SMTP,
        to: str,
        body: bytes,
        deadline: float,
        dot_sent: threading.Event,
    ) -> None:
        """One mail on an open connection. `dot_sent` is set before the final dot goes out."""
        _limit(smtp, deadline)
        code, text = smtp.mail(parseaddr(self._sender)[1])
        if code != 250:
            _refuse(code, text, by_account=True)
        _limit(smtp, deadline)
        code, text = smtp.rcpt(to)
        if code not in (250, 251):
            _refuse(code, text, by_recipient=True)
        _limit(smtp, deadline)
        smtp.putcmd("data")
        code, text = smtp.getreply()
        if code != 354:
            _refuse(code, text)
        _limit(smtp, deadline)
        ending = b"" if body.endswith(b"\r\n") else b"\r\n"
        smtp.send(re.sub(rb"(?m)^\.", b"..", body) + ending)
        _limit(smtp, _in(self._limits.after_dot))
        dot_sent.set()
        smtp.send(b".\r\n")
        code, text = smtp.getreply()
        if code // 100 != 2:
            _refuse(code, text)

    def _connection(self, deadline: float) -> smtplib.SMTP:
        while self._idle:
            # Another thread may have taken the last one meanwhile.
            with suppress(IndexError):
                kept = self._idle.pop()
                if self._is_alive(kept):
                    return kept.smtp
                self._end(kept.smtp)
        return self._connect(deadline)

    def _is_alive(self, kept: _Kept) -> bool:
        """A server that says something unasked is saying goodbye."""
        smtp = kept.smtp
        if smtp.sock is None or _has_word(smtp.sock):
            return False
        if time.monotonic() - kept.used_at < self._limits.idle.total_seconds():
            return True
        try:
            _limit(smtp, _in(self._limits.small_talk))
            return smtp.noop()[0] == 250
        except (OSError, smtplib.SMTPException):
            return False

    def _connect(self, deadline: float) -> smtplib.SMTP:
        """A connection on which mail may begin. Whatever fails here, nothing was sent."""
        try:
            smtp = self._greet(deadline)
            try:
                _log_in(smtp, self._server, self._tls, deadline)
            except BaseException:
                self._end(smtp)
                raise
        except smtplib.SMTPAuthenticationError as error:
            _refuse(error.smtp_code, error.smtp_error, by_account=True)
        except smtplib.SMTPNotSupportedError:
            raise ConfigurationFailure("the mail server offers no STARTTLS or no login") from None
        except smtplib.SMTPResponseException as error:
            raise ChannelFailure("the mail server turned us away", str(error.smtp_code)) from None
        except ssl.SSLCertVerificationError:
            raise ConfigurationFailure("the mail server's certificate is not valid") from None
        except (OSError, smtplib.SMTPException) as error:
            raise ChannelFailure(
                "the mail server could not be reached", type(error).__name__
            ) from None
        return smtp

    def _greet(self, deadline: float) -> smtplib.SMTP:
        server = self._server
        options: dict[str, Any] = {
            # Our own name would be looked up in DNS, which has no time limit.
            "local_hostname": parseaddr(self._sender)[1].rpartition("@")[2] or "localhost",
            "timeout": max(deadline - time.monotonic(), 0.1),
        }
        smtp: smtplib.SMTP
        if server.implicit_tls:
            smtp = smtplib.SMTP_SSL(server.host, server.port, context=self._tls, **options)
        else:
            smtp = smtplib.SMTP(server.host, server.port, **options)
        self._open.add(smtp)
        # The last packet of a mail must not wait for the acknowledgement of the one before.
        if smtp.sock is not None:
            smtp.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return smtp

    def _reset(self, smtp: smtplib.SMTP) -> None:
        """Ready for the next mail after a refusal, or gone."""
        try:
            _limit(smtp, _in(self._limits.small_talk))
            smtp.rset()
        except (OSError, smtplib.SMTPException):
            self._end(smtp)
        else:
            self._idle.append(_Kept(smtp))

    def _end(self, smtp: smtplib.SMTP) -> None:
        self._open.discard(smtp)
        smtp.close()


def _log_in(smtp: smtplib.SMTP, server: Server, tls: ssl.SSLContext, deadline: float) -> None:
    _limit(smtp, deadline)
    smtp.ehlo_or_helo_if_needed()
    if server.starttls:
        _limit(smtp, deadline)
        smtp.starttls(context=tls)
        _limit(smtp, deadline)
        smtp.ehlo_or_helo_if_needed()
    if server.user is not None:
        _limit(smtp, deadline)
        _authenticate(smtp, server.user, server.password or "")


def _authenticate(smtp: smtplib.SMTP, user: str, password: str) -> None:
    try:
        smtp.login(user, password)
    except ValueError:
        raise ConfigurationFailure("user and password of the mail server must be ASCII") from None
    except smtplib.SMTPException as error:
        if type(error) is smtplib.SMTPException:
            raise ConfigurationFailure("the mail server offers no login that we know") from None
        raise


def _has_word(sock: socket.socket) -> bool:
    """Whether something is there to be read, as when the other side has hung up."""
    watch = select.poll()
    watch.register(sock, select.POLLIN)
    return bool(watch.poll(0))


def _in(span: timedelta) -> float:
    """The deadline of what may take that long from now on."""
    return time.monotonic() + span.total_seconds()


def _limit(smtp: smtplib.SMTP, deadline: float) -> None:
    """smtplib's timeout is per reply; ours is for the whole mail."""
    remaining = deadline - time.monotonic()
    if remaining <= 0 or smtp.sock is None:
        raise smtplib.SMTPServerDisconnected("out of time")
    smtp.sock.settimeout(remaining)


#: RFC 3463: x.1.7 and x.1.8 are the sender's address, every other x.1 the recipient's; x.2.1 is a
#: mailbox that is closed.
_BLAMES_ADDRESS = re.compile(r"5\.1\.(?!7$|8$)\d+|5\.2\.[01]")
#: RFC 5321 §4.2.3: what a refused mailbox is answered with, where there is no enhanced code.
_MAILBOX_REFUSALS = frozenset({550, 551, 553})
#: RFC 4954 §6: log in first, not so, or only over TLS.
_LOGIN_REFUSALS = frozenset({530, 534, 535, 538})


def _refuse(
    code: int, text: bytes | str, *, by_account: bool = False, by_recipient: bool = False
) -> NoReturn:
    """Raise what a refusal means: 4xx is temporary; 5xx is the account's, address's or message's.

    Enhanced codes (RFC 3463): x.2.2 is a full mailbox, x.5.x a fault of our protocol, x.7.x
    policy and never the address's fault.
    """
    said = text.decode(errors="replace") if isinstance(text, bytes) else text
    match = re.match(r"\s*([245]\.\d{1,3}\.\d{1,3})\b", said)
    enhanced = match.group(1) if match else ""
    shown = f"{code} {enhanced}".strip()
    if not 400 <= code < 600:
        raise smtplib.SMTPServerDisconnected("an answer that SMTP does not know")
    if code < 500 or enhanced == "5.2.2":
        if by_account or code == 421:
            raise ChannelFailure("the mail server takes nothing now", shown)
        wait = GREYLISTING if by_recipient else None
        raise TemporaryFailure("the mail server asks to try later", shown, wait)
    if by_account or code in _LOGIN_REFUSALS or enhanced.startswith("5.5."):
        raise ConfigurationFailure("the mail server refuses our account or sender", shown)
    if by_recipient and _is_no_mailbox(code, enhanced):
        raise PermanentFailure("there is no such mailbox", shown, suppress="unreachable")
    # Of a recipient's refusal only a policy, or our own address, is about us (RFC 3463 §3).
    blames_us = not by_recipient or enhanced.startswith(("5.7.", "5.1.7", "5.1.8"))
    raise PermanentFailure("the mail server refused the message", shown, blames_us=blames_us)


def _is_no_mailbox(code: int, enhanced: str) -> bool:
    if not enhanced:
        return code in _MAILBOX_REFUSALS
    return blames_address(enhanced)


def blames_address(enhanced: str) -> bool:
    """Whether an enhanced status code says, for good, that the recipient's address is bad."""
    return _BLAMES_ADDRESS.fullmatch(enhanced) is not None
