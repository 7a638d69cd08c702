"""What every transport takes and gives. A transport returns the provider's id or raises a
TransportError; it retries nothing by itself, because only the sender knows what is still owed."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

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
class Trace:
    """What the provider knows of a message that we lost sight of."""

    provider_id: str
    status: str


class Transport(Protocol):
    """Speaks to one provider. Used by many threads at once; keeps connections open."""

    def send(self, message: Outgoing) -> str:
        """Hand over one message; the provider's id once it has taken it. Raises TransportError."""

    def find(self, message: Outgoing, since: datetime) -> Trace | None:
        """Whether the provider took this message at or after `since`; None when it has no trace.

        Raises TransportError when it cannot tell.
        """

    def close(self) -> None:
        """End the connections of all threads."""
