"""What the sandbox accepted, in memory and, if asked, in a file that outlives a killed process.

Tests and people use it as the witness of what was sent, so a message is on file before its
sender hears that it was taken.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any

from followup.errors import Misconfigured

#: Enough for a load test's hour; older messages are forgotten.
CAPACITY = 50_000

_TIMES = ("at", "updated_at", "sent_at")


@dataclass(frozen=True, kw_only=True)
class Message:
    """One text or mail that reached the sandbox. `id` is a text's SID."""

    id: str
    #: `sms` or `email`.
    channel: str
    to: str
    #: None until a messaging service has chosen the number to send from.
    sender: str | None
    text: str
    at: datetime
    updated_at: datetime
    #: The provider's word.
    status: str
    #: `outbound-api` came from the service, `outbound-reply` from the provider itself,
    #: `inbound` from the patient.
    direction: str = "outbound-api"
    subject: str | None = None
    html: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    #: A mail's Message-ID; two mails may carry the same one, which is what a test looks for.
    message_id: str | None = None
    service_sid: str | None = None
    sent_at: datetime | None = None
    error_code: int | None = None
    segments: int = 0
    media: int = 0
    status_callback: str | None = None
    #: What is yet to happen to it, so that a restarted sandbox goes on.
    life: str = "delivered"
    #: STOP, START or HELP, when the provider's own filter took the patient's text for one.
    opt_out: str | None = None

    def shown(self) -> dict[str, object]:
        """The shape of `GET /messages`."""
        return {
            "id": self.id,
            "channel": self.channel,
            "to": self.to,
            "from": self.sender,
            "subject": self.subject,
            "text": self.text,
            "html": self.html,
            "at": self.at.isoformat(),
            "status": self.status,
            "direction": self.direction,
            "message_id": self.message_id or self.id,
            "headers": dict(self.headers),
            "error_code": self.error_code,
        }


class OutboxClosed(ConnectionError):
    """The sandbox has stopped: nothing more is taken, and no sender may be told yes."""


class Outbox:
    """Messages in the order of their arrival; safe to use from many threads.

    The file holds JSON lines, one per event. Raises `Misconfigured` when it cannot be read.
    """

    def __init__(self, state_file: Path | None = None, capacity: int = CAPACITY) -> None:
        self._messages: dict[str, Message] = {}
        self._capacity = capacity
        self._lock = Lock()
        self._revision = 0
        self._state_file = state_file
        if state_file is not None:
            state_file.parent.mkdir(parents=True, exist_ok=True)
            self._read(state_file)
            self._write_anew(state_file)
            self._file = state_file.open("ab", buffering=0)

    @property
    def revision(self) -> int:
        """Differs whenever something in the outbox has changed."""
        return self._revision

    def add(self, message: Message) -> Message:
        with self._lock:
            self._apply({"add": _to_json(message)})
            self._put(message)
        return message

    def change(self, message_id: str, **fields: Any) -> Message | None:
        """The message with those fields replaced, or None when there is no such message."""
        with self._lock:
            message = self._messages.get(message_id)
            if message is None:
                return None
            message = replace(message, **fields)
            self._apply({"change": _to_json(message)})
            self._put(message)
        return message

    def redact(self, message_id: str, at: datetime) -> Message | None:
        """The message without its text, which leaves the file too; None when there is none."""
        redacted = self.change(message_id, text="", updated_at=at)
        self._forget()
        return redacted

    def remove(self, message_id: str) -> bool:
        """Whether there was such a message; it leaves the file too."""
        with self._lock:
            if message_id not in self._messages:
                return False
            self._apply({"remove": message_id})
            del self._messages[message_id]
        self._forget()
        return True

    def clear(self) -> None:
        with self._lock:
            self._apply({"clear": True})
            self._messages.clear()

    def find(self, message_id: str) -> Message | None:
        return self._messages.get(message_id)

    def list_messages(
        self, *, to: str | None = None, channel: str | None = None, direction: str | None = None
    ) -> list[Message]:
        """Newest last; each filter that is given must match."""
        with self._lock:
            messages = list(self._messages.values())
        return [
            message
            for message in messages
            if (to is None or message.to == to)
            and (channel is None or message.channel == channel)
            and (direction is None or message.direction == direction)
        ]

    def close(self) -> None:
        """A later `add` or `change` raises `OutboxClosed`."""
        with self._lock:
            self._capacity = 0
            if self._state_file is not None:
                self._file.close()

    def _forget(self) -> None:
        """Leave out of the file what is no longer kept."""
        if self._state_file is None:
            return
        with self._lock:
            self._write_anew(self._state_file)
            self._file.close()
            self._file = self._state_file.open("ab", buffering=0)

    def _put(self, message: Message) -> None:
        self._messages[message.id] = message
        while len(self._messages) > self._capacity:
            del self._messages[next(iter(self._messages))]

    def _apply(self, event: dict[str, object]) -> None:
        if self._capacity == 0:
            raise OutboxClosed
        self._revision += 1
        if self._state_file is not None:
            self._file.write(_line(event))

    def _read(self, path: Path) -> None:
        lines = path.read_bytes().splitlines() if path.exists() else []
        for number, line in enumerate(lines, 1):
            try:
                event = json.loads(line)
            except ValueError as error:
                if number == len(lines):
                    # Torn by the kill that ended the previous process: nobody was told yes.
                    return
                raise Misconfigured(f"{path}, line {number}: expected a JSON object") from error
            self._replay(event)

    def _replay(self, event: dict[str, Any]) -> None:
        match event:
            case {"add": saved} | {"change": saved}:
                self._put(_from_json(saved))
            case {"remove": message_id}:
                self._messages.pop(message_id, None)
            case {"clear": True}:
                self._messages.clear()

    def _write_anew(self, path: Path) -> None:
        """One line per message: the file does not grow from restart to restart."""
        fresh = path.with_suffix(path.suffix + ".new")
        # It holds what people typed: nobody else on the machine reads it.
        fresh.unlink(missing_ok=True)
        fresh.touch(mode=0o600)
        with fresh.open("wb") as file:
            file.writelines(self._lines())
        fresh.replace(path)

    def _lines(self) -> Iterator[bytes]:
        for message in self._messages.values():
            yield _line({"add": _to_json(message)})


def _line(event: dict[str, object]) -> bytes:
    return json.dumps(event, ensure_ascii=False).encode() + b"\n"


def _to_json(message: Message) -> dict[str, object]:
    saved = asdict(message)
    for name in _TIMES:
        saved[name] = saved[name] and saved[name].isoformat()
    return saved


def _from_json(saved: dict[str, Any]) -> Message:
    times = {name: saved[name] and datetime.fromisoformat(saved[name]) for name in _TIMES}
    return Message(**{**saved, **times})
