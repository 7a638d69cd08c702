"""The circuit breaker of a transport: when a channel pauses, and when it is tried again."""

from datetime import datetime, timedelta

#: So many calls in a row that the channel itself failed, and it pauses: a retry storm against a
#: provider that is down helps nobody, and each unclear answer is a message that cannot be resent.
FAILURES_TO_PAUSE = 5

#: Real time from the pause, or from a failed probe, to the next probe.
PROBE_DELAYS = (
    timedelta(seconds=15),
    timedelta(seconds=30),
    timedelta(minutes=1),
    timedelta(minutes=2),
    timedelta(minutes=5),
)

#: A provider that asks for fewer calls and does not say for how long is left alone for so long …
SLOWED_FOR = timedelta(seconds=1)
#: … and at the longest for so long, whatever it says: then one message asks again.
LONGEST_SLOWED = timedelta(minutes=5)


def slowed_for(asked: timedelta | None) -> timedelta:
    return min(asked or SLOWED_FOR, LONGEST_SLOWED)


def is_slowed(until: datetime | None, now: datetime) -> bool:
    """Farther ahead than one may ask for, it is the clock that was set back."""
    return until is not None and now < until <= now + LONGEST_SLOWED


def probe_delay(probes: int) -> timedelta:
    """The wait for the next probe after so many that failed, from 0."""
    return PROBE_DELAYS[min(probes, len(PROBE_DELAYS) - 1)]
