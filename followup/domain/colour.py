"""Colours of a page: how well one stands out from another, and a whole look out of three."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

#: How far text stands out from what is behind it (WCAG 2.2, success criterion 1.4.3, level AA).
TEXT = 4.5
#: The same for the edge of a field (success criterion 1.4.11).
EDGE = 3.0

_HEX = re.compile(r"#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})", re.IGNORECASE)


@dataclass(frozen=True)
class Colour:
    """In sRGB, each part from 0 to 255."""

    red: int
    green: int
    blue: int

    @classmethod
    def parse(cls, text: object) -> "Colour":
        """`#0b5c6b`; ValueError for anything else."""
        match = _HEX.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise ValueError('expected a colour such as "#0b5c6b"')
        return cls(*(int(part, 16) for part in match.groups()))

    def __str__(self) -> str:
        return f"#{self.red:02x}{self.green:02x}{self.blue:02x}"

    @property
    def luminance(self) -> float:
        """From 0, black, to 1, white (WCAG 2.2, "relative luminance")."""
        red, green, blue = (_linear(part / 255) for part in (self.red, self.green, self.blue))
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    def towards(self, other: "Colour", percent: int) -> "Colour":
        return Colour(
            *(
                round(ours + (theirs - ours) * percent / 100)
                for ours, theirs in (
                    (self.red, other.red),
                    (self.green, other.green),
                    (self.blue, other.blue),
                )
            )
        )


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else float(((part + 0.055) / 1.055) ** 2.4)


_BLACK = Colour(0, 0, 0)
#: What is wrong: on a light ground, and on a dark one.
_REDS = Colour.parse("#a1261b"), Colour.parse("#ffb0a4")


def contrast(one: Colour, other: Colour) -> float:
    """From 1, the same, to 21, black on white (WCAG 2.2, "contrast ratio")."""
    low, high = sorted((one.luminance, other.luminance))
    return (high + 0.05) / (low + 0.05)


def stands_out(colour: Colour, *grounds: Colour, least: float = TEXT) -> bool:
    return all(contrast(colour, ground) >= least for ground in grounds)


def look(accent: Colour, ink: Colour, background: Colour) -> Mapping[str, Colour]:
    """Every colour of the patients' pages, by its name in `tokens.css`.

    `accent` and `ink` must stand out from `background`; then all text does from whatever is behind
    it, and the edges of fields too.
    """

    def carries(ground: Colour) -> bool:
        return stands_out(accent, ground) and stands_out(ink, ground)

    is_dark = background.luminance < ink.luminance
    # A sheet of paper is lighter than the table, by day and by night.
    back = _as_far_as(background, *((_BLACK, 30) if is_dark else (ink, 6)), carries)
    tint = _as_far_as(background, accent, 9, carries)
    grounds = background, back, tint
    bad = _as_far_as(ink, _REDS[is_dark], 100, lambda colour: stands_out(colour, *grounds))
    return {
        "back": back,
        "card": background,
        "ink": ink,
        "soft": _as_far_as(ink, background, 25, lambda colour: stands_out(colour, *grounds)),
        "line": background.towards(ink, 15),
        "edge": _as_far_as(
            ink, background, 50, lambda colour: stands_out(colour, *grounds, least=EDGE)
        ),
        "tint": tint,
        "accent": accent,
        "on-accent": background,
        "strong": _as_far_as(accent, ink, 30, lambda colour: stands_out(colour, *grounds)),
        "bad": bad,
        "bad-tint": _as_far_as(
            background, bad, 8, lambda ground: carries(ground) and stands_out(bad, ground)
        ),
        "focus": ink,
    }


def _as_far_as(start: Colour, end: Colour, most: int, fits: Callable[[Colour], bool]) -> Colour:
    """The furthest that fits on the way from `start` to `end`, and `most` percent of it at most."""
    on_the_way = (start.towards(end, percent) for percent in range(most, 0, -1))
    return next((colour for colour in on_the_way if fits(colour)), start)
