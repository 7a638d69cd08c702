"""A process that dies: at the n-th commit of an engine, everything ends, and nothing is written."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, event


class Died(BaseException):
    """No code of ours catches it, as none catches a kill."""


@contextmanager
def dying_at_commit(engine: Engine, number: int) -> Iterator[list[int]]:
    """Counts the commits that came before, in a list of one number."""
    done = [0]

    def die(connection: Connection) -> None:
        if connection.get_execution_options().get("reads_only", False):
            return
        if done[0] == number:
            raise Died
        done[0] += 1

    event.listen(engine, "commit", die)
    try:
        yield done
    finally:
        event.remove(engine, "commit", die)
