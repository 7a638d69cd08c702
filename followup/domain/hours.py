"""When staff are expected to act (business hours) and when patients may be texted (quiet hours).

Hours are what the wall clock reads in a zone; answers are instants in UTC. Days on which a zone
changes its clocks need no care from the caller.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from itertools import accumulate, groupby, takewhile
from typing import Self
from zoneinfo import ZoneInfo

import holidays

#: Local times, start < end, the end not included; `time.max` as the end means midnight.
Interval = tuple[time, time]

_DAY = timedelta(days=1)
_DAY_SECONDS = 24 * 60 * 60


@dataclass(frozen=True)
class BusinessHours:
    """When staff of a site are expected to act.

    `week` has seven entries, Monday first, each with sorted and disjoint intervals; `holidays_of`
    is an ISO 3166-2 code whose public holidays are closed, as are the days of `closed_on`.
    Raises ValueError for anything else, and for a week that is never open.
    """

    zone: ZoneInfo
    week: tuple[tuple[Interval, ...], ...]
    holidays_of: str | None = None
    closed_on: frozenset[date] = frozenset()

    def __post_init__(self) -> None:
        _check_week(self.week)
        if self.holidays_of is not None:
            _check_holidays_code(self.holidays_of)

    def is_open(self, at: datetime) -> bool:
        local = _in_utc(at).astimezone(self.zone)
        return any(_contains(interval, local.time()) for interval in self._hours_on(local.date()))

    def next_open(self, at: datetime) -> datetime:
        """The first instant at or after `at` when the site is open, in UTC."""
        start, _ = next(self.openings(at))
        return start

    def add(self, at: datetime, delay: timedelta) -> datetime:
        """The instant by which `delay` of open time has passed since `at`, in UTC.

        Open time is real elapsed time, also across a change of clocks. A delay that is used up
        exactly at closing ends at that closing, not at the next opening; a delay of zero is
        `next_open(at)`. A negative delay raises ValueError.
        """
        if delay < timedelta(0):
            raise ValueError(f"expected a delay of zero or more, got {delay}")
        return _added(self, at, delay)

    def openings(self, at: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Open spans from `at` on, in order, without end; one may begin where another ended."""
        return _openings(self.zone, self._hours_on, at)

    def _hours_on(self, day: date) -> tuple[Interval, ...]:
        if day in self.closed_on or self._is_holiday(day):
            return ()
        return self.week[day.weekday()]

    def _is_holiday(self, day: date) -> bool:
        return self.holidays_of is not None and day in _public_holidays(self.holidays_of, day.year)


# The times of one lead are asked for again and again while it is planned, for each channel.
@lru_cache(maxsize=256)
def _added(hours: BusinessHours, at: datetime, delay: timedelta) -> datetime:
    openings = hours.openings(at)
    start, end = next(openings)
    while delay > end - start:
        delay -= end - start
        start, end = next(openings)
    return start + delay


class OpenTime:
    """How long a site was open between instants of one period: laid out once, asked many times."""

    def __init__(self, hours: BusinessHours, start: datetime, end: datetime) -> None:
        self._spans = list(takewhile(lambda span: span[0] < end, hours.openings(start)))
        lengths = (closes - opens for opens, closes in self._spans)
        #: Before each span.
        self._passed = list(accumulate(lengths, initial=timedelta(0)))

    def between(self, start: datetime, end: datetime) -> timedelta:
        return max(self._until(end) - self._until(start), timedelta(0))

    def _until(self, at: datetime) -> timedelta:
        place = bisect_right(self._spans, at, key=lambda span: span[0]) - 1
        if place < 0:
            return timedelta(0)
        opens, closes = self._spans[place]
        return self._passed[place] + min(at, closes) - opens


@dataclass(frozen=True)
class TextWindow:
    """When automated texts may arrive: one local interval a day, Monday first, None for no texts.

    None at all on public holidays of `holidays_of`, which are ISO 3166-2 codes. Raises ValueError
    unless there are seven entries, and at least one with an interval.
    """

    week: tuple[Interval | None, ...]
    holidays_of: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        _check_week(tuple(() if interval is None else (interval,) for interval in self.week))
        for code in self.holidays_of:
            _check_holidays_code(code)

    def __str__(self) -> str:
        runs = groupby(zip(_WEEKDAYS, self.week, strict=True), key=lambda day: day[1])
        said = [_said([name for name, _ in days], interval) for interval, days in runs if interval]
        kept = [f"not on holidays of {code}" for code in sorted(self.holidays_of)]
        return ", ".join(said + kept)

    def hours_on(self, day: date) -> tuple[Interval, ...]:
        interval = self.week[day.weekday()]
        if interval is None or any(
            day in _public_holidays(code, day.year) for code in self.holidays_of
        ):
            return ()
        return (interval,)

    def is_within(self, other: Self) -> bool:
        """Whether `other` allows everything that this one allows on an ordinary day."""
        both = met(self, other)
        return both is not None and both.week == self.week


def met(one: TextWindow | None, other: TextWindow | None) -> TextWindow | None:
    """What both allow; None when that is nothing."""
    if one is None or other is None:
        return None
    week = tuple(_overlap(*days) for days in zip(one.week, other.week, strict=True))
    return TextWindow(week, one.holidays_of | other.holidays_of) if any(week) else None


def _overlap(one: Interval | None, other: Interval | None) -> Interval | None:
    if one is None or other is None:
        return None
    start, end = max(one[0], other[0]), min(one[1], other[1])
    return (start, end) if start < end else None


_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def _said(days: list[str], interval: Interval) -> str:
    start, end = (f"{moment:%H:%M}" for moment in interval)
    names = days[0] if len(days) == 1 else f"{days[0]}-{days[-1]}"
    return f"{names} {start}-{'24:00' if interval[1] == time.max else end}"


def _check_week(week: tuple[tuple[Interval, ...], ...]) -> None:
    if len(week) != 7:
        raise ValueError(f"expected seven days, Monday first, got {len(week)}")
    if not any(week):
        raise ValueError("expected at least one day with hours, got none")
    for intervals in week:
        _check_day(intervals)


def _check_day(intervals: tuple[Interval, ...]) -> None:
    previous_end = time.min
    for start, end in intervals:
        if start.tzinfo or end.tzinfo:
            raise ValueError(f"expected local times without a time zone, got {start}-{end}")
        if start >= end:
            raise ValueError(f"expected a start before its end on the same day, got {start}-{end}")
        if start < previous_end:
            raise ValueError(
                f"expected sorted hours that do not overlap, got {start} before {previous_end}"
            )
        previous_end = end


#: Twice round the week: zones whose windows have not met by then will not.
_SEARCHED = timedelta(days=14)


def next_allowed(at: datetime, zones: Collection[ZoneInfo], window: TextWindow) -> datetime:
    """The first instant at or after `at` that is inside the window in every zone, in UTC.

    Where a person might be in several zones, all of them must allow the text. Raises ValueError
    when there are no zones, or no such instant within 14 days.
    """
    if not zones:
        raise ValueError("expected at least one time zone to keep quiet hours in")
    moment = _in_utc(at)
    latest_allowed = moment + _SEARCHED
    while True:
        latest = max(next(_openings(zone, window.hours_on, moment))[0] for zone in zones)
        if latest == moment:
            return moment
        if latest > latest_allowed:
            names = ", ".join(sorted(str(zone) for zone in zones))
            raise ValueError(f"no instant is inside the text window in all of: {names}")
        moment = latest


def _openings(
    zone: ZoneInfo, hours_on: Callable[[date], tuple[Interval, ...]], at: datetime
) -> Iterator[tuple[datetime, datetime]]:
    """Open spans from `at` on, in order, without end; one may begin where the last one ended."""
    for start, end, offset in _stretches(zone, _in_utc(at)):
        first, last = _plain(start, offset), _plain(end, offset)
        day = first.date()
        while day <= last.date():
            for opens, closes in hours_on(day):
                opening = max(first, datetime.combine(day, opens))
                closing = min(last, _end_of(day, closes))
                if opening < closing:
                    yield _instant(opening, offset), _instant(closing, offset)
            day += _DAY


def _stretches(zone: ZoneInfo, at: datetime) -> Iterator[tuple[datetime, datetime, timedelta]]:
    """Time from `at` on, cut into stretches of at most a day in which the UTC offset is constant.

    Within one, local arithmetic is safe: no hour is missing and none comes twice.
    """
    start = at
    while True:
        offset = _offset(zone, start)
        end = start + _DAY
        if _offset(zone, end) != offset:
            end = _clock_change(zone, start)
        yield start, end, offset
        start = end


def _clock_change(zone: ZoneInfo, start: datetime) -> datetime:
    """The first whole second after `start`, within a day, that has another UTC offset."""
    second = start.replace(microsecond=0)
    offset = _offset(zone, start)
    seconds = bisect_left(
        range(_DAY_SECONDS + 1),
        True,
        key=lambda passed: _offset(zone, second + timedelta(seconds=passed)) != offset,
    )
    return second + timedelta(seconds=seconds)


def _offset(zone: ZoneInfo, at: datetime) -> timedelta:
    return at.astimezone(zone).utcoffset() or timedelta(0)


def _plain(at: datetime, offset: timedelta) -> datetime:
    return at.replace(tzinfo=None) + offset


def _instant(local: datetime, offset: timedelta) -> datetime:
    return (local - offset).replace(tzinfo=UTC)


def _end_of(day: date, closes: time) -> datetime:
    if closes == time.max:
        return datetime.combine(day + _DAY, time.min)
    return datetime.combine(day, closes)


def _contains(interval: Interval, local: time) -> bool:
    start, end = interval
    return start <= local and (local < end or end == time.max)


def _in_utc(at: datetime) -> datetime:
    if at.utcoffset() is None:
        raise ValueError("expected a datetime with its time zone, got a naive one")
    return at.astimezone(UTC)


def _check_holidays_code(code: str) -> None:
    country, _, subdivision = code.partition("-")
    try:
        holidays.country_holidays(country, subdiv=subdivision or None)
    except NotImplementedError as error:
        raise ValueError(f"expected an ISO 3166-2 code such as US-CA, got {code!r}") from error


@cache
def _public_holidays(code: str, year: int) -> frozenset[date]:
    # The library's own calendar fills itself while it is read, which is not safe among threads.
    country, _, subdivision = code.partition("-")
    return frozenset(holidays.country_holidays(country, subdiv=subdivision or None, years=year))
