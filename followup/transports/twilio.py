"""Texts by Twilio Programmable Messaging. Vendor words and codes end here.

Codes: twilio.com/docs/api/errors. Their own description warns that codes may change and should
not drive programs, so an unknown one falls into the cautious class.
"""

import logging
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import requests
from twilio.base.exceptions import TwilioException, TwilioRestException
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

#: One HTTP call, connecting and reading. The client's own default is to wait for ever.
CALL_TIMEOUT = timedelta(seconds=15)

#: Twilio's bounds for ValidityPeriod, in seconds (twilio-oai, Messages.json).
VALIDITY_SECONDS = range(1, 36_001)

# Twilio's logger prints URLs, and a listing's URL holds a phone number.
logging.getLogger("twilio.http_client").setLevel(logging.WARNING)


class _Outcome(StrEnum):
    temporary = "temporary"
    #: Twilio asks to wait; the message itself is fine.
    deferred = "deferred"
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
    21611: _Outcome.temporary,  # queue full
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

#: A full day is over after a rolling 24 hours (error 63038).
DEFERRAL = timedelta(hours=24)

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

    def __init__(self, account: Account, callback_url: Callable[[uuid.UUID], str]) -> None:
        self._account = account
        self._callback_url = callback_url
        self._threads = threading.local()

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
        except TwilioRestException as error:
            raise classify(error.status, error.code) from None
        except (TwilioException, ValueError, KeyError, TypeError):
            raise OutcomeUnknown("the answer of Twilio could not be read") from None
        except requests.RequestException as error:
            raise classify_connection(error) from None
        if not sent.sid:
            raise OutcomeUnknown("the answer of Twilio has no id")
        return str(sent.sid)

    def find(self, message: Outgoing, since: datetime) -> Trace | None:
        """Lists what went to the number since then and compares the text.

        There is no filter for the text or the time of creation, and `date_sent` is empty while
        queued; with Message Redaction on this finds nothing, and only the callback settles.
        """
        try:
            listed = self._client().messages.list(to=message.to, limit=200)
        except TwilioRestException as error:
            raise classify(error.status, error.code) from None
        except (TwilioException, ValueError, KeyError, TypeError, requests.RequestException):
            raise TemporaryFailure("Twilio did not answer a listing") from None
        for item in listed:
            is_ours = item.direction == "outbound-api" and item.body == message.text
            if is_ours and item.date_created is not None and item.date_created >= since:
                return Trace(str(item.sid), str(item.status))
        return None

    def close(self) -> None:
        self._threads = threading.local()

    def _client(self) -> Any:
        if not hasattr(self._threads, "client"):
            http = TwilioHttpClient(timeout=CALL_TIMEOUT.total_seconds(), pool_connections=True)
            client = Client(self._account.sid, self._account.token, http_client=http)
            if self._account.api_url:
                client.api.base_url = self._account.api_url
            self._threads.client = client
        return self._threads.client


def classify(http_status: int, code: int | str | None) -> TransportError:
    """The outcome of a create call that Twilio answered with an error."""
    number = int(code) if code is not None and str(code).isdigit() else None
    text = str(number or http_status)
    outcome = CODES.get(number) if number is not None else None
    if outcome is None:
        outcome = _by_http_status(http_status)
    if outcome is _Outcome.temporary:
        return TemporaryFailure("Twilio could not take it now", text)
    if outcome is _Outcome.deferred:
        return TemporaryFailure("the account's day is full", text, retry_after=DEFERRAL)
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
    if isinstance(error, requests.ConnectTimeout | requests.exceptions.SSLError):
        return TemporaryFailure("Twilio could not be reached")
    if isinstance(error, requests.ConnectionError) and _never_connected(error):
        return TemporaryFailure("Twilio could not be reached")
    return OutcomeUnknown("the answer of Twilio was lost")


def _never_connected(error: requests.ConnectionError) -> bool:
    cause = error.args[0] if error.args else None
    reason = getattr(cause, "reason", cause)
    return type(reason).__name__ in ("NewConnectionError", "NameResolutionError")


def is_signed(
    tokens: Sequence[str], url: str, fields: Mapping[str, str | list[str]], signature: str
) -> bool:
    """Whether Twilio, knowing one of the tokens, sent this form to this public address."""
    return any(bool(RequestValidator(token).validate(url, fields, signature)) for token in tokens)
