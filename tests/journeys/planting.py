"""Words that nobody else writes, put wherever a person can write something, and the search for
them in every form that they may take on their way."""

import base64
import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from html import escape
from pathlib import Path
from threading import Thread
from typing import Any, Self
from urllib.parse import quote, quote_plus

from tests.servers import Valkey

PHONE = "+14155550177"
EMAIL = "quexmail@example.com"
#: With letters that JSON, URLs and HTML write in another way.
MARKERS: Mapping[str, str] = {
    "name": "Zoë Quexname",
    "email": EMAIL,
    "phone": "4155550177",
    "phone as written": "(415) 555-0177",
    "message": "quexmessage: mañana, no",
    "answer": "quexanswer & sorrow",
    "field's name": "quexfield",
    "field's value": "quexvalue <b>",
    "agent": "QuexAgent/7.7",
    "page": "quexpage",
    "reply": "quexreply: please ring",
    "start": "quexstart",
    "search": "quexsearch",
    "path": "quexpath",
    "query": "quexquery",
    "key": "quexkey",
}

CONTACT: Mapping[str, Any] = {
    "name": MARKERS["name"],
    "email": EMAIL,
    "phone": MARKERS["phone as written"],
    "message": MARKERS["message"],
    "source_url": f"https://www.example.com/{MARKERS['page']}",
    "consent_sms": True,
    MARKERS["field's name"]: MARKERS["field's value"],
}
SCREENING: Mapping[str, Any] = {
    **CONTACT,
    "answers": {"struggles": ["depression"], "symptoms": [MARKERS["answer"]]},
}


def forms_of(marker: str) -> Iterator[bytes]:
    """As it is, and as URLs, JSON, HTML and base64 write it (in each of the three places that it
    may have within groups of three bytes)."""
    raw = marker.encode()
    yield from (raw, marker.lower().encode(), marker.upper().encode())
    yield quote(marker).encode()
    yield quote_plus(marker).encode()
    yield json.dumps(marker)[1:-1].encode()
    yield escape(marker).encode()
    for before in range(3):
        # The first and last characters depend on the neighbours.
        encoded = base64.b64encode(b"\0" * before + raw)[(0, 2, 3)[before] :]
        whole = encoded.rstrip(b"=")[: -2 if encoded.endswith(b"=") else None]
        yield whole
        yield whole.translate(bytes.maketrans(b"+/", b"-_"))


def found_in(hay: bytes | str) -> set[str]:
    """Which markers are in there, whatever the case of their letters."""
    raw = hay if isinstance(hay, bytes) else hay.encode()
    low = raw.lower()
    return {
        name
        for name, marker in MARKERS.items()
        for form in forms_of(marker)
        if form in raw or form.lower() in low
    }


class Traffic:
    """Everything that is said to a broker, by whomever, from now on."""

    def __init__(self, broker: Valkey) -> None:
        self._client = socket.socket(socket.AF_UNIX)
        self._client.connect(str(broker.socket_path))
        self._client.sendall(b"MONITOR\r\n")
        assert self._client.recv(5) == b"+OK\r\n"
        self.heard = bytearray()
        self._listener = Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        self._listener.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        with suppress(OSError):
            self._client.shutdown(socket.SHUT_RDWR)
        self._client.close()
        self._listener.join(5)

    def _listen(self) -> None:
        with suppress(OSError):
            while part := self._client.recv(65536):
                self.heard += part


def dump_of(broker: Valkey) -> bytes:
    """What the broker holds, in a file of its own making, and in its append-only file."""
    assert broker.ask("CONFIG SET rdbcompression no") == "+OK"
    assert broker.ask("SAVE") == "+OK"
    kept = [path for path in broker.directory.rglob("*") if path.is_file()]
    assert any(path.name == "dump.rdb" for path in kept)
    return b"".join(path.read_bytes() for path in kept)


def files_of(database: Path) -> bytes:
    """The file of SQLite with what stands in its log and was not put there yet."""
    parts = [database.with_name(database.name + end) for end in ("", "-wal", "-shm")]
    return b"".join(part.read_bytes() for part in parts if part.exists())
