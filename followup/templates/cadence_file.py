"""Reads a cadence.toml: the steps that a kind of lead is owed. `domain/cadence.py` runs them."""

import re
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from followup.domain.cadence import (
    TO_PATIENTS,
    Audience,
    Cadence,
    Channel,
    Clock,
    Lane,
    Step,
)
from followup.errors import Misconfigured
from followup.templates.problem import Problem, Refused
from followup.toml_file import Duration, key_path, parse_duration, problems_of, read_toml

_ZERO = timedelta(0)


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _name(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9-]*", text):
        raise ValueError("expected small letters, digits and hyphens")
    return text


class _StepTable(_Table):
    name: Annotated[str, AfterValidator(_name)]
    audience: Audience
    channels: tuple[Channel, ...] = Field(min_length=1)
    lane: Lane
    after: tuple[Duration, ...] = Field(min_length=1)
    clock: Clock = Clock.wall
    then_every: Duration | None = None
    escalate_from: Annotated[int, Field(ge=1)] | None = None
    expires: dict[Channel, Duration] = Field(default_factory=dict)
    waits_for_opening: frozenset[Channel] = frozenset()
    fallback: tuple[Channel, ...] = ()
    acknowledges: bool = False
    informational: bool = True

    @model_validator(mode="after")
    def _agree(self) -> Self:
        for complaint in (self._wrong_times(), self._wrong_audience(), self._wrong_channels()):
            if complaint:
                raise ValueError(complaint)
        return self

    def _wrong_times(self) -> str | None:
        if any(
            later <= earlier for earlier, later in zip(self.after, self.after[1:], strict=False)
        ):
            return "after: expected delays that grow"
        if self.then_every is not None and self.then_every <= _ZERO:
            return "then_every: expected more than nothing"
        if any(life <= _ZERO for life in self.expires.values()):
            return "expires: expected more than nothing"
        return None

    def _wrong_channels(self) -> str | None:
        channels = (*self.channels, *self.fallback)
        if len(set(channels)) < len(channels):
            return "channels and fallback: expected each channel once"
        if not set(self.expires) | self.waits_for_opening <= set(channels):
            return "expires and waits_for_opening: expected only the step's own channels"
        never = [channel for channel in channels if channel not in self.expires]
        if never and self.then_every is None:
            return f"expires: expected a time for {never[0]}, as the step has a last occurrence"
        return None

    def _wrong_audience(self) -> str | None:
        if self.escalate_from is not None and self.audience is Audience.patient:
            return "escalate_from: expected only with audience = 'staff'"
        if self.acknowledges and self.audience is Audience.staff:
            return "acknowledges: expected only with audience = 'patient'"
        channels = {*self.channels, *self.fallback}
        if self.audience is Audience.patient and not channels <= set(TO_PATIENTS):
            return "channels and fallback: expected chat only with audience = 'staff'"
        if self.fallback and self.audience is Audience.staff:
            return "fallback: expected only with audience = 'patient'"
        return None

    @property
    def step(self) -> Step:
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return Step(**values)


class _CadenceTable(_Table):
    version: int = Field(ge=1)
    steps: tuple[_StepTable, ...] = Field(min_length=1)


def read_cadence(path: Path) -> Cadence:
    """The cadence named like the file's folder; raises Refused naming file, step and key."""
    try:
        document = read_toml(path)
    except Misconfigured as error:
        line = re.search(r"at line (\d+)", str(error))
        message = str(error).removeprefix(f"{path}: ")
        raise Refused([Problem(path, int(line[1]) if line else None, message)]) from error
    try:
        table = _CadenceTable.model_validate(document)
    except ValidationError as error:
        text = path.read_text(encoding="utf-8")
        found = problems_of(error)
        raise Refused([_problem(path, text, document, *one) for one in found]) from error
    if problems := [*_same_names(path, table), *_days_of_open_time(path, document)]:
        raise Refused(problems)
    return Cadence(path.parent.name, table.version, tuple(step.step for step in table.steps))


def _same_names(path: Path, table: _CadenceTable) -> list[Problem]:
    counts = Counter(step.name for step in table.steps)
    return [
        Problem(path, None, f"step {name}: name: expected a different one for each step")
        for name, count in counts.items()
        if count > 1
    ]


def _days_of_open_time(path: Path, document: dict[str, Any]) -> list[Problem]:
    """A `1d` of open time would be 24 open hours, which is three days: nobody means that."""
    return [
        Problem(
            path, None, f'step {step["name"]}: after: expected open hours such as "8h", got {d}'
        )
        for step in document["steps"]
        if step.get("clock") == Clock.business
        for d in [*step["after"], step.get("then_every", "")]
        if d.endswith("d") and parse_duration(d)
    ]


def _problem(
    path: Path, text: str, document: dict[str, Any], location: tuple[str | int, ...], message: str
) -> Problem:
    match location:
        case ("steps", int(index), *rest):
            step = document["steps"][index]
            name = step.get("name", f"number {index + 1}") if isinstance(step, dict) else index + 1
            path_in_step = f"{key_path(rest)}: " if rest else ""
            line = _line_of_step(text, index, str(rest[0]) if rest else "")
            return Problem(path, line, f"step {name}: {path_in_step}{message}")
        case _:
            return Problem(path, None, f"{key_path(location)}: {message}")


def _line_of_step(text: str, index: int, key: str) -> int | None:
    """Where the step's key stands, else where the step begins; None for another way of writing."""
    lines = text.splitlines()
    starts = [n for n, line in enumerate(lines) if line.strip().startswith("[[steps]]")]
    if index >= len(starts):
        return None
    end = starts[index + 1] if index + 1 < len(starts) else len(lines)
    key_line = re.compile(rf"\s*{re.escape(key)}\s*=")
    here = (n for n in range(starts[index], end) if key and key_line.match(lines[n]))
    return next(here, starts[index]) + 1
