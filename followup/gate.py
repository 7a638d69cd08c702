"""A gate: of many threads that come to do the same work, one does it, once more if more came."""

import threading
from collections.abc import Callable

import structlog

log = structlog.get_logger()


class Gate:
    """Lets one thread through at a time; who finds it taken knocks, and leaves the work to that
    thread."""

    def __init__(self, knock: Callable[[], None] = lambda: None) -> None:
        self._taken = threading.Lock()
        self._again = False
        self._knock = knock

    def enter(self, work: Callable[[], None]) -> None:
        """Do the work, or have the thread that is at it do it once more when it is done.

        Also when it fails: those who came meanwhile have left. Raises the last failure.
        """
        self._again = True
        while self._again:
            if not self._taken.acquire(blocking=False):
                self._knock()
                return
            self._again = False
            failure: Exception | None = None
            try:
                work()
            except Exception as error:
                failure = error
            finally:
                self._taken.release()
            if failure is None:
                continue
            if not self._again:
                raise failure
            log.warning("failed, and was asked for again", error=type(failure).__name__)
