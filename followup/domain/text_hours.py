"""When a number may be texted, and how often, by the states that it may be in.

The rows are those of state laws on telephone solicitation. An answer to somebody's own request is
mostly outside of them, but one careful window for every automated text is simpler, and safer.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time
from functools import cache, reduce
from zoneinfo import ZoneInfo

from followup.domain.address import parse_phone
from followup.domain.area_code import states_of
from followup.domain.hours import Interval, TextWindow, met


def _window(
    weekdays: str, saturday: str = "", sunday: str = "", *, holidays_of: str | None = None
) -> TextWindow:
    week = (*[_hours(weekdays)] * 5, _hours(saturday), _hours(sunday))
    return TextWindow(week, frozenset({holidays_of} if holidays_of else ()))


def _hours(text: str) -> Interval | None:
    start, _, end = text.partition("-")
    return (time(int(start)), time(int(end))) if text else None


#: 47 CFR 64.1200(c)(1) allows solicitations from 8 a.m. to 9 p.m. at the called party's location.
#: No window of a clinic's own may be wider.
FEDERAL_WINDOW = _window("8-21", "8-21", "8-21")

#: Our own choice: inside the hours of most states, and of California's AB 1865 if it becomes law.
DEFAULT_WINDOW = _window("9-20", "9-20", "12-20")


@dataclass(frozen=True)
class StateRule:
    """What a state allows; `most_per_day` texts in 24 hours to one person, None without a limit."""

    window: TextWindow = FEDERAL_WINDOW
    most_per_day: int | None = None


_UNTIL_EIGHT = _window("8-20", "8-20", "8-20")
_NOT_ON_SUNDAYS = _window("8-20", "8-20")

#: States that are stricter than the federal rule. Sources: dropcowboy.com/state-compliance, and
#: where named dinsmore.com (OK), foster.com (TX), jdsupra.com (OR, HB 3865), wa-law.org (WA,
#: RCW 80.36.390). Where tables disagree (MA, MI, MN) the stricter one stands here.
STATE_RULES: Mapping[str, StateRule] = {
    "AL": StateRule(_window("8-20", "8-20", holidays_of="US")),
    "CT": StateRule(_window("9-20", "9-20", "9-20")),
    "FL": StateRule(_UNTIL_EIGHT, most_per_day=3),  # Fla. Stat. 501.059
    "KY": StateRule(_window("10-21", "10-21", "10-21")),
    "LA": StateRule(_NOT_ON_SUNDAYS),
    "MA": StateRule(_UNTIL_EIGHT),
    "MD": StateRule(_UNTIL_EIGHT),
    "ME": StateRule(_window("9-17")),
    "MI": StateRule(_window("9-21", "9-21", "9-21")),
    "MN": StateRule(_window("9-21", "9-21", "9-21")),
    "MS": StateRule(_NOT_ON_SUNDAYS),
    "NM": StateRule(_window("9-21", "9-21", "9-21")),
    "NV": StateRule(_window("9-20", "9-20", "9-20")),
    "OK": StateRule(_UNTIL_EIGHT, most_per_day=3),
    "OR": StateRule(_UNTIL_EIGHT, most_per_day=3),
    "PA": StateRule(_window("8-21", "8-21")),
    "RI": StateRule(_window("9-18", "10-17")),
    "TX": StateRule(_window("9-21", "9-21", "12-21")),
    "WA": StateRule(_UNTIL_EIGHT),
}


@dataclass(frozen=True)
class Allowance:
    """Where a number may be, and what that allows; `window` None means no text at any time."""

    zones: frozenset[ZoneInfo]
    states: frozenset[str]
    window: TextWindow | None
    most_per_day: int | None


@dataclass(frozen=True)
class TextHours:
    """The clinic's own: the window of a number without a stricter state, and the rules of states
    as the clinic's counsel reads them, which stand in place of ours."""

    default: TextWindow = DEFAULT_WINDOW
    states: Mapping[str, StateRule] = field(default_factory=dict)

    def allowance(self, phone: str, site_zone: ZoneInfo) -> Allowance:
        """For a number in E.164. Where it may be in several zones or states, all must allow.

        Without a zone of its own it has none at all, not even the site's: what is not known must
        not open a window (next_allowed refuses).
        """
        own_zones = [_zone(name) for name in parse_phone(phone).zones]
        states = states_of(phone)
        caps = [rule.most_per_day for rule in map(self._rule, states) if rule.most_per_day]
        return Allowance(
            zones=frozenset((*own_zones, site_zone) if own_zones else ()),
            states=states,
            window=self._window(states),
            most_per_day=min(caps, default=None),
        )

    def _window(self, states: frozenset[str]) -> TextWindow | None:
        return reduce(met, map(self._window_in, sorted(states))) if states else self.default

    def _window_in(self, state: str) -> TextWindow | None:
        rule = self._rule(state)
        return rule.window if state in self.states else met(rule.window, self.default)

    def _rule(self, state: str) -> StateRule:
        return self.states.get(state) or STATE_RULES.get(state, _NO_RULE)


_NO_RULE = StateRule()


@cache
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
