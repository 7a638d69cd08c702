"""Knowing that somebody waits for a lock, on PostgreSQL; SQLite cannot tell, and has one writer."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Engine, text

from tests.waiting import eventually

T = TypeVar("T")

_BLOCKED = text(
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


@contextmanager
def meanwhile(call: Callable[[], T]) -> Iterator[Future[T]]:
    """Begin the call in another thread; at the end of the block it may still be under way."""
    with ThreadPoolExecutor(1) as thread:
        yield thread.submit(call)


def until_blocked(engine: Engine, call: Future[T]) -> None:
    """Returns when another connection waits for a lock, or the call ended without waiting."""
    if engine.dialect.name == "sqlite":
        return

    def is_blocked() -> bool:
        with engine.connect() as connection:
            return call.done() or connection.execute(_BLOCKED).scalar_one() > 0

    eventually(is_blocked)
