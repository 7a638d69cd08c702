"""The `[[sources]]` of clinic.toml: whose forms post to us, and what their fields are called here.

Their secrets are settings (`FOLLOWUP_FORM_SECRETS`), because this file may be read by many.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Protocol

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from followup.domain.foreign import OURS, Rules
from followup.domain.instrument import INSTRUMENTS
from followup.domain.signature import read_key
from followup.domain.submission import Kind
from followup.errors import Misconfigured
from followup.named_secrets import NamedSecrets
from followup.toml_file import Table

#: What submissions come from that no `[[sources]]` has posted.
OWN_SOURCES = frozenset({"form", "api", "command line", "import"})


class Vendor(StrEnum):
    """Whose shape a post has, and whose signature."""

    typeform = "typeform"
    jotform = "jotform"
    formspree = "formspree"
    webflow = "webflow"
    hubspot = "hubspot"
    gravity_forms = "gravity-forms"
    contact_form_7 = "contact-form-7"
    opnform = "opnform"
    #: Standard Webhooks, of whomever.
    standard = "standard"
    #: JSON or a form, of whomever.
    generic = "generic"


class Proof(StrEnum):
    """How a post shows that it comes from the source."""

    #: The vendor's own, over the bytes of the body.
    signature = "signature"
    #: A key in `Authorization: Bearer`.
    bearer = "bearer"
    #: A key at the end of the address, which is no proof of what was posted.
    path = "path"


_USUAL: Mapping[Vendor, Proof] = {
    Vendor.jotform: Proof.path,
    Vendor.gravity_forms: Proof.bearer,
    Vendor.contact_form_7: Proof.bearer,
    Vendor.generic: Proof.bearer,
}


def _name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,39}", text):
        raise ValueError("expected at most 40 small letters, digits and hyphens")
    if text in OWN_SOURCES:
        raise ValueError("is what we call a source of our own; choose another")
    return text


def _one_or_several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _known(fields: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
    for ours in fields:
        if ours == "consent_sms":
            raise ValueError("consent_sms belongs to [sources.consent]")
        if ours not in OURS:
            raise ValueError(f"there is no field {ours}; expected some of {', '.join(OURS)}")
        instrument = INSTRUMENTS.get(ours.removeprefix("answers."))
        if instrument is not None and len(fields[ours]) not in (1, instrument.items):
            raise ValueError(f"{ours}: expected {instrument.items} questions, in their order")
    return fields


_Theirs = Annotated[str, Field(min_length=1, max_length=200)]


class ConsentBox(Table):
    """The box beside the number in the vendor's form."""

    #: As the vendor calls it.
    field: _Theirs
    #: Which of the form's consent texts stands beside it: this is evidence.
    text_version: str
    #: What a ticked box says, where that is neither yes, true, 1, on nor "I agree".
    says: tuple[str, ...] = ()


class Naming(Table):
    """What the fields of somebody's form, or the columns of a sheet, are called here."""

    #: Ours, and what it is called there: a label, a reference or a path; several are joined.
    fields: Annotated[
        Mapping[str, Annotated[tuple[_Theirs, ...], BeforeValidator(_one_or_several)]],
        AfterValidator(_known),
    ] = {}
    consent: ConsentBox | None = None

    @property
    def rules(self) -> Rules:
        box = self.consent
        return Rules(
            self.fields,
            consent=box.field if box else None,
            consent_says=box.says if box else (),
            consent_text_version=box.text_version if box else None,
        )


class Source(Naming):
    """Somebody's form that posts to `/webhooks/forms/{name}`."""

    name: Annotated[str, AfterValidator(_name)]
    vendor: Vendor
    form: Kind
    #: None: the vendor's usual one.
    proof: Proof | None = None
    #: The field that tells submissions apart, where the vendor's form has one of its own.
    id: _Theirs | None = None

    @model_validator(mode="after")
    def _can_be_signed(self) -> "Source":
        if self.proof is Proof.signature and _USUAL.get(self.vendor) is not None:
            raise ValueError(f"{self.vendor} signs nothing: expected proof = bearer or path")
        return self

    @property
    def proven_by(self) -> Proof:
        return self.proof or _USUAL.get(self.vendor, Proof.signature)

    @property
    def is_unsigned(self) -> bool:
        """What comes may be anybody's who has seen the address: marked, and trusted less."""
        return self.proven_by is Proof.path


class _Form(Protocol):
    @property
    def consent_texts(self) -> Collection[str]: ...

    @property
    def consent_by_number(self) -> Collection[str]: ...


def contradictions(
    sources: Sequence[Source], forms: Mapping[Kind, _Form]
) -> Iterator[tuple[str, str]]:
    """Key and problem of what no single key shows to be wrong."""
    for index, source in enumerate(sources):
        key, name = f"sources[{index}]", source.name
        if sum(other.name == name for other in sources) > 1:
            yield f"{key}.name", f"expected a different name for each source, got {name!r} twice"
        form = forms.get(source.form)
        if form is None:
            continue
        if source.consent is not None and source.consent.text_version not in form.consent_texts:
            known = ", ".join(sorted(form.consent_texts))
            yield f"{key}.consent.text_version", f"expected one of {known}"
        if source.is_unsigned and name in form.consent_by_number:
            problem = f"{name} signs nothing, so a number from there is nobody's consent"
            yield f"forms.{source.form}.consent_by_number", problem


#: A key that we let the operator choose; 32 characters of base64 carry 192 bits.
KEY_MIN_LENGTH = 32


def secrets_of(source: Source, secrets: NamedSecrets) -> tuple[str, ...]:
    return tuple(one.get_secret_value() for one in secrets.get(source.name, ()))


def check_secrets(sources: Sequence[Source], secrets: NamedSecrets, setting: str) -> None:
    """Raises Misconfigured naming each source whose secret is missing, empty or too short, and each
    secret of a source that is not there."""
    found = {one.name: _problem_of(one, secrets_of(one, secrets)) for one in sources}
    found |= {name: "clinic.toml has no such [[sources]]" for name in secrets if name not in found}
    problems = [f"{setting}: {name}: {problem}" for name, problem in found.items() if problem]
    if problems:
        raise Misconfigured("; ".join(problems))


def _problem_of(source: Source, secrets: Sequence[str]) -> str | None:
    if not secrets:
        return "is missing"
    if not all(secrets):
        return "is empty"
    if source.proven_by is not Proof.signature:
        is_short = any(len(one) < KEY_MIN_LENGTH for one in secrets)
        return f"must have at least {KEY_MIN_LENGTH} characters" if is_short else None
    if source.vendor is Vendor.standard:
        try:
            for one in secrets:
                read_key(one)
        except ValueError:
            return "must be whsec_ and a key in base64"
    return None
