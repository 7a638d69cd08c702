"""What a message must say and must not: rules over wording, rendered with good and bad values."""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from followup.clinic import Clinic
from followup.domain.alarm import MOST_NAMED, AlarmKind, describe
from followup.domain.answer import Answer
from followup.domain.cadence import Audience, Channel, Step
from followup.domain.sms import count_segments
from followup.errors import Misconfigured
from followup.templates.facts import clinic_facts, harmless
from followup.templates.markup import words_of
from followup.templates.problem import Problem
from followup.templates.wording import REPLIES, Message, Source, Wording

#: Twilio's advice: twilio.com/docs/glossary/what-sms-character-limit
MOST_PARTS = 2
MOST_CHARACTERS = 320


def _words(listed: str) -> frozenset[str]:
    return frozenset(word.strip() for word in listed.split("·"))


#: A text about a prescription drug ends a carrier registration for good: Twilio error 30941
#: (twilio.com/docs/api/errors/30941). No clinic can allow these.
DRUGS = _words(
    "ketamine · ketamina · esketamine · esketamina · spravato · prescription · "
    "receta medica · sertraline · sertralina · zoloft · fluoxetine · fluoxetina · prozac · "
    "escitalopram · lexapro · bupropion · wellbutrin · xanax · adderall · medication · "
    "medicamento"
)
#: Reveal what the clinic is for, or what somebody asked, to whoever sees the screen.
CLINICAL = _words(
    "tms · depression · depressed · depresion · anxiety · ansiedad · ocd · toc · phq · gad · "
    "score · puntaje · puntuacion · diagnosis · diagnostico · symptom · symptoms · sintoma · "
    "sintomas · therapy · terapia · treatment · tratamiento · mental · suicide · suicidio · "
    "antidepressant · antidepresivo"
)
#: Said by people who read and by people who cure; a machine has done neither.
PROMISES = _words(
    "immediately · instantly · guarantee · guaranteed · cure · inmediatamente · "
    "de inmediato · garantizamos · garantizado · curar"
)
#: Third-party lead generation is forbidden traffic (twilio.com/legal/messaging-policy).
TRADE = _words("lead generation · seo")
#: Carriers drop public shorteners: they hide whose the link is.
SHORTENERS = _words(
    "9qr.de · alturl.com · app.link · bc.vc · bit.do · bit.ly · bitly.com · bitly.ws · "
    "budurl.com · clicky.me · cutt.ly · is.gd · lc.chat · linki.la · lnkd.in · minm.xyz · "
    "ow.ly · rb.gy · rebrand.ly · s2r.co · serveirc.com · shrtco.de · soo.gd · t.co · t.ly · "
    "tiny.cc · tinyurl.com"
)

_RATES = re.compile(r"\brates\b|\btarifas\b|\bcargos\b", re.IGNORECASE)
_NUMERIC_LINK = re.compile(r"https?://\d{1,3}(\.\d{1,3}){3}\b")
_HOST = re.compile(r"(?:https?://)?(?:[\w-]+\.)+[a-z]{2,}", re.IGNORECASE)
_SHOUTING_MARKS = re.compile(r"[!?¡¿]{3,}")
_CAPITALS = re.compile(r"\b[A-ZÁÉÍÓÚÑÜ]{5,}\b")
#: Words to answer with are written in capitals everywhere.
_KEYWORDS = {"AYUDA", "START"}


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
        return self.message.text if self.is_sms else self.message.subject or ""


def lint(clinic: Clinic, step: Step, wording: Wording) -> list[Problem]:
    """Every rule that the wording breaks with any of the sample values, each said once."""
    complaints: dict[str, None] = {}
    for facts in sample_facts(clinic, wording.key.language):
        try:
            message = wording.render(facts)
        except Misconfigured as error:
            complaints[str(error)] = None
            continue
        shown = harmless(facts, wording.key.channel)
        case = _Case(clinic, step, wording, shown, message)
        complaints |= dict.fromkeys(said for rule in _RULES for said in rule(case))
    path = wording.source.path
    rendered = [Problem(path, None, complaint) for complaint in complaints]
    return lint_words(clinic, wording.source, wording.audience) + rendered


def lint_words(clinic: Clinic, source: Source, audience: Audience) -> list[Problem]:
    """The rules that the words of a file break by themselves, line by line."""
    refused = _refused_by(clinic) | (PROMISES if audience is Audience.patient else frozenset())
    return [
        Problem(source.path, number, complaint)
        for number, line in enumerate(words_of(source.text).splitlines(), start=1)
        for complaint in _wrong_in_line(refused, line)
    ]


def _wrong_in_line(refused: frozenset[str], line: str) -> Iterator[str]:
    for word in _found(refused, line):
        yield f"expected no {word!r} in a message"
    for word in sorted(set(_CAPITALS.findall(line)) - _KEYWORDS):
        yield f"expected no words in capitals, got {word!r}"
    if _NUMERIC_LINK.search(line):
        yield "expected links by name, not by a numeric address"


def _refused_by(clinic: Clinic) -> frozenset[str]:
    return DRUGS | TRADE | (CLINICAL - {_plain(word) for word in clinic.allowed_words})


def _found(words: frozenset[str], text: str) -> list[str]:
    return sorted(set(_any_of(words).findall(_plain(text))))


@cache
def _any_of(words: frozenset[str]) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, sorted(words)))})\b")


def _plain(text: str) -> str:
    apart = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in apart if not unicodedata.combining(char))


def sample_facts(clinic: Clinic, language: str) -> list[dict[str, object]]:
    """Values as they come, and as they come at worst."""
    site = max(clinic.sites, key=lambda site: len(site.name))
    ordinary = clinic_facts(clinic, site) | {
        "first_name": "Alice",
        "when": _LONGEST_PROMISE.get(language, _LONGEST_PROMISE["en"]),
        "reference": "K7Q4",
        "waiting": "59 minutes",
        "occurrence": 12,
        "link": f"https://followup.example.com/act/{'x' * 90}",
        "alarm": _LONGEST_ALARM,
        "unsubscribe_url": f"https://followup.example.com/unsubscribe/{'x' * 90}",
        "language": language,
    }
    return [ordinary] + [ordinary | {"first_name": name} for name in _ODD_NAMES]


_LONGEST_ALARM = describe(
    AlarmKind.unreached, "", {"count": 1000, "references": ["K7Q4"] * MOST_NAMED}
)
_LONGEST_PROMISE = {
    "en": "Wednesday, September 30 by 10:30 AM",
    "es": "el miércoles 30 de septiembre antes de las 10:30 AM",
}
_ODD_NAMES = (
    "",
    "W" * 40,
    "\N{SLIGHTLY SMILING FACE}",
    "\N{HEBREW LETTER SHIN}\N{HEBREW LETTER LAMED}\N{HEBREW LETTER VAV}",
    "*x*<b>[x](https://example.com)\r\nBcc: x@example.com",
)


def _says_who_writes(case: _Case) -> Iterator[str]:
    """Every text identifies its sender: twilio.com/legal/messaging-policy."""
    if case.is_sms and str(case.facts["sender_label"]) not in case.message.text:
        yield "expected the clinic's name: {{ sender_label }}"


def _opens_as_carriers_ask(case: _Case) -> Iterator[str]:
    """CTIA Messaging Principles (May 2023) 5.1.2: the first text of a programme."""
    if not (case.is_sms and case.to_patient and case.step.acknowledges):
        return
    text = case.message.text
    if not re.search(r"\bSTOP\b", text):
        yield "expected how to opt out in the first text: STOP"
    if not re.search(r"\bHELP\b", text):
        yield "expected how to get help in the first text: HELP"
    if not re.search(rf"\b{case.clinic.messages_per_request}\b", text):
        yield "expected how many texts follow in the first text: {{ messages_per_request }}"
    if not _RATES.search(text):
        yield 'expected the word about fees in the first text: "Msg & data rates may apply"'


def _can_be_called(case: _Case) -> Iterator[str]:
    # To somebody in danger there is one number to call.
    if case.answer == Answer.crisis:
        return
    if case.to_patient and str(case.facts["clinic_phone"]) not in case.message.text:
        yield "expected the number to call in every message to a patient: {{ clinic_phone }}"


def _helps_in_a_crisis(case: _Case) -> Iterator[str]:
    """988 takes calls and texts day and night: 988lifeline.org. A referrer's text has no room, and
    the confirmation of an opt-out says nothing else: 47 CFR 64.1200(a)(12)."""
    if case.answer == Answer.opted_out:
        return
    if not case.to_patient or (case.is_sms and case.wording.key.role is not None):
        return
    bodies = [body for body in (case.message.text, case.message.html) if body is not None]
    for number in ("988", "911"):
        if not all(re.search(rf"(?<!\d){number}(?!\d)", body) for body in bodies):
            yield f"expected {number} in every message to a patient, for somebody in crisis"


def _promises_once(case: _Case) -> Iterator[str]:
    """A later message goes out because nobody has called: by then the promised hour has passed."""
    if case.to_patient and not case.step.acknowledges and str(case.facts["when"]) in case.said:
        yield "expected {{ when }} only in a step with acknowledges = true"


def _can_be_ended(case: _Case) -> Iterator[str]:
    """16 CFR 316.5, 15 USC 7704(a)(5): a way out and a postal address in every mail."""
    if case.is_sms or not case.to_patient:
        return
    for name in ("unsubscribe_url", "clinic_address"):
        if str(case.facts[name]) not in case.message.text:
            yield f"expected {{{{ {name} }}}} in every mail to a patient (or in its footer)"


def _fits(case: _Case) -> Iterator[str]:
    if not case.is_sms:
        return
    text = case.message.text
    segments = count_segments(text)
    if segments.forces_ucs2:
        signs = " ".join(segments.forces_ucs2)
        yield f"expected only GSM-7 characters in a text, got {signs}: each makes it cost double"
    if segments.parts > MOST_PARTS or len(text) > MOST_CHARACTERS:
        yield (
            f"expected at most {MOST_PARTS} parts and {MOST_CHARACTERS} characters, "
            f"got {segments.parts} parts and {len(text)} characters with the longest values"
        )


def _reveals_nothing(case: _Case) -> Iterator[str]:
    in_words = _found(_refused_by(case.clinic), words_of(case.wording.source.text))
    for word in _found(_refused_by(case.clinic), case.on_lock_screen):
        if word not in in_words:
            yield (
                f"expected no {word!r} in a text or subject, got it from a value: "
                "see sender_label and allowed_words in the clinic's file"
            )


def _links_are_ours(case: _Case) -> Iterator[str]:
    for host in _HOST.findall(case.message.text):
        name = host.split("//")[-1].casefold().removeprefix("www.")
        if name in SHORTENERS:
            yield f"expected no link shortener, got {name!r}"


def _does_not_shout(case: _Case) -> Iterator[str]:
    if _SHOUTING_MARKS.search(case.on_lock_screen):
        yield "expected fewer exclamation or question marks in a row"


def _reads_well_without_a_name(case: _Case) -> Iterator[str]:
    if re.search(r" [,.;:!]", case.message.text):
        yield "expected words that read well when a value is empty, got a space before a mark"


_RULES: tuple[Callable[[_Case], Iterator[str]], ...] = (
    _says_who_writes,
    _opens_as_carriers_ask,
    _can_be_called,
    _helps_in_a_crisis,
    _promises_once,
    _can_be_ended,
    _fits,
    _reveals_nothing,
    _links_are_ours,
    _does_not_shout,
    _reads_well_without_a_name,
)
