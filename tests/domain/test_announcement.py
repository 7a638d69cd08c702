"""When a webhook that failed is tried again."""

from datetime import timedelta

import pytest

from followup.domain.announcement import LONGEST_WAIT, MOST_ATTEMPTS, WAITS, wait_after

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


def test_attempts_are_those_of_the_specification() -> None:
    waits = [wait_after(attempts, chance=0) for attempts in range(1, MOST_ATTEMPTS)]

    assert [wait.total_seconds() for wait in waits if wait] == [
        *(5, 5 * 60, 30 * 60),
        *(hours * 3600 for hours in (2, 5, 10, 14, 20, 24)),
    ]
    assert wait_after(MOST_ATTEMPTS, chance=0) is None


@pytest.mark.parametrize("attempts", range(1, MOST_ATTEMPTS))
def test_what_failed_together_does_not_come_again_together(attempts: int) -> None:
    soonest, latest = (wait_after(attempts, chance) for chance in (0.0, 1.0))

    assert soonest is not None
    assert latest is not None
    assert soonest * 1.05 < latest <= soonest * 1.25


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param(timedelta(0), WAITS[0], id="sooner than by the schedule"),
        pytest.param(2 * HOUR, 2 * HOUR, id="later"),
        pytest.param(1000 * 24 * HOUR, LONGEST_WAIT, id="for years"),
    ],
)
def test_the_receiver_may_ask_for_time_within_reason(asked: timedelta, expected: timedelta) -> None:
    assert wait_after(1, chance=0, asked=asked) == expected


def test_no_receivers_wish_makes_a_further_attempt() -> None:
    assert wait_after(MOST_ATTEMPTS, chance=0, asked=SECOND) is None
