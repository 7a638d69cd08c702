"""What is printed of a measurement, and the arithmetic behind it: median, spread, percentiles."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """What a row is about. `title` is what is measured, `how` in a sentence how."""

    name: str
    title: str
    how: str


@dataclass(frozen=True)
class Line:
    """One line of the table: a figure of every round, and what their median must reach, if
    anything. A line without a goal is shown for what it says."""

    what: str
    samples: Sequence[float]
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None
    #: What the reader has to know, such as that the machine was not quiet.
    note: str = ""

    @property
    def figure(self) -> float:
        return statistics.median(self.samples)

    @property
    def spread(self) -> tuple[float, float]:
        return min(self.samples), max(self.samples)

    @property
    def goal(self) -> str:
        if self.at_least is not None:
            return f"≥ {self.at_least:g} {self.unit}".rstrip()
        if self.at_most is not None:
            return f"≤ {self.at_most:g} {self.unit}".rstrip()
        return ""

    @property
    def is_reached(self) -> bool | None:
        """None without a goal."""
        if self.at_least is not None:
            return self.figure >= self.at_least
        if self.at_most is not None:
            return self.figure <= self.at_most
        return None


def percentile(samples: Sequence[float], share: float) -> float:
    """The smallest of the samples that at least that share of them do not exceed."""
    ordered = sorted(samples)
    rank = -(-share * len(ordered) // 1)
    return ordered[max(int(rank), 1) - 1]
