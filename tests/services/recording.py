"""A transport that keeps what it is given, and answers as it is told to."""

import threading
import uuid
from collections.abc import Callable, Collection, Sequence

from followup.domain.delivery import Status
from followup.errors import TransportError
from followup.transports.base import Finding, Lost, Outgoing, Report

Answer = str | BaseException


class Recording:
    """Takes every message, unless `answer` says otherwise; finds what it took, unless told."""

    def __init__(self) -> None:
        self.sent: list[Outgoing] = []
        self.answer: Callable[[Outgoing], Answer | None] = lambda _: None
        self.finding: str | TransportError | None = None
        self.asked: list[Lost] = []
        #: The address of each question, and the ids that were said to be others'.
        self.questions: list[tuple[str, set[str]]] = []
        self.became: Report | TransportError | None = None
        self.looked_up: list[str] = []
        self.refuses_deletion: TransportError | None = None
        self.deleted: list[str] = []
        self._lock = threading.Lock()

    def send(self, message: Outgoing) -> str:
        with self._lock:
            self.sent.append(message)
        answer = self.answer(message)
        if isinstance(answer, BaseException):
            raise answer
        return answer or f"SM{uuid.uuid4().hex}"

    def find(self, lost: Sequence[Lost], known: Collection[str] = ()) -> Sequence[Finding]:
        self.asked += lost
        self.questions.append((lost[0].message.to, set(known)))
        if isinstance(self.finding, str):
            return [Report(self.finding, "sent", Status.sent)] * len(lost)
        return [self.finding] * len(lost)

    def look_up(self, provider_id: str) -> Report | None:
        self.looked_up.append(provider_id)
        if isinstance(self.became, TransportError):
            raise self.became
        return self.became

    def delete(self, provider_id: str) -> None:
        if self.refuses_deletion is not None:
            raise self.refuses_deletion
        self.deleted.append(provider_id)

    def close(self) -> None:
        """Holds nothing open."""

    def to(self, address: str) -> list[Outgoing]:
        return [message for message in self.sent if message.to == address]
