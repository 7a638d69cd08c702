"""The life of a delivery: which status may follow which, its reasons, and when to try again."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from followup.domain.delivery import (
    REACHED_PROVIDER,
    RETRY_DELAYS,
    SENTENCES,
    TRANSITIONS,
    Reason,
    Status,
    may_become,
    retry_delay,
)

#: What the design draws, row by row: may the status on the left become the one on top?
ORDER = (
    *(Status.planned, Status.sending, Status.unknown, Status.accepted, Status.sent),
    *(Status.delivered, Status.undelivered, Status.failed),
    *(Status.skipped, Status.cancelled, Status.expired),
)
DRAWN = """
             planned sending unknown accepted sent delivered undelivered failed skipped cancelled expired
planned      -       yes     -       yes      yes  yes       yes         yes    yes     yes       yes
sending      yes     -       yes     yes      yes  yes       yes         yes    -       -         yes
unknown      yes     -       -       yes      yes  yes       yes         yes    -       -         -
accepted     -       -       -       -        yes  yes       yes         yes    -       -         -
sent         -       -       -       -        -    yes       yes         yes    -       -         -
delivered    -       -       -       -        -    -         yes         -      -       -         -
undelivered  -       -       -       -        -    -         -           -      -       -         -
failed       -       -       -       -        -    -         -           -      -       -         -
skipped      -       -       -       -        -    -         -           -      -       -         -
cancelled    -       -       -       -        -    -         -           -      -       -         -
expired      -       -       -       -        -    -         -           -      -       -         -
"""  # noqa: E501 - a table
ROWS = [line.split() for line in DRAWN.strip().splitlines()]
TERMINAL = frozenset(
    {Status.undelivered, Status.failed, Status.skipped, Status.cancelled, Status.expired}
)


def test_the_table_names_every_status() -> None:
    assert set(ORDER) == set(Status) == set(TRANSITIONS)
    assert ROWS[0] == [status.value for status in ORDER]


@pytest.mark.parametrize(
    ("status", "following", "may"),
    [
        pytest.param(Status(row[0]), following, cell == "yes", id=f"{row[0]} to {following}")
        for row in ROWS[1:]
        for following, cell in zip(ORDER, row[1:], strict=True)
    ],
)
def test_a_status_is_followed_only_as_the_design_draws_it(
    status: Status, following: Status, may: bool
) -> None:
    assert may_become(status, following) is may


@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_a_terminal_status_is_never_left(status: Status) -> None:
    assert not any(may_become(status, following) for following in Status)


def test_a_delivered_message_may_still_come_back() -> None:
    assert TRANSITIONS[Status.delivered] == {Status.undelivered}


@pytest.mark.parametrize("status", Status)
def test_a_message_that_reached_the_provider_is_never_planned_again_but_by_proof(
    status: Status,
) -> None:
    assert may_become(status, Status.planned) is (status in {Status.sending, Status.unknown})


def test_only_what_may_have_gone_out_counts_as_having_reached_the_provider() -> None:
    assert set(Status) - REACHED_PROVIDER == TERMINAL - {Status.undelivered} | {Status.planned}


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_sentence_for_staff(reason: Reason) -> None:
    sentence = SENTENCES[reason]

    assert sentence[0].isupper()
    assert sentence.endswith(".")


def test_no_two_reasons_read_alike() -> None:
    assert len(set(SENTENCES.values())) == len(Reason)


@pytest.mark.parametrize(
    ("failures", "delay"),
    [
        pytest.param(1, timedelta(seconds=10), id="a blip"),
        pytest.param(2, timedelta(minutes=1), id="again"),
        pytest.param(6, timedelta(hours=3), id="the last of the table"),
        pytest.param(7, timedelta(hours=3), id="after the table"),
        pytest.param(1000, timedelta(hours=3), id="long after it"),
    ],
)
def test_a_retry_waits_longer_each_time(failures: int, delay: timedelta) -> None:
    assert retry_delay(failures, 0.5) == delay


@given(st.integers(1, 20), st.floats(0, 1, exclude_max=True))
def test_chance_moves_a_retry_by_a_fifth_at_most(failures: int, chance: float) -> None:
    planned = RETRY_DELAYS[min(failures, 6) - 1]

    assert planned * 0.8 <= retry_delay(failures, chance) <= planned * 1.2


@pytest.mark.parametrize(
    ("asked", "delay"),
    [
        pytest.param(None, timedelta(seconds=10), id="nothing asked"),
        pytest.param(timedelta(seconds=1), timedelta(seconds=10), id="a shorter wait asked"),
        pytest.param(timedelta(seconds=90), timedelta(seconds=90), id="a longer wait asked"),
        pytest.param(timedelta(0), timedelta(seconds=10), id="no wait asked"),
    ],
)
def test_a_longer_wait_that_the_provider_asks_for_holds(
    asked: timedelta | None, delay: timedelta
) -> None:
    assert retry_delay(1, 0.5, asked) == delay
