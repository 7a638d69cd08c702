"""A real IMAP server, pymap, with one account whose mail is in memory."""

import imaplib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.servers import Server, find_free_port

USER, PASSWORD = "hello clinic", 'a "word" \\'


class ImapServer(Server):
    """Takes no login without STARTTLS when it is given a certificate."""

    def __init__(self, directory: Path, certificate: Path | None = None) -> None:
        super().__init__(directory)
        self.port = find_free_port()
        self._certificate = certificate

    @property
    def url(self) -> str:
        return f"imap://hello%20clinic:a%20%22word%22%20%5C@127.0.0.1:{self.port}"

    def put(self, *mails: bytes) -> None:
        """Mails arrive."""
        with self._inbox() as inbox:
            for mail in mails:
                answer, _ = inbox.append("INBOX", "", "", mail)
                assert answer == "OK"

    def empty(self) -> None:
        with self._inbox() as inbox:
            inbox.store("1:*", "+FLAGS", r"(\Deleted)")
            inbox.expunge()

    def unread(self) -> int:
        with self._inbox() as inbox:
            _, found = inbox.uid("SEARCH", "UNSEEN")
            return len(found[0].split())

    @contextmanager
    def _inbox(self) -> Iterator[imaplib.IMAP4]:
        with imaplib.IMAP4("127.0.0.1", self.port, 10) as inbox:
            inbox.login(f'"{USER}"', PASSWORD)
            inbox.select("INBOX")
            yield inbox

    def _command(self) -> Sequence[str]:
        file = str(self._certificate)
        tls = ["--cert", file, "--key", file] if self._certificate else ["--no-tls"]
        return [
            *(sys.executable, "-c", "from pymap.main import main; main()"),
            *("--host", "127.0.0.1", "--port", str(self.port), *tls),
            *("dict", "--demo-user", USER, "--demo-password", PASSWORD),
        ]

    def _answers(self) -> bool:
        with suppress(OSError, imaplib.IMAP4.error), imaplib.IMAP4("127.0.0.1", self.port, 5):
            return True
        return False
