"""Quiet hours and business hours: their edges, the days that clocks change, and their laws."""

from collections.abc import Collection
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from followup.domain.hours import (
    BusinessHours,
    Interval,
    OpenTime,
    TextWindow,
    met,
    next_allowed,
)
from followup.domain.text_hours import DEFAULT_WINDOW

LOS_ANGELES = ZoneInfo("America/Los_Angeles")
NEW_YORK = ZoneInfo("America/New_York")
PHOENIX = ZoneInfo("America/Phoenix")

MORNING = (time(9), time(12))
AFTERNOON = (time(13), time(17))
ALL_DAY = (time.min, time.max)

OFFICE = BusinessHours(
    LOS_ANGELES, ((MORNING, AFTERNOON),) * 5 + ((), ()), "US-CA", frozenset({date(2027, 1, 4)})
)
ALWAYS = BusinessHours(LOS_ANGELES, ((ALL_DAY,),) * 7)
NIGHTS = BusinessHours(LOS_ANGELES, (((time(1, 30), time(3, 30)),),) * 7)


def la(text: str, *, fold: int = 0) -> datetime:
    # In UTC, because datetimes of two zones never compare equal within a repeated hour.
    local = datetime.fromisoformat(text).replace(tzinfo=LOS_ANGELES, fold=fold)
    return local.astimezone(UTC)


def minutes(count: int) -> timedelta:
    return timedelta(minutes=count)


@pytest.mark.parametrize(
    ("at", "is_open"),
    [
        pytest.param("2026-12-01 08:59:59", False, id="a second before opening"),
        pytest.param("2026-12-01 09:00", True, id="at opening"),
        pytest.param("2026-12-01 11:59:59", True, id="a second before lunch"),
        pytest.param("2026-12-01 12:00", False, id="at lunch"),
        pytest.param("2026-12-01 13:00", True, id="after lunch"),
        pytest.param("2026-12-01 17:00", False, id="at closing"),
        pytest.param("2026-12-05 10:00", False, id="on Saturday"),
        pytest.param("2026-12-25 10:00", False, id="on Christmas Day"),
        pytest.param("2026-11-27 10:00", False, id="on a holiday of California only"),
        pytest.param("2027-12-31 10:00", False, id="on a holiday kept the Friday before"),
        pytest.param("2027-01-04 10:00", False, id="on a day of its own"),
    ],
)
def test_a_site_is_open_from_opening_until_just_before_closing(at: str, is_open: bool) -> None:
    assert OFFICE.is_open(la(at)) is is_open


def test_an_instant_is_read_on_the_clock_of_the_site() -> None:
    assert OFFICE.is_open(datetime(2026, 12, 1, 12, 30, tzinfo=NEW_YORK))
    assert not OFFICE.is_open(datetime(2026, 12, 1, 9, 30, tzinfo=NEW_YORK))


@pytest.mark.parametrize(
    ("at", "opens"),
    [
        pytest.param("2026-12-01 10:17", "2026-12-01 10:17", id="open now"),
        pytest.param("2026-12-01 07:00", "2026-12-01 09:00", id="before opening"),
        pytest.param("2026-12-01 12:00", "2026-12-01 13:00", id="at lunch"),
        pytest.param("2026-12-04 17:00", "2026-12-07 09:00", id="Friday at closing"),
        pytest.param("2026-12-31 17:00", "2027-01-05 09:00", id="over New Year and a closed day"),
    ],
)
def test_the_next_opening_is_now_or_the_first_instant_open(at: str, opens: str) -> None:
    opening = OFFICE.next_open(la(at))

    assert opening == la(opens)
    assert opening.tzinfo is UTC


@pytest.mark.parametrize(
    ("at", "delay", "reached"),
    [
        pytest.param("2026-12-01 10:00", 0, "2026-12-01 10:00", id="nothing, while open"),
        pytest.param("2026-12-01 17:00", 0, "2026-12-02 09:00", id="nothing, at closing"),
        pytest.param("2026-12-01 10:00", 30, "2026-12-01 10:30", id="within the morning"),
        pytest.param("2026-12-01 11:30", 60, "2026-12-01 13:30", id="over lunch"),
        pytest.param("2026-12-01 16:55", 5, "2026-12-01 17:00", id="to the minute of closing"),
        pytest.param("2026-12-01 16:55", 6, "2026-12-02 09:01", id="a minute past closing"),
        pytest.param("2026-12-01 17:00", 5, "2026-12-02 09:05", id="from closing"),
        pytest.param("2026-12-04 16:30", 60, "2026-12-07 09:30", id="over a weekend"),
        pytest.param("2026-12-01 09:00", 7 * 60, "2026-12-01 17:00", id="a whole day"),
        pytest.param("2026-11-25 16:00", 120, "2026-11-30 10:00", id="over Thanksgiving"),
    ],
)
def test_only_open_time_counts_towards_a_delay(at: str, delay: int, reached: str) -> None:
    assert OFFICE.add(la(at), minutes(delay)) == la(reached)


@pytest.mark.parametrize("hours", [OFFICE, ALWAYS, NIGHTS])
@pytest.mark.parametrize("start", ["2026-10-30 08:00", "2026-10-30 12:30", "2027-03-12 16:59"])
@pytest.mark.parametrize("delay", [0, 1, 45, 500, 2000])
def test_open_time_between_is_what_was_added(hours: BusinessHours, start: str, delay: int) -> None:
    """Over weekends on which the clocks change."""
    begun = la(start)
    open_time = OpenTime(hours, begun - minutes(5000), begun + minutes(30000))

    assert open_time.between(begun, hours.add(begun, minutes(delay))) == minutes(delay)
    assert open_time.between(begun, begun - minutes(1)) == timedelta(0)


def test_a_day_that_ends_at_midnight_runs_into_the_next_without_a_gap() -> None:
    assert ALWAYS.is_open(la("2026-12-01 23:59:59.999999"))
    assert ALWAYS.add(la("2026-12-01 23:30"), minutes(60)) == la("2026-12-02 00:30")


def test_a_day_is_an_hour_shorter_when_the_clocks_go_forward() -> None:
    reached = ALWAYS.add(la("2027-03-14 00:00"), timedelta(hours=24))

    assert reached == la("2027-03-15 01:00")


def test_a_day_is_an_hour_longer_when_the_clocks_go_back() -> None:
    reached = ALWAYS.add(la("2026-11-01 00:00"), timedelta(hours=24))

    assert reached == la("2026-11-01 23:00")


def test_hours_that_the_clocks_skip_are_not_counted() -> None:
    two_hours_of_wall_clock = NIGHTS.add(la("2027-03-14 00:00"), minutes(60))

    assert two_hours_of_wall_clock == la("2027-03-14 03:30")


def test_hours_that_the_clocks_repeat_are_counted_twice() -> None:
    first, second = la("2026-11-01 01:45"), la("2026-11-01 01:45", fold=1)

    assert NIGHTS.is_open(first)
    assert NIGHTS.is_open(second)
    assert NIGHTS.add(first, minutes(30)) == second


def test_a_site_that_would_open_in_a_skipped_hour_opens_when_the_clocks_have_changed() -> None:
    hours = BusinessHours(LOS_ANGELES, (((time(2, 30), time(9)),),) * 7)

    assert hours.next_open(la("2027-03-14 01:00")) == la("2027-03-14 03:00")


@pytest.mark.parametrize(
    ("week", "complaint"),
    [
        pytest.param(((MORNING,),) * 6, "seven days", id="six days"),
        pytest.param(((),) * 7, "at least one day", id="never open"),
        pytest.param((((time(22), time(2)),),) * 7, "same day", id="across midnight"),
        pytest.param((((time(9), time(9)),),) * 7, "same day", id="no time at all"),
        pytest.param(((AFTERNOON, MORNING),) * 7, "sorted", id="unsorted"),
        pytest.param(((MORNING, (time(11), time(14))),) * 7, "overlap", id="overlapping"),
        pytest.param((((time(9, tzinfo=UTC), time(17)),),) * 7, "time zone", id="zoned"),
    ],
)
def test_hours_that_make_no_sense_are_refused(
    week: tuple[tuple[Interval, ...], ...], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        BusinessHours(LOS_ANGELES, week)


@pytest.mark.parametrize("code", ["XX", "US-ZZ", "us-ca", "California"])
def test_an_unknown_calendar_of_holidays_is_refused(code: str) -> None:
    with pytest.raises(ValueError, match="ISO 3166-2"):
        BusinessHours(LOS_ANGELES, ((MORNING,),) * 7, code)


def test_a_site_without_a_calendar_keeps_no_holidays() -> None:
    hours = BusinessHours(LOS_ANGELES, ((MORNING,),) * 7)

    assert hours.is_open(la("2026-12-25 10:00"))


def test_a_negative_delay_is_refused() -> None:
    with pytest.raises(ValueError, match="zero or more"):
        OFFICE.add(la("2026-12-01 10:00"), minutes(-1))


def test_a_time_without_its_zone_is_refused() -> None:
    naive = la("2026-12-01 10:00").replace(tzinfo=None)

    for ask in (
        OFFICE.is_open,
        OFFICE.next_open,
        lambda at: next_allowed(at, [PHOENIX], DEFAULT_WINDOW),
    ):
        with pytest.raises(ValueError, match="naive"):
            ask(naive)
    with pytest.raises(ValueError, match="naive"):
        OFFICE.add(naive, minutes(1))


@pytest.mark.parametrize(
    ("at", "allowed"),
    [
        pytest.param("2026-12-01 08:59:59", "2026-12-01 09:00", id="a second early"),
        pytest.param("2026-12-01 09:00", "2026-12-01 09:00", id="at nine"),
        pytest.param("2026-12-01 19:59:59", "2026-12-01 19:59:59", id="a second before eight"),
        pytest.param("2026-12-01 20:00", "2026-12-02 09:00", id="at eight"),
        pytest.param("2026-12-05 20:00", "2026-12-06 12:00", id="Saturday night"),
        pytest.param("2026-12-06 11:59:59", "2026-12-06 12:00", id="Sunday before noon"),
        pytest.param("2026-12-06 20:00", "2026-12-07 09:00", id="Sunday night"),
        pytest.param("2027-03-13 23:00", "2027-03-14 12:00", id="the clocks go forward"),
        pytest.param("2027-03-14 03:00", "2027-03-14 12:00", id="just after going forward"),
        pytest.param("2026-11-01 01:30", "2026-11-01 12:00", id="the hour that comes twice"),
    ],
)
def test_a_text_waits_for_the_window_of_its_recipient(at: str, allowed: str) -> None:
    assert next_allowed(la(at), [LOS_ANGELES], DEFAULT_WINDOW) == la(allowed)


def test_a_text_to_two_possible_zones_waits_for_both() -> None:
    zones = [LOS_ANGELES, NEW_YORK]

    assert next_allowed(la("2026-12-01 06:00"), zones, DEFAULT_WINDOW) == la("2026-12-01 09:00")
    assert next_allowed(la("2026-12-01 16:59"), zones, DEFAULT_WINDOW) == la("2026-12-01 16:59")
    assert next_allowed(la("2026-12-01 17:00"), zones, DEFAULT_WINDOW) == la("2026-12-02 09:00")


def test_a_window_may_vanish_for_days() -> None:
    tuesdays = TextWindow((None, (time(9), time(17)), None, None, None, None, None))

    assert next_allowed(la("2026-12-01 17:00"), [PHOENIX], tuesdays) == datetime(
        2026, 12, 8, 9, tzinfo=PHOENIX
    )


def test_zones_that_are_never_awake_together_are_refused() -> None:
    brief = TextWindow(((time(9), time(10)),) * 7)

    with pytest.raises(ValueError, match="America/New_York"):
        next_allowed(la("2026-12-01 09:00"), [LOS_ANGELES, NEW_YORK], brief)


def test_no_zone_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one time zone"):
        next_allowed(la("2026-12-01 09:00"), [], DEFAULT_WINDOW)


@pytest.mark.parametrize(
    "week",
    [
        pytest.param((MORNING,) * 6, id="six days"),
        pytest.param((None,) * 7, id="never"),
        pytest.param(((time(20), time(9)),) * 7, id="across midnight"),
    ],
)
def test_a_window_that_makes_no_sense_is_refused(week: tuple[Interval | None, ...]) -> None:
    with pytest.raises(ValueError, match="expected"):
        TextWindow(week)


THANKSGIVING_OFF = TextWindow(((time(9), time(20)),) * 7, frozenset({"US"}))


@pytest.mark.parametrize(
    ("at", "allowed"),
    [
        pytest.param("2026-11-25 20:00", "2026-11-27 09:00", id="over Thanksgiving"),
        pytest.param("2026-11-26 12:00", "2026-11-27 09:00", id="on Thanksgiving"),
        pytest.param("2026-07-02 20:00", "2026-07-05 09:00", id="the Fourth kept a day early"),
        pytest.param("2026-12-24 19:59", "2026-12-24 19:59", id="on the eve of Christmas"),
    ],
)
def test_a_window_may_be_shut_on_holidays(at: str, allowed: str) -> None:
    assert next_allowed(la(at), [LOS_ANGELES], THANKSGIVING_OFF) == la(allowed)


def test_what_two_windows_allow_is_what_both_allow() -> None:
    weekdays = TextWindow(((time(8), time(12)),) * 5 + (None, None), frozenset({"US-AL"}))

    both = met(THANKSGIVING_OFF, weekdays)

    assert both == TextWindow(((time(9), time(12)),) * 5 + (None, None), frozenset({"US", "US-AL"}))
    assert met(weekdays, TextWindow((None,) * 5 + ((time(8), time(12)),) * 2)) is None
    assert met(None, weekdays) is None


def test_a_window_reads_as_people_write_it() -> None:
    assert str(DEFAULT_WINDOW) == "Mon-Sat 09:00-20:00, Sun 12:00-20:00"
    late = TextWindow((None, (time(9), time.max)) + (None,) * 5, frozenset({"US"}))
    assert str(late) == "Tue 09:00-24:00, not on holidays of US"


# Zones with changes of an hour, of half an hour, at midnight, of a whole day, and none.
ZONES = [
    ZoneInfo(name)
    for name in (
        "America/Los_Angeles",
        "America/New_York",
        "America/Phoenix",
        "America/Havana",
        "America/St_Johns",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
        "Pacific/Apia",
        "Pacific/Kiritimati",
        "UTC",
    )
]
# Los Angeles forward and back, Havana forward, St. John's back at 00:01, Apia without a Friday.
CHANGES = [
    datetime(2027, 3, 14, 10, tzinfo=UTC),
    datetime(2026, 11, 1, 9, tzinfo=UTC),
    datetime(2027, 3, 14, 5, tzinfo=UTC),
    datetime(2010, 11, 7, 2, 31, tzinfo=UTC),
    datetime(2011, 12, 30, 10, tzinfo=UTC),
]
MINUTE = minutes(1)

instants = st.one_of(
    st.builds(
        lambda change, offset: change + minutes(offset),
        st.sampled_from(CHANGES),
        st.integers(-2 * 24 * 60, 2 * 24 * 60),
    ),
    st.integers(0, 40 * 365 * 24 * 60).map(
        lambda count: datetime(2000, 1, 1, tzinfo=UTC) + minutes(count)
    ),
)
local_times = st.one_of(
    st.builds(time, st.integers(0, 23), st.sampled_from([0, 1, 30, 59])), st.just(time.max)
)


@st.composite
def days(draw: st.DrawFn) -> tuple[Interval, ...]:
    edges = sorted(draw(st.lists(local_times, min_size=2, max_size=4, unique=True)))
    return tuple(zip(edges[::2], edges[1::2], strict=False))


weeks = st.lists(st.one_of(days(), st.just(())), min_size=7, max_size=7).map(tuple)
windows = st.lists(
    st.one_of(days().map(lambda day: day[0]), st.none()), min_size=7, max_size=7
).map(tuple)


@st.composite
def sites(draw: st.DrawFn) -> BusinessHours:
    week = draw(weeks.filter(any))
    return BusinessHours(draw(st.sampled_from(ZONES)), week)


def is_inside(at: datetime, zones: Collection[ZoneInfo], window: TextWindow) -> bool:
    """The rule itself, read off the wall clocks."""
    return all(clock_is_inside(at.astimezone(zone), window) for zone in zones)


def clock_is_inside(local: datetime, window: TextWindow) -> bool:
    interval = window.week[local.weekday()]
    if interval is None:
        return False
    start, end = interval
    return start <= local.time() and (local.time() < end or end == time.max)


def minutes_between(start: datetime, end: datetime) -> list[datetime]:
    return [start + minutes(count) for count in range((end - start) // MINUTE)]


@given(
    at=instants,
    zones=st.lists(st.sampled_from(ZONES), min_size=1, max_size=3),
    window=st.one_of(st.just(DEFAULT_WINDOW), windows.filter(any).map(TextWindow)),
)
@settings(max_examples=60, deadline=None)
def test_the_next_allowed_instant_is_the_first_one_inside_in_every_zone(
    at: datetime, zones: list[ZoneInfo], window: TextWindow
) -> None:
    try:
        allowed = next_allowed(at, zones, window)
    except ValueError:
        allowed = None

    end = at + timedelta(days=3) if allowed is None else allowed
    scanned = minutes_between(at, min(end, at + timedelta(days=3)))
    assert not any(is_inside(moment, zones, window) for moment in scanned)
    if allowed is not None:
        assert allowed >= at
        assert is_inside(allowed, zones, window)


@given(hours=sites(), at=instants)
@settings(max_examples=60, deadline=None)
def test_the_next_opening_is_the_first_instant_that_is_open(
    hours: BusinessHours, at: datetime
) -> None:
    opening = hours.next_open(at)

    assert hours.is_open(opening)
    assert not any(map(hours.is_open, minutes_between(at, opening)[:5000]))


@given(hours=sites(), at=instants, delay=st.integers(1, 1500))
@settings(max_examples=60, deadline=None)
def test_between_an_instant_and_its_delay_the_site_is_open_for_exactly_that_long(
    hours: BusinessHours, at: datetime, delay: int
) -> None:
    reached = hours.add(at, minutes(delay))
    assume(reached - at <= timedelta(days=8))

    passed = minutes_between(at, reached)

    assert sum(map(hours.is_open, passed)) == delay
    assert hours.is_open(passed[-1])


@given(
    hours=sites(),
    starts=st.tuples(instants, st.timedeltas(timedelta(0), timedelta(days=3))),
    delays=st.tuples(
        st.timedeltas(timedelta(0), timedelta(days=2)),
        st.timedeltas(timedelta(0), timedelta(days=2)),
    ),
)
@settings(max_examples=150, deadline=None)
def test_a_later_start_or_a_longer_delay_never_ends_earlier(
    hours: BusinessHours,
    starts: tuple[datetime, timedelta],
    delays: tuple[timedelta, timedelta],
) -> None:
    at, shift = starts
    delay, more = delays
    reached = hours.add(at, delay)

    assert reached >= at
    assert hours.add(at, delay + more) >= reached
    assert hours.add(at + shift, delay) >= reached
    assert hours.add(at, timedelta(0)) == hours.next_open(at)
