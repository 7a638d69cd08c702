"""What every transport takes and gives. A transport returns the provider's id or raises a
TransportError; it retries nothing by itself, because only the sender knows what is still owed."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from followup.domain.delivery import Status
from followup.errors import TransportError

#: The longest that one call of a transport may take in all, so that a batch ends within its lease.
CALL_LIMIT = timedelta(seconds=40)


@dataclass(frozen=True, kw_only=True)
class Outgoing:
    """One message to one recipient. `message_id` is a mail's, fixed when it was planned."""

    delivery_id: uuid.UUID
    to: str
    text: str
    subject: str = ""
    html: str | None = None
    message_id: str = ""
    #: A mail's Date.
    date: datetime | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    #: How long the provider may keep trying; past it the message is worth nothing.
    valid_for: timedelta | None = None


@dataclass(frozen=True)
class Report:
    """A provider's word on one message: `said` is its own, `status` ours, or None for a word that
    we do not know."""

    provider_id: str
    said: str
    status: Status | None
    code: str = ""
    #: Why the address must not be written to any more; a `SuppressionReason`.
    suppress: str | None = None
    #: The account or sender is at fault, so that every further message would fail as well.
    misconfigured: bool = False
    #: Refused for what we write or may not do, so that others may be refused as well.
    blames_us: bool = False


@dataclass(frozen=True)
class Lost:
    """A message whose answer was lost: the provider took it at or after `since`, or not at all."""

    message: Outgoing
    since: datetime


#: The provider has it, has no trace of it, or could not tell.
Finding = Report | TransportError | None


class Transport(Protocol):
    """Speaks to one provider. Used by many threads at once; keeps connections open."""

    def send(self, message: Outgoing) -> str:
        """Hand over one message; the provider's id once it has taken it. Raises TransportError."""

    def find(self, lost: Sequence[Lost], known: Collection[str] = ()) -> Sequence[Finding]:
        """What the provider knows of each of these messages, which are all to one address.

        One message of the provider's answers for one of ours; `known` are the ids of those that
        are others' already.
        """

    def look_up(self, provider_id: str) -> Report | None:
        """What became of a message that the provider took; None when it no longer has it.

        Raises TransportError when it cannot tell.
        """

    def delete(self, provider_id: str) -> None:
        """Have the provider forget a message, ours or a reply; done as well when it has none.

        Raises TransportError when it cannot, or not yet.
        """

    def close(self) -> None:
        """End the connections of all threads."""
