"""The watchman: a thread of the API that notices when nothing runs by the clock any more.

Beat has the service watched by a worker. When beat, the broker or that worker is down, only a
process that needs none of them can tell.
"""

import threading
from collections.abc import Callable

import structlog

log = structlog.get_logger()

#: Real seconds between two looks.
ROUND_SECONDS = 15.0
#: Everything may be starting together.
FIRST_ROUND_SECONDS = 60.0


class Watchman:
    """`look` is what it does each round; an error there ends the round, not the watch."""

    def __init__(
        self,
        look: Callable[[], None],
        round_seconds: float = ROUND_SECONDS,
        first_round_seconds: float = FIRST_ROUND_SECONDS,
    ) -> None:
        self._look = look
        self._round_seconds = round_seconds
        self._first_round_seconds = first_round_seconds
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchman", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._is_over.set()
        self._thread.join(timeout=5)

    def _run(self) -> None:
        wait = self._first_round_seconds
        while not self._is_over.wait(wait):
            wait = self._round_seconds
            try:
                self._look()
            except Exception as error:  # a thread that ended here would never look again
                log.warning("the watchman could not look", error=type(error).__name__)
