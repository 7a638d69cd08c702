"""Texts by Twilio Programmable Messaging. Vendor words and codes end here.

Codes: twilio.com/docs/api/errors. Their own description warns that codes may change and should
not drive programs, so an unknown one falls into the cautious class.
"""

import re
import ssl
import traceback
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import Any

import requests
from twilio.base.exceptions import TwilioException, TwilioRestException, TwilioServiceException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from followup.domain.delivery import Status
from followup.errors import (
    ChannelFailure,
    ConfigurationFailure,
    OutcomeUnknown,
    PermanentFailure,
    TemporaryFailure,
    TransportError,
)
from followup.transports.base import Finding, Lost, Outgoing, Report

#: Each for connecting and for the answer of one HTTP call, so that both together stay below the
#: limit of a call. The client's own default is to wait for ever.
CALL_TIMEOUT = timedelta(seconds=15)

#: Twilio's bounds for ValidityPeriod, in seconds (twilio-oai, Messages.json).
VALIDITY_SECONDS = range(1, 36_001)

#: Texts to one number that are looked through for those that were lost, page by page; Twilio's
#: pages hold 1,000 at most (twilio.com/docs/usage/twilios-response).
PAGE, LISTED = 1000, 10_000
#: Twilio promises no order of its lists, so reading stops only so far behind the attempt.
OUT_OF_ORDER = timedelta(minutes=10)
#: The account's newest texts that tell whether it hides what it keeps (Message Redaction).
SAMPLE = 20

#: Nothing came back that tells anything.
_NO_ANSWER = (
    *(TwilioException, requests.RequestException),
    *(ValueError, KeyError, TypeError, AttributeError),
)


class _Outcome(StrEnum):
    temporary = "temporary"
    #: Twilio asks to wait; the message itself is fine.
    deferred = "deferred"
    #: Our own messages wait at Twilio already; hurrying makes it worse.
    queue_full = "queue_full"
    message = "message"
    #: Refused for what we write, or may not do: an operator hears of it.
    ours = "ours"
    number = "number"
    opted_out = "opted_out"
    configuration = "configuration"
    unknown = "unknown"


#: What an error code says about the message, in the answer to the create call or in a receipt:
#: with a messaging service, a text is taken first and refused later.
CODES: Mapping[int, _Outcome] = {
    10001: _Outcome.configuration,  # account inactive
    20003: _Outcome.configuration,  # credentials
    20404: _Outcome.configuration,  # no such account or resource
    20429: _Outcome.temporary,  # too many requests; not processed
    20500: _Outcome.unknown,  # "not idempotent": it may have been sent
    20503: _Outcome.temporary,  # unavailable; not processed
    21211: _Outcome.number,  # invalid To
    21212: _Outcome.configuration,  # invalid From
    21408: _Outcome.ours,  # region not permitted to this account
    21606: _Outcome.configuration,  # From cannot send texts
    21608: _Outcome.configuration,  # trial account, unverified number
    21610: _Outcome.opted_out,  # the recipient replied STOP
    21611: _Outcome.queue_full,  # ten hours of messages wait there
    21612: _Outcome.message,  # not routable
    21614: _Outcome.number,  # cannot receive texts
    21617: _Outcome.ours,  # body too long
    21635: _Outcome.number,  # landline
    30001: _Outcome.queue_full,
    30002: _Outcome.configuration,  # account suspended
    30003: _Outcome.message,  # handset off; a later text may arrive
    30004: _Outcome.message,  # blocked
    30005: _Outcome.number,  # unknown or inactive
    30006: _Outcome.number,  # landline, or a carrier that cannot be reached
    30007: _Outcome.ours,  # filtered by Twilio or the carrier
    30008: _Outcome.message,  # unknown; a second one might be a double
    30029: _Outcome.configuration,  # retention option not enabled
    30030: _Outcome.configuration,
    30032: _Outcome.configuration,  # toll-free number not verified
    30034: _Outcome.configuration,  # unregistered campaign
    30036: _Outcome.message,  # its validity ran out; late is not sent
    30450: _Outcome.ours,  # blocked as SMS pumping
    30500: _Outcome.unknown,  # Twilio's own fault
    30610: _Outcome.message,  # their quiet hours
    30640: _Outcome.opted_out,  # a litigator
    63038: _Outcome.deferred,  # the account's day is full
}

#: Outcomes after which the number is left alone, in words of `SuppressionReason`.
_SUPPRESSES: Mapping[_Outcome, str] = {
    _Outcome.number: "unreachable",
    _Outcome.opted_out: "opted_out",
}

#: Outcomes of which an operator hears: others will meet them, too.
_BLAMES_US = frozenset({_Outcome.ours, _Outcome.deferred})

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


@dataclass
class _Line:
    """A client with a connection of its own, and the wait that its last answer asked for."""

    client: Any = None
    retry_after: timedelta | None = None

    def note_retry_after(self, answer: requests.Response, **_: Any) -> None:
        """The library's errors do not carry the header."""
        seconds = answer.headers.get("Retry-After", "")
        if re.fullmatch(r"[0-9]{1,6}", seconds):
            self.retry_after = min(timedelta(seconds=int(seconds)), LONGEST_WAIT)


class TwilioTransport:
    """Sends texts over as many connections as there are texts at once, kept open.

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
        #: The last that was used is the first to be used again, so that few stay warm.
        self._idle: list[_Line] = []
        self._lines: list[_Line] = []
        self._idle.append(self._open_line())

    def send(self, message: Outgoing) -> str:
        sender = self._account.sender
        by: dict[str, Any] = {
            "messaging_service_sid" if sender.startswith("MG") else "from_": sender
        }
        if message.valid_for is not None:
            seconds = int(message.valid_for.total_seconds())
            by["validity_period"] = min(max(seconds, VALIDITY_SECONDS[0]), VALIDITY_SECONDS[-1])
        with self._line() as line:
            return self._create(line, message, by)

    def _create(self, line: _Line, message: Outgoing, by: Mapping[str, Any]) -> str:
        try:
            sent = line.client.messages.create(
                to=message.to,
                body=message.text,
                status_callback=self._callback_url(message.delivery_id),
                **by,
            )
        except (TwilioRestException, TwilioServiceException) as error:
            raise classify(error.status, error.code, line.retry_after) from None
        except requests.RequestException as error:
            raise classify_connection(error) from None
        except (TwilioException, ValueError, KeyError, TypeError, AttributeError):
            raise OutcomeUnknown("the answer of Twilio could not be read") from None
        if not sent.sid:
            raise OutcomeUnknown("the answer of Twilio has no id")
        return str(sent.sid)

    def find(self, lost: Sequence[Lost], known: Collection[str] = ()) -> Sequence[Finding]:
        """Lists what went to the number since then and compares the texts.

        There is no filter for the text or the time of creation, and `date_sent` is empty while
        queued. An account that hides texts and numbers cannot be asked: a text that it does not
        list may well have been sent.
        """
        found: dict[uuid.UUID, Report] = {}
        error = None
        try:
            with self._line() as line:
                self._look_for(line, lost, known, found)
                hides = len(found) < len(lost) and self._hides_messages(line)
            if hides:
                error = TemporaryFailure("the Twilio account hides texts; its callback can tell")
        except TemporaryFailure as failure:
            error = failure
        except _NO_ANSWER:
            error = TemporaryFailure("Twilio did not answer a listing")
        return [found.get(one.message.delivery_id, error) for one in lost]

    def _look_for(
        self,
        line: _Line,
        lost: Sequence[Lost],
        known: Collection[str],
        found: dict[uuid.UUID, Report],
    ) -> None:
        """Raises TemporaryFailure when there is more than can be looked through."""
        (to,) = {one.message.to for one in lost}
        begins_at = min(one.since for one in lost) - OUT_OF_ORDER
        missing: dict[str, list[Lost]] = {}
        for one in lost:
            missing.setdefault(_letters(one.message.text), []).append(one)
        listed = 0
        for item in line.client.messages.stream(to=to, limit=LISTED, page_size=PAGE):
            if item.date_created is not None and item.date_created < begins_at:
                return
            alike = missing.get(_letters(item.body or ""), [])
            same = next((one for one in alike if _may_be(item, one)), None)
            if same is not None and item.sid not in known:
                found[same.message.delivery_id] = _report(item)
                alike.remove(same)
                if len(found) == len(lost):
                    return
            listed += 1
        if listed == LISTED:
            raise TemporaryFailure("Twilio lists too many texts to that number to tell")

    def look_up(self, provider_id: str) -> Report | None:
        try:
            with self._line() as line:
                return _report(line.client.messages(provider_id).fetch())
        except TwilioRestException as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise TemporaryFailure("Twilio could not be asked", str(error.code)) from None
        except _NO_ANSWER:
            raise TemporaryFailure("Twilio did not answer") from None

    def delete(self, provider_id: str) -> None:
        """The whole message, because the number is as personal as the text. Twilio's own log keeps
        it for 400 days whatever anybody asks."""
        with self._line() as line:
            try:
                line.client.messages(provider_id).delete()
            except TwilioRestException as error:
                if error.status == HTTPStatus.NOT_FOUND:
                    return
                if error.code == 20009:  # twilio.com/docs/api/errors/20009
                    raise TemporaryFailure("Twilio still has it on its way", "20009") from None
                raise classify(error.status, error.code, line.retry_after) from None
            except _NO_ANSWER:
                raise TemporaryFailure("Twilio did not answer") from None

    def _hides_messages(self, line: _Line) -> bool:
        newest = line.client.messages.list(limit=SAMPLE)
        return any(
            item.direction == "outbound-api"
            and (not re.fullmatch(r"\+\d+", item.to or "") or _is_blank(item))
            for item in newest
        )

    def close(self) -> None:
        self._idle.clear()
        while self._lines:
            self._lines.pop().client.http_client.session.close()

    @contextmanager
    def _line(self) -> Iterator[_Line]:
        """One that nobody else uses meanwhile."""
        try:
            line = self._idle.pop()
        except IndexError:
            line = self._open_line()
        line.retry_after = None
        try:
            yield line
        finally:
            # The library connects anew where a connection was broken off.
            self._idle.append(line)

    def _open_line(self) -> _Line:
        line = _Line()
        http = TwilioHttpClient(
            timeout=self._call_timeout.total_seconds(),
            pool_connections=True,
            request_hooks={"response": [line.note_retry_after]},
        )
        line.client = Client(self._account.sid, self._account.token, http_client=http)
        if self._account.api_url:
            line.client.api.base_url = self._account.api_url
        _ask_environment_once(http.session, line.client.api.base_url)
        # Loads the library's modules, for which the first text should not wait.
        _ = line.client.messages
        self._lines.append(line)
        return line


def _ask_environment_once(session: requests.Session, url: str) -> None:
    """What the environment says of proxies and certificates; the library would read all of it again
    before each text, which takes a third of a text's time."""
    told = session.merge_environment_settings(url, {}, None, None, None)
    session.proxies, session.verify, session.cert = told["proxies"], told["verify"], told["cert"]
    session.trust_env = False


def read_report(provider_id: str, said: str, code: str = "") -> Report:
    """What a status callback, or the message itself, says."""
    number = int(code) if code.isdigit() else None
    outcome = CODES.get(number) if number is not None else None
    return Report(
        provider_id=provider_id[:200],
        said=said[:32],
        status=STATUSES.get(said),
        code=code[:32],
        suppress=_SUPPRESSES.get(outcome) if outcome else None,
        misconfigured=outcome is _Outcome.configuration,
        blames_us=outcome in _BLAMES_US,
    )


def _report(item: Any) -> Report:
    return read_report(str(item.sid), str(item.status), str(item.error_code or ""))


def _may_be(item: Any, lost: Lost) -> bool:
    return (
        item.direction == "outbound-api"
        and item.date_created is not None
        and item.date_created >= lost.since
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
        return ChannelFailure("Twilio could not take it now", text, retry_after)
    if outcome in WAITS:
        return ChannelFailure("the account sends too much", text, WAITS[outcome])
    if outcome is _Outcome.configuration:
        return ConfigurationFailure("the Twilio account or sender is wrong", text)
    if outcome is _Outcome.unknown:
        return OutcomeUnknown("Twilio failed while taking it", text)
    if outcome in _SUPPRESSES:
        return PermanentFailure(
            "the number must not be texted", text, suppress=_SUPPRESSES[outcome]
        )
    return PermanentFailure("Twilio refused the message", text, blames_us=outcome is _Outcome.ours)


def _by_http_status(status: int) -> _Outcome:
    if status in (429, 503):
        return _Outcome.temporary
    if status in (401, 403):
        return _Outcome.configuration
    if 400 <= status < 500:
        return _Outcome.ours
    return _Outcome.unknown


def classify_connection(error: requests.RequestException) -> TransportError:
    """A failure before the request was written is safe; any other may have been taken."""
    if isinstance(error, requests.ConnectTimeout) or _failed_in_handshake(error):
        return ChannelFailure("Twilio could not be reached")
    if isinstance(error, requests.ConnectionError) and _never_connected(error):
        return ChannelFailure("Twilio could not be reached")
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
