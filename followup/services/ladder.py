"""What follows when a message does not get through: another channel, then a task for staff."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from followup.domain.alarm import AlarmKind
from followup.domain.announcement import Event
from followup.domain.cadence import Audience, Lane
from followup.domain.delivery import HOPEFUL, MISSED, Reason, Status
from followup.domain.lead import WAITING
from followup.services.alarming import raise_alarm
from followup.services.planning import Planner
from followup.store import alarms, announcements, deliveries, leads
from followup.store.db import lock_addresses
from followup.store.models import Delivery

#: Ends that leave nothing to hope for; `unknown` when nobody can be asked any more.
LOST = frozenset({Status.failed, Status.undelivered, Status.expired, Status.unknown})


def climb(session: Session, planner: Planner, rows: Sequence[Delivery], now: datetime) -> None:
    """Take the next step for each delivery that has just come to an end without arriving.

    A patient: the step's fallback channels, then one task "call this person" for the lead. An
    alert to staff that expired everywhere: the same task, because nobody has heard of the lead.
    What is skipped counts only beside one that was lost: by itself it was not to be sent, unless
    the reason was none of the person's.
    """
    _announce_failed(session, rows, now)
    ends = LOST | {Status.skipped}
    lost = [row for row in rows if row.status in ends and _is_owed_a_call(row)]
    for row in rows:
        if row.lead_id is None and row.reply_id is not None:
            _tell_of_unreached_staff(session, planner, row, now)
    # In one order: two deliveries of a lead may fail in two transactions, and one must see both.
    for row in sorted(lost, key=lambda row: (str(row.lead_id), str(row.id))):
        lock_addresses(session, [row.lead_id.hex] if row.lead_id else [])
        _climb_one(session, planner, row, now)


def _announce_failed(session: Session, rows: Sequence[Delivery], now: datetime) -> None:
    about = [
        {
            "lead_id": row.lead_id,
            "delivery_id": row.id,
            "facts": {
                "audience": row.audience.value,
                "channel": row.channel.value,
                "status": row.status.value,
                "reason": row.reason.value if row.reason else None,
                "code": row.provider_code,
            },
        }
        for row in rows
        if row.status in (Status.failed, Status.undelivered)
    ]
    announcements.announce(session, Event.message_failed, now, about)


def _is_owed_a_call(row: Delivery) -> bool:
    """An answer that is lost leaves nobody unheard: who got none has written, and staff know."""
    is_answer = row.cadence is not None and row.audience is Audience.patient
    return row.lead_id is not None and not is_answer


def _tell_of_unreached_staff(
    session: Session, planner: Planner, row: Delivery, now: datetime
) -> None:
    if row.audience is Audience.staff and row.status in (Status.failed, Status.undelivered):
        facts = {"channel": row.channel.value}
        subject = row.recipient_name or "somebody"
        raise_alarm(session, planner, AlarmKind.staff_unreached, subject, now, facts)


def _climb_one(session: Session, planner: Planner, row: Delivery, now: datetime) -> None:
    lead = leads.get_lead(session, row.lead_id)
    if lead.status not in WAITING or lead.episode != row.episode:
        return
    _tell_of_unreached_staff(session, planner, row, now)
    if row.audience is Audience.staff and row.lane is not Lane.staff:
        return
    siblings = deliveries.list_siblings(session, row)
    if any(one.status in HOPEFUL and not _is_given_up(one) for one in siblings):
        return
    if not any(_is_lost(one) for one in (row, *siblings)):
        return
    if row.audience is Audience.patient:
        others = planner.fallback_rows(session, lead, row, now)
        if deliveries.plan(session, others):
            return
    alarms.add_task(
        session,
        lead_id=lead.id,
        episode=lead.episode,
        delivery_id=row.id,
        reason=row.reason or Reason.undeliverable,
        now=now,
    )


def _is_lost(row: Delivery) -> bool:
    return row.status in LOST or (row.status is Status.skipped and row.reason in MISSED)


def _is_given_up(row: Delivery) -> bool:
    """Unknown for good: the provider will not be asked again."""
    return row.status is Status.unknown and row.ask_at is None
