"""A foreign form's fields in our words: by the clinic's own mapping, else by what they are called.

Nothing is dropped. What has no name of ours is kept under its own; what cannot be read as a field
of ours is kept beside it, as it was sent; and refused is only what nobody could be called from.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from followup.domain.foreign_words import FIRST_NAME, GUESSES, LAST_NAME, SCORES, VALUES
from followup.domain.plain import plain_words
from followup.domain.submission import (
    AFFIRMATIVE,
    DEEPEST,
    FORMS,
    NEGATIVE,
    Answers,
    Kind,
    read_submission,
)
from followup.errors import Fault, Invalid

#: Where what could not be read is kept whole, until a better mapping reads it.
RECEIVED = "received"

#: Of somebody who left an address and no name: owed a call like anybody.
NO_NAME = "No name given"

_ANSWERS = tuple(f"answers.{name}" for name in Answers.model_fields)
#: Every field of ours that a mapping may name.
OURS = (
    tuple(
        dict.fromkeys(
            name
            for kind in Kind
            for name in FORMS[kind].model_fields
            if name not in ("answers", "consent_sms", "consent_text_version")
        )
    )
    + _ANSWERS
)
_RESERVED = frozenset({*OURS, "answers", "consent_sms", "consent_text_version", RECEIVED})

_YES = frozenset(map(plain_words, AFFIRMATIVE))
_NO = frozenset(map(plain_words, NEGATIVE))
_SCORED = frozenset({"phq2", "phq8", "phq9", "gad2", "gad7"})
#: Their own words say more than ours do, and are kept as well.
_WORDED = ("interest", "answers.")
_ONE_LINE = frozenset({"name", "email", "phone", "location", "source_url"})


@dataclass(frozen=True)
class Given:
    """One field as it was sent; `label` is what staff read, `names` what a mapping may call it."""

    label: str
    value: Any
    names: tuple[str, ...] = ()

    @property
    def called(self) -> tuple[str, ...]:
        return (*self.names, self.label)


@dataclass(frozen=True)
class Rules:
    """The clinic's own mapping: ours, and what they call it."""

    fields: Mapping[str, Sequence[str]] = field(default_factory=dict)
    consent: str | None = None
    consent_says: Sequence[str] = ()
    consent_text_version: str | None = None


@dataclass(frozen=True)
class Translated:
    """A submission of ours, and what could not be read as it was meant, by our names."""

    payload: Mapping[str, Any]
    aside: tuple[Fault, ...] = ()
    #: Our names of fields, by their labels.
    read: Mapping[str, str] = field(default_factory=dict)


def translate(
    kind: Kind,
    given: Sequence[Given],
    rules: Rules,
    *,
    document: Any = None,
    sites: Mapping[str, str] | None = None,
) -> Translated:
    """The fields in our words; `sites` are ids by the names that people may write.

    Raises Invalid naming what is missing when there is nobody to be called.
    """
    reading = _Reading([_clean(one) for one in given], document)
    found: dict[str, Any] = {}
    box = reading.take("consent_sms", [rules.consent]) if rules.consent else None
    for ours, theirs in rules.fields.items():
        found[ours] = reading.take(ours, theirs)
    for ours, words in GUESSES.items():
        if ours not in found:
            found[ours] = reading.guess(ours, words)
    if "name" not in rules.fields:
        found["name"] = _whole_name(reading, found["name"])
    payload: dict[str, Any] = {}
    moved: dict[str, Any] = {}
    for ours, value in found.items():
        if not _is_blank(value):
            read_as = _in_our_words(ours, value, sites or {})
            _put(payload, ours, read_as)
            if ours.startswith(_WORDED) and read_as != value:
                moved[as_sent(ours)] = value
    if rules.consent is not None:
        # A box that was left empty is often not sent at all, and is a no all the same.
        payload["consent_sms"] = is_yes(box, rules.consent_says)
        payload["consent_text_version"] = rules.consent_text_version
        if not isinstance(box, bool) and as_text(box) not in ("", "0", "1"):
            moved[as_sent("consent_sms")] = box
    payload.setdefault("name", NO_NAME)
    return replace(_fit(kind, payload, moved, reading.rest()), read=reading.read)


def is_yes(value: object, says: Sequence[str] = ()) -> bool:
    """Whether a box says yes: never because something, or anything, is in it."""
    if isinstance(value, bool | int | float):
        return value == 1
    if isinstance(value, Mapping):
        value = as_text(value)
    said = [
        plain_words(one)
        for one in (value if isinstance(value, list) else [value])
        if isinstance(one, str)
    ]
    yes = _YES | set(map(plain_words, says))
    return any(one in yes for one in said) and not any(one in _NO for one in said)


def as_text(value: object) -> str:
    """What somebody chose or wrote, as one text: names, phones and choices come in parts."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str | int | float):
        return str(value)
    if isinstance(value, list):
        return ", ".join(filter(None, map(as_text, value)))
    if isinstance(value, Mapping):
        for whole in ("full", "label", "labels", "value", "answer", "text"):
            if not _is_blank(value.get(whole)):
                return as_text(value[whole])
        names = [
            value[part] for part in ("prefix", "first", "middle", "last", "suffix") if part in value
        ]
        parts = names or [value[part] for part in ("country", "area", "phone") if part in value]
        if parts:
            return " ".join(filter(None, map(as_text, parts)))
    return json.dumps(value, ensure_ascii=False, default=str)


def find_path(document: Any, path: str) -> Any:
    """What stands at `a.b[0].c`, also written `$.a.b.0.c`; None when there is nothing."""
    steps = re.sub(r"\[(\d+)\]", r".\1", path.strip().removeprefix("$")).strip(".").split(".")
    for step in steps:
        if isinstance(document, Mapping):
            document = document.get(step)
        elif isinstance(document, list) and re.fullmatch(r"[0-9]{1,6}", step):
            document = document[int(step)] if int(step) < len(document) else None
        else:
            return None
    return document


class _Reading:
    """The fields that are still nobody's."""

    def __init__(self, given: Sequence[Given], document: Any) -> None:
        self._given = given
        self._document = document
        self._taken: dict[int, str] = {}

    def take(self, ours: str, theirs: Sequence[str]) -> Any:
        """What the mapping names; several are a list of scores, or one text."""
        values = [self._find(ours, one) for one in theirs]
        if ours.removeprefix("answers.") in _SCORED and len(values) > 1:
            return values
        if len(values) == 1:
            return values[0]
        return " ".join(filter(None, (as_text(one).strip() for one in values)))

    def guess(self, ours: str, words: frozenset[str]) -> Any:
        for place, one in enumerate(self._given):
            is_free = place not in self._taken and not _is_blank(one.value)
            if is_free and any(_bare(name) in words for name in one.called):
                self._taken[place] = ours
                return one.value
        return None

    def rest(self) -> Iterator[tuple[str, Any]]:
        for place, one in enumerate(self._given):
            if place not in self._taken and not _is_blank(one.value):
                yield one.label, one.value

    @property
    def read(self) -> dict[str, str]:
        return {self._given[place].label: ours for place, ours in self._taken.items()}

    def _find(self, ours: str, theirs: str) -> Any:
        for is_called in (theirs.__eq__, lambda name: plain_words(name) == plain_words(theirs)):
            for place, one in enumerate(self._given):
                if any(is_called(name) for name in one.called):
                    self._taken[place] = ours
                    return one.value
        name, equals, wanted = theirs.rpartition("=")
        if equals and name:
            return self._has(name, wanted)
        return cleaned(find_path(self._document, theirs))

    def _has(self, name: str, wanted: str) -> bool | None:
        """`history=Talk therapy`: whether that was among what they chose; nothing is no answer."""
        at = [place for place, one in enumerate(self._given) if name in one.called]
        value = self._given[at[0]].value if at else find_path(self._document, name)
        if value is None:
            return None
        chosen = value.get("labels", value) if isinstance(value, Mapping) else value
        said = chosen if isinstance(chosen, list) else [as_text(value)]
        return any(plain_words(as_text(one)) == plain_words(wanted) for one in said)


def _bare(name: str) -> str:
    """`q3_fullName3` is called `full name`: without a vendor's numbers."""
    apart = re.sub(r"(?<=[a-záéíóúñ])(?=[A-Z])", " ", re.sub(r"^q\d+_", "", name))
    return re.sub(r"\s*\d+$", "", plain_words(apart))


def _whole_name(reading: _Reading, found: Any) -> Any:
    last = reading.guess("name", LAST_NAME)
    first = reading.guess("name", FIRST_NAME) if _is_blank(found) else found
    if _is_blank(last):
        return first
    return " ".join(filter(None, (as_text(first).strip(), as_text(last).strip())))


def _in_our_words(ours: str, value: Any, sites: Mapping[str, str]) -> Any:
    field = ours.removeprefix("answers.")
    if ours.startswith("answers."):
        return _answer(field, value)
    text = as_text(value).strip()
    if field in _ONE_LINE:
        text = " ".join(text.split())
    said = plain_words(text)
    if field == "location":
        return sites.get(said, text)
    if field == "language":
        return VALUES[field].get(said, said[:2] if re.match(r"e[ns]( |$)", said) else text)
    if field == "interest":
        named = {one for one in ("tms", "ketamine") if one in said.split()}
        named |= {"ketamine"} if "ketamina" in said.split() else set()
        return named.pop() if len(named) == 1 else "unsure" if named else text
    if field in ("preferred_channel", "role"):
        return VALUES.get(field, {}).get(said, said)
    return text


def _answer(field: str, value: Any) -> Any:
    if field in _SCORED:
        return [_score(one) for one in value] if isinstance(value, list) else value
    if field in ("struggles", "symptoms"):
        chosen = value.get("labels", value) if isinstance(value, Mapping) else value
        if not isinstance(chosen, bool):
            chosen = chosen if isinstance(chosen, list) else re.split(r"[,;\n]", as_text(chosen))
            words = [as_text(one).strip() for one in chosen]
            if field == "struggles" and len(words) == 1 and plain_words(words[0]) in _YES | _NO:
                return words[0]
            return [one.casefold() if field == "struggles" else one for one in words if one]
        return chosen
    return value if isinstance(value, bool) else as_text(value)


def _score(value: Any) -> int | None:
    """None for what cannot be read as one, which is kept as it was sent."""
    is_whole = isinstance(value, float) and value.is_integer()
    said = plain_words(as_text(int(value) if is_whole else value))
    return int(said) if said in ("0", "1", "2", "3") else SCORES.get(said)


def _put(payload: dict[str, Any], ours: str, value: Any) -> None:
    outer, dot, inner = ours.partition(".")
    if dot:
        payload.setdefault(outer, {})[inner] = value
    else:
        payload[outer] = value


def _fit(
    kind: Kind,
    payload: dict[str, Any],
    moved: dict[str, Any],
    rest: Iterator[tuple[str, Any]],
) -> Translated:
    """What cannot be read as a field of ours is moved beside it: a bad address is no address."""
    faults: dict[str, Fault] = {}
    while True:
        try:
            read_submission(kind, payload)
            break
        except Invalid as error:
            wrong = {_root(fault.field): fault for fault in error.faults}
            faults = {**wrong, **faults}
            if not _move(payload, wrong, moved):
                raise Invalid(*(faults[name] for name in wrong)) from None
    for label, value in rest:
        label = as_sent(label) if label.strip() in _RESERVED else label.strip() or "?"
        moved[_free(label, moved)] = value
    return Translated(payload | moved, tuple(faults.values()))


def as_sent(ours: str) -> str:
    """What a field is kept as that has our name, and cannot be read as ours."""
    return f"{ours} (as sent)"


def _root(field: str) -> str:
    return ".".join(field.split(".")[: 2 if field.startswith("answers.") else 1])


def _move(payload: dict[str, Any], wrong: Mapping[str, Fault], moved: dict[str, Any]) -> bool:
    """Whether anything was there to be moved."""
    is_moved = False
    for ours in wrong:
        outer, dot, inner = ours.partition(".")
        holder = payload.get(outer) if dot else payload
        name = inner if dot else outer
        if isinstance(holder, dict) and not _is_blank(holder.get(name)):
            moved.setdefault(as_sent(ours), holder.pop(name))
            is_moved = True
    payload.setdefault("name", NO_NAME)
    return is_moved


def _free(label: str, taken: Mapping[str, Any]) -> str:
    number, name = 2, label
    while name in taken:
        name, number = f"{label} ({number})", number + 1
    return name


def _is_blank(value: object) -> bool:
    return value is None or value in ([], {}) or (isinstance(value, str) and not value.strip())


def _clean(one: Given) -> Given:
    label = cleaned(one.label)
    return Given(label[:200], cleaned(one.value), tuple(map(cleaned, one.names)))


def cleaned(value: Any, depth: int = 0) -> Any:
    """What a database and a mail can hold: JSON can carry half of a surrogate pair, and more levels
    and larger numbers than anybody reads."""
    if isinstance(value, str):
        return (
            value.encode(errors="replace").decode()
            if re.search("[\ud800-\udfff]", value)
            else value
        )
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping | list) and depth > DEEPEST - 4:
        return _flattened(value)
    if isinstance(value, Mapping):
        return {cleaned(str(key)): cleaned(part, depth + 1) for key, part in value.items()}
    if isinstance(value, list):
        return [cleaned(part, depth + 1) for part in value]
    return value


def _flattened(value: object) -> str:
    try:
        return json.dumps(value)
    except RecursionError:
        return "…"
