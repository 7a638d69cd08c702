"""Tells each site's staff at its opening who waits, and its managers once a week how it went.

Deliveries like any other, of the cadence `summaries`, whose steps are optional. Each is made once a
day or week and site, by whoever comes first; late, it is not made at all.
"""

from datetime import datetime, time, timedelta
from statistics import median
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from followup.clinic import Clinic, Site
from followup.domain.alarm import MOST_NAMED, AlarmKind
from followup.domain.cadence import Step
from followup.services.planning import Planner
from followup.store import deliveries, summaries
from followup.store.db import reading, transaction
from followup.templates import MORNING, SUMMARIES, WEEKLY

_STEPS = {AlarmKind.morning: MORNING, AlarmKind.weekly: WEEKLY}
_ROLES = {AlarmKind.morning: ("staff",), AlarmKind.weekly: ("manager",)}


def summarise(engine: Engine, planner: Planner, now: datetime) -> int:
    """Plan what is to be told now. Returns how many summaries were made."""
    return sum(
        _make(engine, planner, site, kind, step, now)
        for site in planner.clinic.sites
        for kind, name in _STEPS.items()
        if (step := planner.find_step(SUMMARIES, name)) is not None
    )


def _make(
    engine: Engine, planner: Planner, site: Site, kind: AlarmKind, step: Step, now: datetime
) -> bool:
    today = now.astimezone(site.zone).date()
    first_day = today if kind is AlarmKind.morning else today - timedelta(days=today.weekday())
    begins_at = datetime.combine(first_day, time.min, site.zone)
    opens_at = site.business_hours.next_open(begins_at)
    ends = [step.expires_at(1, one, opens_at, site.business_hours) for one in step.channels]
    last = max((end for end in ends if end is not None), default=begins_at + timedelta(days=7))
    # Of a day, or week, without an opening the next one is still to come.
    if not opens_at <= now < last:
        return False
    subject = f"{site.id} {first_day}"
    with reading(engine) as session:
        if summaries.was_made(session, kind, subject):
            return False
    with transaction(engine) as session:
        facts = _FACTS[kind](session, planner.clinic, site, begins_at, now)
        alarm = summaries.add_summary(session, kind, subject, now, {**facts, "site": site.id})
        # That nobody waits is not told, and not asked again.
        if alarm is None or (kind is AlarmKind.morning and not facts["waiting"]):
            return False
        rows = planner.summary_rows(session, alarm, step, _ROLES[kind], opens_at, site)
        return bool(rows) and deliveries.plan(session, rows) > 0


def _morning(
    session: Session, clinic: Clinic, site: Site, begins_at: datetime, now: datetime
) -> dict[str, Any]:
    waiting, overdue = summaries.count_waiting(session, clinic, site, now)
    return {
        "day": begins_at.date().isoformat(),
        "waiting": waiting,
        "overdue": overdue,
        "references": list(summaries.list_references(session, clinic, site, MOST_NAMED)),
    }


def _weekly(
    session: Session, clinic: Clinic, site: Site, begins_at: datetime, now: datetime
) -> dict[str, Any]:
    """Of the week before, from Monday to Monday by the site's clock."""
    first_day = begins_at.date() - timedelta(days=7)
    since = datetime.combine(first_day, time.min, site.zone)
    waiting, overdue = summaries.count_waiting(session, clinic, site, now)
    contacts = summaries.list_contacts(session, clinic, site, since, begins_at)
    waits = [(at - created).total_seconds() for created, _, at in contacts]
    return {
        "day": first_day.isoformat(),
        "new": summaries.count_new(session, clinic, site, since, begins_at),
        "contacted": len(contacts),
        "kept": sum(at <= promised for _, promised, at in contacts),
        "median_seconds": median(waits) if waits else None,
        "waiting": waiting,
        "overdue": overdue,
    }


_FACTS = {AlarmKind.morning: _morning, AlarmKind.weekly: _weekly}
