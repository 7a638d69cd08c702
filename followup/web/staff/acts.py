"""What staff do with a lead by a button: each of these does it, and goes back to where the button
was."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from sqlalchemy.orm import Session

from followup.bootstrap import Service
from followup.domain.audit import Door
from followup.domain.cadence import TO_PATIENTS, Channel
from followup.domain.lead import Closing, Outcome
from followup.domain.spoken import time_in_words
from followup.errors import AlreadyContacted, Conflict
from followup.services import reviewing, uniting, working
from followup.services.signing_in import SignedIn
from followup.store import leads
from followup.store.db import reading, transaction
from followup.web.deps import Fields, TheForm, TheService
from followup.web.problems import Problem
from followup.web.staff.shell import Actor, PageRoute, safe_next, staff_page, text_of

router = APIRouter(
    prefix="/staff/leads/{lead_id}",
    route_class=PageRoute,
    default_response_class=HTMLResponse,
    include_in_schema=False,
)

#: What the buttons offer; staff who need another instant say so on the lead's page.
SNOOZES: Mapping[str, timedelta] = {
    "1h": timedelta(hours=1),
    "4h": timedelta(hours=4),
    "1d": timedelta(days=1),
    "3d": timedelta(days=3),
}
LONGEST_NOTE = 2000

Chosen = TypeVar("Chosen", bound=StrEnum)


@dataclass(frozen=True)
class Press:
    """Of a button: who did it, with which lead, and what stood in the form."""

    service: Service
    actor: SignedIn
    lead_id: uuid.UUID
    fields: Fields

    @property
    def by(self) -> dict[str, Any]:
        """What every function of the service asks of whoever acts."""
        name, now = self.actor.person.name, self.service.now()
        return {"by": name, "now": now, "door": Door.page}

    @property
    def note(self) -> str | None:
        return text_of(self.fields, "note", LONGEST_NOTE) or None

    def word(self, name: str, words: type[Chosen], usual: Chosen | None = None) -> Chosen:
        """Problem 422 naming the words that there are."""
        said = text_of(self.fields, name)
        if usual is not None and not said:
            return usual
        try:
            return words(said)
        except ValueError:
            raise Problem(422, f"{name}: must be one of {', '.join(words)}") from None

    def channels(self) -> list[Channel]:
        """One, or `both`."""
        is_both = text_of(self.fields, "channel") == "both"
        return list(TO_PATIENTS) if is_both else [self.word("channel", Channel)]

    def do(self, act: Callable[[Session], object], *, marks: bool = False) -> Response:
        """Do it, and go back to where the button was; a page that names who was first otherwise."""
        back = safe_next(text_of(self.fields, "next", 2000))
        try:
            with transaction(self.service.engine) as session:
                act(session)
        except Conflict as conflict:
            return self._tell(conflict, back)
        if marks and back.partition("?")[0] == "/staff":
            back += f"{'&' if '?' in back else '?'}marked={self.lead_id}"
        return RedirectResponse(back, status_code=303)

    def _tell(self, conflict: Conflict, back: str) -> Response:
        service = self.service
        with reading(service.engine) as session:
            lead = leads.get_lead(session, self.lead_id)
        by, at = "", ""
        if isinstance(conflict, AlreadyContacted):
            zone, language = service.clinic.site(lead.site).zone, service.clinic.default_language
            by = conflict.contacted_by
            at = time_in_words(conflict.contacted_at, service.now(), zone, language)
        return staff_page(
            service, "told.html", self.actor, status=409, lead=lead, by=by, at=at, back=back
        )


def _press(service: TheService, actor: Actor, lead_id: uuid.UUID, fields: TheForm) -> Press:
    return Press(service, actor, lead_id, fields)


Pressed = Annotated[Press, Depends(_press)]


@router.post("/contacted")
def mark_contacted(press: Pressed) -> Response:
    outcome, note = press.word("outcome", Outcome, Outcome.reached), press.note
    return press.do(
        lambda session: working.mark_contacted(
            session, press.lead_id, outcome=outcome, note=note, **press.by
        ),
        marks=True,
    )


@router.post("/attempts")
def record_attempt(press: Pressed) -> Response:
    planner, note = press.service.planner, press.note
    return press.do(
        lambda session: working.record_attempt(
            session, planner, press.lead_id, note=note, **press.by
        )
    )


@router.post("/notes")
def add_note(press: Pressed) -> Response:
    note = press.note or ""
    return press.do(lambda session: working.add_note(session, press.lead_id, note=note, **press.by))


@router.post("/snooze")
def snooze(press: Pressed) -> Response:
    """`for` is one of `SNOOZES`; or `until` is an instant by the clock of the lead's site."""
    length = SNOOZES.get(text_of(press.fields, "for"))
    until = press.service.now() + length if length else _wall_time(press)
    return press.do(lambda session: working.snooze(session, press.lead_id, until=until, **press.by))


def _wall_time(press: Press) -> datetime:
    try:
        wall = datetime.fromisoformat(text_of(press.fields, "until"))
    except ValueError:
        known = ", ".join(SNOOZES)
        raise Problem(422, f"until: must be a day and a time; or for: one of {known}") from None
    with reading(press.service.engine) as session:
        site = leads.get_lead(session, press.lead_id).site
    return wall.replace(tzinfo=press.service.clinic.site(site).zone)


@router.post("/assign")
def assign(press: Pressed) -> Response:
    """`to` is `me`, nobody, or `colleague`, who is named in a field of that name; `expected` is
    who had it when the page was made."""
    fields = press.fields
    known = {"me": press.actor.person.name, "colleague": text_of(fields, "colleague")}
    to, expected = known.get(text_of(fields, "to")), text_of(fields, "expected") or None
    return press.do(
        lambda session: working.assign(session, press.lead_id, to=to, expected=expected, **press.by)
    )


@router.post("/reopen")
def reopen(press: Pressed) -> Response:
    planner = press.service.planner
    return press.do(lambda session: working.reopen(session, planner, press.lead_id, **press.by))


@router.post("/close")
def close(press: Pressed) -> Response:
    planner, why, note = press.service.planner, press.word("why", Closing), press.note
    return press.do(
        lambda session: working.close(
            session, planner, press.lead_id, why=why, note=note, **press.by
        )
    )


@router.post("/merge")
def merge(press: Pressed) -> Response:
    planner = press.service.planner
    return press.do(
        lambda session: uniting.merge_duplicate(session, planner, press.lead_id, **press.by)
    )


@router.post("/opt-out")
def opt_out(press: Pressed) -> Response:
    planner, channels, note = press.service.planner, press.channels(), press.note
    return press.do(
        lambda session: working.record_opt_out(
            session, planner, press.lead_id, channels=channels, note=note, **press.by
        )
    )


@router.post("/opt-in")
def opt_in(press: Pressed) -> Response:
    planner, channels, note = press.service.planner, press.channels(), press.note or ""
    return press.do(
        lambda session: working.record_opt_in(
            session, planner, press.lead_id, channels=channels, note=note, **press.by
        )
    )


@router.post("/release")
def release(press: Pressed) -> Response:
    planner = press.service.planner
    return press.do(lambda session: reviewing.release(session, planner, press.lead_id, **press.by))


@router.post("/reject")
def reject(press: Pressed) -> Response:
    note = press.note
    return press.do(lambda session: reviewing.reject(session, press.lead_id, note=note, **press.by))
