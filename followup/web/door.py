"""What a form's way of coming tells: when it was shown, whether a trap was stepped into, and what
the captcha says. Whoever is caught is answered as anybody is."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fastapi import Request

from followup.bootstrap import Service
from followup.domain.spoken import iso
from followup.domain.suspicion import Suspicion
from followup.services.links import Opening
from followup.transports import turnstile
from followup.web.deps import Body

#: Empty, unless a program fills in whatever it finds.
HONEYPOT = "topic_b"
#: When the form was shown; signed.
OPENING = "opening"
#: As Turnstile names it.
CAPTCHA = "cf-turnstile-response"


@dataclass(frozen=True)
class Knocked:
    """The fields without those of ours, the evidence of how they came, and what gave them away."""

    fields: Mapping[str, Any]
    evidence: Mapping[str, Any]
    caught: Suspicion | None


def knock(
    request: Request, service: Service, body: Body, now: datetime, *, from_browser: bool
) -> Knocked:
    """Look at a submission before it is kept. JSON, which a program sends, has no time to fill in
    and no captcha."""
    fields = dict(body.fields)
    trap = fields.pop(HONEYPOT, None)
    opening, token, evidence = None, None, _evidence(request)
    if body.is_form:
        shown = fields.pop(OPENING, None)
        token = fields.pop(CAPTCHA, None)
        opening = service.links.read_opening(shown, now) if isinstance(shown, str) else None
        is_hosted = from_browser or shown is not None
        if is_hosted and service.settings.turnstile_secret is not None:
            evidence["captcha"] = _ask(service, token, evidence["address"])
    if opening is not None:
        evidence |= {"opening": opening.number, "opened_at": iso(opening.opened_at)}
    caught = _caught(service, trap, opening, now)
    return Knocked(body.fields if caught is Suspicion.honeypot else fields, evidence, caught)


def _evidence(request: Request) -> dict[str, Any]:
    """What CTIA 5.1.2 asks to keep beside a consent: address, browser, page."""
    return {
        "address": request.client.host if request.client else None,
        "agent": request.headers.get("user-agent", "")[:500],
        "referrer": request.headers.get("referer", "")[:2000],
    }


def _ask(service: Service, token: object, address: str | None) -> str:
    settings = service.settings
    secret = settings.turnstile_secret.get_secret_value() if settings.turnstile_secret else ""
    said = token if isinstance(token, str) else ""
    return turnstile.ask(settings.turnstile_url, secret, said, address).value


def _caught(
    service: Service, trap: object, opening: Opening | None, now: datetime
) -> Suspicion | None:
    if trap not in (None, ""):
        return Suspicion.honeypot
    limits = service.limits
    if limits is None or opening is None:
        return None
    return Suspicion.too_fast if now - opening.opened_at < limits.minimum_fill_time else None
