"""The two forms: their fields, what is accepted in each, and every fault named at once.

Scores of the answers, the clinic's consent texts and merging are decided elsewhere.
"""

import math
import re
import unicodedata
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from followup.domain.address import normal_email, normal_phone
from followup.domain.lead import Role
from followup.errors import Fault, Invalid

#: Words that tick a box, in the languages of the forms; anything else leaves it unticked.
AFFIRMATIVE = frozenset({"true", "1", "on", "yes", "y", "i agree", "agree", "si", "sí", "acepto"})
NEGATIVE = frozenset({"false", "0", "off", "no", "n", ""})

_BREAKS_LINES_OR_HIDES = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
_HALF_PAIR = re.compile(r"[\ud800-\udfff]")
_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u2060\ufeff"))
_CONTROL_BUT_LAYOUT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")

#: Far deeper than any form; parsers and encoders of JSON give up at about a thousand.
DEEPEST = 20


class Kind(StrEnum):
    contact = "contact"
    screening = "screening"


def _absent_when_blank(value: object) -> object:
    """A browser posts an empty field as an empty text."""
    return None if isinstance(value, str) and not value.strip() else value


def _yes_or_no(value: object) -> object:
    if isinstance(value, str):
        word = value.strip().casefold()
        if word in AFFIRMATIVE:
            return True
        if word in NEGATIVE:
            return False
        raise ValueError("must be yes or no")
    return value


def _as_list(value: object) -> object:
    """A browser posts a list with one element as that element."""
    return [value] if isinstance(value, str) else value


def _one_line(text: str) -> str:
    text = " ".join(unicodedata.normalize("NFC", text).split(" ")).strip()
    if _BREAKS_LINES_OR_HIDES.search(text):
        raise ValueError("must be one line without control characters")
    return re.sub(r" {2,}", " ", text)


def _prose(text: str) -> str:
    text = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROL_BUT_LAYOUT.sub("", text).strip()


def _email(text: str) -> str:
    try:
        return normal_email(unicodedata.normalize("NFC", text))
    except Invalid as fault:
        raise ValueError(fault.faults[0].problem) from None


def _phone(text: str) -> str:
    try:
        return normal_phone(unicodedata.normalize("NFC", text))
    except Invalid as fault:
        raise ValueError(fault.faults[0].problem) from None


_Blank = BeforeValidator(_absent_when_blank)
_Line = Annotated[str, Field(max_length=200), AfterValidator(_one_line)]
_YesNo = Annotated[bool, BeforeValidator(_yes_or_no), Field(strict=True)]
_Unsaid = Annotated[_YesNo | None, _Blank]
_Score = Annotated[int, Field(strict=True, ge=0, le=3)] | None


def _no_blank(text: str) -> str:
    if not text.translate(_INVISIBLE).strip():
        raise ValueError("must not be empty")
    return text


class Form(BaseModel):
    """What both forms ask. Unknown fields are kept, and shown to staff."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: Annotated[_Line, AfterValidator(_no_blank)]
    email: Annotated[
        Annotated[str, Field(max_length=320), AfterValidator(_email)] | None, _Blank
    ] = None
    #: In E.164; what was typed stays in the payload.
    phone: Annotated[
        Annotated[str, Field(max_length=60), AfterValidator(_phone)] | None, _Blank
    ] = None
    role: Annotated[Role | None, _Blank] = None
    interest: Annotated[Literal["tms", "ketamine", "unsure"] | None, _Blank] = None
    location: Annotated[_Line | None, _Blank] = None
    language: Annotated[Literal["en", "es"] | None, _Blank] = None
    preferred_channel: Annotated[Literal["phone", "email", "sms"] | None, _Blank] = None
    consent_sms: Annotated[_YesNo | None, _Blank] = None
    consent_text_version: Annotated[_Line | None, _Blank] = None
    source_url: Annotated[
        Annotated[str, Field(max_length=2000), AfterValidator(_one_line)] | None, _Blank
    ] = None


class ContactForm(Form):
    """Get in touch."""

    message: Annotated[
        Annotated[str, Field(max_length=5000), AfterValidator(_prose)] | None, _Blank
    ] = None


class Answers(BaseModel):
    """The five statements of the screening, and item scores of a validated instrument."""

    model_config = ConfigDict(extra="allow", frozen=True)

    #: Whether the person struggles with depression, OCD or anxiety, or with which of them.
    struggles: Annotated[
        Annotated[
            Annotated[list[Literal["depression", "ocd", "anxiety"]], BeforeValidator(_as_list)]
            | _YesNo,
            Field(union_mode="left_to_right"),
        ]
        | None,
        _Blank,
    ] = None
    symptoms: Annotated[
        Annotated[list[_Line], Field(max_length=30), BeforeValidator(_as_list)] | None, _Blank
    ] = None
    tried_medication: _Unsaid = None
    tried_talk_therapy: _Unsaid = None
    provider_suggested_tms: _Unsaid = None
    phq2: Annotated[Annotated[list[_Score], Field(min_length=2, max_length=2)] | None, _Blank] = (
        None
    )
    phq8: Annotated[Annotated[list[_Score], Field(min_length=8, max_length=8)] | None, _Blank] = (
        None
    )
    phq9: Annotated[Annotated[list[_Score], Field(min_length=9, max_length=9)] | None, _Blank] = (
        None
    )
    gad2: Annotated[Annotated[list[_Score], Field(min_length=2, max_length=2)] | None, _Blank] = (
        None
    )
    gad7: Annotated[Annotated[list[_Score], Field(min_length=7, max_length=7)] | None, _Blank] = (
        None
    )


#: The paths of what is answered by yes or no, in whichever of the words above.
YES_OR_NO = frozenset(
    {"consent_sms", "answers.struggles", "answers.tried_medication"}
    | {"answers.tried_talk_therapy", "answers.provider_suggested_tms"}
)


class ScreeningForm(Form):
    """Could TMS therapy be right for you?"""

    message: Annotated[
        Annotated[str, Field(max_length=5000), AfterValidator(_prose)] | None, _Blank
    ] = None
    answers: Answers = Answers()


FORMS: Mapping[Kind, type[ContactForm] | type[ScreeningForm]] = {
    Kind.contact: ContactForm,
    Kind.screening: ScreeningForm,
}

_PLAIN = {
    "missing": "is required",
    "string_type": "must be text",
    "string_unicode": "must be valid Unicode text",
    "string_too_long": "must have at most {max_length} characters",
    "bool_type": "must be yes or no",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "list_type": "must be a list",
    "too_long": "must have at most {max_length} entries",
    "too_short": "must have at least {min_length} entries",
    "int_type": "must be a whole number",
    "greater_than_equal": "must be {ge} or more",
    "less_than_equal": "must be {le} or less",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "dict_type": "must be an object",
}


#: Whichever came in.
AnyForm = ContactForm | ScreeningForm


def read_submission(kind: Kind, payload: Mapping[str, Any]) -> AnyForm:
    """The form in normal form. Raises Invalid naming every wrong field.

    At least one of `email` and `phone` has to be there: we owe the person an answer.
    """
    faults = {fault.field: fault for fault in _unkeepable(payload)}
    form = None
    try:
        form = FORMS[kind].model_validate(dict(payload))
    except ValidationError as error:
        faults = _faults(error) | faults
    if all(_is_absent(payload.get(field)) for field in ("email", "phone")):
        faults["email"] = Fault("email", "give an email address or a phone number")
        faults["phone"] = Fault("phone", "give a phone number or an email address")
    if faults or form is None:
        raise Invalid(*faults.values())
    return form


def _unkeepable(payload: Mapping[str, Any]) -> Iterator[Fault]:
    """What could not be stored or shown to staff, also in fields that we do not know."""
    for field, value in payload.items():
        name = field.encode(errors="backslashreplace").decode()
        problem = "must have a name in valid Unicode" if name != field else _problem_of(value)
        if problem is not None:
            yield Fault(name, problem)


def _problem_of(value: object) -> str | None:
    level = [value]
    for _ in range(DEEPEST):
        if not level:
            return None
        if not all(_is_unicode(one) for one in level):
            return "must be valid Unicode text"
        if any(isinstance(one, float) and not math.isfinite(one) for one in level):
            return "must be a number that is not beyond all bounds"
        level = [part for one in level for part in _parts(one)]
    return f"must not be nested deeper than {DEEPEST} levels" if level else None


def _parts(value: object) -> Iterator[object]:
    if isinstance(value, Mapping):
        yield from value.keys()
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _is_unicode(value: object) -> bool:
    """JSON can carry half of a surrogate pair, which no database or mail can."""
    return not isinstance(value, str) or _HALF_PAIR.search(value) is None


def _is_absent(value: object) -> bool:
    return _absent_when_blank(value) is None


def _faults(error: ValidationError) -> dict[str, Fault]:
    found: dict[str, Fault] = {}
    for item in error.errors(include_url=False, include_input=False):
        if not item["loc"]:
            # A key that is no Unicode text, which `_unkeepable` names.
            continue
        field = _field(item["loc"])
        text = _PLAIN.get(item["type"], "")
        problem = text.format(**item.get("ctx", {})) if text else item["msg"]
        found.setdefault(field, Fault(field, problem.removeprefix("Value error, ")))
    return found


def _field(loc: tuple[int | str, ...]) -> str:
    """The path as the caller wrote it, without the names of union members."""
    parts = [str(part) for part in loc if isinstance(part, int) or re.fullmatch(r"\w+", part)]
    if parts[0] == "answers" and len(parts) > 2 and not parts[2].isdigit():
        parts = parts[:2]
    elif parts[0] != "answers":
        parts = parts[:1]
    return ".".join(parts)
