"""The look that a clinic chooses: read at the start, or refused by the name of its key."""

import re
from pathlib import Path

import pytest

from followup.clinic import Clinic, read_clinic
from followup.clinic_theme import LOGO_LIMIT, Dark, Light
from followup.errors import Misconfigured

_ROOT = Path(__file__).parents[1]
_TOKENS = _ROOT / "templates" / "pages" / "tokens.css"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)


def themed(folder: Path, table: str) -> Clinic:
    path = folder / "clinic.toml"
    shipped = (_ROOT / "clinic.toml").read_text(encoding="utf-8")
    path.write_text(f"{shipped}\n[theme]\n{table}\n", encoding="utf-8")
    return read_clinic(path)


def test_without_a_theme_everything_looks_as_shipped(tmp_path: Path) -> None:
    theme = read_clinic(_ROOT / "clinic.toml").theme

    assert (theme.name, theme.logo, theme.looks) == (None, None, {})
    assert themed(tmp_path, 'name = "Harbor Light"').theme.looks == {}


def test_a_colour_that_is_left_out_is_the_shipped_one() -> None:
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#\w+)", part))
        for part in _TOKENS.read_text(encoding="utf-8").split("@media", 1)
    )
    for scheme, shipped in ((Light(), light), (Dark(), dark)):
        assert str(scheme.accent) == shipped["accent"]
        assert str(scheme.ink) == shipped["ink"]
        assert str(scheme.background) in (shipped["card"], shipped["card"] + shipped["card"][1:])


def test_by_day_and_by_night_are_chosen_apart(tmp_path: Path) -> None:
    table = '[theme.dark]\naccent = "#d9b3ff"'

    looks = themed(tmp_path, table).theme.looks

    assert list(looks) == ["dark"]
    assert looks["dark"]["accent"] == "#d9b3ff"


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        pytest.param("png", PNG, id="png"),
        pytest.param("jpeg", b"\xff\xd8\xff\xe0" + bytes(40), id="jpeg"),
        pytest.param("webp", b"RIFF\x24\0\0\0WEBPVP8 " + bytes(20), id="webp"),
    ],
)
def test_a_logo_stands_beside_the_file_and_is_known_by_what_is_in_it(
    tmp_path: Path, kind: str, content: bytes
) -> None:
    (tmp_path / "logo.img").write_bytes(content)
    logo = themed(tmp_path, 'logo = "logo.img"').theme.logo
    (tmp_path / "logo.img").write_bytes(content + b"!")
    other = themed(tmp_path, 'logo = "logo.img"').theme.logo

    assert logo is not None
    assert other is not None
    assert (logo.kind, logo.content) == (kind, content)
    assert re.fullmatch(rf"/logo/[0-9a-f]{{16}}\.{kind}", logo.path)
    assert other.path != logo.path


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        pytest.param('[theme.light]\naccent = "#66aabb"',
                     "theme.light.accent: #66aabb has 2.61 to 1 against the background #ffffff;"
                     " text needs 4.5 to 1 (WCAG 2.2)", id="a faint accent"),
        pytest.param('[theme.light]\nink = "#777777"',
                     "theme.light.ink: #777777 has 4.47 to 1", id="hardly too faint"),
        pytest.param('[theme.dark]\nbackground = "#ffffff"', "theme.dark.ink: #e6eded has 1.",
                     id="light on white"),
        pytest.param('[theme.dark]\nbackground = "#fff8f0"\nink = "#101010"\naccent = "#0b5c6b"',
                     "theme.dark.background: expected one that is darker", id="a night by day"),
        pytest.param('[theme.light]\nbackground = "#101010"\nink = "#fff8f0"\naccent = "#8fd3e0"',
                     "theme.light.background: expected one that is lighter", id="a day by night"),
        pytest.param('[theme.light]\naccent = "teal"',
                     'theme.light.accent: expected a colour such as "#0b5c6b"', id="a word"),
        pytest.param('accent = "#0b5c6b"', "theme.accent: there is no such key", id="no scheme"),
        pytest.param('name = ""', "theme.name: ", id="no name"),
        pytest.param('logo = "no.png"', "theme.logo: expected a PNG, JPEG or WebP file of at most"
                     " 64 KiB (No such file or directory), got 'no.png'", id="no file"),
        pytest.param('logo = "logo.svg"', "theme.logo: expected a PNG, JPEG or WebP", id="svg"),
        pytest.param('logo = "large.png"', "theme.logo: expected a PNG, JPEG or WebP file of at"
                     " most 64 KiB, which this is longer than", id="too large"),
        pytest.param("logo = 7", "theme.logo: expected a PNG", id="a number"),
        pytest.param('logo = "."', "theme.logo: expected a PNG", id="a folder"),
    ],
)  # fmt: skip
def test_what_cannot_be_shown_stops_the_start_and_names_the_key(
    tmp_path: Path, table: str, expected: str
) -> None:
    (tmp_path / "logo.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (tmp_path / "large.png").write_bytes(PNG + bytes(LOGO_LIMIT))

    with pytest.raises(Misconfigured) as refused:
        themed(tmp_path, table)

    assert str(refused.value).startswith(f"{tmp_path}/clinic.toml: {expected}")
