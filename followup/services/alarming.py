"""Raises and clears alarms, and plans what staff are told of them: deliveries like any other."""

from datetime import datetime
from typing import Any

import structlog
from sqlalchemy.orm import Session

from followup.clinic import Site
from followup.domain.alarm import CALM, FOR_STAFF, WITHOUT_END, AlarmKind
from followup.domain.cadence import Channel
from followup.domain.delivery import REACHED_PROVIDER, Reason
from followup.services.planning import Planner
from followup.store import alarms, deliveries
from followup.store.models import Alarm
from followup.templates import OVER, RAISED

log = structlog.get_logger()


def raise_alarm(
    session: Session,
    planner: Planner,
    kind: AlarmKind,
    subject: str,
    now: datetime,
    facts: dict[str, Any],
) -> bool:
    """Tell the operators, or staff, once for as long as it lasts. Whether that is new.

    `facts` hold numbers and references alone. One that was told, and comes back before anybody
    heard that it is over, is not new.
    """
    known = alarms.find_open(session, kind, subject)
    if known is not None:
        if known.facts != facts:
            # What is not told yet is told as it is now.
            known.facts = facts
        return False
    before = alarms.find_cleared(session, kind, subject, now - CALM)
    if before is not None and _was_told(session, before):
        before.cleared_at = None
        deliveries.cancel_alarm(session, before.id, Reason.outdated)
        return False
    alarm = alarms.open_alarm(session, kind, subject, now, facts)
    if alarm is None:
        return False
    log.error("an alarm is raised", alarm=kind, subject=subject, **facts)
    _tell(session, planner, alarm, RAISED, now)
    return True


def blame_us(
    session: Session, planner: Planner, channel: Channel, code: str | None, now: datetime
) -> None:
    """A provider refused a message for what we write or may not do: operators hear of it."""
    raise_alarm(session, planner, AlarmKind.refused, channel.value, now, {"code": code or "none"})


def clear_alarm(
    session: Session, planner: Planner, kind: AlarmKind, subject: str, now: datetime
) -> bool:
    """It is over: what was not said yet is not said any more. Who heard of it hears that too, once
    it has been so for `CALM`."""
    alarm = alarms.find_open(session, kind, subject)
    if alarm is None:
        return False
    alarm.cleared_at = now
    log.info("an alarm is over", alarm=kind, subject=subject)
    deliveries.cancel_alarm(session, alarm.id, Reason.outdated)
    if kind not in WITHOUT_END and _was_told(session, alarm):
        _tell(session, planner, alarm, OVER, now + CALM)
    return True


def _was_told(session: Session, alarm: Alarm) -> bool:
    """Whether anybody has, or may have, heard of it."""
    return any(row.status in REACHED_PROVIDER for row in alarms.list_told(session, alarm.id))


def tell_staff(
    session: Session,
    planner: Planner,
    kind: AlarmKind,
    site: Site,
    now: datetime,
    facts: dict[str, Any],
) -> None:
    """Tell the site's staff of something that has no end of its own."""
    alarm = alarms.add_past_alarm(session, kind, site.id, now, facts)
    _tell(session, planner, alarm, RAISED, now, site)


def _tell(
    session: Session,
    planner: Planner,
    alarm: Alarm,
    step: str,
    now: datetime,
    site: Site | None = None,
) -> None:
    if site is None and alarm.kind in FOR_STAFF:
        site = planner.clinic.site(None)
    deliveries.plan(session, planner.alarm_rows(session, alarm, step, now, site))
