"""Durations, key paths and unreadable files, as an operator meets them."""

from datetime import timedelta
from pathlib import Path

import pytest

from followup.errors import Misconfigured
from followup.toml_file import key_path, parse_duration, read_toml


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        pytest.param("0m", timedelta(0), id="nothing"),
        pytest.param("90s", timedelta(seconds=90), id="seconds"),
        pytest.param("5m", timedelta(minutes=5), id="minutes"),
        pytest.param("2h", timedelta(hours=2), id="hours"),
        pytest.param("1d", timedelta(days=1), id="days"),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text: str, duration: timedelta) -> None:
    assert parse_duration(text) == duration


@pytest.mark.parametrize("value", ["", "5", "m", "-5m", "1.5h", "5 m", "1h30m", "\u0665m", 5, None])
def test_anything_else_is_no_duration(value: object) -> None:
    with pytest.raises(ValueError, match="expected a duration"):
        parse_duration(value)


@pytest.mark.parametrize(
    ("location", "path"),
    [
        pytest.param((), "", id="the file itself"),
        pytest.param(("clinic", "name"), "clinic.name", id="a key of a table"),
        pytest.param(("sites", 1, "hours", "mon"), "sites[1].hours.mon", id="an entry of a list"),
        pytest.param(("forms", "kontact", "[key]"), "forms.kontact", id="a key that is wrong"),
    ],
)
def test_a_key_is_named_as_the_operator_wrote_it(
    location: tuple[str | int, ...], path: str
) -> None:
    assert key_path(location) == path


def test_a_syntax_error_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "clinic.toml"
    path.write_text("[clinic]\nname = Harbor\n")

    with pytest.raises(Misconfigured, match=r"clinic\.toml: expected TOML.*line 2"):
        read_toml(path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(None, "expected a readable file", id="missing"),
        pytest.param(b'name = "Caf\xe9"', "expected UTF-8", id="another encoding"),
    ],
)
def test_an_unreadable_file_is_named(tmp_path: Path, content: bytes | None, expected: str) -> None:
    path = tmp_path / "clinic.toml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(Misconfigured, match=rf"clinic\.toml: {expected}"):
        read_toml(path)
