"""How soon staff called those who wrote in a period, and what became of our messages: numbers in
tables, of which the page, its charts and the CSV are made.

What counts is what a person of the staff did: the first attempt, whether or not it reached anybody,
and the first contact. Nothing that we send counts, least of all the acknowledgement; nor does a
mark that was taken back. Who wrote so lately that a limit has not passed is left out of its share:
nobody knows yet.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from statistics import median

from sqlalchemy.orm import Session

from followup.clinic import Clinic
from followup.domain.cadence import TO_PATIENTS, Audience, Channel
from followup.domain.consent import SuppressionReason
from followup.domain.delivery import Status
from followup.domain.hours import OpenTime
from followup.domain.submission import Kind
from followup.services.reporting import p90
from followup.store import insights, leads
from followup.store.insights import Called, Outcome

#: Days that a survey may cover, back from now.
PERIODS = (7, 30, 90)

#: Classes of time: up to each limit, and longer than the last.
CLASSES: Mapping[str, timedelta] = {
    "5m": timedelta(minutes=5),
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "4h": timedelta(hours=4),
    "1d": timedelta(days=1),
    "3d": timedelta(days=3),
}
LONGER, NOT_YET = "longer", "not_yet"
_LIMITS = list(CLASSES.values())

#: By which somebody said no; that an address cannot be reached is nobody's word.
OPT_OUTS = (
    SuppressionReason.opted_out,
    SuppressionReason.unsubscribed,
    SuppressionReason.asked_staff,
    SuppressionReason.complained,
    SuppressionReason.wrong_number,
)

#: How statuses of deliveries are told: each of those that are over is in one column.
COLUMN_OF: Mapping[Status, str] = {
    Status.delivered: "delivered",
    # No receipt says more: mail seldom has one.
    Status.accepted: "accepted",
    Status.sent: "accepted",
    Status.failed: "failed",
    Status.undelivered: "failed",
    Status.unknown: "unknown",
    Status.expired: "expired",
    Status.skipped: "skipped",
    Status.cancelled: "cancelled",
}
#: Of these the reasons are counted.
_NOT_SENT = (Status.failed, Status.undelivered, Status.unknown, Status.expired, Status.skipped)


class Unit(StrEnum):
    number = "number"
    #: From 0 to 1.
    share = "share"
    seconds = "seconds"


@dataclass(frozen=True)
class Table:
    """Numbers by row and column; None: there is nothing to say. Names are for the page to word,
    or a site's id, a source, or somebody of the staff."""

    name: str
    columns: Mapping[str, Unit]
    rows: Mapping[str, tuple[float | None, ...]]
    #: Columns that the chart shows; all of one unit. None of them: no chart.
    drawn: tuple[str, ...]


@dataclass(frozen=True)
class _Wait:
    """From coming in to what staff did, or until now when they have not."""

    is_over: bool
    real: timedelta
    open: timedelta
    promised: timedelta


@dataclass(frozen=True)
class _Answered:
    """One lead, and how long it waited."""

    lead: Called
    came_at: datetime
    came_while_open: bool
    attempted: _Wait
    reached: _Wait


def survey(session: Session, clinic: Clinic, now: datetime, days: int) -> dict[str, Table]:
    """Every table by its name, over the days until now. Never more is read than came in, was due
    or was said then, and than waits now."""
    since = now - timedelta(days=days)
    answered = _answered(insights.list_called(session, since), clinic, since, now)
    outcomes = insights.count_outcomes(session, since, now)
    tables = [
        _times(answered),
        _within(answered),
        _classes(answered),
        _waiting(leads.count_by_age(session, now, _LIMITS)),
        *_groups(answered, clinic),
        _deliveries(outcomes),
        _failures(outcomes),
        _opt_outs(insights.count_suppressed(session, since, OPT_OUTS)),
    ]
    return {table.name: table for table in tables}


def _answered(
    called: Iterable[Called], clinic: Clinic, since: datetime, now: datetime
) -> list[_Answered]:
    open_times = {site.id: OpenTime(site.business_hours, since, now) for site in clinic.sites}
    found = []
    for lead in called:
        site = clinic.site(lead.site)
        open_time = open_times[site.id]
        acts = [at for at in (lead.tried_at, lead.contacted_at) if at is not None]
        found.append(
            _Answered(
                lead,
                lead.created_at.astimezone(site.zone),
                site.business_hours.is_open(lead.created_at),
                attempted=_wait(lead, open_time, min(acts, default=None), now),
                reached=_wait(lead, open_time, lead.contacted_at, now),
            )
        )
    return found


def _wait(lead: Called, open_time: OpenTime, done_at: datetime | None, now: datetime) -> _Wait:
    end = done_at or now
    return _Wait(
        done_at is not None,
        max(end - lead.created_at, timedelta(0)),
        open_time.between(lead.created_at, end),
        lead.promised_at - lead.created_at,
    )


_BOTH = ("attempted", "reached")


def _each(answered: Iterable[_Answered]) -> tuple[list[_Wait], list[_Wait]]:
    """Waits for the first attempt, and for the first contact."""
    some = list(answered)
    return [one.attempted for one in some], [one.reached for one in some]


def _times(answered: Sequence[_Answered]) -> Table:
    both = _each(answered)
    rows = {
        "median": tuple(_median(waits) for waits in both),
        "p90": tuple(_p90(waits) for waits in both),
        "open_median": tuple(_median(waits, _open) for waits in both),
        "open_p90": tuple(_p90(waits, _open) for waits in both),
    }
    return Table("times", dict.fromkeys(_BOTH, Unit.seconds), rows, ())


#: What a wait is measured by.
Measure = Callable[[_Wait], timedelta]


def _real(wait: _Wait) -> timedelta:
    return wait.real


def _open(wait: _Wait) -> timedelta:
    return wait.open


def _seconds(waits: Iterable[_Wait], measure: Measure) -> list[float]:
    return sorted(measure(wait).total_seconds() for wait in waits if wait.is_over)


def _median(waits: Iterable[_Wait], measure: Measure = _real) -> float | None:
    seconds = _seconds(waits, measure)
    return median(seconds) if seconds else None


def _p90(waits: Iterable[_Wait], measure: Measure = _real) -> float | None:
    return p90(_seconds(waits, measure))


#: Whether a wait is, until now, no longer than what it is held against.
_IN_TIME: Mapping[str, Callable[[_Wait], bool]] = {
    "within_5m": lambda wait: wait.real <= timedelta(minutes=5),
    "within_1h": lambda wait: wait.real <= timedelta(hours=1),
    "within_business_hour": lambda wait: wait.open <= timedelta(hours=1),
    "promise_kept": lambda wait: wait.real <= wait.promised,
}


def _share(waits: Iterable[_Wait], limit: str) -> float | None:
    """Of those of whom it is known: over, or waiting for longer already."""
    is_in_time = _IN_TIME[limit]
    known = [wait for wait in waits if wait.is_over or not is_in_time(wait)]
    return sum(map(is_in_time, known)) / len(known) if known else None


def _within(answered: Sequence[_Answered]) -> Table:
    both = _each(answered)
    rows = {limit: tuple(_share(waits, limit) for waits in both) for limit in _IN_TIME}
    return Table("within", dict.fromkeys(_BOTH, Unit.share), rows, _BOTH)


def _classes(answered: Sequence[_Answered]) -> Table:
    both = [
        Counter(_class(wait.real) if wait.is_over else NOT_YET for wait in waits)
        for waits in _each(answered)
    ]
    rows = {name: tuple(counted[name] for counted in both) for name in (*CLASSES, LONGER, NOT_YET)}
    return Table("classes", dict.fromkeys(_BOTH, Unit.number), rows, _BOTH)


def _class(time: timedelta) -> str:
    return (*CLASSES, LONGER)[bisect_left(_LIMITS, time)]


def _waiting(ages: Mapping[int, tuple[int, int]]) -> Table:
    rows = {
        name: (count - overdue, overdue)
        for place, name in enumerate((*CLASSES, LONGER))
        for count, overdue in [ages.get(place, (0, 0))]
    }
    columns = ("in_time", "overdue")
    return Table("waiting", dict.fromkeys(columns, Unit.number), rows, columns)


#: Shares are of those reached.
_OF_GROUP: Mapping[str, Unit] = {
    "leads": Unit.number,
    "attempted": Unit.number,
    "reached": Unit.number,
    "attempted_median": Unit.seconds,
    "reached_median": Unit.seconds,
    "reached_p90": Unit.seconds,
    **dict.fromkeys(_IN_TIME, Unit.share),
}


def _groups(answered: Sequence[_Answered], clinic: Clinic) -> list[Table]:
    sites = [site.id for site in clinic.sites]
    hours = [f"{hour:02}:00" for hour in range(24)]
    shares = ("within_business_hour", "promise_kept")
    counts = ("leads", "reached")
    return [
        _group("site", sites, answered, lambda one: one.lead.site, shares),
        _group("kind", [*Kind], answered, lambda one: one.lead.kind, shares),
        _group("source", [], answered, lambda one: one.lead.source or "", shares),
        _group("person", [], answered, lambda one: one.lead.person or "", shares),
        _group(
            "opening",
            ["open", "closed"],
            answered,
            lambda one: "open" if one.came_while_open else "closed",
            shares,
        ),
        _group("weekday", "0123456", answered, lambda one: str(one.came_at.weekday()), counts),
        _group("hour", hours, answered, lambda one: f"{one.came_at.hour:02}:00", counts),
    ]


def _group(
    name: str,
    known: Iterable[str],
    answered: Iterable[_Answered],
    key: Callable[[_Answered], str],
    drawn: tuple[str, ...],
) -> Table:
    """Those that are known first, though nobody be in them."""
    groups: dict[str, list[_Answered]] = defaultdict(list, {str(one): [] for one in known})
    for one in sorted(answered, key=key):
        groups[key(one)].append(one)
    return Table(name, _OF_GROUP, {group: _of(some) for group, some in groups.items()}, drawn)


def _of(answered: Sequence[_Answered]) -> tuple[float | None, ...]:
    attempted, reached = _each(answered)
    return (
        len(answered),
        sum(wait.is_over for wait in attempted),
        sum(wait.is_over for wait in reached),
        _median(attempted),
        _median(reached),
        _p90(reached),
        *(_share(reached, limit) for limit in _IN_TIME),
    )


def _to(audience: Audience, channel: Channel) -> str:
    return f"{audience}_{channel}"


_TO_PATIENTS = tuple(_to(Audience.patient, channel) for channel in TO_PATIENTS)
_TO = (*_TO_PATIENTS, *(_to(Audience.staff, channel) for channel in Channel))


def _deliveries(outcomes: Mapping[Outcome, int]) -> Table:
    counted: Counter[tuple[str, str]] = Counter()
    for (audience, channel, status, _), count in outcomes.items():
        if status in COLUMN_OF:
            counted[_to(audience, channel), COLUMN_OF[status]] += count
    columns = dict.fromkeys(COLUMN_OF.values(), Unit.number)
    rows = {to: tuple(counted[to, column] for column in columns) for to in _TO}
    return Table("deliveries", columns, rows, ("delivered", "accepted", "failed"))


def _failures(outcomes: Mapping[Outcome, int]) -> Table:
    """The most frequent reason first."""
    counted: dict[str, Counter[str]] = defaultdict(Counter)
    for (audience, channel, status, reason), count in outcomes.items():
        if status in _NOT_SENT:
            counted[reason or status][_to(audience, channel)] += count
    ordered = sorted(counted, key=lambda reason: (-counted[reason].total(), reason))
    rows = {reason: tuple(counted[reason][to] for to in _TO) for reason in ordered}
    return Table("failures", dict.fromkeys(_TO, Unit.number), rows, _TO_PATIENTS)


def _opt_outs(counted: Mapping[tuple[Channel, SuppressionReason], int]) -> Table:
    rows = {
        reason.value: tuple(counted.get((channel, reason), 0) for channel in TO_PATIENTS)
        for reason in OPT_OUTS
    }
    columns = dict.fromkeys((channel.value for channel in TO_PATIENTS), Unit.number)
    return Table("opt_outs", columns, rows, tuple(columns))
