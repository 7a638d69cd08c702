"""Contestants take turns, round by round; a round in which the machine did other work is run again.

Ratios are of figures of the same round, because a machine is not the same from minute to minute.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Generic, TypeVar

from bench import machine

T = TypeVar("T")

#: Cores that others may take of a round.
MOST_OTHER_WORK = 0.3


@dataclass(frozen=True)
class Round(Generic[T]):
    results: Mapping[str, T]
    #: Cores that others took meanwhile, on average.
    other_work: float

    @property
    def is_quiet(self) -> bool:
        return self.other_work <= MOST_OTHER_WORK


@dataclass(frozen=True)
class Rounds(Generic[T]):
    """As many rounds as were asked for: the quiet ones, or the quietest."""

    rounds: Sequence[Round[T]]
    discarded: int

    def of(self, name: str) -> list[T]:
        """What one contestant did, round by round."""
        return [one.results[name] for one in self.rounds]

    def ratios(self, name: str, other: str, figure: Callable[[T], float]) -> list[float]:
        """Round by round, the figure of one against that of another."""
        return [figure(one.results[name]) / figure(one.results[other]) for one in self.rounds]

    @property
    def note(self) -> str:
        """Nothing, or how much other work there was although rounds were run again."""
        noisy = [one.other_work for one in self.rounds if not one.is_quiet]
        if not noisy:
            return ""
        worst, of = max(noisy), len(self.rounds)
        return f"other work took up to {worst:.1f} cores in {len(noisy)} of {of} rounds"


def interleave(
    contestants: Mapping[str, Callable[[], T]], *, count: int, spare: int | None = None
) -> Rounds[T]:
    """Run every contestant once per round, each round beginning with the next of them.

    A round in which others took too much is run again, `spare` times in all (`count` when not
    given); when these are used up, the quietest rounds are taken.
    """
    names = list(contestants)
    runs: list[Round[T]] = []
    left = count + (count if spare is None else spare)
    while left and sum(one.is_quiet for one in runs) < count:
        begin = len(runs) % len(names)
        runs.append(_run({name: contestants[name] for name in names[begin:] + names[:begin]}))
        left -= 1
    chosen = sorted(range(len(runs)), key=lambda number: runs[number].other_work)[:count]
    return Rounds([runs[number] for number in sorted(chosen)], discarded=len(runs) - len(chosen))


def _run(contestants: Mapping[str, Callable[[], T]]) -> Round[T]:
    began, busy, ours = monotonic(), machine.busy_seconds(), machine.our_cpu_seconds()
    results = {name: measure() for name, measure in contestants.items()}
    others = machine.busy_seconds() - busy - (machine.our_cpu_seconds() - ours)
    return Round(results, other_work=max(0.0, others / (monotonic() - began)))
