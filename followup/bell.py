"""The bell: requests ring it, and one thread carries the rings to the broker.

A request never talks to the broker, so a broker that is gone or frozen delays nobody. Rings of
one lane coalesce; a lost one costs at most a second, because beat rings every lane too.
"""

import threading
import time
from collections.abc import Callable

import structlog

log = structlog.get_logger()

#: Seconds after a ring in which further ones gather, to be one: the longer, the more of them came
#: in the last rest. A ring makes a worker look for what came, which costs more than what it finds:
#: under load few rings must do for many submissions, and without it nobody waits.
REST, LONGEST_REST = 0.02, 0.1


class Bell:
    """`publish` tells the broker that somebody should look at a lane."""

    def __init__(self, publish: Callable[[str], None]) -> None:
        self._publish = publish
        self._lanes: set[str] = set()
        self._rung = 0
        self._wake = threading.Event()
        self._is_over = False
        self._was_heard = True
        self._thread = threading.Thread(target=self._run, name="bell", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread after the ring in progress."""
        self._is_over = True
        self._wake.set()
        self._thread.join(timeout=5)

    def ring(self, lane: str) -> None:
        """Never waits and never fails."""
        self._lanes.add(lane)
        self._rung += 1
        self._wake.set()

    def _run(self) -> None:
        rest = REST
        while not self._is_over:
            self._wake.wait()
            self._wake.clear()
            rung, self._rung = self._rung, 0
            while self._lanes and not self._is_over:
                self._carry(self._lanes.pop())
            rest = min(2 * rest, LONGEST_REST) if rung > 1 else max(rest / 2, REST)
            time.sleep(rest)

    def _carry(self, lane: str) -> None:
        try:
            self._publish(lane)
        except Exception as error:  # a thread that ended here would never ring again
            if self._was_heard:
                log.warning(
                    "the broker does not hear the bell", lane=lane, error=type(error).__name__
                )
            self._was_heard = False
        else:
            self._was_heard = True
