"""The table: its rows, and where it is written."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench import rows, table
from bench.figures import Line, Row
from bench.people import MOST, phone_of
from followup.domain.address import may_be_texted, parse_phone

HEADING = table.Heading(datetime(2026, 11, 2, 9, tzinfo=UTC), "a machine, 2 cores", "abc1234")
RESULT = table.Result(
    Row("throughput", "submissions a second", "a burst"),
    [Line("ours", [150.0], "/s"), Line("against the peer", [3.2, 3.4, 3.9], "×", at_least=3.5)],
)


@pytest.mark.parametrize("name", rows.NAMES)
def test_every_row_says_what_it_measures_and_how(name: str) -> None:
    row = rows.load(name).ROW

    assert row.name == name
    assert row.title
    assert row.how


def test_the_goal_stands_beside_the_figure_and_a_missed_one_stands_out() -> None:
    text = table.render(HEADING, [RESULT])

    assert "2026-11-02 09:00 UTC, a machine, 2 cores, commit abc1234" in text
    assert "| ours |  | 150 /s (150 to 150) |  |" in text
    assert "| against the peer | ≥ 3.5 × | 3.4 × (3.2 to 3.9) | **no** |" in text
    assert not RESULT.is_reached


def test_a_row_that_failed_is_in_the_table_and_reaches_nothing() -> None:
    result = table.Result(RESULT.row, (), problem="failed: TimeoutError")

    text = table.render(HEADING, [result])

    assert "| **submissions a second** | | failed: TimeoutError | **no** |" in text
    assert not result.is_reached


def test_only_the_table_of_the_page_is_replaced(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"Before.\n{table.BEGINS}\nold\n{table.ENDS}\nAfter.\n", encoding="utf-8")

    table.write(page, HEADING, [RESULT])

    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"Before.\n{table.BEGINS}\n2026-11-02")
    assert text.endswith(f"{table.ENDS}\nAfter.\n")
    assert "old" not in text


@pytest.mark.parametrize("number", [0, 1, 358, 359, MOST - 1])
def test_everybody_has_a_number_that_may_be_texted(number: int) -> None:
    phone = phone_of(number)

    assert parse_phone(phone).e164 == phone
    assert may_be_texted(phone, countries=["US"], reserved_allowed=True) is None


def test_nobody_shares_a_number() -> None:
    assert len({phone_of(number) for number in range(MOST)}) == MOST
