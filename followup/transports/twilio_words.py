"""Twilio's words for ours: error codes, statuses, and the rates of its senders.

Codes: twilio.com/docs/api/errors. Their own description warns that codes may change and should
not drive programs, so an unknown one falls into the cautious class.
"""

import re
import ssl
import traceback
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from http import HTTPStatus

import requests

from followup.domain.delivery import Status
from followup.errors import (
    ChannelFailure,
    ConfigurationFailure,
    OutcomeUnknown,
    PermanentFailure,
    Throttled,
    TransportError,
)
from followup.transports.base import Report

_TOLL_FREE = re.compile(r"\+1(800|833|844|855|866|877|888)\d{7}")


class _Outcome(StrEnum):
    temporary = "temporary"
    #: Too many at once: not processed, and others would be.
    throttled = "throttled"
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
    20429: _Outcome.throttled,  # too many requests; not processed
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


def usual_rate(sender: str) -> float:
    """Parts of texts a second that Twilio sends on from such a sender, usually; above that they
    queue there (twilio.com/help/faq/sms/how-quickly-can-i-send-sms-messages, toll-free:
    help.twilio.com/articles/4411046744987, overflow: twilio.com/docs/api/errors/30001, which also
    has a short code "over 100"; the first page, an older one, has 30).

    What a campaign or a messaging service may send only its owner knows: at the least what one
    number may, as the lowest class of campaigns does, too (75 a minute at AT&T). Of numbers abroad
    no page of Twilio's was read: 10 is what others say that one says.
    """
    if re.fullmatch(r"\d{5,6}", sender):
        return 100.0
    if _TOLL_FREE.fullmatch(sender):
        return 3.0
    return 1.0 if sender.startswith(("+1", "MG")) else 10.0


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
    if outcome is _Outcome.throttled:
        return Throttled("Twilio asks to slow down", text, retry_after)
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
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return _Outcome.throttled
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
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
