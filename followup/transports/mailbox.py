"""The mailbox that bounces arrive in, by IMAP (RFC 3501). Only reports are fetched, and mails that
unsubscribe, and only what was dealt with is marked as read, so that staff may read it too."""

import imaplib
import re
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import zip_longest
from typing import Any
from urllib.parse import unquote, urlsplit

from followup.errors import ConfigurationFailure, TemporaryFailure

#: For each answer of the server.
ANSWER_TIMEOUT = timedelta(seconds=10)
#: The newest unread mails of which the kind is asked for, and how many bytes of a report are read.
LOOKED_AT, REPORT_LIMIT = 500, 256 * 1024

_REPORT = re.compile(rb"content-type:\s*multipart/report\b", re.IGNORECASE)
#: What our List-Unsubscribe asks mail programs to write.
_FAREWELL = re.compile(rb"^subject:.*\bunsubscribe +\S", re.IGNORECASE | re.MULTILINE)
#: RFC 3834: what a machine sends by itself triggers nothing.
_AUTOMATIC = re.compile(rb"^auto-submitted:\s*(?!no\b)", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True)
class Mailbox:
    """Where reports arrive, and as whom they are read."""

    host: str
    port: int
    user: str
    password: str
    folder: str
    implicit_tls: bool
    starttls: bool

    @classmethod
    def from_url(cls, url: str, *, on_this_machine: bool) -> "Mailbox":
        """`imaps://` for implicit TLS, `imap://` with STARTTLS unless on this machine."""
        parts = urlsplit(url)
        implicit = parts.scheme == "imaps"
        return cls(
            host=parts.hostname or "",
            port=parts.port or (993 if implicit else 143),
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            folder=unquote(parts.path.strip("/")) or "INBOX",
            implicit_tls=implicit,
            starttls=not implicit and not on_this_machine,
        )

    @contextmanager
    def open(self, tls: ssl.SSLContext | None = None) -> Iterator["OpenMailbox"]:
        """Raises ConfigurationFailure when it never will open, TemporaryFailure for the rest."""
        try:
            connection = self._connect(tls or ssl.create_default_context())
        except (OSError, imaplib.IMAP4.error) as error:
            if isinstance(error, ssl.SSLCertVerificationError):
                raise ConfigurationFailure("the mailbox's certificate is not valid") from None
            raise TemporaryFailure("the mailbox cannot be reached", type(error).__name__) from None
        try:
            self._select(connection)
            yield OpenMailbox(connection)
        except (OSError, imaplib.IMAP4.error) as error:
            raise TemporaryFailure("the mailbox broke off", type(error).__name__) from None
        finally:
            _hang_up(connection)

    def _connect(self, tls: ssl.SSLContext) -> imaplib.IMAP4:
        seconds = ANSWER_TIMEOUT.total_seconds()
        if self.implicit_tls:
            return imaplib.IMAP4_SSL(self.host, self.port, ssl_context=tls, timeout=seconds)
        connection = imaplib.IMAP4(self.host, self.port, timeout=seconds)
        if self.starttls:
            try:
                connection.starttls(tls)
            except BaseException:
                _hang_up(connection)
                raise
        return connection

    def _select(self, connection: imaplib.IMAP4) -> None:
        try:
            connection.login(_quoted(self.user), self.password)
            answer, _ = connection.select(_quoted(self.folder))
        except imaplib.IMAP4.abort:
            raise
        except (imaplib.IMAP4.error, UnicodeEncodeError):
            raise ConfigurationFailure("the mailbox refuses the user or the password") from None
        if answer != "OK":
            raise ConfigurationFailure("the mailbox has no such folder, or not for this user")


class OpenMailbox:
    """One conversation; ends with its `with`."""

    def __init__(self, connection: imaplib.IMAP4) -> None:
        self._connection = connection

    def unread_for_us(self) -> list[str]:
        """The numbers of reports, and of mails that unsubscribe, among the newest unread mails, the
        oldest first."""
        _, found = self._connection.uid("SEARCH", "UNSEEN")
        numbers = found[0].decode().split()[-LOOKED_AT:] if found and found[0] else []
        if not numbers:
            return []
        wanted = "(BODY.PEEK[HEADER.FIELDS (CONTENT-TYPE SUBJECT AUTO-SUBMITTED)])"
        _, kinds = self._connection.uid("FETCH", ",".join(numbers), wanted)
        return [number for number, header in _numbered(kinds) if _is_for_us(header)]

    def fetch(self, number: str) -> bytes:
        """The mail, which stays unread; its beginning, when it is a long one."""
        wanted = f"(BODY.PEEK[]<0.{REPORT_LIMIT}>)"
        _, parts = self._connection.uid("FETCH", number, wanted)
        return next((part[1] for part in parts if isinstance(part, tuple)), b"")

    def mark_read(self, number: str) -> None:
        self._connection.uid("STORE", number, "+FLAGS.SILENT", r"(\Seen)")


def _is_for_us(header: bytes) -> bool:
    is_farewell = _FAREWELL.search(header) and not _AUTOMATIC.search(header)
    return bool(_REPORT.search(header) or is_farewell)


def _numbered(answers: Sequence[Any]) -> Iterator[tuple[str, bytes]]:
    """What was fetched, by UID, which a server may write before the text or after it."""
    for answer, rest in zip_longest(answers, answers[1:]):
        if isinstance(answer, tuple):
            around = answer[0] + (rest if isinstance(rest, bytes) else b"")
            if uid := re.search(rb"UID (\d+)", around):
                yield uid[1].decode(), answer[1]


def _hang_up(connection: imaplib.IMAP4) -> None:
    """What broke off already cannot be ended properly."""
    with suppress(OSError):
        connection.shutdown()


def _quoted(text: str) -> str:
    """As a quoted string (RFC 3501 §4.3), which imaplib makes of the password only."""
    escaped = re.sub(r'(["\\])', r"\\\1", text)
    return f'"{escaped}"'
