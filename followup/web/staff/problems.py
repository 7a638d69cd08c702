"""What could not be worked on, kept whole: for a person to read, and to call whom it names."""

import uuid
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from followup.bootstrap import Service
from followup.domain.audit import Door
from followup.domain.foreign import RECEIVED, as_text
from followup.domain.spoken import time_in_words
from followup.services import auditing, intake, reviewing
from followup.store import submissions
from followup.store.db import reading, transaction
from followup.store.models import Submission
from followup.web.deps import TheBell, TheService
from followup.web.staff.shell import Actor, PageRoute, Reader, staff_page

PROBLEMS = "/staff/problems"
#: On one page, the oldest first; and fields of each. The command line shows all.
MOST_PROBLEMS = 20
MOST_FIELDS = 100

router = APIRouter(
    prefix=PROBLEMS,
    route_class=PageRoute,
    default_response_class=HTMLResponse,
    include_in_schema=False,
)


@router.get("")
def show_problems(service: TheService, reader: Reader) -> Response:
    with reading(service.engine) as session:
        found = submissions.list_problems(session, MOST_PROBLEMS)
        problems = [_shown(service, one) for one in found]
    # Before it is shown: what cannot be noted is not shown either.
    auditing.note(
        service.engine,
        service.now(),
        "problems",
        by=reader.person.name,
        door=Door.page,
        facts={"submissions": [one["id"] for one in problems]},
    )
    return staff_page(service, "problems.html", reader, problems=problems)


@router.post("/{submission_id}/replay")
def replay(service: TheService, actor: Actor, bell: TheBell, submission_id: uuid.UUID) -> Response:
    """Read once more, by the mapping of today; what still cannot be is back in a moment."""
    if intake.replay(service.engine, service.now(), submission_id):
        auditing.note(
            service.engine,
            service.now(),
            "submission replayed",
            by=actor.person.name,
            door=Door.page,
            facts={"submissions": [str(submission_id)]},
        )
        bell.ring("intake")
    return RedirectResponse(PROBLEMS, status_code=303)


@router.post("/{submission_id}/reject")
def reject(service: TheService, actor: Actor, submission_id: uuid.UUID) -> Response:
    with transaction(service.engine) as session:
        reviewing.reject_submission(
            session, submission_id, by=actor.person.name, now=service.now(), door=Door.page
        )
    return RedirectResponse(PROBLEMS, status_code=303)


def _shown(service: Service, submission: Submission) -> dict[str, Any]:
    clinic = service.clinic
    zone = clinic.site(None).zone
    language = clinic.default_language
    fields = list(_leaves(submission.payload.get(RECEIVED, submission.payload)))
    return {
        "id": str(submission.id),
        "source": submission.source,
        "at": time_in_words(submission.received_at, service.now(), zone, language),
        "problem": submission.problem,
        "fields": list(islice(fields, MOST_FIELDS)),
        "more": max(0, len(fields) - MOST_FIELDS),
    }


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Whatever was sent, as lines of a name and a text."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from _leaves(part, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list) and any(isinstance(part, Mapping | list) for part in value):
        for place, part in enumerate(value):
            yield from _leaves(part, f"{path}[{place}]")
    elif text := as_text(value).strip():
        yield path, text
