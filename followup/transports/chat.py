"""Alerts to staff by whatever chat the clinic uses, through Apprise (github.com/caronc/apprise).

Apprise says of a message that it went, or that it did not, and no chat can be asked afterwards. So
what was neither taken nor refused for sure is an unknown outcome, and goes no second time.
"""

import logging
import re
import threading
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from followup.errors import (
    OutcomeUnknown,
    PermanentFailure,
    TemporaryFailure,
    Throttled,
    TransportError,
)
from followup.transports.base import Finding, Lost, Outgoing, Report

if TYPE_CHECKING:
    from apprise import NotifyBase

#: Together what one HTTP call may take; an address cannot ask for more.
CONNECT_SECONDS, READ_SECONDS = 5.0, 10.0
#: Messages a second, to all chats together: what Slack and Telegram take in one of them.
CHAT_RATE = 1.0

#: How Apprise's services log what a chat answered.
_SAID = re.compile(r"\berror=(\d{3})\b")
#: It may be tried again: RFC 6585 §4.
_TOO_MANY = 429

_log = logging.getLogger("apprise")
# Its sentences may name a chat's address, which is a secret.
_log.propagate = False
_log.addHandler(logging.NullHandler())


class ChatTransport:
    """Sends to the chats by their names; `sender` is who speaks there."""

    def __init__(self, addresses: Mapping[str, str], sender: str) -> None:
        self._addresses = addresses
        self._sender = sender

    def send(self, message: Outgoing) -> str:
        notifier = self.open(message.to)
        with _Hearing() as heard:
            try:
                # In one piece, whatever the address asks for.
                went = notifier.notify(message.text, body_format="text", overflow="upstream")
            except Exception as error:  # each service is code of its own
                raise OutcomeUnknown("the chat's service failed", type(error).__name__) from None
        if not went:
            raise _failure(heard.code)
        return str(message.delivery_id)

    def open(self, name: str) -> "NotifyBase":
        """Made for each message, because it would sleep between two. Raises PermanentFailure for a
        name or an address that cannot be used."""
        # Costs 10 MB and most of a second, which only a process that writes to chats is to pay.
        from apprise import Apprise, AppriseAsset

        asset = AppriseAsset(
            app_id=self._sender,
            app_desc=self._sender,
            app_url="",
            image_url_mask="",
            image_url_logo="",
            http_redirects=False,
        )
        address = self._addresses.get(name)
        if address is None:
            raise PermanentFailure("there is no address for that chat")
        notifier = Apprise.instantiate(address, asset=asset)
        if notifier is None:
            raise PermanentFailure("Apprise cannot use the chat's address")
        # As many calls as it would make: several chats, or one again and again.
        if len(notifier) > 1:
            raise PermanentFailure("the address is of more than one chat, or tries again")
        notifier.socket_connect_timeout = CONNECT_SECONDS
        notifier.socket_read_timeout = READ_SECONDS
        return notifier

    def find(self, lost: Sequence[Lost], known: Collection[str] = ()) -> Sequence[Finding]:
        """No chat tells what it has."""
        return [TemporaryFailure("a chat cannot be asked about a message")] * len(lost)

    def look_up(self, provider_id: str) -> Report | None:
        """No chat tells what it has."""
        raise TemporaryFailure("a chat cannot be asked about a message")

    def delete(self, provider_id: str) -> None:
        """It has no id by which it could be deleted; it names a reference alone."""
        raise PermanentFailure("a message in a chat cannot be taken back")

    def close(self) -> None:
        """No connection is kept."""


def _failure(code: int | None) -> TransportError:
    """A chat that answered with a fault of the request has not taken it."""
    if code == _TOO_MANY:
        return Throttled("the chat took nothing, for too many came", str(code))
    if code is not None and 400 <= code < 500:
        return PermanentFailure("the chat refused it", str(code))
    return OutcomeUnknown("the chat did not say that it has it", str(code) if code else None)


class _Hearing(logging.Handler):
    """The code that Apprise logs of the call which this thread makes meanwhile."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.code: int | None = None
        self._thread = threading.get_ident()

    def __enter__(self) -> "_Hearing":
        _log.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        _log.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread and (said := _SAID.search(record.getMessage())):
            self.code = int(said[1])
