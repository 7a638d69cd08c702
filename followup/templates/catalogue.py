"""All cadences and wordings of the `templates/` folder, complete and checked, or refused."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from followup.clinic import Clinic
from followup.domain.answer import Answer, StaffAnswer
from followup.domain.cadence import Audience, Cadence, Channel, Step
from followup.domain.lead import Role
from followup.errors import NotFound, Unfit
from followup.templates.cadence_file import read_cadence
from followup.templates.facts import Place, harmless
from followup.templates.lint import lint, lint_words, unfit
from followup.templates.problem import Problem, Refused, collecting
from followup.templates.wording import (
    ALARMS,
    REPLIES,
    SUMMARIES,
    Key,
    Letterhead,
    Message,
    Source,
    Wording,
    check_page,
    problems_in,
    read_email,
    read_text,
    refuse,
)

_CADENCE_FILE = "cadence.toml"
#: The steps of the cadence `alarms`: something is wrong; it is over.
RAISED, OVER = "raised", "over"
#: Those of the cadence `replies` that are for staff: somebody wrote; somebody may be in danger.
REPLIED, DANGER = "replied", "danger"
#: Those of the cadence `summaries`, each of which a clinic may leave out.
MORNING, WEEKLY = "morning", "weekly"
#: What must be there, whatever the clinic's own cadences are: the steps by their cadence.
_OURS = {ALARMS: (RAISED, OVER), REPLIES: (*Answer, *StaffAnswer, REPLIED, DANGER)}


class Templates:
    """Everything that can be sent, by cadence, step, channel, language and role."""

    def __init__(
        self, clinic: Clinic, cadences: Mapping[str, Cadence], wordings: Mapping[Key, Wording]
    ) -> None:
        self.cadences = cadences
        self._clinic = clinic
        self._wordings = wordings

    @classmethod
    def read(cls, folder: Path, clinic: Clinic, public_url: str = "") -> Self:
        """Raises Refused, which is Misconfigured, unless `check_templates` finds nothing."""
        cadences, wordings, problems = _read(folder, clinic, public_url)
        refuse(problems)
        return cls(clinic, cadences, wordings)

    def render(
        self,
        *,
        cadence: str,
        step: str,
        channel: Channel,
        language: str,
        role: str,
        facts: Mapping[str, object],
    ) -> Message:
        """The message for a lead of that language and role (`Role`); `facts` as in `VARIABLES`.

        Staff are written to in the clinic's default language, as are patients whose language the
        clinic does not write. Raises NotFound when the folder no longer has such a step, and Unfit
        when a value makes the message say what it may not.
        """
        known = self.cadences.get(cadence)
        planned = known.find_step(step) if known else None
        if planned is None or channel not in planned.every_channel:
            raise NotFound(f"no wording for {cadence}/{step}.{channel}")
        wording = self._find(cadence, planned, channel, language, role)
        values = harmless({**facts, "language": wording.key.language}, channel)
        message = wording.fill(values)
        complaints = unfit(self._clinic, planned, wording, values, message)
        if complaints:
            raise Unfit(message.wording, complaints)
        return message

    def _find(
        self, cadence: str, planned: Step, channel: Channel, language: str, role: str
    ) -> Wording:
        step = planned.name
        if planned.audience is Audience.patient:
            variant = role if role == Role.referrer and cadence != REPLIES else None
            return self._wordings[
                Key(cadence, step, channel, self._clinic.language(language), variant)
            ]
        common = Key(cadence, step, channel, self._clinic.default_language)
        own = Key(cadence, step, channel, self._clinic.default_language, role)
        return self._wordings.get(own, self._wordings[common])


def check_templates(folder: Path, clinic: Clinic, public_url: str = "") -> list[Problem]:
    """Every problem of the folder: what cannot be read, what is missing, what may not be said.

    `public_url` is where our links lead, which tells how long they are.
    """
    return _read(folder, clinic, public_url)[2]


def pages_environment(folder: Path) -> Environment:
    """For the web pages of `templates/pages/`: values are escaped, unknown names are errors."""
    return ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(folder / "pages"),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _read(
    folder: Path, clinic: Clinic, public_url: str
) -> tuple[dict[str, Cadence], dict[Key, Wording], list[Problem]]:
    problems: list[Problem] = []
    cadences: dict[str, Cadence] = {}
    wordings: dict[Key, Wording] = {}
    for path in sorted(folder.glob(f"*/{_CADENCE_FILE}")):
        with collecting(problems):
            cadences[path.parent.name] = read_cadence(path)
    problems += _unknown_cadences(folder, clinic, cadences)
    letterheads = _Letterheads(folder, clinic)
    for cadence in cadences.values():
        problems += _strays(folder, cadence)
        for step, key in _owed(cadence, clinic, folder):
            with collecting(problems):
                source = Source.read(key.path(folder))
                problems += lint_words(clinic, source, step.audience)
                wording = _read_wording(source, key, step, letterheads)
                wordings[key] = wording
                problems += lint(clinic, step, wording, public_url)
    return cadences, wordings, list(dict.fromkeys(problems))


def _unknown_cadences(
    folder: Path, clinic: Clinic, cadences: Mapping[str, Cadence]
) -> Iterator[Problem]:
    for name, steps in _OURS.items():
        path = folder / name / _CADENCE_FILE
        if name not in cadences and not path.exists():
            yield Problem(path, None, f"is missing; {_MEANT_FOR[name]}")
        for step in steps:
            found = cadences[name].find_step(step) if name in cadences else None
            if name in cadences and found is None:
                yield Problem(path, None, f"expected a step {str(step)!r}")
            if found is not None and (wrong := _wrongly_told(found, step)):
                yield Problem(path, None, f"step {step}: expected {wrong}")
    for cadence in cadences.values():
        path = folder / cadence.name / _CADENCE_FILE
        for step in cadence.steps:
            if cadence.name == SUMMARIES and (wrong := _wrongly_told(step, step.name)):
                yield Problem(path, None, f"step {step.name}: expected {wrong}")
            # A delivery's key holds the step, and not the cadence.
            if cadence.name not in _OURS and step.name in _OURS[REPLIES]:
                yield Problem(path, None, f"step {step.name}: is a name of templates/replies/")
    for kind, form in clinic.forms.items():
        path = folder / form.cadence / _CADENCE_FILE
        if form.cadence not in cadences and not path.exists():
            yield Problem(path, None, f"is missing; clinic.toml names it: forms.{kind}.cadence")


def _wrongly_told(step: Step, name: str) -> str | None:
    """An answer goes where the text came from; all else of ours is for staff."""
    audience = Audience.patient if isinstance(name, Answer) else Audience.staff
    by_text_alone = isinstance(name, Answer | StaffAnswer)
    is_right = not by_text_alone or step.every_channel == (Channel.sms,)
    if step.audience is audience and is_right:
        return None
    return f"audience = '{audience}'{' and channels = ' + repr(['sms']) if by_text_alone else ''}"


_MEANT_FOR = {
    ALARMS: "it says how staff are told of the service's trouble",
    REPLIES: "it says how texts are answered, and how staff are told of them",
}


def _owed(cadence: Cadence, clinic: Clinic, folder: Path) -> Iterator[tuple[Step, Key]]:
    """Which wordings the cadence needs, and the staff's variants for referrers that there are."""
    for step in cadence.steps:
        for channel in step.every_channel:
            if step.audience is Audience.patient:
                for language in clinic.languages:
                    yield step, Key(cadence.name, step.name, channel, language)
                    if cadence.name != REPLIES:
                        yield step, Key(cadence.name, step.name, channel, language, Role.referrer)
            else:
                common = Key(cadence.name, step.name, channel, clinic.default_language)
                own = Key(cadence.name, step.name, channel, clinic.default_language, Role.referrer)
                yield step, common
                if own.path(folder).exists():
                    yield step, own


def _strays(folder: Path, cadence: Cadence) -> Iterator[Problem]:
    """Files that nothing would ever read: most likely a name typed wrong."""
    for path in sorted((folder / cadence.name).iterdir()):
        if path.name == _CADENCE_FILE or path.name.startswith(".") or path.name.endswith("~"):
            continue
        key = Key.of(path)
        step = cadence.find_step(key.step) if key else None
        if key is None or step is None or key.channel not in step.every_channel:
            expected = "STEP.email.LANGUAGE.md or STEP.sms.LANGUAGE.txt of one of its steps"
            yield Problem(path, None, f"expected a name such as {expected}")
        elif key.role not in (None, Role.referrer):
            yield Problem(path, None, f"expected no role but {Role.referrer}, got {key.role!r}")


class _Letterheads:
    """The page and footers around mail, each file read and checked once."""

    def __init__(self, folder: Path, clinic: Clinic) -> None:
        self._folder = folder
        self._clinic = clinic
        self._known: dict[Path, Source | Refused] = {}

    def around(self, key: Key, audience: Audience) -> Letterhead:
        """Raises Refused when a file of it is wrong."""
        page = self._get(self._folder / "email.html")
        if audience is Audience.staff:
            return Letterhead(page, None)
        name = f"footer.{key.language}{f'.{key.role}' if key.role else ''}.md"
        return Letterhead(page, self._get(self._folder / name))

    def _get(self, path: Path) -> Source:
        if path not in self._known:
            self._known[path] = self._checked(path)
        known = self._known[path]
        if isinstance(known, Refused):
            raise known
        return known

    def _checked(self, path: Path) -> Source | Refused:
        try:
            source = Source.read(path)
            if path.suffix == ".html":
                check_page(source)
            else:
                refuse(problems_in(source, {Place.body}))
                refuse(lint_words(self._clinic, source, Audience.patient))
        except Refused as refused:
            return refused
        return source


def _read_wording(source: Source, key: Key, step: Step, letterheads: _Letterheads) -> Wording:
    if key.channel is not Channel.email:
        return read_text(source, key, step.audience)
    return read_email(source, key, step.audience, letterheads.around(key, step.audience))
