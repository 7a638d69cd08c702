"""For admins: which other systems are told what happened, and what none of them received."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from followup.domain.audit import Door
from followup.domain.spoken import time_in_words
from followup.services import announcing
from followup.store.db import reading
from followup.web.deps import TheService
from followup.web.staff.shell import Actor, PageRoute, Reader, staff_page

WEBHOOKS = "/staff/webhooks"
#: Of those that nobody received, so many are shown.
SHOWN = 100

router = APIRouter(
    prefix=WEBHOOKS,
    route_class=PageRoute,
    default_response_class=HTMLResponse,
    include_in_schema=False,
)


@router.get("")
def show_webhooks(service: TheService, reader: Reader, done: str = "") -> Response:
    with reading(service.engine) as session:
        webhooks = announcing.list_webhooks(session, service.clinic.webhooks)
        dead = announcing.list_dead(session, SHOWN)
    return staff_page(
        service,
        "webhooks.html",
        reader,
        webhooks=[one | {"stopped_at": _said(service, one["stopped_at"])} for one in webhooks],
        dead=[one | {"at": _said(service, one["happened_at"])} for one in dead],
        done=done,
    )


@router.post("/dead/resend")
def resend_all(service: TheService, actor: Actor) -> Response:
    return _resend(service, actor, None)


@router.post("/dead/{announcement_id}/resend")
def resend(service: TheService, actor: Actor, announcement_id: uuid.UUID) -> Response:
    return _resend(service, actor, announcement_id)


@router.post("/{name}/start")
def start(service: TheService, actor: Actor, name: str) -> Response:
    announcing.start(service.engine, name, **_by(service, actor))
    return RedirectResponse(f"{WEBHOOKS}?done=started", status_code=303)


def _resend(service: TheService, actor: Actor, announcement_id: uuid.UUID | None) -> Response:
    announcing.resend(service.engine, announcement_id, **_by(service, actor))
    return RedirectResponse(f"{WEBHOOKS}?done=resent", status_code=303)


def _by(service: TheService, actor: Actor) -> Mapping[str, Any]:
    return {"by": actor.person.name, "now": service.now(), "door": Door.page}


def _said(service: TheService, at: str | None) -> str:
    if at is None:
        return ""
    clinic = service.clinic
    zone, language = clinic.site(None).zone, clinic.default_language
    return time_in_words(datetime.fromisoformat(at), service.now(), zone, language)
