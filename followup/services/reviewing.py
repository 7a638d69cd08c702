"""What staff do with what the door kept back: release it, or reject it as spam."""

import uuid
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from followup.domain.announcement import Event
from followup.domain.audit import Door
from followup.domain.delivery import Reason
from followup.domain.lead import LeadStatus
from followup.domain.suspicion import Suspicion
from followup.errors import Conflict, NotFound
from followup.services.planning import Planner
from followup.store import announcements, deliveries, entries, leads, ledger, submissions
from followup.store.db import transaction
from followup.store.models import Lead, Submission
from followup.store.words import SubmissionStatus

#: Leads of one transaction, when all of a burst are released or rejected.
BATCH = 50

#: Where a submission's evidence names who released it.
RELEASED_BY = "released_by"


def release(
    session: Session,
    planner: Planner,
    lead_id: uuid.UUID,
    *,
    by: str,
    now: datetime,
    door: Door = Door.service,
) -> Lead:
    """The person is welcome: open, with all that a lead is owed and that is not too late.

    Raises NotFound, and Conflict unless the lead is held.
    """
    lead = _held_lead(session, lead_id)
    open_lead(session, planner, lead, lead.created_at, by=by, now=now, door=door)
    return lead


def open_lead(
    session: Session,
    planner: Planner,
    lead: Lead,
    received_at: datetime,
    *,
    by: str,
    now: datetime,
    door: Door = Door.service,
) -> None:
    """Let a lead go on that nothing was planned for; reminders count from now."""
    if lead.status is LeadStatus.held:
        announcements.announce(session, Event.lead_created, now, [{"lead_id": lead.id}])
    lead.status = LeadStatus.open
    lead.arrived_at = now
    session.flush()
    planner.plan_released(session, lead, received_at, now)
    ledger.add_action(session, lead_id=lead.id, verb="released", by=by, at=now, door=door)


def reject(
    session: Session,
    lead_id: uuid.UUID,
    *,
    by: str,
    now: datetime,
    note: str | None = None,
    door: Door = Door.service,
) -> Lead:
    """It is spam: closed, and nothing is sent. Raises NotFound, and Conflict unless it is held."""
    lead = _held_lead(session, lead_id)
    lead.status = LeadStatus.closed
    deliveries.cancel_planned(session, lead.id, Reason.closed)
    ledger.add_action(
        session, lead_id=lead.id, verb="rejected", by=by, at=now, note=note, door=door
    )
    return lead


def _held_lead(session: Session, lead_id: uuid.UUID) -> Lead:
    lead = leads.get_lead(session, lead_id, lock=True)
    if lead.status is not LeadStatus.held:
        raise Conflict(f"the lead is {lead.status}, not held")
    return lead


def release_all(
    engine: Engine,
    planner: Planner,
    *,
    by: str,
    now: datetime,
    held_for: Suspicion | None = None,
    door: Door = Door.service,
) -> int:
    """Release every held lead, or those held for one reason. Returns how many."""
    return _each_held(
        engine,
        held_for,
        lambda session, lead: open_lead(
            session, planner, lead, lead.created_at, by=by, now=now, door=door
        ),
    )


def reject_all(
    engine: Engine,
    *,
    by: str,
    now: datetime,
    held_for: Suspicion | None = None,
    note: str | None = None,
    door: Door = Door.service,
) -> int:
    """Reject every held lead, or those held for one reason. Returns how many."""
    return _each_held(
        engine,
        held_for,
        lambda session, lead: reject(session, lead.id, by=by, now=now, note=note, door=door),
    )


def _each_held(
    engine: Engine, held_for: Suspicion | None, act: Callable[[Session, Lead], object]
) -> int:
    done = 0
    while True:
        with transaction(engine) as session:
            batch = leads.claim_held(session, held_for, BATCH)
            for lead in batch:
                act(session, lead)
        done += len(batch)
        if len(batch) < BATCH:
            return done


def reject_submission(
    session: Session, submission_id: uuid.UUID, *, by: str, now: datetime, door: Door = Door.service
) -> Submission:
    """What could not be worked on needs no more work: kept as spam is, and as long.

    Raises NotFound, and Conflict unless it has a problem.
    """
    submission = submissions.find_submission(session, submission_id, lock=True)
    if submission is None:
        raise NotFound("there is no such submission")
    if submission.status is not SubmissionStatus.problem:
        raise Conflict(f"the submission is {submission.status}, and has no problem")
    submission.status = SubmissionStatus.spam
    facts = {"submissions": [str(submission.id)]}
    entries.add_entry(session, at=now, verb="submission rejected", by=by, door=door, facts=facts)
    return submission


def release_submission(
    session: Session, submission_id: uuid.UUID, *, by: str, now: datetime, door: Door = Door.service
) -> Submission:
    """What was kept as spam is a person's: the consumer makes a lead of it.

    Raises NotFound, and Conflict unless it is kept as spam.
    """
    submission = submissions.find_submission(session, submission_id, lock=True)
    if submission is None:
        raise NotFound("there is no such submission")
    if submission.status is not SubmissionStatus.spam:
        raise Conflict(f"the submission is {submission.status}, not spam")
    submission.status = SubmissionStatus.accepted
    submission.due_at = now
    submission.evidence = {**submission.evidence, RELEASED_BY: by}
    facts = {"submissions": [str(submission.id)]}
    entries.add_entry(session, at=now, verb="submission released", by=by, door=door, facts=facts)
    return submission
