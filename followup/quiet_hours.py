"""The [text_hours] table of clinic.toml: when the clinic texts patients, by state."""

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from followup.domain.area_code import STATES
from followup.domain.hours import Interval, TextWindow
from followup.domain.text_hours import (
    DEFAULT_WINDOW,
    FEDERAL_WINDOW,
    STATE_RULES,
    StateRule,
    TextHours,
)
from followup.toml_file import parse_interval


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Span = Annotated[Interval, BeforeValidator(parse_interval)]


class TextWeek(_Table):
    """When patients may be texted, by their own local time; none on a day that is left out."""

    mon: Span | None = None
    tue: Span | None = None
    wed: Span | None = None
    thu: Span | None = None
    fri: Span | None = None
    sat: Span | None = None
    sun: Span | None = None
    #: No text on these public holidays either.
    holidays: str | None = None

    @model_validator(mode="after")
    def _make_sense(self) -> Self:
        if not self.window.is_within(FEDERAL_WINDOW):
            raise ValueError(f"expected hours within {FEDERAL_WINDOW}, as 47 CFR 64.1200(c)(1) has")
        return self

    @property
    def window(self) -> TextWindow:
        week = (self.mon, self.tue, self.wed, self.thu, self.fri, self.sat, self.sun)
        return TextWindow(week, frozenset({self.holidays} if self.holidays else ()))


class StateWeek(TextWeek):
    """The same for numbers of one state, in place of our reading of its law."""

    #: Texts to one number in 24 hours.
    most_per_day: int | None = Field(default=None, ge=1)


def _state(code: str) -> str:
    if code not in STATES:
        raise ValueError("expected the postal letters of a state, such as FL")
    return code


State = Annotated[str, AfterValidator(_state)]


class QuietHours(_Table):
    """Texts wait outside of these hours, mail does not. Without it, our own careful table holds."""

    default: TextWeek | None = None
    states: Mapping[State, StateWeek] = Field(default_factory=dict)

    @cached_property
    def rules(self) -> TextHours:
        default = self.default.window if self.default else DEFAULT_WINDOW
        return TextHours(default, {name: _rule(name, week) for name, week in self.states.items()})


def _rule(state: str, week: StateWeek) -> StateRule:
    """What the clinic leaves out, our table still says: holidays, and how many a day."""
    ours = STATE_RULES.get(state, StateRule())
    window = TextWindow(week.window.week, week.window.holidays_of or ours.window.holidays_of)
    return StateRule(window, week.most_per_day or ours.most_per_day)
