"""What is wrong in the templates' folder: each problem with its file and line."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from followup.errors import Misconfigured


@dataclass(frozen=True)
class Problem:
    """One thing to mend; `line` is None when the file as a whole is meant."""

    file: Path
    line: int | None
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else f"{self.file}"
        return f"{place}: {self.message}"


class Refused(Misconfigured):
    """Cadences or wording that cannot be used; its text is the first of `problems`."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        others = len(problems) - 1
        more = f" (and {others} more: followup templates check)" if others else ""
        super().__init__(f"{problems[0]}{more}")
        self.problems = tuple(problems)


@contextmanager
def collecting(problems: list[Problem]) -> Iterator[None]:
    """Lets the reading of the other files go on, so that every problem is named at once."""
    try:
        yield
    except Refused as refused:
        problems.extend(refused.problems)
