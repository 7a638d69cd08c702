"""The table: as text, as data, and between its markers in docs/performance.md."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.figures import Line, Row

BEGINS, ENDS = "<!-- bench: begin -->", "<!-- bench: end -->"


@dataclass(frozen=True)
class Heading:
    at: datetime
    machine: str
    commit: str


@dataclass(frozen=True)
class Result:
    row: Row
    lines: Sequence[Line]
    seconds: float = 0.0
    #: Why there are no lines.
    problem: str = ""

    @property
    def is_reached(self) -> bool:
        return not self.problem and all(line.is_reached is not False for line in self.lines)


def describe_rows(rows: Sequence[Row]) -> str:
    return "\n".join(f"{row.name:<12} {row.title}: {row.how}" for row in rows)


def render(heading: Heading, results: Sequence[Result]) -> str:
    """A table in Markdown, with when and where it was made."""
    lines = [
        f"{heading.at:%Y-%m-%d %H:%M} UTC, {heading.machine}, commit {heading.commit}",
        "",
        "| what | goal | figure (spread) | reached |",
        "|---|---|---|---|",
        *(cells for result in results for cells in _cells(result)),
    ]
    return "\n".join(lines)


def show(result: Result) -> str:
    """One row's lines, as soon as they are there."""
    heading = f"{result.row.name}, {result.seconds:.0f} s: {result.row.title}"
    return "\n".join((heading, *_cells(result)))


def as_data(heading: Heading, results: Sequence[Result]) -> dict[str, Any]:
    return {
        "at": heading.at.isoformat(),
        "machine": heading.machine,
        "commit": heading.commit,
        "reached": all(result.is_reached for result in results),
        "rows": [
            {
                "name": result.row.name,
                "title": result.row.title,
                "seconds": result.seconds,
                "problem": result.problem,
                "lines": [
                    {
                        "what": line.what,
                        "goal": line.goal,
                        "unit": line.unit,
                        "median": line.figure,
                        "spread": line.spread,
                        "samples": list(line.samples),
                        "reached": line.is_reached,
                        "note": line.note,
                    }
                    for line in result.lines
                ],
            }
            for result in results
        ],
    }


def write(path: Path, heading: Heading, results: Sequence[Result]) -> None:
    """Put the table between its markers; the rest of the page stays."""
    page = path.read_text(encoding="utf-8") if path.exists() else f"{BEGINS}\n{ENDS}\n"
    before, found, rest = page.partition(BEGINS)
    _, ended, after = rest.partition(ENDS)
    if not found or not ended:
        raise SystemExit(f"{path}: expected the markers {BEGINS} and {ENDS}")
    table = render(heading, results)
    path.write_text(f"{before}{BEGINS}\n{table}\n{ENDS}{after}", encoding="utf-8")


def _cells(result: Result) -> Iterator[str]:
    yield f"| **{result.row.title}** | | {result.problem} | {'**no**' if result.problem else ''} |"
    for line in result.lines:
        low, high = line.spread
        unit = f" {line.unit}" if line.unit else ""
        figure = f"{line.figure:.3g}{unit} ({low:.3g} to {high:.3g})"
        what = f"{line.what}; {line.note}" if line.note else line.what
        reached = {True: "yes", False: "**no**", None: ""}[line.is_reached]
        yield f"| {what} | {line.goal} | {figure} | {reached} |"
