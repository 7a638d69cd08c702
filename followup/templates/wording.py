"""One wording: a file of words for one step, channel, language and role, compiled once."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from jinja2 import StrictUndefined, Template, TemplateSyntaxError, UndefinedError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from followup.domain.cadence import Audience, Channel
from followup.errors import Misconfigured
from followup.templates.facts import VARIABLES, Exposure, Place, exposure_of, harmless
from followup.templates.markup import around_jinja, as_html, as_text, inline_styles, tidied
from followup.templates.problem import Problem, Refused

#: The cadence whose messages are about the service itself, and not about a lead.
ALARMS = "alarms"
#: The cadence of what answers a text, or tells staff of one.
REPLIES = "replies"
#: The cadence of what staff are told once a day, and managers once a week.
SUMMARIES = "summaries"

_SUFFIXES = {Channel.email: "md", Channel.sms: "txt", Channel.chat: "txt"}

#: What a wording is made of: words, values, and `if`. Calls, loops and attributes are programs.
_ALLOWED_NODES = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.If,
    nodes.Name,
    nodes.Const,
    nodes.Compare,
    nodes.Operand,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.CondExpr,
    nodes.Filter,
    # Around an `autoescape`, which is refused itself.
    nodes.Scope,
)
#: `safe` and the like would let a value out of its escaping.
_ALLOWED_FILTERS = ("capitalize", "default", "lower", "trim", "upper")


@dataclass(frozen=True)
class Message:
    """What is sent; `subject` and `html` are None for a text.

    `wording` names the words and their version: `contact/acknowledgement.email.en@1f0c9d2b`.
    """

    subject: str | None
    text: str
    html: str | None
    wording: str


@dataclass(frozen=True)
class Key:
    """Which wording; `role` is None for the common one."""

    cadence: str
    step: str
    channel: Channel
    language: str
    role: str | None = None

    @property
    def name(self) -> str:
        role = f".{self.role}" if self.role else ""
        return f"{self.cadence}/{self.step}.{self.channel}.{self.language}{role}"

    def path(self, folder: Path) -> Path:
        return folder / f"{self.name}.{_SUFFIXES[self.channel]}"

    @classmethod
    def of(cls, path: Path) -> Self | None:
        """The key that the file's name spells, or None."""
        step, _, rest = path.name.partition(".")
        match rest.split("."):
            case [channel, language, *role, suffix] if len(role) < 2 and channel in list(Channel):
                if _SUFFIXES[Channel(channel)] == suffix:
                    return cls(path.parent.name, step, Channel(channel), language, *role)
        return None


@dataclass(frozen=True)
class Source:
    """A file's text, as read."""

    path: Path
    text: str

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises Refused when it is not there or not text."""
        try:
            return cls(path, path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise Refused([Problem(path, None, "is missing")]) from None
        except (OSError, UnicodeDecodeError) as error:
            raise Refused([Problem(path, None, f"expected readable UTF-8 ({error})")]) from error


@dataclass(frozen=True)
class Letterhead:
    """What surrounds a mail's words: the page of its HTML, and a footer in Markdown or None."""

    page: Source
    footer: Source | None


@dataclass(frozen=True)
class Wording:
    """Compiled words; threads may share it."""

    key: Key
    source: Source
    audience: Audience
    version: str
    subject: Template | None
    text: Template
    html: Template | None

    def render(self, facts: Mapping[str, object]) -> Message:
        """The message; raises Misconfigured when `facts` lacks a variable that the wording uses."""
        return self.fill(harmless(facts, self.key.channel))

    def fill(self, values: Mapping[str, object]) -> Message:
        """The same with values that are harmless already."""
        try:
            html = self.html.render(values) if self.html else None
            text = tidied(self.text.render(values))
            subject = " ".join(self.subject.render(values).split()) if self.subject else None
        except UndefinedError as error:
            raise Misconfigured(f"{self.key.name}: expected a value: {error.message}") from error
        return Message(subject, text, html, f"{self.key.name}@{self.version}")


def _environment(*, autoescape: bool) -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, autoescape=autoescape, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals.clear()
    environment.filters = {name: environment.filters[name] for name in _ALLOWED_FILTERS}
    return environment


_PLAIN = _environment(autoescape=False)
_ESCAPED = _environment(autoescape=True)


def read_text(source: Source, key: Key, audience: Audience) -> Wording:
    """A text's or a chat's wording; raises Refused naming file and line. Line ends within it are
    spaces."""
    place = Place.sms if audience is Audience.patient else _staff_place(key)
    refuse(problems_in(source, {place}))
    text = " ".join(source.text.split())
    version = _version(source)
    return Wording(key, source, audience, version, None, _PLAIN.from_string(text), None)


def read_email(source: Source, key: Key, audience: Audience, letterhead: Letterhead) -> Wording:
    """A mail's wording: a line `Subject: …`, an empty line, Markdown. Raises Refused."""
    subject, body = split_email(source)
    ours = audience is Audience.staff
    refuse(
        [
            *problems_in(subject, {_staff_place(key) if ours else Place.subject}),
            *problems_in(body, {_staff_place(key) if ours else Place.body}),
        ]
    )
    footer = letterhead.footer
    markdown = f"{body.text.strip()}\n\n{footer.text.strip()}" if footer else body.text.strip()
    page = letterhead.page.text.replace(BODY, around_jinja(markdown, as_html))
    return Wording(
        key,
        source,
        audience,
        _version(source, letterhead.page, *([footer] if footer else [])),
        _PLAIN.from_string(subject.text.strip()),
        _PLAIN.from_string(around_jinja(markdown, as_text)),
        _ESCAPED.from_string(around_jinja(page, inline_styles)),
    )


def _staff_place(key: Key) -> Place:
    return Place.alarm if key.cadence in (ALARMS, SUMMARIES) else Place.staff


#: Where the page of a mail takes the words.
BODY = "{{ body }}"
_SUBJECT = "Subject:"


def split_email(source: Source) -> tuple[Source, Source]:
    """Subject and body; the body keeps its place in the file, so that lines are counted right."""
    first, _, rest = source.text.partition("\n")
    empty, _, body = rest.partition("\n")
    if not first.startswith(_SUBJECT) or not first.removeprefix(_SUBJECT).strip():
        raise Refused([Problem(source.path, 1, f'expected a first line "{_SUBJECT} …"')])
    if empty.strip() or not body.strip():
        raise Refused([Problem(source.path, 2, "expected an empty line, then the mail's words")])
    subject = Source(source.path, first.removeprefix(_SUBJECT))
    return subject, Source(source.path, f"\n\n{body}")


def refuse(problems: list[Problem]) -> None:
    if problems:
        raise Refused(problems)


def problems_in(source: Source, places: set[Place]) -> list[Problem]:
    """Wrong Jinja, and variables that do not exist or may not stand in these places."""
    try:
        tree = _PLAIN.parse(source.text)
        _PLAIN.compile(source.text)
    except TemplateSyntaxError as error:
        return [Problem(source.path, error.lineno, error.message or "expected valid Jinja")]
    found = (
        Problem(source.path, node.lineno, complaint)
        for node in [tree, *tree.find_all(nodes.Node)]
        if (complaint := _complaint(node, places))
    )
    return list(dict.fromkeys(found))


def _complaint(node: nodes.Node, places: set[Place]) -> str | None:
    if not isinstance(node, _ALLOWED_NODES):
        return f"expected only {{{{ variable }}}} and {{% if … %}}, got {type(node).__name__}"
    if not isinstance(node, nodes.Name):
        return None
    variable = VARIABLES.get(node.name)
    if variable is None and (exposure := exposure_of(node.name)):
        return f"{node.name!r} is {exposure}: no message holds it; {_SAY_INSTEAD[exposure]}"
    if variable is None:
        return f"there is no variable {node.name!r}; there are: {', '.join(_known_in(places))}"
    forbidden = sorted(places - variable.places)
    if forbidden:
        return f"{node.name!r} may not stand in a {forbidden[0]}"
    return None


_SAY_INSTEAD = {
    Exposure.contact: "to greet a patient, use 'first_name'",
    Exposure.clinical: "staff read it on the lead's page",
}


def _known_in(places: set[Place]) -> Iterator[str]:
    return (name for name, variable in VARIABLES.items() if places <= variable.places)


def _version(*sources: Source) -> str:
    """Changes with every word that the message is made of, and with nothing else."""
    together = "\0".join(source.text for source in sources)
    return hashlib.sha256(together.encode()).hexdigest()[:8]


def check_page(page: Source) -> None:
    """The HTML around every mail; raises Refused."""
    if page.text.count(BODY) != 1:
        raise Refused([Problem(page.path, None, f"expected {BODY} once, where the words go")])
    without_body = Source(page.path, page.text.replace(BODY, ""))
    refuse(problems_in(without_body, {Place.body, Place.staff, Place.alarm}))
