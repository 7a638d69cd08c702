"""Gives a person what is kept about them.

45 CFR 164.524 and Cal. Civ. Code 1798.110 give access to what is used to decide about a person:
what staff noted about them belongs to it, what staff were alerted to at their own addresses does
not.
"""

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from followup.domain.audit import Door
from followup.domain.cadence import Audience
from followup.domain.spoken import iso
from followup.services import reporting
from followup.services.identifying import Identified
from followup.services.planning import Planner
from followup.store import consents, entries, ledger, removals, submissions
from followup.store.models import Lead

#: Where whoever exports comes in.
DOOR = Door.command_line


def export(
    session: Session, planner: Planner, person: Identified, *, by: str, now: datetime
) -> dict[str, Any]:
    """Everything about the person, ready for JSON; that it was given out is in the audit trail."""
    hashes = person.hashes(planner)
    whole = {
        "exported_at": iso(now),
        "exported_by": by,
        "leads": [_lead(session, planner, lead, now) for lead in person.leads],
        "other_submissions": [
            {
                "kind": one.kind.value,
                "received_at": iso(one.received_at),
                "fields": one.payload,
                "sent_from": one.evidence,
            }
            for one in removals.walk_unowned_submissions(session)
            if person.traces.are_in(f"{one.payload} {one.evidence}")
        ],
        "other_replies": [
            {"body": one.body, "received_at": iso(one.received_at)}
            for one in removals.list_strangers_replies(session, person.phone_hashes(planner))
        ],
        "suppressions": [
            reporting.show_suppression(one) for one in consents.list_history(session, hashes)
        ],
    }
    for lead in person.leads:
        ledger.add_action(session, lead_id=lead.id, verb="exported", by=by, at=now, door=DOOR)
    if not person.leads:
        entries.add_entry(session, at=now, verb="exported", by=by, door=DOOR)
    return whole


def _lead(session: Session, planner: Planner, lead: Lead, now: datetime) -> dict[str, Any]:
    """As staff see it, without what went to staff, and with where each form came from."""
    shown = reporting.show_lead_whole(session, planner, lead, now)
    # Another person's reference; and what stands once, for all addresses.
    del shown["possible_duplicate"], shown["suppressions"], shown["parts"]
    to_the_person = _to_the_person(shown["deliveries"])
    ids = {one["id"] for one in to_the_person}
    sent_from = {str(one.id): one.evidence for one in submissions.list_of_lead(session, lead.id)}
    return shown | {
        "deliveries": to_the_person,
        "next": _to_the_person(shown["next"]),
        "decisions": [one for one in shown["decisions"] if one["delivery_id"] in ids],
        "submissions": [one | {"sent_from": sent_from[one["id"]]} for one in shown["submissions"]],
    }


def _to_the_person(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for one in rows if one["audience"] == Audience.patient.value]
