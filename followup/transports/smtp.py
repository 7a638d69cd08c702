"""Mail by SMTP submission. DATA is driven by hand: a connection that is lost before the final dot
sent nothing, and one that is lost after it may have (RFC 1047)."""

import email.policy
import re
import smtplib
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import NoReturn
from urllib.parse import unquote, urlsplit

from followup.errors import (
    ConfigurationFailure,
    OutcomeUnknown,
    PermanentFailure,
    TemporaryFailure,
    TransportError,
)
from followup.transports.base import Outgoing, Trace

#: Up to the final dot, and for its answer: together below the batch's limit.
UNTIL_DOT = timedelta(seconds=15)
AFTER_DOT = timedelta(seconds=25)

#: A kept connection is asked before use when it was idle for longer than this.
IDLE = timedelta(seconds=15)

#: Lines as RFC 5322 wants them; 7 bit, because not every server speaks 8BITMIME.
WIRE = email.policy.SMTP.clone(cte_type="7bit")


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


class SmtpTransport:
    """Sends mail; one connection per thread, kept open."""

    def __init__(
        self,
        server: Server,
        sender: str,
        reply_to: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._server = server
        self._sender = sender
        self._reply_to = reply_to
        self._tls = tls or ssl.create_default_context()
        self._threads = threading.local()

    def send(self, message: Outgoing) -> str:
        mail = build(message, self._sender, self._reply_to)
        envelope_from = parseaddr(self._sender)[1]
        body = mail.as_bytes(policy=WIRE)
        deadline = time.monotonic() + UNTIL_DOT.total_seconds()
        connection = self._connection(deadline)
        dot_sent = threading.Event()
        try:
            _transmit(connection, envelope_from, message.to, body, deadline, dot_sent)
        except TransportError:
            self._reset(connection)
            raise
        except (OSError, smtplib.SMTPException) as error:
            self._drop()
            if dot_sent.is_set():
                raise OutcomeUnknown("the mail server's answer was lost") from None
            raise TemporaryFailure("the mail server broke off", type(error).__name__) from None
        self._threads.used_at = time.monotonic()
        return message.message_id

    def find(self, message: Outgoing, since: datetime) -> Trace | None:
        """SMTP has no way to ask."""
        raise TemporaryFailure("a mail server cannot be asked about a mail")

    def close(self) -> None:
        self._threads = threading.local()

    def _connection(self, deadline: float) -> smtplib.SMTP:
        kept: smtplib.SMTP | None = getattr(self._threads, "smtp", None)
        if kept is not None and self._is_alive(kept, deadline):
            return kept
        self._drop()
        made = self._connect(deadline)
        self._threads.smtp = made
        self._threads.used_at = time.monotonic()
        return made

    def _is_alive(self, smtp: smtplib.SMTP, deadline: float) -> bool:
        if time.monotonic() - self._threads.used_at < IDLE.total_seconds():
            return True
        try:
            _limit(smtp, deadline)
            return smtp.noop()[0] == 250
        except (OSError, smtplib.SMTPException):
            return False

    def _connect(self, deadline: float) -> smtplib.SMTP:
        server = self._server
        timeout = max(deadline - time.monotonic(), 0.1)
        try:
            smtp: smtplib.SMTP
            if server.implicit_tls:
                smtp = smtplib.SMTP_SSL(
                    server.host, server.port, timeout=timeout, context=self._tls
                )
            else:
                smtp = smtplib.SMTP(server.host, server.port, timeout=timeout)
            # The last packet of a mail must not wait for the acknowledgement of the one before.
            if smtp.sock is not None:
                smtp.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if server.starttls:
                smtp.starttls(context=self._tls)
            if server.user is not None:
                smtp.login(server.user, server.password or "")
            else:
                smtp.ehlo_or_helo_if_needed()
        except smtplib.SMTPAuthenticationError as error:
            _refuse(error.smtp_code, error.smtp_error, by_account=True)
        except smtplib.SMTPNotSupportedError:
            raise ConfigurationFailure("the mail server offers no STARTTLS or no login") from None
        except smtplib.SMTPResponseException as error:
            raise TemporaryFailure("the mail server turned us away", str(error.smtp_code)) from None
        except ssl.SSLCertVerificationError:
            raise ConfigurationFailure("the mail server's certificate is not valid") from None
        except (OSError, smtplib.SMTPException) as error:
            raise TemporaryFailure(
                "the mail server could not be reached", type(error).__name__
            ) from None
        return smtp

    def _reset(self, smtp: smtplib.SMTP) -> None:
        """Ready for the next mail after a refusal, or gone."""
        try:
            smtp.rset()
        except (OSError, smtplib.SMTPException):
            self._drop()

    def _drop(self) -> None:
        kept: smtplib.SMTP | None = getattr(self._threads, "smtp", None)
        self._threads.smtp = None
        if kept is not None:
            kept.close()


def build(message: Outgoing, sender: str, reply_to: str | None) -> EmailMessage:
    """The mail. EmailMessage refuses line breaks in headers, so nothing can be injected."""
    mail = EmailMessage()
    mail["From"] = sender
    local, _, domain = message.to.rpartition("@")
    mail["To"] = Address(username=local, domain=domain)
    mail["Subject"] = message.subject
    if message.date is not None:
        mail["Date"] = format_datetime(message.date)
    mail["Message-ID"] = message.message_id
    if reply_to:
        mail["Reply-To"] = reply_to
    for name, value in message.headers.items():
        mail[name] = value
    mail.set_content(message.text)
    if message.html is not None:
        mail.add_alternative(message.html, subtype="html")
    return mail


def _transmit(
    smtp: smtplib.SMTP,
    sender: str,
    to: str,
    body: bytes,
    deadline: float,
    dot_sent: threading.Event,
) -> None:
    """One mail on an open connection. `dot_sent` is set before the final dot goes out."""
    _limit(smtp, deadline)
    code, text = smtp.mail(sender)
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
    _limit(smtp, time.monotonic() + AFTER_DOT.total_seconds())
    dot_sent.set()
    smtp.send(b".\r\n")
    code, text = smtp.getreply()
    if code != 250:
        _refuse(code, text)


def _limit(smtp: smtplib.SMTP, deadline: float) -> None:
    """smtplib's timeout is per reply; ours is for the whole mail."""
    remaining = deadline - time.monotonic()
    if remaining <= 0 or smtp.sock is None:
        raise smtplib.SMTPServerDisconnected("out of time")
    smtp.sock.settimeout(remaining)


def _refuse(
    code: int, text: bytes | str, *, by_account: bool = False, by_recipient: bool = False
) -> NoReturn:
    """Raise what a refusal means: 4xx is temporary; 5xx is the account's, address's or message's.

    Enhanced codes (RFC 3463): x.1.x and x.2.1 blame the address, x.2.2 is a full mailbox, x.7.x
    is policy and never the address's fault.
    """
    said = text.decode(errors="replace") if isinstance(text, bytes) else text
    match = re.match(r"\s*([245]\.\d{1,3}\.\d{1,3})\b", said)
    enhanced = match.group(1) if match else ""
    shown = f"{code} {enhanced}".strip()
    if code == -1:
        raise smtplib.SMTPServerDisconnected("no reply")
    if 400 <= code < 500 or enhanced == "5.2.2":
        raise TemporaryFailure("the mail server asks to try later", shown)
    if by_account:
        raise ConfigurationFailure("the mail server refuses our account or sender", shown)
    if by_recipient and not enhanced.startswith("5.7"):
        raise PermanentFailure("there is no such mailbox", shown, suppress="unreachable")
    raise PermanentFailure("the mail server refused the message", shown)
