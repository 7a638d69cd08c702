"""Calls that begin at the same moment, each in a thread of its own."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

T = TypeVar("T")

#: Longer than PostgreSQL takes to find a deadlock (1 s), or SQLite to give up (5 s).
PATIENCE_SECONDS = 30.0


def together(*calls: Callable[[], T]) -> list[T]:
    """The answers in the order of the calls; raises what the first failing one raised."""
    start = Barrier(len(calls))

    def run(call: Callable[[], T]) -> T:
        start.wait(PATIENCE_SECONDS)
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return [
            future.result(PATIENCE_SECONDS) for future in [threads.submit(run, c) for c in calls]
        ]


def flat(parts: Sequence[Sequence[T]]) -> list[T]:
    return [one for part in parts for one in part]
