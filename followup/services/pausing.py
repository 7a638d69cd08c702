"""The circuit breaker: a channel whose provider fails is paused for all workers, and tried again
one message at a time until it works. What waits meanwhile loses no attempt."""

from collections.abc import Sequence
from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from followup.domain.breaker import (
    FAILURES_TO_PAUSE,
    PROBE_DELAYS,
    is_slowed,
    probe_delay,
    slowed_for,
)
from followup.domain.cadence import Channel
from followup.domain.delivery import Reason
from followup.errors import ConfigurationFailure, Throttled, TransportError
from followup.store import breakers
from followup.store.db import real_now
from followup.store.models import Breaker

log = structlog.get_logger()


def note_outcomes(
    session: Session,
    channel: Channel,
    outcomes: Sequence[str | TransportError],
    *,
    is_probe: bool,
) -> None:
    """Judge the channel by what its provider did with a batch; `is_probe`: it was paused before.

    One message that was taken, or refused for its own sake, shows that the channel works; but
    where the account or sender is wrong, only one that was sent as a probe does. Being asked for
    fewer calls slows the channel down, and is one failure, however many were under way.
    """
    throttled = [one for one in outcomes if isinstance(one, Throttled)]
    if throttled:
        is_news = _slow_down(session, channel, throttled)
        others = [one for one in outcomes if not isinstance(one, Throttled)]
        outcomes = [*others, *throttled[:1]] if is_news else others
    failures = [one for one in outcomes if isinstance(one, TransportError) and one.by_channel]
    if len(failures) < len(outcomes):
        if channel in breakers.list_troubled(session):
            row = breakers.lock_breaker(session, channel)
            if is_probe or row.reason is not Reason.channel_broken:
                _close(row, real_now(session))
    elif failures:
        row = breakers.lock_breaker(session, channel)
        _count(row, failures, real_now(session), is_probe=is_probe)


def pause(session: Session, channel: Channel, code: str) -> None:
    """A receipt says that the account or sender is wrong, though the provider takes messages: so a
    probe tells little, and each costs a message."""
    row = breakers.lock_breaker(session, channel)
    if row.paused_at is None:
        now = real_now(session)
        log.error("a channel is paused", channel=channel, code=code)
        row.paused_at, row.reason, row.code = now, Reason.channel_broken, code
        row.probe_at = now + PROBE_DELAYS[-1]


def _slow_down(session: Session, channel: Channel, throttled: Sequence[Throttled]) -> bool:
    """Nobody claims of the channel until its provider takes more. False when it was so already."""
    row = breakers.lock_breaker(session, channel)
    now = real_now(session)
    was_slowed = is_slowed(row.slowed_until, now)
    until = now + max(slowed_for(one.retry_after) for one in throttled)
    row.slowed_until = max(until, row.slowed_until or until) if was_slowed else until
    if not was_slowed:
        log.warning("a channel is slowed down", channel=channel, problem=str(throttled[0]))
    return not was_slowed


def _close(row: Breaker, now: datetime) -> None:
    if row.paused_at is not None:
        log.info("a channel works again", channel=row.channel)
    if not is_slowed(row.slowed_until, now):
        row.slowed_until = None
    row.failures = row.probes = 0
    row.paused_at = row.probe_at = row.reason = row.code = None


def _count(
    row: Breaker, failures: Sequence[TransportError], now: datetime, *, is_probe: bool
) -> None:
    row.failures += len(failures)
    row.code = failures[-1].code
    misconfigured = any(isinstance(one, ConfigurationFailure) for one in failures)
    if row.paused_at is None and (misconfigured or row.failures >= FAILURES_TO_PAUSE):
        row.paused_at = now
        log.error("a channel is paused", channel=row.channel, problem=str(failures[-1]))
    elif not is_probe:
        return
    else:
        row.probes += 1
    row.reason = Reason.channel_broken if misconfigured else Reason.will_retry
    row.probe_at = now + probe_delay(row.probes)
