"""When each occurrence of a step is due, which comes next, and when it is no longer worth it."""

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from followup.domain.cadence import Audience, Cadence, Channel, Clock, Lane, Step
from followup.domain.hours import BusinessHours

LOS_ANGELES = ZoneInfo("America/Los_Angeles")
OFFICE = BusinessHours(LOS_ANGELES, (((time(9), time(17)),),) * 5 + ((), ()))

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def la(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=LOS_ANGELES).astimezone(UTC)


def step(**changes: Any) -> Step:
    usual: Mapping[str, Any] = {
        "name": "reminder",
        "audience": Audience.staff,
        "channels": (Channel.email, Channel.sms),
        "lane": Lane.reminder,
        "after": (5 * MINUTE, 15 * MINUTE, HOUR),
        "clock": Clock.business,
        "then_every": 2 * HOUR,
    }
    return Step(**{**usual, **changes})


ONCE = step(then_every=None, after=(HOUR,))
FRIDAY_EVENING = la("2026-12-04 16:50")


@pytest.mark.parametrize(
    ("occurrence", "due_at"),
    [
        pytest.param(1, "2026-12-04 16:55", id="first"),
        pytest.param(2, "2026-12-07 09:05", id="second, over the weekend"),
        pytest.param(3, "2026-12-07 09:50", id="third"),
        pytest.param(4, "2026-12-07 11:50", id="first repetition"),
        pytest.param(6, "2026-12-07 15:50", id="third repetition"),
        pytest.param(7, "2026-12-08 09:50", id="repetition over a night"),
    ],
)
def test_a_business_step_counts_only_open_time(occurrence: int, due_at: str) -> None:
    assert step().due_at(occurrence, FRIDAY_EVENING, OFFICE) == la(due_at)


@pytest.mark.parametrize(
    ("occurrence", "due_at"),
    [(1, "2026-12-04 16:55"), (2, "2026-12-04 17:05"), (4, "2026-12-04 19:50")],
)
def test_a_step_on_the_wall_clock_counts_every_hour(occurrence: int, due_at: str) -> None:
    assert step(clock=Clock.wall).due_at(occurrence, FRIDAY_EVENING, OFFICE) == la(due_at)


def test_a_step_without_repetition_has_no_further_occurrence() -> None:
    assert ONCE.due_at(2, FRIDAY_EVENING, OFFICE) is None
    assert ONCE.next_after(1, FRIDAY_EVENING, FRIDAY_EVENING, OFFICE) is None


@pytest.mark.parametrize(
    ("one", "repeats"),
    [
        pytest.param(step(), True, id="for ever"),
        pytest.param(step(then_every=None), True, id="three times"),
        pytest.param(ONCE, False, id="once"),
        pytest.param(step(after=(HOUR,)), True, id="once, then for ever"),
    ],
)
def test_a_step_repeats_when_it_has_a_second_occurrence(one: Step, repeats: bool) -> None:
    assert one.repeats is repeats


@pytest.mark.parametrize(
    ("after", "now", "following", "due_at"),
    [
        pytest.param(1, "2026-12-04 16:55", 2, "2026-12-07 09:05", id="the next one"),
        pytest.param(1, "2026-12-07 09:05", 3, "2026-12-07 09:50", id="due now is passed over"),
        pytest.param(1, "2026-12-07 12:00", 5, "2026-12-07 13:50", id="an outage is passed over"),
        pytest.param(0, "2026-12-04 16:50", 1, "2026-12-04 16:55", id="from the beginning"),
        pytest.param(4, "2026-12-04 16:55", 5, "2026-12-07 13:50", id="never one before"),
    ],
)
def test_the_next_occurrence_lies_ahead(after: int, now: str, following: int, due_at: str) -> None:
    found = step().next_after(after, la(now), FRIDAY_EVENING, OFFICE)

    assert found == (following, la(due_at))


def test_a_step_that_ended_during_an_outage_has_no_next_occurrence() -> None:
    ended = step(then_every=None)

    assert ended.next_after(1, la("2026-12-09 12:00"), FRIDAY_EVENING, OFFICE) is None


LIFE = {Channel.email: 12 * HOUR, Channel.sms: 30 * MINUTE}


@pytest.mark.parametrize(
    ("one", "channel", "expires_at"),
    [
        pytest.param(step(), Channel.email, "2026-12-07 09:05", id="until the next is due"),
        pytest.param(step(expires=LIFE), Channel.email, "2026-12-05 04:55", id="mail's own life"),
        pytest.param(step(expires=LIFE), Channel.sms, "2026-12-04 17:25", id="text's own life"),
        pytest.param(
            step(expires={Channel.sms: HOUR}),
            Channel.email,
            "2026-12-07 09:05",
            id="the life of another channel",
        ),
        pytest.param(ONCE, Channel.sms, None, id="nothing follows, so never"),
    ],
)
def test_a_message_expires_after_its_life_or_with_the_next(
    one: Step, channel: Channel, expires_at: str | None
) -> None:
    expected = la(expires_at) if expires_at else None

    assert one.expires_at(1, channel, FRIDAY_EVENING, OFFICE) == expected


@pytest.mark.parametrize(
    ("channel", "expires_at"),
    [
        pytest.param(Channel.sms, "2026-12-07 09:30", id="a channel that waits"),
        pytest.param(Channel.email, "2026-12-05 08:00", id="a channel that does not"),
    ],
)
def test_a_life_begins_with_the_opening_that_is_waited_for(
    channel: Channel, expires_at: str
) -> None:
    alert = step(
        after=(timedelta(0),),
        clock=Clock.wall,
        expires=LIFE,
        waits_for_opening=frozenset({Channel.sms}),
    )

    assert alert.expires_at(1, channel, la("2026-12-04 20:00"), OFFICE) == la(expires_at)


def test_an_occurrence_that_does_not_exist_never_expires() -> None:
    assert ONCE.expires_at(2, Channel.sms, FRIDAY_EVENING, OFFICE) is None


@pytest.mark.parametrize(
    ("one", "useless_at"),
    [
        pytest.param(step(), "2026-12-07 09:05", id="until the next of its kind"),
        pytest.param(ONCE, None, id="the last of its kind"),
        pytest.param(step(acknowledges=True), "2026-12-05 10:00", id="until the promised call"),
    ],
)
def test_words_are_of_use_until_others_take_their_place(one: Step, useless_at: str | None) -> None:
    promised_at = la("2026-12-05 10:00")

    found = one.useless_at(1, promised_at, FRIDAY_EVENING, OFFICE)

    assert found == (la(useless_at) if useless_at else None)


def test_a_step_is_found_by_its_name() -> None:
    cadence = Cadence("contact", 1, (ONCE,))

    assert cadence.find_step("reminder") is ONCE
    assert cadence.find_step("Reminder") is None


@given(
    st.integers(0, 40),
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)),
    st.sampled_from(Clock),
)
def test_occurrences_are_in_order_and_each_expires_no_sooner_than_it_is_due(
    occurrence: int, arrived: datetime, clock: Clock
) -> None:
    arrived_at = arrived.replace(tzinfo=UTC)
    one = step(clock=clock)

    first, second = (one.due_at(occurrence + n, arrived_at, OFFICE) for n in (1, 2))

    assert first is not None
    assert second is not None
    assert arrived_at <= first < second
    assert one.expires_at(occurrence + 1, Channel.sms, arrived_at, OFFICE) == second
