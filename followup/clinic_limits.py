"""The tables of clinic.toml that say how much is too much: of what we send, of what comes in, of
silence, of keeping; and whose websites may embed the forms."""

import ipaddress
from datetime import timedelta
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from followup.domain.suspicion import Bounds
from followup.toml_file import Duration, Table


def origin_of(url: str) -> str:
    """As a browser writes it in the header Origin (RFC 6454 §6.2)."""
    parts = urlsplit(url.strip())
    return f"{parts.scheme}://{parts.netloc}".lower()


def _origin(text: str) -> str:
    parts = urlsplit(text.strip())
    is_whole = parts.scheme in ("http", "https") and parts.hostname and not parts.path.strip("/")
    if not is_whole or parts.query or parts.fragment or parts.username or "*" in text:
        raise ValueError("expected an origin such as https://www.example.com")
    return origin_of(text)


def _network(value: object) -> object:
    try:
        return ipaddress.ip_network(str(value))
    except ValueError as error:
        raise ValueError("expected an address or a network such as 203.0.113.0/24") from error


class Caps(Table):
    """The most that anybody may be sent, whatever goes wrong with us; past it, messages wait."""

    #: To one address of a patient on one channel, in 24 hours.
    patient_per_day: int = Field(default=6, ge=1)
    #: To the patient of one lead, in 24 hours.
    lead_per_day: int = Field(default=10, ge=1)
    #: To one address of the staff on one channel, in an hour.
    staff_per_hour: int = Field(default=500, ge=1)
    #: Of the whole service, in an hour by the clock.
    service_per_hour: int = Field(default=5000, ge=1)


class Alarms(Table):
    """When silence is suspicious."""

    #: Time that the clinic is open in which no form came in.
    no_submission_after: Duration = timedelta(hours=48)


class Retention(Table):
    """How long what is kept. The bounds below are what law and our own rules need."""

    #: The messages of a contacted or closed lead, among those that are looked at each second; then
    #: they are in history. Longer than the 30 days for which a number's first text is remembered.
    history_days: int = Field(default=90, ge=31)
    #: A contacted or closed lead and all about it, after the last that was heard or done. Longer
    #: than the 30 days for which a number's first text is remembered.
    lead_days: int = Field(default=400, ge=60)
    #: A lead that was held for review and never released; spam.
    held_days: int = Field(default=90, ge=7)
    #: Consents, decisions to send or not, and suppressions that were lifted.
    evidence_years: int = Field(default=7, ge=5)
    #: What staff did.
    audit_years: int = Field(default=6, ge=6)


class Limits(Table):
    """How many submissions are usual. Only `per_address` refuses; what is above the others is kept
    and held for review."""

    #: In which `per_address`, `per_manner` and `per_service` are counted; the others, by the hour.
    window: Annotated[Duration, Field(gt=timedelta(0), le=timedelta(days=1))] = timedelta(
        minutes=10
    )
    #: From one address (IPv6: /64); more are answered 429.
    per_address: int = Field(default=60, ge=1)
    #: Of the hosted form, and as many again by every other way, that nothing else gave away.
    per_service: int = Field(default=19, ge=1)
    #: Of these, with the same browser, and new addresses apart from those that wrote before. Twice
    #: as many are fewer than `per_service`, so that a flood by one program leaves room for others.
    per_manner: int = Field(default=7, ge=1)
    per_number: int = Field(default=5, ge=1)
    #: Phone numbers that differ in the last four digits alone.
    per_prefix: int = Field(default=6, ge=1)
    per_email: int = Field(default=5, ge=1)
    #: Email addresses of one domain, those of the large providers excepted.
    per_domain: int = Field(default=10, ge=1)
    per_message: int = Field(default=3, ge=1)
    #: One showing of the hosted form.
    per_opening: int = Field(default=3, ge=1)
    #: Links in one message.
    links: int = Field(default=2, ge=0)
    #: A hosted form that comes back sooner was not filled in by a person.
    minimum_fill_time: Duration = timedelta(seconds=3)
    #: Servers of your own that post for many people; they have no limit per address.
    spared: tuple[
        Annotated[ipaddress.IPv4Network | ipaddress.IPv6Network, BeforeValidator(_network)], ...
    ] = ()

    @property
    def bounds(self) -> Bounds:
        return Bounds(
            links=self.links,
            per_number=self.per_number,
            per_prefix=self.per_prefix,
            per_email=self.per_email,
            per_domain=self.per_domain,
            per_message=self.per_message,
            per_opening=self.per_opening,
            per_manner=self.per_manner,
            per_service=self.per_service,
            window=self.window,
        )


class SigningIn(Table):
    """How long a browser stays signed in to the staff's pages. 45 CFR 164.312(a)(2)(iii) asks for
    an end after idleness; how soon is the clinic's own judgement."""

    #: Since something was last done.
    idle: Annotated[Duration, Field(ge=timedelta(minutes=1), le=timedelta(hours=12))] = timedelta(
        minutes=15
    )
    #: Since the password was given.
    longest: Annotated[Duration, Field(ge=timedelta(minutes=5), le=timedelta(days=7))] = timedelta(
        hours=12
    )


class Embedding(Table):
    """Whose pages may show our forms in a frame, and post to us from a browser."""

    #: The clinic's website when it is left out.
    origins: tuple[Annotated[str, AfterValidator(_origin)], ...] | None = None
