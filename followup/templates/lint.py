"""What a message must say and must not: rules over wording, rendered with good and bad values.

They hold when the service starts, in `followup templates check`, and once more for each message
just before it is sent, because a value may break what the words alone do not.
"""

import html
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from followup.clinic import Clinic
from followup.domain.alarm import MOST_NAMED, AlarmKind, describe
from followup.domain.answer import Answer
from followup.domain.cadence import Audience, Channel, Step
from followup.domain.sms import count_segments
from followup.errors import Misconfigured
from followup.templates.facts import clinic_facts, harmless, in_gsm7
from followup.templates.markup import without_comments, words_of
from followup.templates.problem import Problem
from followup.templates.wording import REPLIES, Message, Source, Wording
from followup.templates.words import CLINICAL, DRUGS, PROMISES, SHORTENERS, TRADE, find_words, plain

#: Twilio's advice: twilio.com/docs/glossary/what-sms-character-limit
MOST_PARTS = 2
MOST_CHARACTERS = 320


_RATES = re.compile(r"\brates\b|\btarifas\b|\bcargos\b", re.IGNORECASE)
_NUMERIC_LINK = re.compile(r"https?://\d{1,3}(\.\d{1,3}){3}\b")
_HOST = re.compile(r"(?:https?://)?(?:[\w-]+\.)+[a-z]{2,}", re.IGNORECASE)
_SHOUTING_MARKS = re.compile(r"[!?¡¿]{3,}")
_CAPITALS = re.compile(r"\b[A-ZÁÉÍÓÚÑÜ]{5,}\b")
#: Words to answer with are written in capitals everywhere.
_KEYWORDS = {"AYUDA", "START", "TRIED", "SNOOZE"}


@dataclass(frozen=True)
class _Case:
    """One wording with its step, and its message for one set of values, as these are shown."""

    clinic: Clinic
    step: Step
    wording: Wording
    facts: Mapping[str, object]
    message: Message

    @property
    def to_patient(self) -> bool:
        return self.wording.audience is Audience.patient

    @property
    def is_sms(self) -> bool:
        return self.wording.key.channel is Channel.sms

    @property
    def answer(self) -> str | None:
        """Which fixed answer to a text it is."""
        return self.step.name if self.wording.key.cadence == REPLIES else None

    @property
    def said(self) -> str:
        return f"{self.message.subject or ''}\n{self.message.text}"

    @property
    def on_lock_screen(self) -> str:
        """What shows without the mail being opened: a text, a subject."""
        is_mail = self.wording.key.channel is Channel.email
        return self.message.subject or "" if is_mail else self.message.text


@dataclass(frozen=True)
class _Complaint:
    message: str
    #: What the line to mend has in it; None where words are missing, at the end of the file.
    clue: str | None = None


_Rule = Callable[[_Case], Iterator[_Complaint]]


def lint(clinic: Clinic, step: Step, wording: Wording, public_url: str = "") -> list[Problem]:
    """Every rule that its messages break with any of the sample values, each said once."""
    found: dict[str, Problem] = {}
    for facts in sample_facts(clinic, wording.key.language, public_url):
        try:
            message = wording.render(facts)
        except Misconfigured as error:
            found[str(error)] = Problem(wording.source.path, None, str(error))
            continue
        shown = harmless(facts, wording.key.channel)
        case = _Case(clinic, step, wording, shown, message)
        for complaint in _broken(case, _RULES + _MANNERS):
            problem = Problem(wording.source.path, _line(case, complaint.clue), complaint.message)
            found.setdefault(complaint.message, problem)
    return list(found.values())


def unfit(
    clinic: Clinic, step: Step, wording: Wording, facts: Mapping[str, object], message: Message
) -> list[str]:
    """Why a message that is about to be sent must not be, beside manners; nothing personal.

    `facts` are those that it was made of, as they are shown.
    """
    case = _Case(clinic, step, wording, facts, message)
    return [complaint.message for complaint in _broken(case, _RULES)]


def _broken(case: _Case, rules: tuple[_Rule, ...]) -> Iterator[_Complaint]:
    return (complaint for rule in rules for complaint in rule(case))


def _line(case: _Case, clue: str | None) -> int | None:
    """Where the file has it, or the variable that brings it; None when another file does."""
    lines = case.wording.source.text.rstrip().splitlines()
    if clue is None:
        return len(lines)
    brought = [
        rf"\{{[{{%][^}}]*\b{name}\b"
        for name, value in case.facts.items()
        if plain(clue) in plain(str(value))
    ]
    for pattern in (re.escape(plain(clue)), *brought):
        for number, line in enumerate(lines, start=1):
            if re.search(pattern, plain(line)):
                return number
    return None


#: Marks of Markdown, which part a word for the eye of a machine only.
_EMPHASIS = str.maketrans("", "", "*`\\")


def lint_words(clinic: Clinic, source: Source, audience: Audience) -> list[Problem]:
    """The rules that the words of a file break by themselves, line by line."""
    refused = _refused_by(clinic) | (PROMISES if audience is Audience.patient else frozenset())
    written = html.unescape(without_comments(source.text).translate(_EMPHASIS))
    return [
        *(
            Problem(source.path, number, f"expected no {word!r} in a message")
            for number, word in find_words(refused, written)
        ),
        *(
            Problem(source.path, number, complaint)
            for number, line in enumerate(words_of(source.text).splitlines(), start=1)
            for complaint in _wrong_in_line(line)
        ),
    ]


def _wrong_in_line(line: str) -> Iterator[str]:
    for word in sorted(set(_CAPITALS.findall(line)) - _KEYWORDS):
        yield f"expected no words in capitals, got {word!r}"


def _refused_by(clinic: Clinic) -> frozenset[str]:
    return _refused(clinic.allowed_words)


@cache
def _refused(allowed: frozenset[str]) -> frozenset[str]:
    return DRUGS | TRADE | (CLINICAL - {plain(word) for word in allowed})


_EXAMPLE = "https://followup.example.com"


def sample_facts(clinic: Clinic, language: str, public_url: str = "") -> list[dict[str, object]]:
    """Values as they come, and as they come at worst: each site's, and odd names."""
    site, *others = sorted(clinic.sites, key=lambda site: -len(site.name))
    ordinary = clinic_facts(clinic, site) | {
        "first_name": "Alice",
        "when": _LONGEST_PROMISE.get(language, _LONGEST_PROMISE["en"]),
        "reference": "K7Q4",
        "waiting": "59 minutes",
        "occurrence": 12,
        "link": f"{public_url or _EXAMPLE}/act/{'x' * 90}",
        "who": "Alexandra Montgomery-Hernandez",
        "at": "Wednesday, September 30 10:30 AM",
        "in_flight": 12,
        "waiting_leads": 1000,
        "overdue_leads": 1000,
        "references": ", ".join(["K7Q4"] * MOST_NAMED),
        "more_leads": 980,
        "board": f"{public_url or _EXAMPLE}/staff?site={site.id}",
        "day": "Wednesday, September 30",
        "new_leads": 1000,
        "contacted_leads": 1000,
        "kept_promises": 1000,
        "median_wait": "59 minutes",
        "alarm": _LONGEST_ALARM,
        "unsubscribe_url": f"{public_url or _EXAMPLE}/unsubscribe/{'x' * 90}",
        "language": language,
    }
    return [
        ordinary,
        *(ordinary | {"first_name": name} for name in _ODD_NAMES),
        *(ordinary | clinic_facts(clinic, other) for other in others),
    ]


_LONGEST_ALARM = describe(
    AlarmKind.unreached, "", {"count": 1000, "references": ["K7Q4"] * MOST_NAMED}
)
_LONGEST_PROMISE = {
    "en": "Wednesday, September 30 by 10:30 AM PDT",
    "es": "el miércoles 30 de septiembre antes de las 10:30 AM PDT",
}
_ODD_NAMES = (
    "",
    "W" * 40,
    "\N{SLIGHTLY SMILING FACE}",
    "\N{HEBREW LETTER SHIN}\N{HEBREW LETTER LAMED}\N{HEBREW LETTER VAV}",
    "*x*<b>[x](https://example.com)\r\nBcc: x@example.com",
)


def _says_who_writes(case: _Case) -> Iterator[_Complaint]:
    """Every text identifies its sender: twilio.com/legal/messaging-policy."""
    if case.is_sms and str(case.facts["sender_label"]) not in case.message.text:
        yield _Complaint("expected the clinic's name: {{ sender_label }}")


def _opens_as_carriers_ask(case: _Case) -> Iterator[_Complaint]:
    """CTIA Messaging Principles (May 2023) 5.1.2: the first text of a programme."""
    if not (case.is_sms and case.to_patient and case.step.acknowledges):
        return
    text = case.message.text
    if not re.search(r"\bSTOP\b", text):
        yield _Complaint("expected how to opt out in the first text: STOP")
    if not re.search(r"\bHELP\b", text):
        yield _Complaint("expected how to get help in the first text: HELP")
    # An hour is no number of texts.
    if not re.search(rf"(?<![:\d]){case.clinic.messages_per_request}(?![:\d])", text):
        needed = "{{ messages_per_request }}"
        yield _Complaint(f"expected how many texts follow in the first text: {needed}")
    if not _RATES.search(text):
        example = '"Msg & data rates may apply"'
        yield _Complaint(f"expected the word about fees in the first text: {example}")


def _can_be_called(case: _Case) -> Iterator[_Complaint]:
    # To somebody in danger there is one number to call.
    if case.answer == Answer.crisis:
        return
    if case.to_patient and str(case.facts["clinic_phone"]) not in case.message.text:
        needed = "{{ clinic_phone }}"
        yield _Complaint(f"expected the number to call in every message to a patient: {needed}")


def _helps_in_a_crisis(case: _Case) -> Iterator[_Complaint]:
    """988 takes calls and texts day and night: 988lifeline.org. A referrer's text has no room, and
    the confirmation of an opt-out says nothing else: 47 CFR 64.1200(a)(12)."""
    if case.answer == Answer.opted_out:
        return
    if not case.to_patient or (case.is_sms and case.wording.key.role is not None):
        return
    bodies = [body for body in (case.message.text, case.message.html) if body is not None]
    for number in ("988", "911"):
        # The number first: a search for what it begins with is many times as fast.
        alone = rf"{number}(?<!\d{number})(?!\d)"
        if not all(re.search(alone, body) for body in bodies):
            for_whom = "in every message to a patient, for somebody in crisis"
            yield _Complaint(f"expected {number} {for_whom}")


def _can_be_ended(case: _Case) -> Iterator[_Complaint]:
    """16 CFR 316.5, 15 USC 7704(a)(5): a way out and a postal address in every mail."""
    if case.is_sms or not case.to_patient:
        return
    for name in ("unsubscribe_url", "clinic_address"):
        if str(case.facts[name]) not in case.message.text:
            where = "in every mail to a patient (or in its footer)"
            yield _Complaint(f"expected {{{{ {name} }}}} {where}")


def _fits(case: _Case) -> Iterator[_Complaint]:
    if not case.is_sms:
        return
    text = case.message.text
    segments = count_segments(text)
    for sign in segments.forces_ucs2:
        plainly = count_segments(_without_foreign(in_gsm7(text))).parts
        cost = f"it makes the text UCS-2, {segments.parts} parts instead of {plainly}"
        yield _Complaint(f"expected only GSM-7 characters in a text, got {sign}: {cost}", sign)
    if segments.parts > MOST_PARTS or len(text) > MOST_CHARACTERS:
        yield _Complaint(
            f"expected at most {MOST_PARTS} parts and {MOST_CHARACTERS} characters, "
            f"got {segments.parts} parts and {len(text)} characters with the longest values"
        )


def _without_foreign(text: str) -> str:
    """Without what has no spelling in GSM-7 at all."""
    return "".join(sign for sign in text if not count_segments(sign).forces_ucs2)


def _reveals_nothing(case: _Case) -> Iterator[_Complaint]:
    """What the file's own words say is named by `lint_words`, line by line."""
    refused = _refused_by(case.clinic)
    said = _found(refused, case.said)
    if not said:
        return
    told = _found(refused, without_comments(case.wording.source.text))
    brought = _found(refused, "\n".join(map(str, case.facts.values())))
    shown = _found(refused, case.on_lock_screen)
    for word in sorted(shown - told):
        whence = (
            ", got it from a value: see sender_label and allowed_words in the clinic's file"
            if word in brought
            else ""
        )
        yield _Complaint(f"expected no {word!r} in a text or subject{whence}", word)
    # The name of the clinic itself may stand in a mail that has been opened.
    for word in sorted(said - shown - told - brought):
        yield _Complaint(f"expected no {word!r} in a message", word)


def _found(refused: frozenset[str], text: str) -> set[str]:
    return {word for _, word in find_words(refused, text)}


def _links_are_ours(case: _Case) -> Iterator[_Complaint]:
    """Links name their owner: CTIA Messaging Principles 5.3.1, and carriers drop what hides it."""
    for host in _HOST.findall(case.said):
        name = host.split("//")[-1].casefold()
        if any(name == one or name.endswith(f".{one}") for one in SHORTENERS):
            yield _Complaint(f"expected no link shortener, got {name!r}", name)
    # Links to ourselves are numeric where everything runs on one machine.
    said = case.said
    for name in ("link", "unsubscribe_url", "board"):
        if ours := case.facts.get(name):
            said = said.replace(str(ours), "")
    for link in _NUMERIC_LINK.finditer(said):
        yield _Complaint("expected links by name, not by a numeric address", link[0])


def _promises_once(case: _Case) -> Iterator[_Complaint]:
    """A later message goes out because nobody has called: by then the promised hour has passed."""
    if case.to_patient and not case.step.acknowledges and str(case.facts["when"]) in case.said:
        when = str(case.facts["when"])
        yield _Complaint("expected {{ when }} only in a step with acknowledges = true", when)


def _does_not_shout(case: _Case) -> Iterator[_Complaint]:
    if marks := _SHOUTING_MARKS.search(case.on_lock_screen):
        yield _Complaint("expected fewer exclamation or question marks in a row", marks[0])


def _reads_well_without_a_name(case: _Case) -> Iterator[_Complaint]:
    if re.search(r" [,.;:!]", case.message.text):
        problem = "expected words that read well when a value is empty, got a space before a mark"
        yield _Complaint(problem, "first_name")


#: What no message may break, whenever it is looked at.
_RULES: tuple[_Rule, ...] = (
    _says_who_writes,
    _opens_as_carriers_ask,
    _can_be_called,
    _helps_in_a_crisis,
    _can_be_ended,
    _fits,
    _reveals_nothing,
    _links_are_ours,
)
#: What a wording is refused for, but no message that is about to be sent.
_MANNERS: tuple[_Rule, ...] = (_promises_once, _does_not_shout, _reads_well_without_a_name)
