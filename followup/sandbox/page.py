"""The page that shows the patient's phones and inbox. Everything in a message is hostile text."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from followup.sandbox.listener import Response
from followup.sandbox.outbox import Message

_HOME = Path(__file__).parent

#: A load test leaves thousands; the page shows the latest.
SHOWN = 200

_LINK = re.compile(r"https?://[^\s<>\"']+")
_TRAILING = ".,;:!?)"

_ASSETS = {
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}

#: Mails inherit this policy, so their styles work, and their scripts and remote pictures do not.
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src data:;"
        " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True)
class Phone:
    """One patient's (or staff member's) texts, both ways, newest last."""

    number: str
    bubbles: Sequence[Message]


class Page:
    """Renders the page; times are shown in `zone`."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._templates = Environment(
            loader=FileSystemLoader(_HOME),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters["linked"] = linked
        self._templates.filters["framed"] = framed
        self._templates.filters["clock"] = self._clock

    def render(self, messages: Sequence[Message], revision: int) -> Response:
        """`messages` newest last; a number's reply form is there even after it has stopped us."""
        latest = messages[-SHOWN:]
        html = self._templates.get_template("page.html").render(
            phones=_phones([message for message in latest if message.channel == "sms"]),
            mails=[message for message in reversed(latest) if message.channel == "email"],
            hidden=len(messages) - len(latest),
            revision=revision,
        )
        return Response(200, html.encode(), "text/html; charset=utf-8", _HEADERS)

    def asset(self, path: str) -> Response | None:
        """The page's own style or script, or None."""
        if path not in _ASSETS:
            return None
        name, kind = _ASSETS[path]
        return Response(200, (_HOME / name).read_bytes(), kind, _HEADERS)

    def _clock(self, at: datetime) -> str:
        return at.astimezone(self._zone).strftime("%a %d %b, %H:%M:%S %Z")


def linked(text: str) -> Markup:
    """The text, escaped, with its web addresses as links that open beside the page."""
    parts: list[Markup] = []
    end = 0
    for found in _LINK.finditer(text):
        url = found[0].rstrip(_TRAILING)
        parts.append(escape(text[end : found.start()]))
        parts.append(
            Markup('<a href="{0}" target="_blank" rel="noopener noreferrer">{0}</a>').format(url)
        )
        end = found.start() + len(url)
    return Markup("").join([*parts, escape(text[end:])])


def framed(html: str) -> str:
    """The mail with links that open beside the page: inside its sandboxed frame no form works."""
    base = '<base target="_blank">'
    marked, count = re.subn(r"(?i)(<head\b[^>]*>)", rf"\1{base}", html, count=1)
    return marked if count else f"<!doctype html>{base}{html}"


def _phones(texts: Sequence[Message]) -> list[Phone]:
    """The phone that heard from us first is last, so that a phone never moves while one types."""
    bubbles: dict[str, list[Message]] = {}
    for text in texts:
        patient = str(text.sender) if text.direction == "inbound" else text.to
        bubbles.setdefault(patient, []).append(text)
    return [Phone(number, own) for number, own in reversed(bubbles.items())]
