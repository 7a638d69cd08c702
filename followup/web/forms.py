"""Where patients come in: the two submission routes and the hosted forms."""

import uuid
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse

from followup.bootstrap import Service
from followup.domain.instrument import is_urgent
from followup.domain.spoken import promise_in_words
from followup.domain.submission import FORMS, Kind
from followup.errors import Invalid, NotFound, TooMany
from followup.services import intake
from followup.store import submissions
from followup.store.db import UNUSABLE, reading
from followup.web.deps import Body, TheBell, TheBody, TheService
from followup.web.door import OPENING, knock
from followup.web.page import render_page
from followup.web.problems import Problem, describe
from followup.web.trouble import PatientRoute, asks_for_page, problem_of

router = APIRouter(route_class=PatientRoute)

Language = Annotated[str | None, Query(pattern="^[a-z]{2}$", description="en or es")]
Framed = Annotated[
    bool, Query(description="The page stands in a frame of the clinic's website: see /embed.js")
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        description="Repeat a request with the same key and it is taken once",
    ),
]

_ACCEPTED: dict[str, Any] = {
    "description": "Kept; follows up even if this machine stops now",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["submission_id", "status"],
                "properties": {
                    "submission_id": {"type": "string", "format": "uuid"},
                    "status": {"const": "accepted"},
                },
            }
        }
    },
}

_ANSWERS: dict[int | str, dict[str, Any]] = {
    202: _ACCEPTED,
    303: {"description": "A browser's form: to the confirmation page"},
    **describe(
        *(400, 408, 409, 413, 415, 422, 429, 503),
        _409="The Idempotency-Key was used for another submission",
    ),
}


def _request_body(kind: Kind) -> dict[str, Any]:
    schema = FORMS[kind].model_json_schema(ref_template="#/components/schemas/{model}")
    definitions = schema.pop("$defs", {})
    return {"schema": _inlined(schema, definitions)}


def _inlined(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """The schema without references, so that it can stand inside a route's description."""
    if isinstance(schema, dict):
        reference = schema.get("$ref", "")
        if reference.startswith("#/components/schemas/"):
            return _inlined(definitions[reference.rsplit("/", 1)[1]], definitions)
        return {key: _inlined(value, definitions) for key, value in schema.items()}
    if isinstance(schema, list):
        return [_inlined(value, definitions) for value in schema]
    return schema


def _describe(kind: Kind) -> dict[str, Any]:
    form = {"schema": {"type": "object", "additionalProperties": True}}
    return {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": _request_body(kind),
                "application/x-www-form-urlencoded": form,
            },
        }
    }


@router.post(
    "/submissions/contact",
    status_code=202,
    responses=_ANSWERS,
    openapi_extra=_describe(Kind.contact),
    response_class=JSONResponse,
    summary="Take a contact submission",
)
def post_contact(
    request: Request,
    service: TheService,
    bell: TheBell,
    body: TheBody,
    idempotency_key: IdempotencyKey = None,
    framed: Framed = False,
) -> Response:
    return _receive(request, service, bell, Kind.contact, body, idempotency_key, framed)


@router.post(
    "/submissions/screening",
    status_code=202,
    responses=_ANSWERS,
    openapi_extra=_describe(Kind.screening),
    response_class=JSONResponse,
    summary="Take a screening submission",
)
def post_screening(
    request: Request,
    service: TheService,
    bell: TheBell,
    body: TheBody,
    idempotency_key: IdempotencyKey = None,
    framed: Framed = False,
) -> Response:
    return _receive(request, service, bell, Kind.screening, body, idempotency_key, framed)


def _receive(
    request: Request,
    service: TheService,
    bell: TheBell,
    kind: Kind,
    body: Body,
    idempotency_key: str | None,
    framed: bool,
) -> Response:
    now = service.now()
    from_browser = body.is_form and asks_for_page(request)
    knocked = knock(request, service, body, now, from_browser=from_browser)
    try:
        received = intake.receive(
            service.engine,
            service.clinic,
            kind,
            knocked.fields,
            now=now,
            source="form" if from_browser else "api",
            idempotency_key=idempotency_key,
            evidence=knocked.evidence,
            caught=knocked.caught,
            limits=service.limits if service.settings.knows_addresses else None,
        )
    except (Invalid, TooMany, *UNUSABLE) as error:
        if not from_browser:
            raise
        return _form_again(service, kind, body, framed, error)
    if received.is_new:
        bell.ring("intake")
    if from_browser:
        query = "?framed=1" if framed else ""
        return RedirectResponse(f"/forms/received/{received.submission_id}{query}", status_code=303)
    return JSONResponse(
        {"submission_id": str(received.submission_id), "status": "accepted"}, status_code=202
    )


def _form_again(
    service: Service, kind: Kind, body: Body, framed: bool, error: Exception
) -> HTMLResponse:
    language = _text(body.fields, "language")
    return _form_page(service, kind, language, framed, body.fields, problem_of(error))


@router.get("/forms", summary="The forms, their fields and the consent texts in force")
def list_forms(service: TheService) -> dict[str, Any]:
    clinic = service.clinic
    return {
        "forms": [
            {
                "kind": kind.value,
                "title": dict(clinic.get_form(kind).title),
                "url": f"{service.settings.public_url}/forms/{kind.value}",
                "action": f"{service.settings.public_url}/submissions/{kind.value}",
                "fields": _request_body(kind)["schema"]["properties"],
                "consent_sms": {
                    language: {
                        "version": clinic.consent_text(kind, None, language)[0],
                        "text": clinic.consent_text(kind, None, language)[1],
                    }
                    for language in clinic.languages
                },
            }
            for kind in Kind
        ],
        "locations": [{"id": site.id, "name": site.name} for site in clinic.sites],
        "languages": list(clinic.languages),
        # For a form of the clinic's own page, which /embed.js gives it.
        OPENING: service.links.opening(service.now()),
    }


_SWITCHED: dict[str, Any] = {
    "requestBody": {
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {"type": "object", "additionalProperties": True}
            }
        }
    }
}


@router.get(
    "/forms/contact",
    response_class=HTMLResponse,
    responses=describe(422),
    summary="The contact form",
)
def contact_form(
    service: TheService, language: Language = None, framed: Framed = False
) -> Response:
    return _form_page(service, Kind.contact, language, framed)


@router.post(
    "/forms/contact",
    response_class=HTMLResponse,
    responses=describe(400, 408, 413, 415, 422),
    openapi_extra=_SWITCHED,
    summary="The contact form in another language, with what was typed",
)
def contact_form_switched(
    service: TheService, body: TheBody, language: Language = None, framed: Framed = False
) -> Response:
    return _form_page(service, Kind.contact, language, framed, body.fields)


@router.get(
    "/forms/screening",
    response_class=HTMLResponse,
    responses=describe(422),
    summary="The screening form",
)
def screening_form(
    service: TheService, language: Language = None, framed: Framed = False
) -> Response:
    return _form_page(service, Kind.screening, language, framed)


@router.post(
    "/forms/screening",
    response_class=HTMLResponse,
    responses=describe(400, 408, 413, 415, 422),
    openapi_extra=_SWITCHED,
    summary="The screening form in another language, with what was typed",
)
def screening_form_switched(
    service: TheService, body: TheBody, language: Language = None, framed: Framed = False
) -> Response:
    return _form_page(service, Kind.screening, language, framed, body.fields)


#: Why a form that is right was not taken, by its words in the pages' templates.
_TROUBLES = {429: "crowded", 503: "down"}


def _form_page(
    service: Service,
    kind: Kind,
    language: str | None,
    framed: bool,
    typed: Mapping[str, Any] | None = None,
    problem: Problem | None = None,
) -> HTMLResponse:
    """The form, with what was typed and what is wrong with it beside each field, or why it can only
    be sent later."""
    clinic = service.clinic
    language = clinic.language(language)
    version, text = clinic.consent_text(kind, None, language)
    return render_page(
        service,
        "form.html",
        status=problem.status_code if problem else 200,
        headers=problem.headers if problem else None,
        framed=True,
        in_frame=framed,
        captcha=service.settings.turnstile_site_key is not None,
        language=language,
        kind=kind.value,
        title=clinic.get_form(kind).title[language],
        sites=[{"id": site.id, "name": site.name} for site in clinic.sites],
        languages=list(clinic.languages),
        typed=typed or {},
        opening=_opening(service, _text(typed or {}, OPENING)),
        turnstile_site_key=service.settings.turnstile_site_key,
        trouble=_TROUBLES.get(problem.status_code) if problem else None,
        problems={fault.field: fault.problem for fault in problem.faults} if problem else {},
        consent_version=version,
        consent_text=text,
        privacy_url=clinic.privacy_url,
        terms_url=clinic.terms_url,
    )


def _opening(service: Service, before: str | None) -> str:
    """A form that comes back to be mended was opened when it was first shown."""
    now = service.now()
    is_known = before is not None and service.links.read_opening(before, now) is not None
    return before if before is not None and is_known else service.links.opening(now)


@router.get(
    "/forms/received/{submission_id}",
    response_class=HTMLResponse,
    summary="The page after a form: what happens next",
    responses=describe(404, 422, 503, _404="No such submission"),
)
def received_page(
    service: TheService, submission_id: uuid.UUID, framed: Framed = False
) -> Response:
    with reading(service.engine) as session:
        submission = submissions.find_submission(session, submission_id)
    if submission is None:
        raise NotFound("there is no such submission")
    clinic = service.clinic
    language = clinic.language(_text(submission.payload, "language"))
    site = clinic.site(_text(submission.payload, "location"))
    promised_at = site.business_hours.add(submission.received_at, clinic.callback_promise)
    return render_page(
        service,
        "received.html",
        framed=True,
        in_frame=framed,
        language=language,
        site_id=site.id,
        when=promise_in_words(promised_at, service.now(), site.zone, language),
        is_referrer=submission.payload.get("role") == "referrer",
        is_urgent=is_urgent(submission.payload),
    )


def _text(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) else None
