"""A gate: of many threads that come to do the same work, one does it, once more if more came."""

import threading
from collections.abc import Callable


class Gate:
    """Lets one thread through at a time; who finds it taken leaves the work to that thread."""

    def __init__(self) -> None:
        self._taken = threading.Lock()
        self._again = False

    def enter(self, work: Callable[[], None]) -> None:
        """Do the work, or have the thread that is at it do it once more when it is done."""
        self._again = True
        while self._again and self._taken.acquire(blocking=False):
            try:
                self._again = False
                work()
            finally:
                self._taken.release()
