"""A transport that keeps what it is given, and answers as it is told to."""

import threading
import uuid
from collections.abc import Callable
from datetime import datetime

from followup.errors import TransportError
from followup.transports.base import Outgoing, Trace

Answer = str | BaseException


class Recording:
    """Takes every message, unless `answer` says otherwise; finds what it took, unless told."""

    def __init__(self) -> None:
        self.sent: list[Outgoing] = []
        self.answer: Callable[[Outgoing], Answer | None] = lambda _: None
        self.finding: str | TransportError | None = None
        self.asked: list[tuple[Outgoing, datetime]] = []
        self._lock = threading.Lock()

    def send(self, message: Outgoing) -> str:
        with self._lock:
            self.sent.append(message)
        answer = self.answer(message)
        if isinstance(answer, BaseException):
            raise answer
        return answer or f"SM{uuid.uuid4().hex}"

    def find(self, message: Outgoing, since: datetime) -> Trace | None:
        self.asked.append((message, since))
        if isinstance(self.finding, TransportError):
            raise self.finding
        return Trace(self.finding, "sent") if self.finding else None

    def close(self) -> None:
        """Holds nothing open."""

    def to(self, address: str) -> list[Outgoing]:
        return [message for message in self.sent if message.to == address]
