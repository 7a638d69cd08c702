"""Twilio's demands on a create call, in the order in which they are reported.

Parameters: twilio.com/docs/messaging/api/message-resource. Codes: twilio.com/docs/api/errors.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

KNOWN = frozenset(
    [
        "To",
        "From",
        "MessagingServiceSid",
        "FallbackFrom",
        "Body",
        "ContentSid",
        "ContentVariables",
        "MediaUrl",
        "StatusCallback",
        "ApplicationSid",
        "MaxPrice",
        "ProvideFeedback",
        "Attempt",
        "ValidityPeriod",
        "ForceDelivery",
        "ContentRetention",
        "AddressRetention",
        "SmartEncoded",
        "PersistentAction",
        "TrafficType",
        "ShortenUrls",
        "ScheduleType",
        "SendAt",
        "SendAsMms",
        "RiskCheck",
    ]
)

MAX_BODY = 1600

_E164 = re.compile(r"\+[1-9]\d{6,14}")
_SENDER = re.compile(r"\+[1-9]\d{6,14}|\d{5,6}")
_SERVICE = re.compile(r"MG[0-9a-fA-F]{32}")


@dataclass(frozen=True)
class Refusal:
    code: int
    message: str
    status: int = 400


def is_phone(text: str) -> bool:
    """E.164, the only form that Twilio takes without guessing a country."""
    return _E164.fullmatch(text) is not None


def refuse(form: Mapping[str, list[str]], *, redaction: bool) -> Refusal | None:
    """The first thing that is wrong, or None."""
    one = {name: values[0] for name, values in form.items()}
    return (
        _unknown(form)
        or _recipient(one)
        or _sender(one)
        or _content(one)
        or _options(one, redaction=redaction)
    )


def _unknown(form: Mapping[str, list[str]]) -> Refusal | None:
    """Stricter than Twilio, which ignores them: a misspelt parameter shows here first."""
    unknown = sorted(set(form) - KNOWN)
    if unknown:
        return Refusal(20001, f"Unknown parameters: {', '.join(unknown)}")
    repeated = sorted(name for name in form if len(form[name]) > 1 and name != "MediaUrl")
    if repeated:
        return Refusal(20001, f"Parameters given more than once: {', '.join(repeated)}")
    return None


def _recipient(one: Mapping[str, str]) -> Refusal | None:
    to = one.get("To", "")
    if not to:
        return Refusal(21604, "A 'To' phone number is required.")
    return None if is_phone(to) else Refusal(21211, f"Invalid 'To' Phone Number: {_masked(to)}")


def _sender(one: Mapping[str, str]) -> Refusal | None:
    service = one.get("MessagingServiceSid", "")
    if service:
        if _SERVICE.fullmatch(service):
            return None
        return Refusal(21701, "No such Messaging Service: expected MG and 32 hexadecimal digits.")
    number = one.get("From", "")
    if not number:
        return Refusal(21603, "A 'From' phone number or a MessagingServiceSid is required.")
    return None if _SENDER.fullmatch(number) else Refusal(21212, "Invalid 'From' Phone Number.")


def _content(one: Mapping[str, str]) -> Refusal | None:
    if not any(one.get(name) for name in ("Body", "ContentSid", "MediaUrl")):
        return Refusal(21602, "Message body is required.")
    if len(one.get("Body", "")) > MAX_BODY:
        return Refusal(21617, f"The message body exceeds the {MAX_BODY} character limit.")
    return None


def _options(one: Mapping[str, str], *, redaction: bool) -> Refusal | None:
    callback = one.get("StatusCallback")
    if callback and not _is_callback(callback):
        return Refusal(21609, "Invalid 'StatusCallback' URL: expected http(s), no underscore.")
    period = one.get("ValidityPeriod")
    if period and not (period.isdecimal() and 1 <= int(period) <= 36_000):
        return Refusal(20001, "Invalid 'ValidityPeriod': expected 1 to 36000 seconds.")
    if one.get("ContentRetention") == "discard" and not redaction:
        return Refusal(30029, "ContentRetention is not enabled for this account.")
    if one.get("AddressRetention") == "obfuscate" and not redaction:
        return Refusal(30030, "AddressRetention is not enabled for this account.")
    if one.get("ScheduleType") and not (one.get("SendAt") and one.get("MessagingServiceSid")):
        return Refusal(35111, "A scheduled message needs SendAt and MessagingServiceSid.")
    return None


def _is_callback(url: str) -> bool:
    try:
        target = urlsplit(url)
        host = target.hostname
    except ValueError:
        return False
    return target.scheme in ("http", "https") and bool(host) and "_" not in str(host)


def _masked(number: str) -> str:
    return number[:-4] + "XXXX" if len(number) > 4 else "XXXX"
