"""Writes what must not be forgotten, again and again while a database is away for moments."""

import time
from collections.abc import Callable

import structlog

from followup.store.db import UNUSABLE, cause_of

log = structlog.get_logger()

#: Seconds until what could not be written is written again.
AGAIN_AFTER = 0.5


def insist(write: Callable[[], None], *, within: float) -> None:
    """Have it written, and tried again for so many real seconds: what became of a message must not
    be unknown because the database was gone when it was known. Raises what was said at last."""
    ends_at = time.monotonic() + within
    is_told = False
    while True:
        try:
            return write()
        except UNUSABLE as error:
            if time.monotonic() + AGAIN_AFTER > ends_at:
                raise
            if not is_told:
                log.error("what was sent cannot be recorded yet", cause=cause_of(error))
                is_told = True
            time.sleep(AGAIN_AFTER)
