"""The admin API in JSON: staff's leads, by bearer token."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from followup.bootstrap import Service
from followup.domain.audit import Door
from followup.domain.cadence import Channel
from followup.domain.lead import LeadStatus, Outcome
from followup.domain.submission import Kind
from followup.domain.suspicion import Suspicion
from followup.services import auditing, reporting, reviewing, searching, working
from followup.store import leads, replies, submissions
from followup.store.db import reading, transaction
from followup.store.models import Person
from followup.web.deps import TheBell, ThePerson, TheService
from followup.web.problems import describe

router = APIRouter(prefix="/admin", responses=describe(401, 422, 503))

_OF_A_LEAD = describe(404, _404="No such lead")
_WITH_BODY = describe(400, 413)
_ON_A_LEAD = _OF_A_LEAD | _WITH_BODY
_MAY_REFUSE = _ON_A_LEAD | describe(
    409, _409="Somebody was first, who is named, or the lead's status forbids it"
)


def _storable(text: str) -> str:
    """PostgreSQL takes no NUL, and nothing takes half of a surrogate pair."""
    if "\x00" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError("must be valid text without NUL")
    return text


_Storable = AfterValidator(_storable)
Note = Annotated[str, Field(max_length=2000), _Storable] | None


class _Body(BaseModel):
    """What staff send is small and exact: an unknown field is an error."""

    model_config = ConfigDict(extra="forbid")


class Filters(_Body):
    """Of the list; a filter that is spelled wrong must not show everybody."""

    status: LeadStatus | None = None
    overdue: bool | None = None
    kind: Kind | None = None
    reference: Annotated[str, Field(max_length=20, pattern="^[A-Za-z0-9 ]*$")] | None = None
    submission: uuid.UUID | None = None
    cursor: uuid.UUID | None = None


class ContactedBody(_Body):
    outcome: Outcome = Outcome.reached
    note: Note = None


class AttemptBody(_Body):
    note: Note = None


Channels = Annotated[frozenset[Channel], Field(min_length=1)]


class OptOutBody(_Body):
    note: Note = None
    channels: Channels = frozenset(Channel)


class OptInBody(_Body):
    note: Annotated[str, Field(min_length=1, max_length=2000), _Storable]
    channels: Channels


class SnoozeBody(_Body):
    until: AwareDatetime


class SearchBody(_Body):
    q: Annotated[str, Field(min_length=1, max_length=200), _Storable]


class EmptyBody(_Body):
    pass


class HeldBody(_Body):
    """Those held for one reason, or all."""

    held_for: Suspicion | None = None
    note: Note = None


class SpamFilters(_Body):
    cursor: uuid.UUID | None = None


@router.get("/leads", summary="Leads: the urgent, then the newest, first")
def list_leads(
    service: TheService, person: ThePerson, filters: Annotated[Filters, Query()]
) -> dict[str, Any]:
    now = service.now()
    with reading(service.engine) as session:
        page, next_cursor = reporting.list_page(session, now, **filters.model_dump())
        items = [reporting.show_lead(lead, now) for lead in page]
    _note_seen(service, person, "listed", leads=[lead.reference for lead in page])
    return {"items": items, "next_cursor": next_cursor}


def _note_seen(
    service: Service,
    person: Person,
    verb: str,
    lead_id: uuid.UUID | None = None,
    **facts: Sequence[str],
) -> None:
    """Before it is shown: what cannot be noted is not shown either."""
    auditing.note(
        service.engine,
        service.now(),
        verb,
        by=person.name,
        door=Door.api,
        lead_id=lead_id,
        facts=facts,
    )


@router.post(
    "/leads/search",
    responses=_WITH_BODY,
    summary="Leads by name, email, phone or reference",
)
def search_leads(service: TheService, person: ThePerson, body: SearchBody) -> dict[str, Any]:
    """What was looked for is not noted: it may be a name that nobody here has."""
    now = service.now()
    with reading(service.engine) as session:
        found = searching.search(session, service.planner, body.q)
        items = [reporting.show_lead(lead, now) for lead in found]
    _note_seen(service, person, "searched", leads=[lead.reference for lead in found])
    return {"items": items}


@router.get(
    "/leads/{lead_id}",
    responses=_OF_A_LEAD,
    summary="A lead with all that came in, was sent and was done",
)
def show_lead(service: TheService, person: ThePerson, lead_id: uuid.UUID) -> dict[str, Any]:
    with reading(service.engine) as session:
        lead = leads.get_lead(session, lead_id)
        shown = reporting.show_lead_whole(session, lead, service.now())
    _note_seen(service, person, "seen", lead_id)
    return shown


@router.post(
    "/leads/{lead_id}/contacted",
    responses=_MAY_REFUSE,
    summary="Staff reached the person: silence",
)
def mark_contacted(
    service: TheService, person: ThePerson, lead_id: uuid.UUID, body: ContactedBody | None = None
) -> dict[str, Any]:
    body = body or ContactedBody()
    now = service.now()
    with transaction(service.engine) as session:
        marked = working.mark_contacted(
            session,
            lead_id,
            by=person.name,
            now=now,
            door=Door.api,
            outcome=body.outcome,
            note=body.note,
        )
        return show_marked(marked, now)


def show_marked(marked: working.Marked, now: datetime) -> dict[str, Any]:
    return {
        "lead": reporting.show_lead(marked.lead, now),
        "cancelled": marked.cancelled,
        "in_flight": [str(delivery_id) for delivery_id in marked.in_flight],
    }


@router.post(
    "/leads/{lead_id}/attempts",
    responses=_MAY_REFUSE,
    summary="Staff tried: reminders rest for a while",
)
def record_attempt(
    service: TheService, person: ThePerson, lead_id: uuid.UUID, body: AttemptBody | None = None
) -> dict[str, Any]:
    now = service.now()
    with transaction(service.engine) as session:
        note = body.note if body else None
        lead = working.record_attempt(
            session, service.planner, lead_id, by=person.name, now=now, door=Door.api, note=note
        )
        return {"lead": reporting.show_lead(lead, now)}


@router.post(
    "/leads/{lead_id}/snooze",
    responses=_MAY_REFUSE,
    summary="Put the reminders off until an instant",
)
def snooze(
    service: TheService, person: ThePerson, lead_id: uuid.UUID, body: SnoozeBody
) -> dict[str, Any]:
    now = service.now()
    with transaction(service.engine) as session:
        lead = working.snooze(
            session, lead_id, until=body.until, by=person.name, now=now, door=Door.api
        )
        return {"lead": reporting.show_lead(lead, now)}


@router.post(
    "/leads/{lead_id}/reopen",
    responses=_MAY_REFUSE,
    summary="The person is owed a call again",
)
def reopen(
    service: TheService, person: ThePerson, lead_id: uuid.UUID, _body: EmptyBody | None = None
) -> dict[str, Any]:
    now = service.now()
    with transaction(service.engine) as session:
        lead = working.reopen(
            session, service.planner, lead_id, by=person.name, now=now, door=Door.api
        )
        return {"lead": reporting.show_lead(lead, now)}


@router.post(
    "/leads/{lead_id}/opt-out",
    responses=_ON_A_LEAD,
    summary="The person asked not to be written to",
)
def opt_out(
    service: TheService, person: ThePerson, lead_id: uuid.UUID, body: OptOutBody | None = None
) -> dict[str, Any]:
    body = body or OptOutBody()
    now = service.now()
    with transaction(service.engine) as session:
        lead = working.record_opt_out(
            session,
            service.planner,
            lead_id,
            by=person.name,
            now=now,
            note=body.note,
            channels=body.channels,
            door=Door.api,
        )
        return {"lead": reporting.show_lead(lead, now)}


@router.post(
    "/leads/{lead_id}/opt-in",
    responses=_ON_A_LEAD,
    summary="The person told staff that we may write again",
)
def opt_in(
    service: TheService, person: ThePerson, lead_id: uuid.UUID, body: OptInBody
) -> dict[str, Any]:
    now = service.now()
    with transaction(service.engine) as session:
        lead = working.record_opt_in(
            session,
            service.planner,
            lead_id,
            by=person.name,
            now=now,
            note=body.note,
            channels=body.channels,
            door=Door.api,
        )
        return {"lead": reporting.show_lead(lead, now)}


@router.post(
    "/leads/{lead_id}/release",
    responses=_MAY_REFUSE,
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
    responses=_MAY_REFUSE,
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


@router.post("/held/release", responses=_WITH_BODY, summary="Release all that is held")
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


@router.post("/held/reject", responses=_WITH_BODY, summary="Reject all that is held, as spam")
def reject_all(service: TheService, person: ThePerson, body: HeldBody) -> dict[str, int]:
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
    _note_seen(service, person, "unassigned", replies=[str(one.id) for one in found])
    return {"items": items}


@router.get("/stats", summary="Waiting, overdue, time to first contact, deliveries")
def stats(service: TheService, _person: ThePerson) -> dict[str, Any]:
    with reading(service.engine) as session:
        return reporting.stats(session, service.now())


@router.get("/submissions/problems", summary="Submissions that could not be consumed")
def list_problems(service: TheService, person: ThePerson) -> dict[str, Any]:
    with reading(service.engine) as session:
        found = submissions.list_problems(session)
        items = [reporting.show_problem(one) for one in found]
    _note_seen(service, person, "problems", submissions=[str(one.id) for one in found])
    return {"items": items}


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
    _note_seen(service, person, "spam", submissions=[str(one.id) for one in found])
    return answer


@router.post(
    "/submissions/{submission_id}/release",
    responses=describe(404, 409, _404="No such submission", _409="It is not kept as spam")
    | _WITH_BODY,
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
