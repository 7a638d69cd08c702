"""clinic.toml: who the clinic is, where and when it works, what its forms ask, whom it alerts.

Secrets and addresses of servers are settings (`config.py`); wording and cadences are `templates/`.
"""

from collections.abc import Iterator, Mapping
from datetime import date
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import phonenumbers
from pydantic import AfterValidator, Field, ValidationError

from followup.clinic_fields import (
    Country,
    Email,
    HolidaysOf,
    Language,
    Line,
    OpenWeek,
    Phone,
    Slug,
    Url,
    Zone,
)
from followup.clinic_limits import (
    Alarms,
    Caps,
    Embedding,
    Limits,
    Retention,
    SigningIn,
    origin_of,
)
from followup.clinic_sources import Source
from followup.clinic_sources import contradictions as source_contradictions
from followup.clinic_theme import Theme, theme_contradictions
from followup.clinic_webhooks import Webhooks
from followup.domain.cadence import Channel
from followup.domain.hours import BusinessHours
from followup.domain.plain import plain_words
from followup.domain.risk import STARTER_WORDS, list_version
from followup.domain.spoken import SPOKEN_LANGUAGES
from followup.domain.submission import Kind
from followup.errors import Fault, Invalid, Misconfigured, NotFound
from followup.quiet_hours import QuietHours
from followup.toml_file import Duration, Table, key_path, problems_of, read_toml

_NORTH_AMERICA = 1


def readable_phone(e164: str) -> str:
    """As people of its country write it: `(949) 555-0100`; other countries' with their prefix."""
    number = phonenumbers.parse(e164)
    national = number.country_code == _NORTH_AMERICA
    form = phonenumbers.PhoneNumberFormat
    return phonenumbers.format_number(number, form.NATIONAL if national else form.INTERNATIONAL)


class Site(Table):
    """One place of the clinic's; `id` is what forms send as `location`."""

    id: Slug
    name: Line
    phone: Phone | None = None
    zone: Zone
    treatments: tuple[Literal["tms", "ketamine"], ...]
    holidays: HolidaysOf | None = None
    closed_on: frozenset[date] = frozenset()
    hours: OpenWeek

    @cached_property
    def business_hours(self) -> BusinessHours:
        return BusinessHours(self.zone, self.hours.days, self.holidays, self.closed_on)


class Form(Table):
    """How a kind of submission is asked for and followed up."""

    title: Mapping[Language, Line]
    cadence: Slug
    #: The version that the form shows now; older ones stay as evidence.
    consent_version: str
    #: The words next to the SMS box, by version and language.
    consent_texts: Mapping[str, Mapping[Language, Annotated[str, Field(min_length=40)]]]
    #: Sources of submissions for which giving the number is consent to informational texts.
    consent_by_number: frozenset[str] = frozenset()


class StaffRole(StrEnum):
    staff = "staff"
    manager = "manager"
    #: Hears when the service itself is in trouble, and nothing of leads.
    operator = "operator"


class Recipient(Table):
    """Somebody of the staff who is alerted; without `sites`, about every site's leads."""

    role: StaffRole
    name: Line
    email: Email | None = None
    phone: Phone | None = None
    #: The name of a chat, whose address is a secret and so a setting (`CHATS`).
    chat: Slug | None = None
    sites: tuple[Slug, ...] = ()
    #: When on duty, by the clock of the lead's site; None: always.
    hours: OpenWeek | None = None

    def serves(self, site: Site) -> bool:
        return not self.sites or site.id in self.sites

    @property
    def is_reachable(self) -> bool:
        return any(self.address(channel) for channel in Channel)

    def address(self, channel: Channel) -> str | None:
        known = {Channel.email: self.email, Channel.sms: self.phone, Channel.chat: self.chat}
        return known[channel]


def _says_something(text: str) -> str:
    if not plain_words(text):
        raise ValueError("expected a word, or several")
    return text


class Risk(Table):
    """Words after which staff are alerted at once; the clinic's clinician decides which."""

    words: tuple[Annotated[Line, AfterValidator(_says_something)], ...] = STARTER_WORDS

    @cached_property
    def version(self) -> str:
        """Of the list, to be kept with each match."""
        return list_version(self.words)


class Clinic(Table):
    """The whole file; the keys of its `[clinic]` table are this class's own. Phones are E.164."""

    name: Line
    #: The sender that patients see in texts and mail, also on a locked screen.
    sender_label: Line
    phone: Phone
    #: Reply-To of our mail: a mailbox that people read.
    email: Email
    website: Url
    postal_address: Line
    privacy_url: Url
    terms_url: Url
    languages: tuple[Language, ...] = Field(min_length=1)
    default_language: Language
    #: Countries (ISO 3166-1) whose numbers may be texted.
    countries: tuple[Country, ...] = Field(min_length=1)
    default_site: Slug
    #: Time that the site is open within which a person will call.
    callback_promise: Duration
    messages_per_request: int = Field(ge=1, le=10)
    ack_sms_in_quiet_hours: bool = True
    #: Words that the linter would refuse in texts and subjects, accepted by the clinic.
    allowed_words: frozenset[str] = frozenset()
    sites: tuple[Site, ...] = Field(min_length=1)
    escalation: tuple[Recipient, ...] = Field(min_length=1)
    forms: Mapping[Literal["contact", "screening"], Form]
    text_hours: QuietHours = QuietHours()
    caps: Caps = Caps()
    alarms: Alarms = Alarms()
    retention: Retention = Retention()
    limits: Limits = Limits()
    signing_in: SigningIn = SigningIn()
    embedding: Embedding = Embedding()
    theme: Theme = Theme()
    risk: Risk = Risk()
    sources: tuple[Source, ...] = ()
    webhooks: Webhooks = ()

    @property
    def origins(self) -> tuple[str, ...]:
        """Exactly these may frame the forms and post from a browser."""
        if self.embedding.origins is not None:
            return self.embedding.origins
        return (origin_of(self.website),)

    def site(self, site_id: str | None) -> Site:
        """The site of that id; the default one for None and for a site that we do not know."""
        known = {site.id: site for site in self.sites}
        return known.get(site_id or "", known[self.default_site])

    def find_source(self, name: str) -> Source | None:
        """Whose forms post under that name; None for a source of our own."""
        return next((one for one in self.sources if one.name == name), None)

    @cached_property
    def sites_by_words(self) -> Mapping[str, str]:
        """Ids, by what people call the sites."""
        return {plain_words(name): site.id for site in self.sites for name in (site.name, site.id)}

    def find_form(self, kind: str) -> Form | None:
        return next((form for name, form in self.forms.items() if name == kind), None)

    def get_form(self, kind: str) -> Form:
        """The form of that kind of submission; raises NotFound."""
        form = self.find_form(kind)
        if form is None:
            raise NotFound(f"no form of kind {kind!r}")
        return form

    def consent_text(self, kind: str, version: str | None, language: str) -> tuple[str, str]:
        """`(version, words shown)` of a form's consent; None means its current version.

        A language that the clinic does not have is read as its default one. Raises Invalid naming
        `consent_text_version` for a version that the form never had.
        """
        form = self.get_form(kind)
        texts = form.consent_texts.get(version or form.consent_version)
        if texts is None:
            known = ", ".join(sorted(form.consent_texts))
            raise Invalid(Fault("consent_text_version", f"expected one of {known}"))
        return version or form.consent_version, texts[self.language(language)]

    def language(self, wanted: str | None) -> str:
        """`wanted` when the clinic writes it, else the default language."""
        return wanted if wanted in self.languages else self.default_language

    def recipients(self, site: Site, *, escalated: bool) -> tuple[Recipient, ...]:
        """Who hears of that site's leads: its staff, and its managers too when escalated."""
        roles = {StaffRole.staff, StaffRole.manager} if escalated else {StaffRole.staff}
        return tuple(one for one in self.escalation if one.role in roles and one.serves(site))

    @cached_property
    def numbers(self) -> frozenset[str]:
        """The clinic's own: no text from them is a patient's."""
        return frozenset({self.phone, *(site.phone for site in self.sites if site.phone)})

    @property
    def operators(self) -> tuple[Recipient, ...]:
        """Who hears of the service's own trouble: operators, else managers, else everybody."""
        for role in (StaffRole.operator, StaffRole.manager):
            named = tuple(one for one in self.escalation if one.role is role)
            if named:
                return named
        return self.escalation


def read_clinic(path: Path) -> Clinic:
    """The clinic's file; raises Misconfigured, one line: the file, the key, what was expected."""
    document = read_toml(path)
    table = document.pop("clinic", None)
    if not isinstance(table, dict):
        raise Misconfigured(f"{path}: clinic: expected a [clinic] table")
    try:
        clinic = Clinic.model_validate(
            _with_defaults(table) | document, context={"folder": path.parent}
        )
    except ValidationError as error:
        found = [(_key(location), problem) for location, problem in problems_of(error)]
    else:
        found = list(_contradictions(clinic))
    if found:
        key, problem = found[0]
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise Misconfigured(f"{path}: {key}: {problem}{more}")
    return clinic


def _with_defaults(table: dict[str, Any]) -> dict[str, Any]:
    return {"sender_label": table["name"]} | table if "name" in table else table


_TABLES = (
    *("sites", "escalation", "forms", "text_hours", "caps", "alarms"),
    *("retention", "limits", "embedding", "theme", "risk", "signing_in", "sources", "webhooks"),
)


def _key(location: tuple[str | int, ...]) -> str:
    """`Clinic` holds the keys of `[clinic]` flat; the operator reads them below their table."""
    in_file = location[:1] in {(name,) for name in _TABLES}
    return key_path(location if in_file else ("clinic", *location))


def _contradictions(clinic: Clinic) -> Iterator[tuple[str, str]]:
    """What no single key shows to be wrong."""
    unspoken = set(clinic.languages) - set(SPOKEN_LANGUAGES)
    if unspoken:
        spoken = ", ".join(SPOKEN_LANGUAGES)
        yield "clinic.languages", f"expected some of {spoken}, got {', '.join(sorted(unspoken))}"
    if clinic.default_language not in clinic.languages:
        yield "clinic.default_language", f"expected one of {', '.join(clinic.languages)}"
    ids = [site.id for site in clinic.sites]
    if clinic.default_site not in ids:
        yield "clinic.default_site", f"expected one of {', '.join(ids)}"
    for index, recipient in enumerate(clinic.escalation):
        unknown = set(recipient.sites) - set(ids)
        if unknown:
            expected = f"expected ids of sites ({', '.join(ids)}), got {', '.join(sorted(unknown))}"
            yield f"escalation[{index}].sites", expected
        if not recipient.is_reachable:
            yield f"escalation[{index}]", "expected an email, a phone or a chat"
        if recipient.hours is not None and recipient.role is StaffRole.operator:
            yield f"escalation[{index}].hours", "expected none for an operator, told at any hour"
    for index, site in enumerate(clinic.sites):
        yield from _site_contradictions(clinic, site, f"sites[{index}]")
    for kind in ("contact", "screening"):
        form = clinic.find_form(kind)
        if form is None:
            yield f"forms.{kind}", "is missing"
        else:
            yield from _form_contradictions(clinic, form, f"forms.{kind}")
    forms = {Kind(name): form for name, form in clinic.forms.items()}
    yield from source_contradictions(clinic.sources, forms)
    yield from theme_contradictions(clinic.theme)


def _site_contradictions(clinic: Clinic, site: Site, key: str) -> Iterator[tuple[str, str]]:
    if sum(other.id == site.id for other in clinic.sites) > 1:
        yield f"{key}.id", f"expected a different id for each site, got {site.id!r} twice"
    if not any(one.is_reachable for one in clinic.recipients(site, escalated=False)):
        yield "escalation", f'expected an entry with role = "staff" for the site {site.id}'


def _form_contradictions(clinic: Clinic, form: Form, key: str) -> Iterator[tuple[str, str]]:
    for language in clinic.languages:
        if language not in form.title:
            yield f"{key}.title.{language}", "is missing"
        for version, texts in form.consent_texts.items():
            if language not in texts:
                yield f"{key}.consent_texts.{version}.{language}", "is missing"
    if form.consent_version not in form.consent_texts:
        known = ", ".join(sorted(form.consent_texts)) or "a version with its texts"
        yield f"{key}.consent_version", f"expected one of consent_texts: {known}"
        return
    for language, text in form.consent_texts[form.consent_version].items():
        missing = _missing_from_consent(clinic, text)
        if missing:
            yield f"{key}.consent_texts.{form.consent_version}.{language}", f"must say {missing}"


def _missing_from_consent(clinic: Clinic, text: str) -> str | None:
    """Carriers register only an opt-in that names the sender, the medium, how often, and the ways
    out: Twilio error 30551 (twilio.com/docs/api/errors/30551), CTIA Messaging Principles 5.1.2."""
    if clinic.name not in text and clinic.sender_label not in text:
        return f"who sends the messages ({clinic.name})"
    if str(clinic.messages_per_request) not in text.split():
        return f"how many messages, as messages_per_request does ({clinic.messages_per_request})"
    return next((word for word in ("SMS", "STOP", "HELP") if word not in text), None)
