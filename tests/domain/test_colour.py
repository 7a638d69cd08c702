"""Contrast as WCAG 2.2 defines it, and looks in which everything can be read."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from followup.domain.colour import EDGE, TEXT, Colour, contrast, look, stands_out

COLOURS = st.builds(Colour, *[st.integers(0, 255)] * 3)
#: What is written on what, in `base.html` and `controls.css`.
GROUNDS = ("card", "back", "tint")
WRITTEN: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("ink", "accent", "soft", "strong", "bad"), GROUNDS),
    "on-accent": ("accent", "strong"),
}


@pytest.mark.parametrize(
    ("one", "other", "ratio"),
    [
        ("#000000", "#ffffff", 21.0),
        ("#ffffff", "#ffffff", 1.0),
        # The greys on white at which the levels AA and AAA begin.
        ("#767676", "#ffffff", 4.54),
        ("#777777", "#ffffff", 4.48),
        ("#595959", "#ffffff", 7.0),
        ("#ff0000", "#0000ff", 2.15),
    ],
)
def test_a_contrast_is_what_wcag_says(one: str, other: str, ratio: float) -> None:
    found = contrast(Colour.parse(one), Colour.parse(other))

    assert found == pytest.approx(ratio, abs=0.005)
    assert found == contrast(Colour.parse(other), Colour.parse(one))


@pytest.mark.parametrize("text", ["#0b5c6", "0b5c6b", "#0b5c6g", "teal", "#0b5c6b;}", "", 7, None])
def test_nothing_else_is_a_colour(text: object) -> None:
    with pytest.raises(ValueError, match='such as "#0b5c6b"'):
        Colour.parse(text)


def test_a_colour_is_written_as_it_is_read() -> None:
    assert str(Colour.parse("#0B5c6b")) == "#0b5c6b"


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(accent=COLOURS, ink=COLOURS, background=COLOURS)
def test_whatever_a_clinic_chooses_all_can_be_read(
    accent: Colour, ink: Colour, background: Colour
) -> None:
    # Most colours by chance are like no ground at all: take them further from it.
    white, black = Colour(255, 255, 255), Colour(0, 0, 0)
    far = max(white, black, key=lambda one: contrast(one, background))
    accent, ink = accent.towards(far, 70), ink.towards(far, 70)
    assume(stands_out(accent, background) and stands_out(ink, background))

    found = look(accent, ink, background)

    for written, grounds in WRITTEN.items():
        for ground in grounds:
            assert contrast(found[written], found[ground]) >= TEXT, (written, ground)
    for written in ("ink", "bad"):
        assert contrast(found[written], found["bad-tint"]) >= TEXT
    for edge in ("edge", "focus", "accent"):
        assert all(contrast(found[edge], found[ground]) >= EDGE for ground in GROUNDS)
