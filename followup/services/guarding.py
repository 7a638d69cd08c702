"""Guards the door: what is refused, what is caught, and what is suspicious, counted in rows.

Counts are kept for windows of time under keyed hashes, so that every process sees the same ones,
also after a restart, and nothing of a person is kept for being counted.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from followup.clinic_limits import Limits
from followup.domain.submission import AnyForm
from followup.domain.suspicion import (
    Likeness,
    Manner,
    Suspicion,
    flood,
    flood_of_source,
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

#: Whoever counts holds this lock, of submissions that are consumed at the same time elsewhere. The
#: last of all in the order of locks, so that who holds it waits for nobody's address.
COUNTING = "f" * 15

#: Longer than any window and the one before it.
COUNTS_KEPT = timedelta(days=2, hours=1)

#: Whoever types a command is no bot.
TRUSTED_SOURCES = frozenset({"command line", "import"})


def count_address(
    session: Session, keyring: Keyring, limits: Limits, address: str | None, now: datetime
) -> None:
    """One more submission from that address. Raises TooMany when it had as many as it may have."""
    network = network_of(address, limits.spared)
    if network is None:
        return
    begun_at = window_of(now, limits.window)
    key = (keyring.hash(f"address\n{network}"), begun_at)
    if intake_counts.add(session, {key: 1})[key] > limits.per_address:
        raise TooMany(begun_at + limits.window - now)


def find_suspicions(
    session: Session, planner: Planner, limits: Limits, batch: Sequence[tuple[Submission, AnyForm]]
) -> list[Suspicion | None]:
    """Why each of the batch is suspicious, in its order; None when it is as welcome as any.

    Each is counted as what it is like. What that gives away does not count as part of a flood: or a
    bot with one message would keep out those who have nothing in common with it. The caller holds
    COUNTING: what was counted before is read at once, and what came is added at once.
    """
    judged = [_Arrival(planner, limits, *one) for one in batch]
    tally = _Tally(planner.keyring)
    tally.read(session, [one for arrival in judged for one in arrival.counted])
    found = [_find_suspicion(tally, limits, arrival) for arrival in judged]
    tally.write(session)
    return found


class _Arrival:
    """A submission as it is judged: what it is like, by itself and in its manner."""

    def __init__(
        self, planner: Planner, limits: Limits, submission: Submission, form: AnyForm
    ) -> None:
        opening = submission.evidence.get("opening")
        network = network_of(submission.evidence.get("address"), limits.spared)
        self.form, self.at = form, submission.received_at
        self.is_trusted = submission.source in TRUSTED_SOURCES
        self.alike = list(
            likenesses(form, limits.bounds, countries=planner.clinic.countries, opening=opening)
        )
        # A server that posts for many is always new.
        self.floods: Mapping[bool, tuple[Likeness, ...]]
        self.came = [Likeness(Suspicion.burst, f"came\n{network}", limit=1)] if network else []
        # A vendor's server has one address and one name for everybody: each is a door of its own.
        source = planner.clinic.find_source(submission.source)
        if source is not None:
            door = (flood_of_source(source.name, limits.bounds),)
            self.came, self.floods = [], {True: door, False: door}
            return
        self.floods = {
            is_first: flood(
                Manner(
                    is_vouched=opening is not None
                    and submission.evidence.get("captcha") != "failed",
                    is_first=is_first,
                    agent=str(submission.evidence.get("agent")),
                ),
                limits.bounds,
            )
            for is_first in (True, False)
        }

    @property
    def counted(self) -> Iterator[tuple[Likeness, datetime]]:
        """All that may be counted of it."""
        for one in (*self.alike, *self.came, *self.floods[True], *self.floods[False]):
            yield one, self.at


def _find_suspicion(tally: "_Tally", limits: Limits, arrival: _Arrival) -> Suspicion | None:
    if arrival.is_trusted:
        return None
    by_words = judge(arrival.form, limits.bounds)
    found = tally.first_above(arrival.alike, arrival.at)
    if by_words or found:
        return by_words or found
    # Whether nothing else has come from its address of late.
    is_first = tally.first_above(arrival.came, arrival.at) is None
    for likeness in arrival.floods[is_first]:
        if tally.first_above([likeness], arrival.at):
            return likeness.suspicion
    return None


class _Tally:
    """How many there are of each likeness: what the rows say, and what came since."""

    def __init__(self, keyring: Keyring) -> None:
        self._hash = keyring.hash
        self._known: dict[intake_counts.Key, int] = {}
        self._more: Counter[intake_counts.Key] = Counter()

    def read(self, session: Session, counted: Sequence[tuple[Likeness, datetime]]) -> None:
        keys = {key for one, at in counted for key in self._keys(one, at)}
        self._known = intake_counts.list_counts(session, keys) if keys else {}

    def write(self, session: Session) -> None:
        intake_counts.add(session, self._more)

    def first_above(self, alike: Sequence[Likeness], at: datetime) -> Suspicion | None:
        """Count one more of each. The first that is above its limit in this window, or was in the
        one before: so what has begun does not get through again at each window's beginning."""
        keys = [self._keys(one, at) for one in alike]
        self._more.update(current for current, _ in keys)
        for (current, before), one in zip(keys, alike, strict=True):
            if max(self._count(current), self._count(before)) > one.limit:
                return one.suspicion
        return None

    def _count(self, key: intake_counts.Key) -> int:
        return self._known.get(key, 0) + self._more[key]

    def _keys(self, one: Likeness, at: datetime) -> tuple[intake_counts.Key, intake_counts.Key]:
        """Of this window, and of the one before."""
        digits = self._hash(f"{one.suspicion}\n{one.value}")
        begun_at = window_of(at, one.window)
        return (digits, begun_at), (digits, begun_at - one.window)
