"""Interleavings: a transaction that is held just before its commit, while others run."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event

from sqlalchemy import Connection, Engine, event

from tests.parallel import PATIENCE_SECONDS


class Held:
    """The first commit of an engine waits until it is let go."""

    def __init__(self) -> None:
        self._reached, self._may_go = Event(), Event()

    def wait_until_reached(self) -> None:
        assert self._reached.wait(PATIENCE_SECONDS), "nothing was committed"

    def let_go(self) -> None:
        self._may_go.set()

    def hold(self, _connection: Connection) -> None:
        if not self._reached.is_set():
            self._reached.set()
            assert self._may_go.wait(PATIENCE_SECONDS), "nobody let the commit go"


@contextmanager
def holding_the_first_commit(engine: Engine) -> Iterator[Held]:
    held = Held()
    event.listen(engine, "commit", held.hold)
    try:
        yield held
    finally:
        held.let_go()
        event.remove(engine, "commit", held.hold)
