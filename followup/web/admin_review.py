"""What waits for staff to look at it: held leads, spam, and what could not be worked on."""

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Query

from followup.domain.audit import Door
from followup.domain.suspicion import Suspicion
from followup.services import reporting, reviewing, uniting
from followup.store import replies, submissions
from followup.store.db import reading, transaction
from followup.web.admin import (
    MAY_REFUSE,
    WITH_BODY,
    AttemptBody,
    Body,
    EmptyBody,
    Note,
    note_seen,
)
from followup.web.deps import TheBell, ThePerson, TheService
from followup.web.problems import describe

router = APIRouter(prefix="/admin", responses=describe(401, 422, 503))


FOR_MANAGERS = WITH_BODY | describe(403, _403="Only a manager or an admin may")


class HeldBody(Body):
    """Those held for one reason, or all."""

    held_for: Suspicion | None = None


class RejectedBody(HeldBody):
    note: Note = None


class SpamFilters(Body):
    cursor: uuid.UUID | None = None


@router.post(
    "/leads/{lead_id}/release",
    responses=MAY_REFUSE,
    summary="A held lead is a person: open, and written to as far as that is not too late",
)
def release(
    service: TheService, person: ThePerson, lead_id: uuid.UUID, _body: EmptyBody | None = None
) -> dict[str, Any]:
    now = service.now()
    with transaction(service.engine) as session:
        lead = reviewing.release(
            session, service.planner, lead_id, by=person.name, now=now, door=Door.api
        )
        return {"lead": reporting.show_lead(lead, now)}


@router.post(
    "/leads/{lead_id}/reject",
    responses=MAY_REFUSE,
    summary="A held lead is spam: closed, and nothing is sent",
)
def reject(
    service: TheService, person: ThePerson, lead_id: uuid.UUID, body: AttemptBody | None = None
) -> dict[str, Any]:
    now = service.now()
    with transaction(service.engine) as session:
        note = body.note if body else None
        lead = reviewing.reject(session, lead_id, by=person.name, now=now, note=note, door=Door.api)
        return {"lead": reporting.show_lead(lead, now)}


@router.post(
    "/leads/{lead_id}/merge",
    responses=MAY_REFUSE,
    summary="The lead is of the same person as its noted possible duplicate: one lead from now on",
)
def merge(
    service: TheService, person: ThePerson, lead_id: uuid.UUID, _body: EmptyBody | None = None
) -> dict[str, Any]:
    """`lead` goes on; `part` is closed, and reopening it takes the two apart."""
    now = service.now()
    with transaction(service.engine) as session:
        merged = uniting.merge_duplicate(
            session, service.planner, lead_id, by=person.name, now=now, door=Door.api
        )
        return {
            "lead": reporting.show_lead(merged.lead, now),
            "part": reporting.show_lead(merged.part, now),
            "cancelled": merged.cancelled,
            "in_flight": [str(delivery_id) for delivery_id in merged.in_flight],
        }


@router.post("/held/release", responses=FOR_MANAGERS, summary="Release all that is held")
def release_all(service: TheService, person: ThePerson, body: HeldBody) -> dict[str, int]:
    count = reviewing.release_all(
        service.engine,
        service.planner,
        by=person.name,
        now=service.now(),
        held_for=body.held_for,
        door=Door.api,
    )
    return {"released": count}


@router.post("/held/reject", responses=FOR_MANAGERS, summary="Reject all that is held, as spam")
def reject_all(service: TheService, person: ThePerson, body: RejectedBody) -> dict[str, int]:
    count = reviewing.reject_all(
        service.engine,
        by=person.name,
        now=service.now(),
        held_for=body.held_for,
        note=body.note,
        door=Door.api,
    )
    return {"rejected": count}


@router.get("/replies/unassigned", summary="Texts from numbers of no lead, newest first")
def list_unassigned(service: TheService, person: ThePerson) -> dict[str, Any]:
    with reading(service.engine) as session:
        found = replies.list_unassigned(session)
        items = [reporting.show_reply(one) | {"from": one.sender} for one in found]
    note_seen(service, person, "unassigned", replies=[str(one.id) for one in found])
    return {"items": items}


@router.get("/submissions/problems", summary="Submissions that could not be consumed")
def list_problems(service: TheService, person: ThePerson) -> dict[str, Any]:
    with reading(service.engine) as session:
        found = submissions.list_problems(session)
        items = [reporting.show_problem(one) for one in found]
    note_seen(service, person, "problems", submissions=[str(one.id) for one in found])
    return {"items": items}


@router.post(
    "/submissions/{submission_id}/reject",
    responses=describe(404, 409, _404="No such submission", _409="It has no problem") | WITH_BODY,
    summary="What could not be worked on needs no more work: kept as spam is",
)
def reject_submission(
    service: TheService,
    person: ThePerson,
    submission_id: uuid.UUID,
    _body: EmptyBody | None = None,
) -> dict[str, Any]:
    with transaction(service.engine) as session:
        submission = reviewing.reject_submission(
            session, submission_id, by=person.name, now=service.now(), door=Door.api
        )
        return {"submission_id": str(submission.id), "status": submission.status.value}


@router.get("/submissions/spam", summary="What was caught at the door, newest first")
def list_spam(
    service: TheService, person: ThePerson, filters: Annotated[SpamFilters, Query()]
) -> dict[str, Any]:
    with reading(service.engine) as session:
        found = submissions.list_spam(session, filters.cursor, reporting.PAGE)
        is_more = len(found) == reporting.PAGE
        answer = {
            "items": [reporting.show_spam(one) for one in found],
            "next_cursor": str(found[-1].id) if is_more else None,
        }
    note_seen(service, person, "spam", submissions=[str(one.id) for one in found])
    return answer


@router.post(
    "/submissions/{submission_id}/release",
    responses=describe(404, 409, _404="No such submission", _409="It is not kept as spam")
    | WITH_BODY,
    summary="What was caught is a person's: it becomes a lead",
)
def release_submission(
    service: TheService,
    bell: TheBell,
    person: ThePerson,
    submission_id: uuid.UUID,
    _body: EmptyBody | None = None,
) -> dict[str, Any]:
    with transaction(service.engine) as session:
        submission = reviewing.release_submission(
            session, submission_id, by=person.name, now=service.now(), door=Door.api
        )
    bell.ring("intake")
    return {"submission_id": str(submission.id), "status": submission.status.value}
