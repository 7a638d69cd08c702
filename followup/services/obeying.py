"""What staff text back is done, as through every other door, and answered with what happened."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from followup.domain.answer import HOW_EVERY, StaffAnswer
from followup.domain.audit import Door
from followup.domain.cadence import Audience, Channel
from followup.domain.command import Command, Verb, read_command
from followup.domain.consent import Meaning
from followup.domain.spoken import time_in_words
from followup.errors import AlreadyContacted, Conflict, Invalid
from followup.services import working
from followup.services.planning import Planner
from followup.store import answers, deliveries, leads
from followup.store.models import Lead, Reply

#: A text that speaks of consent is no command, whoever wrote it.
COMMANDING = frozenset({Meaning.none, Meaning.help})

_Told = tuple[StaffAnswer, dict[str, Any]]


def obey(session: Session, planner: Planner, colleague: str, reply: Reply, now: datetime) -> None:
    """Once for each text, because the caller holds it. An unknown reference or word changes nothing
    and is answered in one and the same way, which tells nobody which references there are."""
    command = read_command(reply.body)
    if command is None and reply.meaning is not Meaning.help:
        hashes = planner.hashes_of(Channel.sms, reply.sender)
        since = now - HOW_EVERY
        if answers.was_answered(session, hashes, StaffAnswer.how, since, Audience.staff):
            return
    answer, facts = _act(session, planner, colleague, command, now)
    reply.told = facts
    rows = planner.answer_rows(
        None, answer, reply.sender, reply.received_at, now, reply_id=reply.id, name=colleague
    )
    deliveries.plan(session, rows)


def _act(
    session: Session, planner: Planner, colleague: str, command: Command | None, now: datetime
) -> _Told:
    lead = leads.find_by_reference(session, command.reference) if command else None
    if lead is None or command is None or command.verb is None:
        return StaffAnswer.how, {}
    told = {"reference": lead.reference}
    try:
        answer, facts = _work(session, planner, colleague, command, command.verb, lead, now)
    except AlreadyContacted as error:
        if error.contacted_by == colleague:
            return StaffAnswer.contacted, told | {"in_flight": 0}
        at = _in_words(planner, lead, error.contacted_at, now)
        return StaffAnswer.was_first, told | {"who": error.contacted_by, "at": at}
    except Conflict:
        return StaffAnswer.closed, told
    except Invalid:
        return StaffAnswer.how, {}
    return answer, told | facts


def _work(
    session: Session,
    planner: Planner,
    by: str,
    command: Command,
    verb: Verb,
    lead: Lead,
    now: datetime,
) -> _Told:
    door = Door.text
    match verb:
        case Verb.contacted:
            marked = working.mark_contacted(session, lead.id, by=by, now=now, door=door)
            return StaffAnswer.contacted, {"in_flight": len(marked.in_flight)}
        case Verb.attempt:
            answer = StaffAnswer.attempt
            lead = working.record_attempt(session, planner, lead.id, by=by, now=now, door=door)
        case Verb.snooze:
            answer = StaffAnswer.snoozed
            # Without a length it would end now, which is refused.
            until = now + (command.length or timedelta())
            lead = working.snooze(session, lead.id, until=until, by=by, now=now, door=door)
    return answer, {"at": _in_words(planner, lead, lead.snoozed_until or now, now)}


def _in_words(planner: Planner, lead: Lead, at: datetime, now: datetime) -> str:
    clinic = planner.clinic
    return time_in_words(at, now, clinic.site(lead.site).zone, clinic.default_language)
