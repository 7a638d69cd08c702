"""A lead's page: what they wrote, what happened since, what comes next, and what can be done."""

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse

from followup.bootstrap import Service
from followup.clinic import readable_phone
from followup.domain.audit import Door
from followup.domain.cadence import Channel
from followup.domain.lead import Closing, LeadStatus, Outcome
from followup.domain.spoken import duration_in_words, iso, time_in_words
from followup.domain.submission import AFFIRMATIVE, NEGATIVE, YES_OR_NO
from followup.domain.suspicion import SENTENCES as REASONS_TO_SUSPECT
from followup.services import auditing, overseeing, reporting
from followup.services.explaining import sentence
from followup.services.links import without_tokens
from followup.services.recounting import Event, What, Whole, list_fields, recount
from followup.services.working import LONGEST_SNOOZE
from followup.store import leads, people
from followup.store.db import reading
from followup.store.models import Lead
from followup.web.deps import TheService
from followup.web.staff.acts import LONGEST_NOTE, SNOOZES
from followup.web.staff.shell import PageRoute, Reader, lead_path, safe_next, staff_page

router = APIRouter(
    prefix="/staff/leads",
    route_class=PageRoute,
    default_response_class=HTMLResponse,
    include_in_schema=False,
)


@router.get("/{lead_id}")
def show_lead(service: TheService, reader: Reader, lead_id: uuid.UUID, back: str = "") -> Response:
    """`back` is the view of the board that one came from."""
    now, back = service.now(), safe_next(back)
    with reading(service.engine) as session:
        lead = leads.get_lead(session, lead_id)
        whole = recount(session, service.planner, lead, now)
        (row,) = overseeing.rows_of(session, [lead], now)
        noted = lead.possible_duplicate
        duplicate = leads.find_by_reference(session, noted) if noted else None
        part_of = leads.find_lead(session, lead.merged_into) if lead.merged_into else None
        colleagues = [one.name for one in people.list_people(session, active=True)]
    # Before it is shown: what cannot be noted is not shown either.
    name = reader.person.name
    others = [*whole.parts, *(one for one in (duplicate, part_of) if one is not None)]
    auditing.note(
        service.engine,
        now,
        "seen",
        by=name,
        door=Door.page,
        lead_id=lead_id,
        facts={"leads": [one.reference for one in others]} if others else {},
    )
    return staff_page(
        service,
        "lead.html",
        reader,
        scripted=True,
        lead=lead,
        back=back,
        here_again=lead_path(lead_id, back),
        whole=whole,
        row=row,
        duplicate=duplicate if part_of is None else None,
        part_of=part_of,
        suspicion=REASONS_TO_SUSPECT[lead.held_for] if lead.held_for else "",
        colleagues=[one for one in colleagues if one not in (lead.assigned_to, name)],
        ended=_ended(whole),
        submissions=[_shown(one) for one in whole.submissions],
        **_words(service, lead, now),
        outcomes=list(Outcome),
        closings=[one for one in Closing if one is Closing.spam or lead.phone],
        channels=_channels(lead),
        snoozes=list(SNOOZES),
        longest_note=LONGEST_NOTE,
    )


def _ended(whole: Whole) -> Event | None:
    """What staff did last to end it, of a lead that no longer waits."""
    if whole.lead.status is not LeadStatus.closed:
        return None
    ends = ("closed", "rejected", "merged into")
    own = [one for one in whole.events if one.part is None]
    acts = (one for one in reversed(own) if one.what is What.action)
    return next((one for one in acts if one.row.verb in ends), None)


def _shown(submission: Any) -> dict[str, Any]:
    return {
        "row": submission,
        "fields": [(name, _said(name, value)) for name, value in list_fields(submission.payload)],
        "scores": reporting.show_scores(submission.payload),
    }


def _said(name: str, value: Any) -> Any:
    """A yes or no that was typed, or ticked, as the same as one that a program sent."""
    if name not in YES_OR_NO or not isinstance(value, str):
        return value
    word = value.strip().casefold()
    return True if word in AFFIRMATIVE else False if word in NEGATIVE else value


def _channels(lead: Lead) -> list[str]:
    """On which the lead can be written to."""
    known = ((Channel.email, lead.email), (Channel.sms, lead.phone))
    return [channel.value for channel, address in known if address]


def _words(service: Service, lead: Lead, now: datetime) -> dict[str, Any]:
    """Instants and the like as staff of the lead's site say them."""
    site, language = service.clinic.site(lead.site), service.clinic.default_language

    def at(instant: datetime) -> str:
        return time_in_words(instant, now, site.zone, language)

    def wall(instant: datetime) -> str:
        """As a field for a day and a time takes it."""
        return f"{instant.astimezone(site.zone):%Y-%m-%dT%H:%M}"

    says: dict[str, Callable[..., Any]] = {
        "at": at,
        "iso": iso,
        "lasting": lambda duration: duration_in_words(abs(duration), language),
        "when": lambda text: at(datetime.fromisoformat(text)),
        "readable": readable_phone,
        "sentence": sentence,
        "without_tokens": without_tokens,
    }
    return {
        **says,
        "site": site.name,
        "site_names": {one.id: one.name for one in service.clinic.sites},
        "zone": now.astimezone(site.zone).tzname(),
        "now": now,
        "earliest": wall(now),
        "latest": wall(now + LONGEST_SNOOZE),
        "phone": readable_phone(lead.phone) if lead.phone else None,
    }
