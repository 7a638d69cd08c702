"""Texts by Twilio Programmable Messaging. Vendor words and codes end here.

Codes: twilio.com/docs/api/errors. Their own description warns that codes may change and should
not drive programs, so an unknown one falls into the cautious class.
"""

import logging
import re
import ssl
import threading
import traceback
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import requests
from twilio.base.exceptions import (
    TwilioException,
    TwilioRestException,
    TwilioServiceException,
)
from twilio.http.http_client import TwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client

from followup.domain.delivery import Status
from followup.errors import (
    ConfigurationFailure,
    OutcomeUnknown,
    PermanentFailure,
    TemporaryFailure,
    TransportError,
)
from followup.transports.base import Outgoing, Trace

#: Each for connecting and for the answer of one HTTP call, so that both together stay below the
#: limit of a call. The client's own default is to wait for ever.
CALL_TIMEOUT = timedelta(seconds=15)

#: Twilio's bounds for ValidityPeriod, in seconds (twilio-oai, Messages.json).
VALIDITY_SECONDS = range(1, 36_001)

#: Texts to one number that are looked through for one that was lost, page by page.
PAGE, LISTED = 100, 1000
#: Twilio promises no order of its lists, so reading stops only so far behind the attempt.
OUT_OF_ORDER = timedelta(minutes=10)
#: The account's newest texts that tell whether it hides what it keeps (Message Redaction).
SAMPLE = 20

# Twilio's logger prints URLs, and a listing's URL holds a phone number.
logging.getLogger("twilio.http_client").setLevel(logging.WARNING)


class _Outcome(StrEnum):
    temporary = "temporary"
    #: Twilio asks to wait; the message itself is fine.
    deferred = "deferred"
    #: Our own messages wait at Twilio already; hurrying makes it worse.
    queue_full = "queue_full"
    message = "message"
    number = "number"
    opted_out = "opted_out"
    configuration = "configuration"
    unknown = "unknown"


#: What an error code of the create call says about the message.
CODES: Mapping[int, _Outcome] = {
    10001: _Outcome.configuration,  # account inactive
    20003: _Outcome.configuration,  # credentials
    20404: _Outcome.configuration,  # no such account or resource
    20429: _Outcome.temporary,  # too many requests; not processed
    20500: _Outcome.unknown,  # "not idempotent": it may have been sent
    20503: _Outcome.temporary,  # unavailable; not processed
    21211: _Outcome.number,  # invalid To
    21212: _Outcome.configuration,  # invalid From
    21408: _Outcome.message,  # region not permitted to this account
    21606: _Outcome.configuration,  # From cannot send texts
    21608: _Outcome.configuration,  # trial account, unverified number
    21610: _Outcome.opted_out,  # the recipient replied STOP
    21611: _Outcome.queue_full,  # ten hours of messages wait there
    21612: _Outcome.message,  # not routable
    21614: _Outcome.number,  # cannot receive texts
    21617: _Outcome.message,  # body too long
    21635: _Outcome.number,  # landline
    30029: _Outcome.configuration,  # retention option not enabled
    30030: _Outcome.configuration,
    30034: _Outcome.configuration,  # unregistered campaign
    30450: _Outcome.message,  # blocked as SMS pumping
    63038: _Outcome.deferred,  # the account's day is full
}

#: The waits that come with a code: a full day is over after a rolling 24 hours (error 63038).
WAITS: Mapping[_Outcome, timedelta] = {
    _Outcome.deferred: timedelta(hours=24),
    _Outcome.queue_full: timedelta(minutes=15),
}
#: A longer `Retry-After` than that is not believed.
LONGEST_WAIT = timedelta(hours=24)

#: Receipts: Twilio's words for ours. An unknown word changes nothing.
STATUSES: Mapping[str, Status] = {
    "accepted": Status.accepted,
    "scheduled": Status.accepted,
    "queued": Status.accepted,
    "sending": Status.accepted,
    "sent": Status.sent,
    "delivered": Status.delivered,
    "read": Status.delivered,
    "partially_delivered": Status.delivered,
    "undelivered": Status.undelivered,
    "failed": Status.failed,
    "canceled": Status.failed,
}


@dataclass(frozen=True)
class Account:
    """Credentials and the sender: a messaging service, or a number."""

    sid: str
    token: str
    sender: str
    api_url: str | None = None


class TwilioTransport:
    """Sends texts; one client per thread, each with its own kept connection.

    `callback_url` gives the address that Twilio reports a delivery's status to.
    """

    def __init__(
        self,
        account: Account,
        callback_url: Callable[[uuid.UUID], str],
        call_timeout: timedelta = CALL_TIMEOUT,
    ) -> None:
        self._account = account
        self._callback_url = callback_url
        self._call_timeout = call_timeout
        self._threads = threading.local()
        self._clients: list[Any] = []

    def send(self, message: Outgoing) -> str:
        sender = self._account.sender
        by: dict[str, Any] = {
            "messaging_service_sid" if sender.startswith("MG") else "from_": sender
        }
        if message.valid_for is not None:
            seconds = int(message.valid_for.total_seconds())
            by["validity_period"] = min(max(seconds, VALIDITY_SECONDS[0]), VALIDITY_SECONDS[-1])
        try:
            sent = self._client().messages.create(
                to=message.to,
                body=message.text,
                status_callback=self._callback_url(message.delivery_id),
                **by,
            )
        except (TwilioRestException, TwilioServiceException) as error:
            raise classify(error.status, error.code, self._threads.retry_after) from None
        except requests.RequestException as error:
            raise classify_connection(error) from None
        except (TwilioException, ValueError, KeyError, TypeError, AttributeError):
            raise OutcomeUnknown("the answer of Twilio could not be read") from None
        if not sent.sid:
            raise OutcomeUnknown("the answer of Twilio has no id")
        return str(sent.sid)

    def find(self, message: Outgoing, since: datetime) -> Trace | None:
        """Lists what went to the number since then and compares the text.

        There is no filter for the text or the time of creation, and `date_sent` is empty while
        queued. An account that hides texts and numbers cannot be asked: a text that it does not
        list may well have been sent.
        """
        try:
            trace = self._look_for(message, since)
            if trace is None and self._hides_messages():
                raise TemporaryFailure("the Twilio account hides texts; only its callback can tell")
        except (
            *(TwilioException, requests.RequestException),
            *(ValueError, KeyError, TypeError, AttributeError),
        ):
            raise TemporaryFailure("Twilio did not answer a listing") from None
        return trace

    def _look_for(self, message: Outgoing, since: datetime) -> Trace | None:
        listed = 0
        for item in self._client().messages.stream(to=message.to, limit=LISTED, page_size=PAGE):
            if item.date_created is not None and item.date_created < since - OUT_OF_ORDER:
                return None
            if _is_same(item, message, since):
                return Trace(str(item.sid), str(item.status))
            listed += 1
        if listed == LISTED:
            raise TemporaryFailure("Twilio lists too many texts to that number to tell")
        return None

    def _hides_messages(self) -> bool:
        newest = self._client().messages.list(limit=SAMPLE)
        return any(
            item.direction == "outbound-api"
            and (not re.fullmatch(r"\+\d+", item.to or "") or _is_blank(item))
            for item in newest
        )

    def close(self) -> None:
        self._threads = threading.local()
        while self._clients:
            self._clients.pop().http_client.session.close()

    def _client(self) -> Any:
        self._threads.retry_after = None
        if not hasattr(self._threads, "client"):
            http = TwilioHttpClient(
                timeout=self._call_timeout.total_seconds(),
                pool_connections=True,
                request_hooks={"response": [self._note_retry_after]},
            )
            client = Client(self._account.sid, self._account.token, http_client=http)
            if self._account.api_url:
                client.api.base_url = self._account.api_url
            self._threads.client = client
            self._clients.append(client)
        return self._threads.client

    def _note_retry_after(self, answer: requests.Response, **_: Any) -> None:
        """The library's errors do not carry the header."""
        seconds = answer.headers.get("Retry-After", "")
        if re.fullmatch(r"[0-9]{1,6}", seconds):
            self._threads.retry_after = min(timedelta(seconds=int(seconds)), LONGEST_WAIT)


def _is_same(item: Any, message: Outgoing, since: datetime) -> bool:
    return (
        item.direction == "outbound-api"
        and item.date_created is not None
        and item.date_created >= since
        and _letters(item.body or "") == _letters(message.text)
    )


def _letters(text: str) -> str:
    """Smart encoding replaces punctuation and spaces (twilio.com/docs/messaging/services)."""
    return "".join(character for character in text if character.isalnum())


def _is_blank(item: Any) -> bool:
    return not item.body and str(item.num_media or "0") == "0"


def classify(
    http_status: int, code: int | str | None, retry_after: timedelta | None = None
) -> TransportError:
    """The outcome of a call that Twilio answered with an error."""
    number = int(code) if code is not None and str(code).isdigit() else None
    text = str(number or http_status)
    outcome = CODES.get(number) if number is not None else None
    if outcome is None:
        outcome = _by_http_status(http_status)
    if outcome is _Outcome.temporary:
        return TemporaryFailure("Twilio could not take it now", text, retry_after)
    if outcome in WAITS:
        return TemporaryFailure("the account sends too much", text, WAITS[outcome])
    if outcome is _Outcome.configuration:
        return ConfigurationFailure("the Twilio account or sender is wrong", text)
    if outcome is _Outcome.unknown:
        return OutcomeUnknown("Twilio failed while taking it", text)
    if outcome is _Outcome.opted_out:
        return PermanentFailure("the number has opted out", text, suppress="opted_out")
    if outcome is _Outcome.number:
        return PermanentFailure("the number cannot be texted", text, suppress="unreachable")
    return PermanentFailure("Twilio refused the message", text)


def _by_http_status(status: int) -> _Outcome:
    if status in (429, 503):
        return _Outcome.temporary
    if status in (401, 403):
        return _Outcome.configuration
    if 400 <= status < 500:
        return _Outcome.message
    return _Outcome.unknown


def classify_connection(error: requests.RequestException) -> TransportError:
    """A failure before the request was written is safe; any other may have been taken."""
    if isinstance(error, requests.ConnectTimeout) or _failed_in_handshake(error):
        return TemporaryFailure("Twilio could not be reached")
    if isinstance(error, requests.ConnectionError) and _never_connected(error):
        return TemporaryFailure("Twilio could not be reached")
    return OutcomeUnknown("the answer of Twilio was lost")


def _never_connected(error: requests.ConnectionError) -> bool:
    return type(_reason(error)).__name__ in ("NewConnectionError", "NameResolutionError")


def _failed_in_handshake(error: requests.RequestException) -> bool:
    """Whether TLS was never established. Once it is, the request may be on its way."""
    reason = _reason(error)
    cause = reason.args[0] if isinstance(reason, Exception) and reason.args else None
    if not isinstance(cause, ssl.SSLError):
        return False
    frames = traceback.walk_tb(cause.__traceback__)
    return any(frame.f_code.co_name == "do_handshake" for frame, _ in frames)


def _reason(error: requests.RequestException) -> object:
    """What urllib3 gave up for."""
    cause = error.args[0] if error.args else None
    return getattr(cause, "reason", cause)


class _Fields(dict[str, Any]):
    """A form as the library reads repeated fields."""

    def getall(self, name: str) -> list[str]:
        value = self[name]
        return [value] if isinstance(value, str) else value


def is_signed(
    tokens: Sequence[str], url: str, fields: Mapping[str, Any] | str, signature: str
) -> bool:
    """Whether Twilio, knowing one of the tokens, sent this form to this public address.

    A field is text, or a list of texts; a form with anything else is not Twilio's. Of a JSON
    request, `fields` is the body as it came, whose hash the address has to carry.
    """
    if isinstance(fields, str):
        return bool(re.search("[?&]bodySHA256=.", url)) and _is_any(tokens, url, fields, signature)
    for value in fields.values():
        texts = value if isinstance(value, list) else [value]
        if not all(isinstance(text, str) for text in texts):
            return False
    return _is_any(tokens, url, _Fields(fields), signature)


def _is_any(tokens: Sequence[str], url: str, signed: _Fields | str, signature: str) -> bool:
    return any(bool(RequestValidator(token).validate(url, signed, signature)) for token in tokens)
