"""The admin API in JSON: staff's leads, by bearer token."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from followup.bootstrap import Service
from followup.domain.audit import Door
from followup.domain.cadence import TO_PATIENTS, Channel
from followup.domain.lead import Closing, LeadStatus, Outcome
from followup.domain.submission import Kind
from followup.services import auditing, reporting, searching, working
from followup.store import leads
from followup.store.db import reading, transaction
from followup.store.models import Person
from followup.web.deps import ThePerson, TheService
from followup.web.problems import describe

router = APIRouter(prefix="/admin", responses=describe(401, 422, 503))

_OF_A_LEAD = describe(404, _404="No such lead")
WITH_BODY = describe(400, 413)
_ON_A_LEAD = _OF_A_LEAD | WITH_BODY
MAY_REFUSE = _ON_A_LEAD | describe(
    409, _409="Somebody was first, who is named, or the lead's status forbids it"
)


def _storable(text: str) -> str:
    """PostgreSQL takes no NUL, and nothing takes half of a surrogate pair."""
    if "\x00" in text or any("\ud800" <= char <= "\udfff" for char in text):
        raise ValueError("must be valid text without NUL")
    return text


_Storable = AfterValidator(_storable)
Note = Annotated[str, Field(max_length=2000), _Storable] | None


class Body(BaseModel):
    """What staff send is small and exact: an unknown field is an error."""

    model_config = ConfigDict(extra="forbid")


class Filters(Body):
    """Of the list; a filter that is spelled wrong must not show everybody."""

    status: LeadStatus | None = None
    overdue: bool | None = None
    kind: Kind | None = None
    reference: Annotated[str, Field(max_length=20, pattern="^[A-Za-z0-9 ]*$")] | None = None
    submission: uuid.UUID | None = None
    cursor: uuid.UUID | None = None


class ContactedBody(Body):
    outcome: Outcome = Outcome.reached
    note: Note = None


class AttemptBody(Body):
    note: Note = None


Channels = Annotated[frozenset[Channel], Field(min_length=1)]


class OptOutBody(Body):
    note: Note = None
    channels: Channels = frozenset(TO_PATIENTS)


class OptInBody(Body):
    note: Annotated[str, Field(min_length=1, max_length=2000), _Storable]
    channels: Channels


class NoteBody(Body):
    note: Annotated[str, Field(min_length=1, max_length=2000), _Storable]


class CloseBody(Body):
    why: Closing
    note: Note = None


_Name = Annotated[str, Field(min_length=1, max_length=200), _Storable] | None


class AssignBody(Body):
    """Who shall have it (null: nobody), and who had it when the caller looked."""

    to: _Name
    expected: _Name


class SnoozeBody(Body):
    until: AwareDatetime


class SearchBody(Body):
    q: Annotated[str, Field(min_length=1, max_length=200), _Storable]


class EmptyBody(Body):
    pass


@router.get("/leads", summary="Leads: the urgent, then the newest, first")
def list_leads(
    service: TheService, person: ThePerson, filters: Annotated[Filters, Query()]
) -> dict[str, Any]:
    now = service.now()
    with reading(service.engine) as session:
        page, next_cursor = reporting.list_page(session, now, **filters.model_dump())
        items = [reporting.show_lead(lead, now) for lead in page]
    note_seen(service, person, "listed", leads=[lead.reference for lead in page])
    return {"items": items, "next_cursor": next_cursor}


def note_seen(
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
    responses=WITH_BODY,
    summary="Leads by name, email, phone or reference",
)
def search_leads(service: TheService, person: ThePerson, body: SearchBody) -> dict[str, Any]:
    """What was looked for is not noted: it may be a name that nobody here has."""
    now = service.now()
    with reading(service.engine) as session:
        found = searching.search(session, service.planner, body.q)
        items = [reporting.show_lead(lead, now) for lead in found]
    note_seen(service, person, "searched", leads=[lead.reference for lead in found])
    return {"items": items}


@router.get(
    "/leads/{lead_id}",
    responses=_OF_A_LEAD,
    summary="A lead with all that came in, was sent and was done",
)
def show_lead(service: TheService, person: ThePerson, lead_id: uuid.UUID) -> dict[str, Any]:
    with reading(service.engine) as session:
        lead = leads.get_lead(session, lead_id)
        shown = reporting.show_lead_whole(session, service.planner, lead, service.now())
    note_seen(service, person, "seen", lead_id)
    return shown


@router.post(
    "/leads/{lead_id}/contacted",
    responses=MAY_REFUSE,
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
    responses=MAY_REFUSE,
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
    "/leads/{lead_id}/notes",
    responses=_ON_A_LEAD,
    summary="Words to be kept with the lead",
)
def add_note(
    service: TheService, person: ThePerson, lead_id: uuid.UUID, body: NoteBody
) -> dict[str, Any]:
    now = service.now()
    with transaction(service.engine) as session:
        lead = working.add_note(
            session, lead_id, by=person.name, now=now, door=Door.api, note=body.note
        )
        return {"lead": reporting.show_lead(lead, now)}


@router.post(
    "/leads/{lead_id}/assign",
    responses=MAY_REFUSE,
    summary="Take the lead, give it to somebody, or give it back",
)
def assign(
    service: TheService, person: ThePerson, lead_id: uuid.UUID, body: AssignBody
) -> dict[str, Any]:
    now = service.now()
    with transaction(service.engine) as session:
        lead = working.assign(
            session,
            lead_id,
            to=body.to,
            expected=body.expected,
            by=person.name,
            now=now,
            door=Door.api,
        )
        return {"lead": reporting.show_lead(lead, now)}


@router.post(
    "/leads/{lead_id}/snooze",
    responses=MAY_REFUSE,
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
    "/leads/{lead_id}/close",
    responses=MAY_REFUSE,
    summary="Spam or a wrong number: nobody is owed a call, and nothing more is sent",
)
def close(
    service: TheService, person: ThePerson, lead_id: uuid.UUID, body: CloseBody
) -> dict[str, Any]:
    now = service.now()
    with transaction(service.engine) as session:
        marked = working.close(
            session,
            service.planner,
            lead_id,
            why=body.why,
            by=person.name,
            now=now,
            door=Door.api,
            note=body.note,
        )
        return show_marked(marked, now)


@router.post(
    "/leads/{lead_id}/reopen",
    responses=MAY_REFUSE,
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


@router.get("/stats", summary="Waiting, overdue, time to first contact, deliveries")
def stats(service: TheService, _person: ThePerson) -> dict[str, Any]:
    with reading(service.engine) as session:
        return reporting.stats(session, service.now())
