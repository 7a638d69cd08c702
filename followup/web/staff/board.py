"""The board: whom to call now, and why."""

import uuid
from collections.abc import Sequence
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, ConfigDict
from sqlalchemy.orm import Session

from followup.bootstrap import Service
from followup.clinic import readable_phone
from followup.domain.audit import Door
from followup.domain.spoken import duration_in_words, time_in_words
from followup.domain.submission import Kind
from followup.domain.suspicion import SENTENCES as REASONS_TO_SUSPECT
from followup.services import auditing, overseeing, searching
from followup.services.overseeing import Row
from followup.services.signing_in import SignedIn
from followup.store import leads, submissions
from followup.store.db import reading
from followup.store.leads import Wanted
from followup.store.models import Lead
from followup.web.deps import TheForm, TheService
from followup.web.problems import Problem
from followup.web.staff.acts import SNOOZES
from followup.web.staff.shell import (
    HOME,
    Actor,
    PageRoute,
    Reader,
    lead_path,
    staff_page,
    text_of,
)

router = APIRouter(
    prefix="/staff",
    route_class=PageRoute,
    default_response_class=HTMLResponse,
    include_in_schema=False,
)


#: Of these filters, one takes the place of another.
_VIEWS = ("overdue", "done", "held")


class Filters(BaseModel):
    """Of the board, all of them in its address, so that each view can be bookmarked."""

    model_config = ConfigDict(extra="forbid")

    site: str | None = None
    kind: Kind | None = None
    mine: Literal["yes"] | None = None
    overdue: Literal["yes"] | None = None
    done: Literal["yes"] | None = None
    held: Literal["yes"] | None = None
    after: uuid.UUID | None = None
    #: The lead that was just marked here, which may be taken back.
    marked: uuid.UUID | None = None


@router.get("")
def show_board(
    service: TheService, reader: Reader, filters: Annotated[Filters, Query()]
) -> Response:
    if filters.site not in (None, *(site.id for site in service.clinic.sites)):
        raise Problem(404, "there is no such site")
    now, here_again = service.now(), _address(filters, marked=None)
    wanted = Wanted(
        site=filters.site,
        kind=filters.kind,
        assigned_to=reader.person.name if filters.mine else None,
    )
    with reading(service.engine) as session:
        board = overseeing.list_board(
            session,
            now,
            wanted,
            overdue=filters.overdue is not None,
            done=filters.done is not None,
            held=filters.held is not None,
            after=filters.after,
        )
        waiting, overdue = leads.count_waiting(session, now)
        problems = submissions.count_problems(session)
        held, _ = leads.count_held(session)
        marked = _just_marked(session, filters, reader)
        rows = [_shown(service, row, here_again) for row in board.rows]
    _note_seen(service, reader, "listed", [row.lead for row in board.rows])
    return staff_page(
        service,
        "board.html",
        reader,
        scripted=True,
        rows=rows,
        waiting=waiting,
        overdue=overdue,
        problems=problems,
        held=0 if filters.held else held,
        view="done" if filters.done else "held" if filters.held else "waiting",
        is_most=False,
        marked=marked,
        filters=_filter_links(service, filters),
        next_page=_address(filters, after=board.next_after, marked=None)
        if board.next_after
        else None,
        here_again=here_again,
        snoozes=list(SNOOZES),
        query=None,
    )


@router.post("/search")
def search(service: TheService, actor: Actor, fields: TheForm) -> Response:
    """Posted, because what is looked for is a name or an address, and has no place in a URL."""
    query = text_of(fields, "q")
    now = service.now()
    with reading(service.engine) as session:
        found = searching.search(session, service.planner, query) if query else []
        rows = [_shown(service, row, HOME) for row in overseeing.rows_of(session, found, now)]
    _note_seen(service, actor, "searched", found)
    return staff_page(
        service,
        "board.html",
        actor,
        rows=rows,
        waiting=None,
        overdue=None,
        problems=None,
        held=None,
        view="results",
        is_most=len(found) == searching.MOST,
        marked=None,
        filters=[],
        next_page=None,
        here_again=HOME,
        snoozes=list(SNOOZES),
        query=query,
    )


def _just_marked(session: Session, filters: Filters, reader: SignedIn) -> Lead | None:
    lead = leads.find_lead(session, filters.marked) if filters.marked else None
    is_own = lead is not None and lead.contacted_by == reader.person.name
    return lead if is_own else None


def _note_seen(service: Service, signed_in: SignedIn, verb: str, shown: Sequence[Lead]) -> None:
    """Before it is shown: what cannot be noted is not shown either."""
    auditing.note(
        service.engine,
        service.now(),
        verb,
        by=signed_in.person.name,
        door=Door.page,
        facts={"leads": [lead.reference for lead in shown]},
    )


def _shown(service: Service, row: Row, back: str) -> dict[str, Any]:
    """A row in the words of the page, which is to be come back to."""
    lead, now = row.lead, service.now()
    clinic, language = service.clinic, service.clinic.default_language
    site = clinic.site(lead.site)

    def at(instant: Any) -> str:
        return time_in_words(instant, now, site.zone, language) if instant else ""

    attempt = row.last_attempt
    return {
        "suspicion": REASONS_TO_SUSPECT[lead.held_for] if lead.held_for else "",
        "lead": lead,
        "path": lead_path(lead.id, back),
        "urgency": row.urgency.value,
        "site": site.name,
        "waited": duration_in_words(row.waited, language),
        "past": duration_in_words(abs(row.past), language),
        "promised_at": at(lead.promised_at),
        "rests_until": at(lead.snoozed_until),
        "contacted_at": at(lead.contacted_at),
        "attempt": {"by": attempt.by, "at": at(attempt.at)} if attempt else None,
        "phone": readable_phone(lead.phone) if lead.phone else None,
    }


def _filter_links(service: Service, filters: Filters) -> list[dict[str, Any]]:
    """Groups of links, each to this view with one thing changed."""
    sites = [(site.id, site.name) for site in service.clinic.sites]
    return [
        *([{"name": "site", "links": _links(filters, "site", sites)}] if len(sites) > 1 else []),
        {"name": "kind", "links": _links(filters, "kind", [(kind.value, "") for kind in Kind])},
        *(
            {"name": name, "links": _links(filters, name, [("yes", "")])}
            for name in ("mine", *_VIEWS)
        ),
    ]


def _links(filters: Filters, name: str, choices: list[tuple[str, str]]) -> list[dict[str, Any]]:
    """Followed once, a link chooses; followed again, it no longer does."""
    chosen = getattr(filters, name)
    others = dict.fromkeys(_VIEWS if name in _VIEWS else ())
    return [
        {
            "value": value,
            "words": words,
            "is_chosen": chosen == value,
            "path": _address(
                filters,
                **others | {name: None if chosen == value else value},
                after=None,
                marked=None,
            ),
        }
        for value, words in choices
    ]


def _address(filters: Filters, **changes: Any) -> str:
    values = {**filters.model_dump(mode="json"), **changes}
    query = urlencode({name: str(value) for name, value in values.items() if value is not None})
    return f"/staff?{query}" if query else "/staff"
