"""Whoever takes tokens, in whatever order: no second has more than the rate and the burst."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from followup.domain.cadence import Lane
from followup.domain.rate import LATE, Rate

NOW = datetime(2026, 10, 20, 17, tzinfo=UTC)
SECOND = timedelta(seconds=1)

rates = st.sampled_from((0.1, 0.5, 1.0, 1.25, 3.0, 3.75, 5.0, 14.0, 100.0)).map(Rate)
lanes = st.sampled_from(Lane)
#: Who claims, so many milliseconds after the one before, at most so many, of so many parts each.
claims = st.lists(
    st.tuples(lanes, st.integers(0, 1500), st.integers(1, 16), st.integers(1, 3)), max_size=40
)
lateness = st.floats(0, LATE.total_seconds())


def most_in_a_second(sends: list[datetime]) -> int:
    sends = sorted(sends)
    return max((sum(a <= b < a + SECOND for b in sends) for a in sends), default=0)


def seconds_until(rate: Rate, lane: Lane, next_at: datetime, now: datetime) -> float:
    """When one that is due now may go."""
    waited = 0.0
    while not rate.room(lane, next_at, now):
        waited, now = waited + 0.01, now + SECOND / 100
    (slot,), _ = rate.take(lane, next_at, now, [1])
    return waited + (slot - now).total_seconds()


@given(rates, claims, st.data())
def test_no_second_has_more_than_the_rate_and_the_burst(
    rate: Rate, claims: list[tuple[Lane, int, int, int]], data: st.DataObject
) -> None:
    now, next_at, sends = NOW, None, list[datetime]()
    for lane, later, wanted, cost in claims:
        now += timedelta(milliseconds=later)
        count = min(wanted, rate.room(lane, next_at, now))
        slots, next_at = rate.take(lane, next_at, now, [cost] * count)
        assert len(slots) == count
        assert all(slot >= now for slot in slots)
        sends += [slot + timedelta(seconds=data.draw(lateness)) for slot in slots]

    # A whole number of messages, so a rate of less than one a second counts as one.
    assert most_in_a_second(sends) <= max(1, rate.per_second) + rate.burst


@pytest.mark.parametrize("per_second", [1.0, 3.0, 5.0, 100.0])
def test_what_is_there_is_used_to_the_full(per_second: float) -> None:
    """One ring a second, and a claim after each that got something."""
    rate, next_at, taken = Rate(per_second), NOW, 0
    for tick in range(600):
        now = NOW + tick * SECOND / 10
        if count := min(16, rate.room(Lane.reminder, next_at, now)):
            slots, next_at = rate.take(Lane.reminder, next_at, now, [1] * count)
            taken += len(slots)

    assert taken == pytest.approx(60 * per_second, rel=0.05)


@pytest.mark.parametrize("per_second", [0.5, 1.0, 3.0, 5.0, 100.0])
def test_an_acknowledgement_goes_with_the_next_token_however_many_reminders_wait(
    per_second: float,
) -> None:
    rate, next_at = Rate(per_second), NOW
    longest = 0.0
    for tick in range(200):
        now = NOW + tick * SECOND / 20
        count = rate.room(Lane.reminder, next_at, now)
        _, next_at = rate.take(Lane.reminder, next_at, now, [1] * count)
        longest = max(longest, seconds_until(rate, Lane.ack, next_at, now))

    # A small bucket has nothing to leave in it: then one reminder may be ahead.
    ahead = 0.5 if per_second < 5 else 0.0
    assert longest <= rate.interval.total_seconds() + ahead + 0.02


def test_acknowledgements_leave_nothing_to_reminders_while_they_need_all() -> None:
    rate, next_at = Rate(5), NOW
    count = rate.room(Lane.ack, next_at, NOW)
    _, next_at = rate.take(Lane.ack, next_at, NOW, [1] * count)

    later = NOW + timedelta(seconds=0.4)
    assert rate.room(Lane.ack, next_at, later) > 0
    assert rate.room(Lane.reminder, next_at, later) == 0


def test_a_text_of_three_parts_takes_three_tokens() -> None:
    rate = Rate(1)

    slots, next_at = rate.take(Lane.ack, None, NOW, [3, 1])

    assert slots == [NOW, NOW + 3 * SECOND]
    assert next_at == NOW + 4 * SECOND


def test_who_was_overtaken_gets_nothing() -> None:
    rate = Rate(1)
    _, next_at = rate.take(Lane.reminder, None, NOW, [1])

    assert rate.take(Lane.reminder, next_at, NOW, [1]) == ([], next_at)


def test_a_clock_that_was_set_back_blocks_nobody() -> None:
    rate = Rate(1)

    assert rate.room(Lane.reminder, NOW + timedelta(hours=1), NOW) == 1
    (slot,), next_at = rate.take(Lane.reminder, NOW + timedelta(hours=1), NOW, [1])
    assert (slot, next_at) == (NOW, NOW + SECOND)
