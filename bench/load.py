"""Who submits the forms: so many at once, or so many a second whatever the answers take.

Raw HTTP/1.1 over connections that are kept open, so that the client is not what is measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Posted:
    """One request. Instants are `time.monotonic()`'s, the same in every process of the machine."""

    number: int
    #: When it was meant to go out, so that waiting for a free connection counts.
    due_at: float
    answered_at: float
    status: int

    @property
    def seconds(self) -> float:
        return self.answered_at - self.due_at


def post_all(url: str, numbers: Sequence[int], *, connections: int = 16) -> list[Posted]:
    """Submit for these people as fast as the answers come, over so many connections."""
    raise NotImplementedError


def post_steadily(
    url: str, numbers: Sequence[int], *, per_second: float, connections: int = 32
) -> list[Posted]:
    """Submit for these people at a fixed rate, however long the answers take."""
    raise NotImplementedError
