"""Reports that arrive as mail: on delivery (RFC 3464), and complaints (RFC 5965).

Whatever else arrives there, such as an automatic answer (RFC 3834), is no report and no reply.
"""

import email.policy
import hashlib
import re
from collections.abc import Iterator, Mapping
from email import message_from_bytes, message_from_string
from email.message import Message

from followup.transports.mail import DELIVERY_HEADER
from followup.transports.mail_events import (
    MailEvent,
    MailHappening,
    brief,
    delivery_of,
    find_code,
    of_failure,
)

#: What a server did, or does, with the mail; `failed` depends on the code.
ACTIONS: Mapping[str, MailHappening] = {
    "delivered": MailHappening.delivered,
    "delayed": MailHappening.deferred,
    "failed": MailHappening.bounced,
}
FEEDBACK: Mapping[str, MailHappening] = {
    "abuse": MailHappening.complained,
    "fraud": MailHappening.complained,
    "opt-out": MailHappening.unsubscribed,
}


def read(raw: bytes) -> list[MailEvent]:
    """What a mail reports on mails of ours; nothing when it is no report, or on none of ours."""
    # The lenient policy: a report is made by a foreign machine, and parses as far as it can.
    mail = message_from_bytes(raw, policy=email.policy.compat32)
    if mail.get_content_type() != "multipart/report":
        return []
    parts = [part for part in mail.walk() if part is not mail]
    delivery_id = next(filter(None, map(delivery_of, _names(mail, parts))), None)
    if delivery_id is None:
        return []
    event_id = f"mail:{hashlib.sha256(raw).hexdigest()}"
    return [
        MailEvent(said, happening, event_id, code, delivery_id)
        for said, happening, code in _happenings(parts)
    ]


def read_farewell(raw: bytes) -> str | None:
    """The token in the subject of a mail that unsubscribes, as our List-Unsubscribe asks for."""
    mail = message_from_bytes(raw, policy=email.policy.compat32)
    found = re.search(r"\bunsubscribe\s+([\w.-]+)", str(mail["Subject"] or ""), re.IGNORECASE)
    return found[1] if found else None


def _happenings(parts: list[Message]) -> Iterator[tuple[str, MailHappening, str]]:
    for part in parts:
        for fields in _blocks(part):
            if part.get_content_type() == "message/feedback-report":
                said = _word(fields, "Feedback-Type")
                yield said, FEEDBACK.get(said, MailHappening.unknown), ""
            elif fields["Action"] is not None:
                yield _action(fields)


def _action(fields: Message) -> tuple[str, MailHappening, str]:
    said = _word(fields, "Action")
    status, answer = str(fields["Status"] or ""), str(fields["Diagnostic-Code"] or "")
    code = find_code(status)
    if code.endswith(".0.0"):
        # Many servers say what it is in the answer alone.
        code = find_code(answer) or code
    happening = ACTIONS.get(said, MailHappening.unknown)
    if happening is MailHappening.bounced:
        happening = of_failure(code, is_hard=False)
    return said, happening, code


def _blocks(part: Message) -> list[Message]:
    """The groups of fields of a part that a machine is meant to read."""
    payload = part.get_payload()
    is_report = part.get_content_type() in ("message/delivery-status", "message/feedback-report")
    if not is_report or not isinstance(payload, list):
        return []
    return [block for block in payload if isinstance(block, Message)]


def _names(mail: Message, parts: list[Message]) -> Iterator[object]:
    """Where the mail that is reported on may be named, the surest place first."""
    originals = [original for part in parts if (original := _original(part)) is not None]
    for original in originals:
        yield from (original["Message-ID"], original[DELIVERY_HEADER])
    for part in parts:
        yield from (block["Original-Message-ID"] for block in _blocks(part))
    yield from f"{mail['In-Reply-To'] or ''} {mail['References'] or ''}".split()


def _original(part: Message) -> Message | None:
    """The mail that was returned, whole or its header alone."""
    if part.get_content_type() == "text/rfc822-headers":
        payload = part.get_payload(decode=True)
        text = payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""
        return message_from_string(text)
    if part.get_content_type() != "message/rfc822":
        return None
    payload = part.get_payload()
    first = payload[0] if isinstance(payload, list) and payload else None
    return first if isinstance(first, Message) else None


def _word(fields: Message, name: str) -> str:
    return brief(str(fields[name] or "")).lower()
