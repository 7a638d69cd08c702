"""What time it is for the service: the only clock that is handed in, as `now`."""

import time
from datetime import UTC, datetime, timedelta


class Clock:
    """Real time, or a demo's: `start` at unix time `anchor`, running `rate` times as fast."""

    def __init__(
        self, start: datetime | None = None, anchor: float | None = None, rate: float = 1.0
    ) -> None:
        self._start, self._anchor, self._rate = start, anchor, rate

    def now(self) -> datetime:
        if self._start is None or self._anchor is None:
            return datetime.now(UTC)
        passed = (time.time() - self._anchor) * self._rate
        return self._start.astimezone(UTC) + timedelta(seconds=passed)
