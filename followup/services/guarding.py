"""Guards the door: what is refused, what is caught, and what is suspicious, counted in rows.

Counts are kept for windows of time under keyed hashes, so that every process sees the same ones,
also after a restart, and nothing of a person is kept for being counted.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from followup.clinic_limits import Limits
from followup.domain.submission import AnyForm
from followup.domain.suspicion import (
    Likeness,
    Manner,
    Suspicion,
    flood,
    judge,
    likenesses,
    network_of,
    window_of,
)
from followup.errors import TooMany
from followup.services.planning import Planner
from followup.store import intake_counts
from followup.store.crypto import Keyring
from followup.store.models import Submission

#: Whoever counts holds this lock, of submissions that are consumed at the same time elsewhere.
COUNTING = "0" * 15

#: Longer than any window and the one before it.
COUNTS_KEPT = timedelta(days=2, hours=1)

#: Whoever types a command is no bot.
TRUSTED_SOURCES = frozenset({"command line"})


def count_address(
    session: Session, keyring: Keyring, limits: Limits, address: str | None, now: datetime
) -> None:
    """One more submission from that address. Raises TooMany when it had as many as it may have."""
    network = network_of(address, limits.spared)
    if network is None:
        return
    begun_at = window_of(now, limits.window)
    likeness = keyring.hash(f"address\n{network}")
    count = intake_counts.add(session, [(likeness, begun_at)])[likeness]
    if count > limits.per_address:
        raise TooMany(begun_at + limits.window - now)


def find_suspicion(
    session: Session, planner: Planner, limits: Limits, submission: Submission, form: AnyForm
) -> Suspicion | None:
    """Why the submission is suspicious; None when it is as welcome as any.

    It is counted as what it is like. What that gives away does not count as part of a flood: or a
    bot with one message would keep out those who have nothing in common with it.
    """
    if submission.source in TRUSTED_SOURCES:
        return None
    bounds = limits.bounds
    opening = submission.evidence.get("opening")
    suspicion = judge(form, bounds)
    alike = list(likenesses(form, bounds, countries=planner.clinic.countries, opening=opening))
    found = _first_above(session, planner.keyring, alike, submission.received_at)
    if suspicion or found:
        return suspicion or found
    manner = Manner(
        is_vouched=opening is not None and submission.evidence.get("captcha") != "failed",
        is_first=_is_first(session, planner.keyring, limits, submission),
        agent=str(submission.evidence.get("agent")),
    )
    for likeness in flood(manner, bounds):
        if _first_above(session, planner.keyring, [likeness], submission.received_at):
            return likeness.suspicion
    return None


def _is_first(session: Session, keyring: Keyring, limits: Limits, submission: Submission) -> bool:
    """Whether nothing else has come from its address of late; a server that posts for many is
    always new."""
    network = network_of(submission.evidence.get("address"), limits.spared)
    if network is None:
        return True
    came_before = Likeness(Suspicion.burst, f"came\n{network}", limit=1)
    return _first_above(session, keyring, [came_before], submission.received_at) is None


def _first_above(
    session: Session, keyring: Keyring, alike: Sequence[Likeness], at: datetime
) -> Suspicion | None:
    """Count one more of each. The first that is above its limit in this window, or was in the one
    before: so what has begun does not get through again at each window's beginning."""
    keys = [
        (keyring.hash(f"{one.suspicion}\n{one.value}"), window_of(at, one.window)) for one in alike
    ]
    now = intake_counts.add(session, keys)
    earlier = [
        (key, begun_at - one.window) for (key, begun_at), one in zip(keys, alike, strict=True)
    ]
    before = intake_counts.list_counts(session, earlier)
    for (key, _), one in zip(keys, alike, strict=True):
        if max(now[key], before.get(key, 0)) > one.limit:
            return one.suspicion
    return None
