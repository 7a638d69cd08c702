"""Watches over the service: what should have happened and has not is an alarm."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from followup.clinic_limits import Caps
from followup.domain.alarm import (
    HELD_FOR,
    MOST_NAMED,
    OVERDUE_AFTER,
    PAUSED_AFTER,
    REFUSED_FOR,
    SILENT_AFTER,
    SUMMARY_EVERY,
    UNCONSUMED_AFTER,
    UNHEARD_FOR,
    UNREACHED_FOR,
    AlarmKind,
    describe,
)
from followup.domain.cadence import TO_PATIENTS, Channel, Lane
from followup.domain.delivery import Reason
from followup.domain.lead import WAITING
from followup.domain.spoken import iso
from followup.services import guarding
from followup.services.alarming import clear_alarm, raise_alarm, tell_staff
from followup.services.planning import Planner
from followup.store import (
    alarms,
    announcements,
    breakers,
    counts,
    deliveries,
    intake_counts,
    leads,
    sign_ins,
    submissions,
)
from followup.store.db import reading, real_now, transaction
from followup.store.models import Lead, Task

#: What must never stop: the task that beat rings for, run by a worker of upkeep.
UPKEEP = "upkeep"
#: Counts of what was sent are kept for that long.
COUNTS_KEPT = timedelta(days=2)
#: Longer than any browser stays signed in; the audit trail keeps when it was.
SIGN_INS_KEPT = timedelta(days=8)


@dataclass(frozen=True)
class _Concern:
    """Something that is wrong, or, with `facts` None, is not."""

    kind: AlarmKind
    subject: str
    facts: dict[str, Any] | None


def watch(
    engine: Engine,
    planner: Planner,
    now: datetime,
    *,
    caps: Caps | None,
    rate: float = 1.0,
    by_clock: bool = True,
) -> int:
    """Raise and clear alarms, and tell staff whom to call. Returns how many alarms are open.

    `rate` is the clock's: what may take minutes of real time may take as many in a demo.
    `by_clock` says that beat had this done; whoever else does it finds out whether beat is alive.
    Any number may watch at once.
    """
    with transaction(engine) as session:
        if by_clock:
            counts.beat(session, UPKEEP, real_now(session))
            counts.forget_sends(session, now - COUNTS_KEPT)
            intake_counts.forget(session, now - guarding.COUNTS_KEPT)
            sign_ins.forget(session, real_now(session) - SIGN_INS_KEPT)
        for one in _concerns(session, planner, now, caps, rate):
            if one.facts is None:
                clear_alarm(session, planner, one.kind, one.subject, now)
            else:
                raise_alarm(session, planner, one.kind, one.subject, now, one.facts)
        _tell_tasks(session, planner, now)
        return len(alarms.list_open(session))


def is_silent(engine: Engine) -> bool:
    """Whether nothing has run by the clock for too long: beat, the broker or upkeep is down."""
    with reading(engine) as session:
        return _is_silent(session)


def health(engine: Engine) -> dict[str, Any]:
    """For `/readyz`: beat and each channel as `ok` or `degraded`, that of staff alone only where it
    is paused, and the alarms that are open.

    Nothing about a person.
    """
    with reading(engine) as session:
        paused = breakers.list_paused(session)
        return {
            "beat": "degraded" if _was_heard(session) and _is_silent(session) else "ok",
            **dict.fromkeys(TO_PATIENTS, "ok"),
            **dict.fromkeys(paused, "degraded"),
            "alarms": list_alarms(session),
        }


def list_alarms(session: Session) -> list[dict[str, Any]]:
    """What is wrong now, the oldest first."""
    return [
        {
            "alarm": one.kind.value,
            "subject": one.subject,
            "since": iso(one.raised_at),
            "explanation": describe(one.kind, one.subject, one.facts),
        }
        for one in alarms.list_open(session)
    ]


def _was_heard(session: Session) -> bool:
    """Of a service that has just been set up there is no telling yet."""
    return counts.last_beat(session, UPKEEP) is not None


def _is_silent(session: Session) -> bool:
    last = counts.last_beat(session, UPKEEP)
    return last is None or real_now(session) - last > SILENT_AFTER


def _concerns(
    session: Session, planner: Planner, now: datetime, caps: Caps | None, rate: float
) -> Iterator[_Concern]:
    yield from _paused(session)
    yield from _overdue(session, now, rate)
    oldest = submissions.oldest_unconsumed(session, now)
    is_late = oldest is not None and now - oldest > UNCONSUMED_AFTER * rate
    yield _Concern(AlarmKind.unconsumed, "", {} if is_late else None)
    problems = len(submissions.list_problems(session))
    yield _Concern(AlarmKind.problem, "", {"count": problems} if problems else None)
    yield _Concern(AlarmKind.silent, "", {} if _is_silent(session) else None)
    yield _no_submission(session, planner, now)
    yield from _held(session, planner, now)
    yield from _unheard(session)
    is_full = caps is not None and counts.count_sends(session, now) >= caps.service_per_hour
    yield _Concern(AlarmKind.capped, "", {} if is_full else None)
    for alarm in alarms.list_open(session):
        if alarm.kind is AlarmKind.staff_unreached:
            came_back = deliveries.came_back(session, alarm.subject, now - UNREACHED_FOR)
            yield _Concern(alarm.kind, alarm.subject, alarm.facts if came_back else None)
        elif alarm.kind is AlarmKind.refused and now - alarm.raised_at > REFUSED_FOR:
            yield _Concern(alarm.kind, alarm.subject, None)
        elif alarm.kind is AlarmKind.unfit:
            goes_on = deliveries.was_unfit(session, alarm.subject, now - UNREACHED_FOR)
            yield _Concern(alarm.kind, alarm.subject, alarm.facts if goes_on else None)


def _paused(session: Session) -> Iterator[_Concern]:
    paused = breakers.list_paused(session)
    real = real_now(session) if paused else None
    for channel in Channel:
        row = paused.get(channel)
        facts = None
        if row is not None and row.paused_at is not None and real is not None:
            misconfigured = row.reason is Reason.channel_broken
            if misconfigured or real - row.paused_at > PAUSED_AFTER:
                facts = {"code": row.code, "misconfigured": misconfigured}
        if row is None or facts is not None:
            yield _Concern(AlarmKind.paused, channel.value, facts)


def _overdue(session: Session, now: datetime, rate: float) -> Iterator[_Concern]:
    """What waits for a paused channel is told as that."""
    paused = breakers.list_paused(session)
    working = [channel for channel in Channel if channel not in paused]
    oldest: Mapping[Lane, datetime] = counts.oldest_due(session, now, working)
    for lane, limit in OVERDUE_AFTER.items():
        since = oldest.get(lane)
        is_late = since is not None and now - since > limit * rate
        yield _Concern(AlarmKind.overdue, lane.value, {} if is_late else None)


def _no_submission(session: Session, planner: Planner, now: datetime) -> _Concern:
    """A website's form that broke is silent. Before the first submission there is no telling."""
    patience = planner.clinic.alarms.no_submission_after
    last = submissions.newest_received_at(session)
    hours = planner.clinic.site(None).business_hours
    is_quiet = last is not None and now >= hours.add(last, patience)
    facts = {"hours": round(patience.total_seconds() / 3600, 1)}
    return _Concern(AlarmKind.no_submission, "", facts if is_quiet else None)


def _held(session: Session, planner: Planner, now: datetime) -> Iterator[_Concern]:
    """Told at the beginning of each burst, and once a day while something is held each day: a
    patient may be among them, whom nobody has written to."""
    count, newest = leads.count_held(session)
    zone = planner.clinic.site(None).zone
    today = now.astimezone(zone).date().isoformat()
    is_on = newest is not None and now - newest < HELD_FOR
    for alarm in alarms.list_open(session):
        if alarm.kind is AlarmKind.held and not (is_on and alarm.subject == today):
            yield _Concern(AlarmKind.held, alarm.subject, None)
    if is_on:
        yield _Concern(AlarmKind.held, today, {"count": count})


def _unheard(session: Session) -> Iterator[_Concern]:
    """Told once, and again when more is given up a day after the last."""
    dead = announcements.count_dead_since(session, real_now(session) - UNHEARD_FOR)
    for alarm in alarms.list_open(session):
        if alarm.kind is AlarmKind.unheard and alarm.subject not in dead:
            yield _Concern(alarm.kind, alarm.subject, None)
    for webhook, count in dead.items():
        yield _Concern(AlarmKind.unheard, webhook, {"count": count})


def _tell_tasks(session: Session, planner: Planner, now: datetime) -> None:
    """One summary per site for all whom no message reached, however many an outage left.

    Those who follow within `SUMMARY_EVERY` are told together, in the next one.
    """
    by_site: dict[str, list[tuple[Task, Lead]]] = {}
    for task in alarms.list_untold(session):
        lead = leads.get_lead(session, task.lead_id)
        by_site.setdefault(planner.clinic.site(lead.site).id, []).append((task, lead))
    for site_id, found in sorted(by_site.items()):
        if alarms.find_cleared(session, AlarmKind.unreached, site_id, now - SUMMARY_EVERY):
            continue
        for task, _ in found:
            task.told_at = now
        waiting = [lead.reference for _, lead in found if lead.status in WAITING]
        if waiting:
            facts = {"count": len(waiting), "references": waiting[:MOST_NAMED]}
            site = planner.clinic.site(site_id)
            tell_staff(session, planner, AlarmKind.unreached, site, now, facts)
