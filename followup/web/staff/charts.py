"""Charts as SVG that stands in the page: the page's own colours, light and dark, and no script.

Drawn by leather (MIT, no dependencies, 40 kB): its SVG has neither style nor script that the page's
policy would have to let in, as pygal's has (LGPL, three dependencies). A chart is a picture for who
sees it: the table beside it says the same.
"""

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Any

from markupsafe import Markup

#: In units of the picture, which is as wide as its column: on a phone, and beside two others.
WIDTH = 400
#: Of `tokens.css`, in the order of the legend's in `staff.css`.
COLORS = ("var(--accent)", "var(--soon)", "var(--bad)")
_MOST_TICKS = 5
_PLACES = frozenset({"x", "y", "x1", "x2", "y1", "y2", "width", "height"})


def draw(
    label: str,
    names: Sequence[str],
    series: Mapping[str, Sequence[float]],
    *,
    upright: bool = False,
    percent: bool = False,
) -> Markup:
    """Bars of each series side by side for each name: lying, with room for long names, or upright.
    `label` is what the picture is called; its legend is the page's, where words are as large as
    the others."""
    leather = _leather()
    ticks = _ticks(100 if percent else max(map(max, series.values())), percent)
    chart = leather.Chart()
    value_axis = leather.Axis(ticks, lambda tick, *_: f"{tick}%" if percent else f"{tick:,}")
    beside = _beside(upright)
    for place, (name, values) in enumerate(series.items()):
        data: list[tuple[Any, ...]] = list(zip(names, values, strict=True))
        if not upright:
            data = [(value, label) for label, value in reversed(data)]
        shape = beside(COLORS[place], place, len(series))
        chart.add_series(leather.Series(data, name=name), shape)
    if upright:
        chart.add_y_scale(0, ticks[-1])
        chart.set_y_axis(value_axis)
        every = -(-len(names) // 8)
        chart.add_x_axis(tick_formatter=lambda name, place, _: "" if place % every else name)
        height = 190
    else:
        chart.add_x_scale(0, ticks[-1])
        chart.set_x_axis(value_axis)
        height = 44 + len(names) * (14 + 10 * len(series))
    return _picture(label, chart.to_svg_group(WIDTH, height), height)


def _ticks(top: float, percent: bool) -> list[int]:
    """From zero to no less than the top; people and messages are counted whole."""
    if percent:
        return [0, 25, 50, 75, 100]
    step = next(
        digit * 10**power
        for power in range(12)
        for digit in (1, 2, 5)
        if digit * 10**power * (_MOST_TICKS - 1) >= top
    )
    return [place * step for place in range(max(-(-int(top) // step), 1) + 1)]


def _picture(label: str, group: ET.Element, height: int) -> Markup:
    for element in group.iter():
        for name in _PLACES.intersection(element.keys()):
            element.set(name, _short(element.attrib[name]))
    box = {"viewBox": f"0 0 {WIDTH} {height}", "role": "img", "aria-label": label}
    svg = ET.Element("svg", {"class": "chart", **box})
    svg.append(group)
    # Escaped by ElementTree, whatever a site or source is called.
    return Markup(ET.tostring(svg, encoding="unicode"))  # noqa: S704


def _short(number: str) -> str:
    """Leather computes places to 28 digits."""
    return f"{Decimal(number):.1f}"


@cache
def _leather() -> Any:
    """Read when the first chart is drawn: it brings the test framework along, 4 MB."""
    import leather
    from leather import theme

    theme.background_color = "none"
    theme.margin = 0.02
    theme.tick_color, theme.zero_color = "var(--line)", "var(--edge)"
    theme.label_color = "var(--soft)"
    theme.tick_font_family, theme.tick_font_size, theme.tick_font_char_width = "inherit", 13, 7
    theme.legend_font_char_height = theme.legend_gap = 0
    return leather


@cache
def _beside(upright: bool) -> Any:
    """Leather's bars or columns, in one part of the room that a name has: its own lie one upon the
    other."""
    leather = _leather()

    class Beside(leather.Columns if upright else leather.Bars):  # type: ignore[misc]
        def __init__(self, color: str, place: int, count: int) -> None:
            super().__init__(color)
            # Lying ones are counted from below.
            self._place, self._count = place if upright else count - 1 - place, count

        def to_svg(self, width: Any, height: Any, x: Any, y: Any, *rest: Any) -> Any:
            part = _Part(x if upright else y, self._place, self._count)
            scales = (part, y) if upright else (x, part)
            return super().to_svg(width, height, *scales, *rest)

        def legend_to_svg(self, *_: Any) -> list[Any]:
            return []

    return Beside


class _Part:
    """A scale of names that gives one part of each name's room."""

    def __init__(self, scale: Any, place: int, count: int) -> None:
        self._scale, self._place, self._count = scale, place, count

    def project_interval(self, name: str, start: float, end: float) -> tuple[Decimal, Decimal]:
        first, last = self._scale.project_interval(name, start, end)
        part = (last - first) / self._count
        return first + part * self._place, first + part * (self._place + 1)
