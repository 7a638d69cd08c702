"""Reads a mail as a patient's mail program would; a broken one is read as far as it goes."""

from collections.abc import Mapping
from dataclasses import dataclass
from email import policy
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.headerregistry import HeaderRegistry
from email.message import EmailMessage
from email.parser import BytesParser
from functools import lru_cache


def _header(name: str, value: str) -> str:
    """The value as text. The library's own parser of addresses takes most of a load test's time,
    so only what describes the content goes through it."""
    if name.lower().startswith("content-"):
        return _structured(name, value)
    value = value.encode("ascii", "surrogateescape").decode(errors="replace")
    if "=?" not in value:
        return value
    try:
        return str(make_header(decode_header(value)))
    except (HeaderParseError, LookupError, UnicodeError):
        return value


#: Asked for again and again while one mail is read.
_structured = lru_cache(maxsize=256)(HeaderRegistry())
_PARSER = BytesParser(policy=policy.default.clone(header_factory=_header))


@dataclass(frozen=True)
class Mail:
    """`headers` are decoded; those that occur more than once are joined by a comma."""

    sender: str | None
    subject: str
    text: str
    html: str | None
    headers: Mapping[str, str]
    message_id: str | None


def read_mail(content: bytes) -> Mail:
    parsed = _PARSER.parsebytes(content)
    headers: dict[str, str] = {}
    for name, value in parsed.items():
        headers[name] = f"{headers[name]}, {value}" if name in headers else str(value)
    by_name = {name.lower(): value for name, value in headers.items()}
    return Mail(
        sender=by_name.get("from"),
        subject=by_name.get("subject", ""),
        text=_body(parsed, "plain") or "",
        html=_body(parsed, "html"),
        headers=headers,
        message_id=by_name.get("message-id"),
    )


def _body(parsed: EmailMessage, kind: str) -> str | None:
    part = parsed.get_body((kind,))
    if part is None:
        return None
    try:
        return str(part.get_content()).replace("\r\n", "\n")
    except (LookupError, UnicodeError, AttributeError):
        # An unknown charset or encoding.
        payload = part.get_payload(decode=True)
        if not isinstance(payload, bytes):
            return None
        return payload.decode(errors="replace").replace("\r\n", "\n")
