"""Turns, ratios, and rounds in which the machine did other work."""

from functools import partial

import pytest

from bench import machine
from bench.rounds import MOST_OTHER_WORK, Round, Rounds, interleave


@pytest.fixture
def other_work(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Cores that others take of the rounds to come; afterwards none."""
    cores: list[float] = []
    clock = {"now": 0.0, "busy": 0.0, "asked": 0}

    def busy_seconds() -> float:
        clock["asked"] += 1
        if clock["asked"] % 2 == 0:
            # Each round takes ten seconds, in which we need a whole core ourselves.
            clock["now"] += 10
            clock["busy"] += 10 * (1 + (cores.pop(0) if cores else 0.0))
        return clock["busy"]

    monkeypatch.setattr(machine, "busy_seconds", busy_seconds)
    monkeypatch.setattr(machine, "our_cpu_seconds", lambda: clock["now"])
    monkeypatch.setattr("bench.rounds.monotonic", lambda: clock["now"])
    return cores


def test_every_contestant_runs_once_a_round_and_each_begins_in_turn(
    other_work: list[float],
) -> None:
    order: list[str] = []

    def turn(name: str) -> int:
        order.append(name)
        return len(order)

    rounds = interleave({name: partial(turn, name) for name in "abc"}, count=3)

    assert "".join(order) == "abcbcacab"
    assert rounds.of("a") == [1, 6, 8]


def test_a_round_with_too_much_other_work_is_run_again(other_work: list[float]) -> None:
    other_work += [0.0, MOST_OTHER_WORK + 0.1, 0.2]
    turns = iter(range(10))

    rounds = interleave({"ours": lambda: next(turns)}, count=2)

    assert rounds.of("ours") == [0, 2]
    assert rounds.discarded == 1
    assert rounds.note == ""


def test_when_the_machine_is_never_quiet_the_quietest_rounds_are_taken_and_it_is_said(
    other_work: list[float],
) -> None:
    other_work += [0.9, 0.5, 0.1, 0.7]
    turns = iter(range(10))

    rounds = interleave({"ours": lambda: next(turns)}, count=2, spare=2)

    assert rounds.of("ours") == [1, 2]
    assert rounds.note == "other work took up to 0.5 cores in 1 of 2 rounds"


def test_a_ratio_is_of_figures_of_the_same_round() -> None:
    rounds = Rounds(
        [Round({"ours": 10, "peer": 5}, 0.0), Round({"ours": 9, "peer": 3}, 0.0)], discarded=0
    )

    assert rounds.ratios("ours", "peer", float) == [2.0, 3.0]
