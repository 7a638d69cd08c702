"""Pages that a signed link opens: staff mark a lead, a patient unsubscribes. GET shows, POST acts,
because mail scanners follow links."""

import uuid
from typing import Any, Literal

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse
from sqlalchemy.orm import Session

from followup.bootstrap import Service
from followup.domain.audit import Door
from followup.domain.cadence import Audience
from followup.domain.lead import LeadStatus, Outcome
from followup.domain.spoken import time_in_words
from followup.errors import AlreadyContacted, Conflict, Fault, Invalid, NotFound
from followup.services import receiving, working
from followup.store import deliveries, leads, people
from followup.store.db import reading, transaction
from followup.store.models import Delivery, Lead
from followup.web.deps import Fields, TheForm, TheService
from followup.web.page import render_page
from followup.web.problems import describe
from followup.web.trouble import PatientRoute

_PAGE: dict[str, Any] = {"content": {"text/html": {}}}
_GONE: dict[int | str, dict[str, Any]] = {
    404: {"description": "The link is not valid or has expired", **_PAGE},
    **describe(503),
}
_NO: dict[int | str, dict[str, Any]] = {
    409: {"description": "Somebody else was first, or the lead is closed", **_PAGE},
    **describe(400, 413, 415, 422),
}
_OUTCOME_FORM = {
    "requestBody": {
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "properties": {"outcome": {"enum": [*Outcome, ""]}},
                }
            }
        }
    }
}

router = APIRouter(route_class=PatientRoute, default_response_class=HTMLResponse, responses=_GONE)


@router.get("/act/{token}", summary="The link in a staff reminder: shows")
def show_act(service: TheService, token: str) -> Response:
    try:
        with reading(service.engine) as session:
            _delivery, lead = _read_act(service, session, token)
    except NotFound:
        return _gone(service)
    state = {LeadStatus.contacted: "marked", LeadStatus.closed: "closed"}.get(
        lead.status, "waiting"
    )
    return _act_page(service, token, lead, state)


@router.post(
    "/act/{token}",
    summary="The link in a staff reminder: marks",
    responses=_NO,
    openapi_extra=_OUTCOME_FORM,
)
def act(service: TheService, token: str, fields: TheForm) -> Response:
    outcome = _outcome(fields)
    try:
        with transaction(service.engine) as session:
            delivery, lead = _read_act(service, session, token)
            by = delivery.recipient_name or "staff"
            try:
                marked = working.mark_contacted(
                    session,
                    lead.id,
                    by=by,
                    now=service.now(),
                    door=Door.link,
                    outcome=outcome,
                )
            except AlreadyContacted:
                session.refresh(lead)
                return _act_page(service, token, lead, "someone_else", status=409)
            except Conflict:
                return _act_page(service, token, lead, "closed", status=409)
    except NotFound:
        return _gone(service)
    return _act_page(service, token, marked.lead, "marked")


def _outcome(fields: Fields) -> Outcome:
    try:
        return Outcome(fields.get("outcome") or Outcome.reached)
    except ValueError:
        known = ", ".join(Outcome)
        raise Invalid(Fault("outcome", f"must be one of {known}")) from None


def _read_act(service: Service, session: Session, token: str) -> tuple[Delivery, Lead]:
    """The delivery whose link this is, and its lead, or what that is a part of. Raises NotFound."""
    delivery_id = service.links.read_act(token, service.now())
    delivery = deliveries.find_delivery(session, delivery_id)
    if delivery is None or _has_left(service, session, delivery):
        raise NotFound("this link is not valid")
    return delivery, leads.find_whole(session, leads.get_lead(session, delivery.lead_id))


def _has_left(service: Service, session: Session, delivery: Delivery) -> bool:
    """Whether the recipient no longer works here: their links end with their token, also those that
    went to an address of before. Whom clinic.toml names is here, whoever else had the name."""
    person = people.find_by_name(session, delivery.recipient_name or "")
    if person is None or person.disabled_at is None:
        return False
    named = (one for one in service.clinic.escalation if one.name == person.name)
    return delivery.recipient not in {one.address(delivery.channel) for one in named}


def _act_page(
    service: Service, token: str, lead: Lead, state: str, status: int = 200
) -> HTMLResponse:
    zone, language = service.clinic.site(lead.site).zone, service.clinic.default_language
    at = lead.contacted_at
    return render_page(
        service,
        "act.html",
        language=language,
        status=status,
        reference=lead.reference,
        state=state,
        contacted_by=lead.contacted_by or "",
        contacted_at=time_in_words(at, service.now(), zone, language) if at else "",
        token_path=f"/act/{token}",
    )


def _gone(service: Service) -> HTMLResponse:
    return render_page(
        service,
        "trouble.html",
        language=service.clinic.default_language,
        status=404,
        trouble="gone",
    )


@router.get("/unsubscribe/{token}", summary="Asks before it stops mail")
def show_unsubscribe(service: TheService, token: str) -> Response:
    try:
        language = _language_of(service, service.links.read_unsubscribe(token))
    except NotFound:
        return _gone(service)
    return _unsubscribe_page(service, token, "ask", language)


@router.post(
    "/unsubscribe/{token}",
    summary="Stops mail to this address (RFC 8058)",
    responses=describe(413, 422),
)
def unsubscribe(
    service: TheService, token: str, everything: Literal["yes", "no"] = "no"
) -> Response:
    """One click, no login; the same answer when it was done before. `everything` ends texts too; a
    mail program, which knows nothing of it, ends mail alone."""
    try:
        delivery_id = service.links.read_unsubscribe(token)
        language = _language_of(service, delivery_id)
    except NotFound:
        return _gone(service)
    whole = everything == "yes"
    receiving.unsubscribe(service.engine, delivery_id, service.now(), texts_too=whole)
    return _unsubscribe_page(service, token, "everything" if whole else "done", language)


def _language_of(service: Service, delivery_id: uuid.UUID) -> str:
    with reading(service.engine) as session:
        delivery = deliveries.find_delivery(session, delivery_id)
        if delivery is None or delivery.audience is not Audience.patient:
            raise NotFound("this link is not valid")
        return service.clinic.language(leads.get_lead(session, delivery.lead_id).language)


def _unsubscribe_page(service: Service, token: str, state: str, language: str) -> HTMLResponse:
    return render_page(
        service,
        "unsubscribe.html",
        language=language,
        state=state,
        token_path=f"/unsubscribe/{token}",
    )
