"""What becomes of a mail: the words of each mail provider's webhooks for ours, by table.

Words and fields: twilio.com/docs/sendgrid (Event Webhook Reference), documentation.mailgun.com
(Events), postmarkapp.com/developer (Webhooks, Bounce types), docs.aws.amazon.com/ses (Notification
contents). An unknown word is legal and changes nothing.
"""

import hashlib
import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from followup.transports.mail import DELIVERY_HEADER
from followup.transports.smtp import blames_address


class MailHappening(StrEnum):
    delivered = "delivered"
    #: Not yet brought; the provider goes on trying, or the mailbox may take the next one.
    deferred = "deferred"
    #: The address is bad.
    bounced = "bounced"
    #: The recipient called it spam.
    complained = "complained"
    unsubscribed = "unsubscribed"
    #: It will not be brought, and the address is not at fault.
    refused = "refused"
    unknown = "unknown"


@dataclass(frozen=True)
class MailEvent:
    """One report on one mail. `said` is the provider's own word, and `code` an enhanced status
    code (RFC 3463) or empty; both and `event_id` are printable ASCII and short."""

    said: str
    happening: MailHappening
    #: The same for the same report, however often it comes.
    event_id: str
    code: str = ""
    delivery_id: uuid.UUID | None = None
    #: Whom the provider names, for a report that does not say which mail it is about.
    recipient: str | None = None


H = MailHappening

SENDGRID: Mapping[str, MailHappening] = {
    "delivered": H.delivered,
    "deferred": H.deferred,
    "bounce": H.bounced,
    "spamreport": H.complained,
    "unsubscribe": H.unsubscribed,
    "group_unsubscribe": H.unsubscribed,
    "dropped": H.refused,
}

MAILGUN: Mapping[str, MailHappening] = {
    "delivered": H.delivered,
    "failed": H.bounced,
    "complained": H.complained,
    "unsubscribed": H.unsubscribed,
    "rejected": H.refused,
}
#: Why Mailgun gave up, where the reason is not the address.
MAILGUN_REASONS: Mapping[str, MailHappening] = {
    "suppress-complaint": H.complained,
    "suppress-unsubscribe": H.unsubscribed,
    "old": H.refused,
    "generic": H.refused,
    "espblock": H.refused,
}

#: `RecordType`; of a Bounce, `Type` says more.
POSTMARK: Mapping[str, MailHappening] = {
    "Delivery": H.delivered,
    "SpamComplaint": H.complained,
    "SubscriptionChange": H.unsubscribed,
}
POSTMARK_BOUNCES: Mapping[str, MailHappening] = {
    "HardBounce": H.bounced,
    "BadEmailAddress": H.bounced,
    "Transient": H.deferred,
    "DnsError": H.deferred,
    "SoftBounce": H.refused,
    "Blocked": H.refused,
    "SpamNotification": H.refused,
    "VirusNotification": H.refused,
    "DMARCPolicy": H.refused,
    "ManuallyDeactivated": H.refused,
    "SMTPApiError": H.refused,
    "SpamComplaint": H.complained,
    "Unsubscribe": H.unsubscribed,
}
#: Why Postmark stops writing to an address.
POSTMARK_SUPPRESSIONS: Mapping[str, MailHappening] = {
    "HardBounce": H.bounced,
    "SpamComplaint": H.complained,
    "ManualSuppression": H.unsubscribed,
}

#: `eventType`, or `notificationType` without a configuration set; of a Bounce, `bounceType`.
SES: Mapping[str, MailHappening] = {
    "Delivery": H.delivered,
    "DeliveryDelay": H.deferred,
    "Complaint": H.complained,
    "Reject": H.refused,
}
SES_BOUNCES: Mapping[str, MailHappening] = {
    "Permanent": H.bounced,
    "Transient": H.deferred,
    "Undetermined": H.refused,
}

_ENHANCED = re.compile(r"(?<![\d.])[245]\.\d{1,3}\.\d{1,3}(?![\d.])")
_UNSPECIFIC = ("", "5.0.0")


def of_failure(code: str, *, is_hard: bool) -> MailHappening:
    """What a final failure means: `is_hard` where somebody blames the address in words, which
    counts unless the code says otherwise."""
    if blames_address(code) or (is_hard and code in _UNSPECIFIC):
        return MailHappening.bounced
    return MailHappening.refused


def find_code(*texts: object) -> str:
    """The first enhanced status code that stands in one of the texts, or nothing."""
    for text in texts:
        if isinstance(text, str) and (found := _ENHANCED.search(text)):
            return found.group()
    return ""


def delivery_of(text: object) -> uuid.UUID | None:
    """The delivery that a Message-ID of ours, or our header, names."""
    if not isinstance(text, str):
        return None
    try:
        return uuid.UUID(text.strip().strip("<>").partition("@")[0])
    except ValueError:
        return None


def brief(text: object, longest: int = 32) -> str:
    """Foreign text as a word that may be kept and shown: printable ASCII, and short."""
    return re.sub(r"[^\x21-\x7e]", "", str(text))[:longest] if isinstance(text, str | int) else ""


def read_sendgrid(body: Any) -> list[MailEvent]:
    """An array of events."""
    return [_sendgrid(one) for one in _mappings(body)]


def _sendgrid(event: Mapping[str, Any]) -> MailEvent:
    said = brief(event.get("event"))
    code = find_code(event.get("status"), event.get("reason"))
    happening = SENDGRID.get(said, MailHappening.unknown)
    if happening is MailHappening.bounced:
        is_blocked = event.get("type") == "blocked"
        happening = MailHappening.refused if is_blocked else of_failure(code, is_hard=True)
    return MailEvent(
        said=said,
        happening=happening,
        event_id=_id("sendgrid", event.get("sg_event_id"), event),
        code=code,
        delivery_id=delivery_of(event.get("smtp-id")),
        recipient=_text(event.get("email")),
    )


def read_mailgun(body: Any) -> list[MailEvent]:
    """One event, beside its signature."""
    event = _in(body, "event-data")
    if not event:
        return []
    said, status = brief(event.get("event")), _in(event, "delivery-status")
    code = find_code(status.get("enhanced-code"), status.get("message"), status.get("description"))
    happening = MAILGUN.get(said, MailHappening.unknown)
    if happening is MailHappening.bounced:
        happening = MAILGUN_REASONS.get(brief(event.get("reason")), of_failure(code, is_hard=True))
        if event.get("severity") == "temporary":
            happening = MailHappening.deferred
    return [
        MailEvent(
            said=said,
            happening=happening,
            event_id=_id("mailgun", event.get("id"), event),
            code=code,
            delivery_id=delivery_of(_in(event, "message", "headers").get("message-id")),
            recipient=_text(event.get("recipient")),
        )
    ]


def read_postmark(body: Any) -> list[MailEvent]:
    """One record."""
    record = _in(body)
    said = brief(record.get("RecordType"))
    code = find_code(record.get("Details"), record.get("Description"))
    happening = POSTMARK.get(said, MailHappening.unknown)
    if said == "Bounce":
        said = brief(record.get("Type"))
        happening = POSTMARK_BOUNCES.get(said, MailHappening.unknown)
        if happening is MailHappening.bounced:
            happening = of_failure(code, is_hard=True)
    elif said == "SubscriptionChange":
        reason = brief(record.get("SuppressionReason"))
        happening = POSTMARK_SUPPRESSIONS.get(reason, MailHappening.unsubscribed)
        if record.get("SuppressSending") is False:
            happening = MailHappening.unknown
    # Only bounces and complaints have an id of their own.
    number = record.get("ID") or f"{brief(record.get('MessageID'), 64)}/{said}"
    return [
        MailEvent(
            said=said,
            happening=happening,
            event_id=_id("postmark", number, record),
            code=code,
            delivery_id=delivery_of(_in(record, "Metadata").get("delivery")),
            recipient=_text(record.get("Email") or record.get("Recipient")),
        )
    ]


def read_ses(event: Any, notification_id: str) -> list[MailEvent]:
    """What SES puts into a notification of SNS, whose id comes with it."""
    event = _in(event)
    said = brief(event.get("eventType") or event.get("notificationType"))
    if not said:
        return []
    bounce, code = _in(event, "bounce"), ""
    happening = SES.get(said, MailHappening.unknown)
    recipients = [*_mappings(bounce.get("bouncedRecipients"))]
    if said == "Bounce":
        kind = brief(bounce.get("bounceType"))
        happening = SES_BOUNCES.get(kind, MailHappening.unknown)
        code = find_code(*(one.get(name) for one in recipients for name in _SES_CODES))
        if happening is MailHappening.bounced:
            happening = of_failure(code, is_hard=True)
    recipients += _mappings(_in(event, "complaint").get("complainedRecipients"))
    return [
        MailEvent(
            said=said,
            happening=happening,
            event_id=_id("ses", notification_id, event),
            code=code,
            delivery_id=_ses_delivery(_in(event, "mail")),
            recipient=_text(recipients[0].get("emailAddress")) if recipients else None,
        )
    ]


_SES_CODES = ("status", "diagnosticCode")


def _ses_delivery(mail: Mapping[str, Any]) -> uuid.UUID | None:
    """SES replaces the Message-ID on its way out and tells the one that we gave it."""
    headers = {
        str(one.get("name")).lower(): one.get("value") for one in _mappings(mail.get("headers"))
    }
    candidates = (
        headers.get(DELIVERY_HEADER.lower()),
        headers.get("message-id"),
        _in(mail, "commonHeaders").get("messageId"),
    )
    return next(filter(None, map(delivery_of, candidates)), None)


def _id(provider: str, number: object, event: Mapping[str, Any]) -> str:
    """Ids are unique within their provider alone; an event without a proper one is its content."""
    text = brief(number, 128)
    if not text or text != str(number):
        text = hashlib.sha256(json.dumps(event, sort_keys=True).encode()).hexdigest()
    return f"{provider}:{text}"


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _in(value: Any, *names: str) -> Mapping[str, Any]:
    """The object below those names; empty where there is none."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _mappings(value: object) -> Sequence[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
