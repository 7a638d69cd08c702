"""A provider of texts and mails that knows for ever what it took, and misbehaves as it is told."""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from followup.domain.delivery import Status
from followup.errors import (
    ConfigurationFailure,
    OutcomeUnknown,
    PermanentFailure,
    TemporaryFailure,
)
from followup.transports.base import Finding, Lost, Outgoing, Report


class Ending(StrEnum):
    """How a call ends."""

    taken = "taken"
    busy = "busy"
    busy_for_an_hour = "busy for an hour"
    refused = "refused"
    unreachable = "unreachable"
    opted_out = "opted out"
    misconfigured = "misconfigured"
    lost_and_taken = "the answer is lost, and it was taken"
    lost_and_hidden = "the answer is lost, it was taken, and no list shows it"
    lost_and_not_taken = "the answer is lost, and it was not taken"
    broken_and_taken = "our code fails after it was taken"
    dies_and_taken = "the worker dies after it was taken"
    dies_and_not_taken = "the worker dies before it was taken"

    @property
    def suppresses(self) -> str | None:
        """Why the address must not be written to any more."""
        return {Ending.unreachable: "unreachable", Ending.opted_out: "opted_out"}.get(self)


_TAKING = frozenset(
    {
        *(Ending.taken, Ending.lost_and_taken, Ending.lost_and_hidden),
        *(Ending.broken_and_taken, Ending.dies_and_taken),
    }
)
_RAISES: dict[Ending, Callable[[], Exception]] = {
    Ending.busy: lambda: TemporaryFailure("busy", "20429"),
    Ending.busy_for_an_hour: lambda: TemporaryFailure("full", "63038", timedelta(hours=1)),
    Ending.refused: lambda: PermanentFailure("refused", "21617"),
    Ending.unreachable: lambda: PermanentFailure("gone", "21614", suppress="unreachable"),
    Ending.opted_out: lambda: PermanentFailure("stopped", "21610", suppress="opted_out"),
    Ending.misconfigured: lambda: ConfigurationFailure("no account", "20003"),
    Ending.lost_and_taken: lambda: OutcomeUnknown("lost", "500"),
    Ending.lost_and_hidden: lambda: OutcomeUnknown("lost", "500"),
    Ending.lost_and_not_taken: lambda: OutcomeUnknown("lost", "500"),
    Ending.broken_and_taken: lambda: ZeroDivisionError(),
}


class WorkerLost(BaseException):
    """The worker's process ends, here and now."""


@dataclass
class Kept:
    """One message that the provider took."""

    id: str
    message: Outgoing
    at: datetime
    is_hidden: bool
    #: The end of a text's life, once a report has told of it.
    ending: str = ""

    @property
    def is_mail(self) -> bool:
        return bool(self.message.message_id)


@dataclass
class Provider:
    """Ends each call as `endings` says, from the left; takes the message when that is empty.

    `called` hears of every call as it begins, `ended` of how it ended.
    """

    now: Callable[[], datetime]
    called: Callable[[Outgoing], None]
    ended: Callable[[Outgoing, Ending], None]
    kept: list[Kept] = field(default_factory=list)
    endings: deque[Ending] = field(default_factory=deque)
    #: Lists may fail, too.
    answers_questions: bool = True

    #: Whoever calls has ended before the call began.
    is_lost: bool = False

    def send(self, message: Outgoing) -> str:
        if self.is_lost:
            raise WorkerLost
        self.called(message)
        ending = self.endings.popleft() if self.endings else Ending.taken
        provider_id = message.message_id or f"SM{len(self.kept):032}"
        if ending in _TAKING:
            is_hidden = ending is Ending.lost_and_hidden
            self.kept.append(Kept(provider_id, message, self.now(), is_hidden))
        self.ended(message, ending)
        if ending in _RAISES:
            raise _RAISES[ending]()
        if ending in (Ending.dies_and_taken, Ending.dies_and_not_taken):
            self.is_lost = True
            raise WorkerLost
        return provider_id

    def find(self, lost: Sequence[Lost], known: Collection[str] = ()) -> Sequence[Finding]:
        """As Twilio lists texts: by number, text and time. SMTP has no way to ask."""
        taken = set(known)
        return [self._find(one.message, one.since, taken) for one in lost]

    def _find(self, message: Outgoing, since: datetime, taken: set[str]) -> Finding:
        if "@" in message.to or not self.answers_questions:
            return TemporaryFailure("no answer to a question")
        alike = (
            one
            for one in self.texts()
            if (one.message.to, one.message.text) == (message.to, message.text)
            and one.at >= since
            and not one.is_hidden
            and one.id not in taken
        )
        found = next(alike, None)
        if found is None:
            return None
        taken.add(found.id)
        return Report(found.id, "sent", Status.sent)

    def look_up(self, provider_id: str) -> Report | None:
        if not self.answers_questions:
            raise TemporaryFailure("no answer to a question")
        found = next((one for one in self.texts() if one.id == provider_id), None)
        return Report(provider_id, "sent", Status.sent) if found else None

    def delete(self, provider_id: str) -> None:
        """Nobody is erased here."""

    def close(self) -> None:
        """Holds nothing open."""

    def texts(self) -> list[Kept]:
        return [one for one in self.kept if not one.is_mail]

    def will_end(self, endings: Iterable[Ending]) -> None:
        self.endings = deque(endings)
