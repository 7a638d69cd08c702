"""The arithmetic of the table."""

import pytest

from bench.figures import Line, percentile


def test_a_figure_is_the_median_and_its_spread_is_from_the_least_to_the_most() -> None:
    line = Line("ours", [3.0, 9.0, 1.0, 5.0], "/s")

    assert line.figure == 4.0
    assert line.spread == (1.0, 9.0)


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 50), (0.99, 99), (0.95, 95), (1.0, 100), (0.001, 1)]
)
def test_a_percentile_is_the_smallest_sample_that_so_many_do_not_exceed(
    share: float, expected: int
) -> None:
    assert percentile(range(100, 0, -1), share) == expected


def test_a_percentile_of_few_samples_is_one_of_them() -> None:
    assert percentile([7.0], 0.99) == 7.0
    assert percentile([1.0, 2.0, 3.0], 0.5) == 2.0


@pytest.mark.parametrize(
    ("line", "goal", "is_reached"),
    [
        pytest.param(Line("ratio", [3.4, 3.5, 9], "×", at_least=3.5), "≥ 3.5 ×", True, id="just"),
        pytest.param(Line("ratio", [3.4], "×", at_least=3.5), "≥ 3.5 ×", False, id="too little"),
        pytest.param(Line("cost", [0.4], "×", at_most=0.4), "≤ 0.4 ×", True, id="no more"),
        pytest.param(Line("cost", [0.41], "×", at_most=0.4), "≤ 0.4 ×", False, id="too much"),
        pytest.param(Line("rate", [12.0], "/s"), "", None, id="without a goal"),
    ],
)
def test_the_median_must_reach_the_goal(line: Line, goal: str, is_reached: bool | None) -> None:
    assert (line.goal, line.is_reached) == (goal, is_reached)
