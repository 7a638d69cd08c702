"""Scores at each boundary of the published tables, what has none, and which answer is urgent."""

from typing import Any

import pytest

from followup.domain.instrument import INSTRUMENTS, Score, is_urgent, list_scores, score
from followup.domain.submission import Answers


def answers(name: str, total: int) -> list[int | None]:
    """Answers of that instrument with that total."""
    items = INSTRUMENTS[name].items
    return [min(3, max(0, total - 3 * number)) for number in range(items)]


BANDS = [
    *(("phq9", total, "minimal", False) for total in (0, 4)),
    *(("phq9", total, "mild", False) for total in (5, 9)),
    *(("phq9", total, "moderate", True) for total in (10, 14)),
    *(("phq9", total, "moderately severe", True) for total in (15, 19)),
    *(("phq9", total, "severe", True) for total in (20, 27)),
    *(("phq8", total, "minimal", False) for total in (0, 4)),
    *(("phq8", total, "mild", False) for total in (5, 9)),
    *(("phq8", total, "moderate", True) for total in (10, 14)),
    *(("phq8", total, "moderately severe", True) for total in (15, 19)),
    *(("phq8", total, "severe", True) for total in (20, 24)),
    *(("gad7", total, "minimal", False) for total in (0, 4)),
    *(("gad7", total, "mild", False) for total in (5, 9)),
    *(("gad7", total, "moderate", True) for total in (10, 14)),
    *(("gad7", total, "severe", True) for total in (15, 21)),
    *(("phq2", total, None, False) for total in (0, 1, 2)),
    *(("phq2", total, None, True) for total in (3, 6)),
    *(("gad2", total, None, False) for total in (0, 1, 2)),
    *(("gad2", total, None, True) for total in (3, 6)),
]


@pytest.mark.parametrize(("name", "total", "band", "is_positive"), BANDS)
def test_a_total_has_its_band_and_its_cut_off(
    name: str, total: int, band: str | None, is_positive: bool
) -> None:
    found = score(name, answers(name, total))

    assert (found.total, found.band, found.is_positive) == (total, band, is_positive)
    assert found.missing == ()


@pytest.mark.parametrize(
    ("name", "items", "highest"),
    [("phq2", 2, 6), ("phq8", 8, 24), ("phq9", 9, 27), ("gad2", 2, 6), ("gad7", 7, 21)],
)
def test_each_instrument_has_its_items_and_its_range(name: str, items: int, highest: int) -> None:
    assert score(name, [0] * items).total == 0
    assert score(name, [3] * items).total == INSTRUMENTS[name].highest == highest


@pytest.mark.parametrize("name", INSTRUMENTS)
@pytest.mark.parametrize("missing", [(1,), (2,), (1, 2)])
def test_without_every_answer_there_is_no_score(name: str, missing: tuple[int, ...]) -> None:
    given: list[int | None] = [3] * INSTRUMENTS[name].items
    for number in missing:
        given[number - 1] = None

    assert score(name, given) == Score(INSTRUMENTS[name], missing)
    assert (score(name, given).band, score(name, given).is_positive) == (None, None)


@pytest.mark.parametrize("answer", [4, -1, "1.5", "yes", 1.5, 1.0, True, "1", [1]])
def test_what_is_no_answer_has_no_score(answer: Any) -> None:
    with pytest.raises(ValueError, match="whole numbers of 0 to 3 at answer 2"):
        score("phq2", [0, answer])


@pytest.mark.parametrize("count", [0, 1, 3])
def test_another_number_of_answers_has_no_score(count: int) -> None:
    with pytest.raises(ValueError, match=f"expected 2 answers, got {count}"):
        score("phq2", [0] * count)


def test_every_instrument_is_a_field_of_the_answers() -> None:
    assert set(INSTRUMENTS) <= set(Answers.model_fields)


def test_what_was_filled_in_is_scored_and_the_rest_is_passed_over() -> None:
    given = {"gad7": [1] * 7, "phq2": [2, 2], "phq9": "all of it", "phq8": [9] * 8, "gad2": None}

    assert [(one.instrument.title, one.total) for one in list_scores(given)] == [
        ("PHQ-2", 4),
        ("GAD-7", 7),
    ]


@pytest.mark.parametrize(
    ("ninth", "urgent"),
    [
        pytest.param(0, False, id="not at all"),
        pytest.param(1, True, id="several days"),
        pytest.param(2, True, id="more than half the days"),
        pytest.param(3, True, id="nearly every day"),
        pytest.param(None, False, id="no answer"),
        pytest.param("1", True, id="as text"),
        pytest.param("0", False, id="none as text"),
        pytest.param(" ", False, id="blank"),
        pytest.param("yes", True, id="in words"),
        pytest.param(True, True, id="a tick"),
        pytest.param(7, True, id="beyond the scale"),
        pytest.param([], False, id="nonsense"),
    ],
)
def test_thoughts_of_self_harm_are_urgent_whatever_else_was_answered(
    ninth: Any, urgent: bool
) -> None:
    for others in ([0] * 8, [3] * 8, [None] * 8, ["?"] * 8):
        assert is_urgent({"answers": {"phq9": [*others, ninth]}}) is urgent


@pytest.mark.parametrize(("sent", "urgent"), [("Casi nunca", True), ("0", False), (" ", False)])
def test_what_could_not_be_read_as_a_score_is_judged_as_it_was_sent(
    sent: str, urgent: bool
) -> None:
    as_sent = {"answers.phq9 (as sent)": [*["?"] * 8, sent]}
    for answers in ({}, {"phq9": [None] * 9}):
        assert is_urgent({"answers": answers, **as_sent}) is urgent


@pytest.mark.parametrize(
    "fields",
    [
        *({}, {"answers": None}, {"answers": "phq9"}, {"answers": []}, {"phq9": [3] * 9}),
        *({"answers": {"phq9": None}}, {"answers": {"phq9": [3] * 8}}, {"answers": {"phq9": "3"}}),
        {"answers": {"phq8": [3] * 8, "gad7": [3] * 7, "phq2": [3, 3]}},
    ],
)
def test_nothing_else_is_urgent(fields: dict[str, Any]) -> None:
    assert is_urgent(fields) is False
