"""What somebody's own words ask for at once: staff are told, and one fixed answer is planned.

Words are never judged here. Risk words put the lead first, alert staff day and night, and add one
fixed text with 988; whoever wrote gets everything else as well.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from followup.clinic import Clinic
from followup.domain.address import parse_phone
from followup.domain.answer import ANSWER_EVERY, Answer, choose_answer
from followup.domain.cadence import Audience, Channel
from followup.domain.command import read_command
from followup.domain.consent import Meaning
from followup.domain.instrument import is_urgent
from followup.domain.lead import WAITING, Priority, Role
from followup.domain.risk import find_risk, free_texts
from followup.errors import Invalid
from followup.services.arriving import audiences_of
from followup.services.obeying import obey
from followup.services.planning import Planner
from followup.services.telling import tell, tell_of_text
from followup.store import answers, deliveries, leads, replies
from followup.store.db import lock_addresses, reading, transaction
from followup.store.models import Lead, Reply, Submission
from followup.templates import DANGER

log = structlog.get_logger()

#: What stands for the answer beside risk words.
ITEM_9 = "PHQ-9, item 9"
#: A text that nobody has heeded for that long was left by a process that died.
LEFT_AFTER = timedelta(seconds=10)


def heed_left(engine: Engine, planner: Planner, now: datetime) -> int:
    """Heed what was left over, each text by itself. Returns how many were."""
    with reading(engine) as session:
        left = replies.list_unheeded(session, now - LEFT_AFTER)
    return sum(try_to_heed(engine, planner, reply_id, now) for reply_id in left)


def try_to_heed(engine: Engine, planner: Planner, reply_id: uuid.UUID, now: datetime) -> bool:
    """Heed a text that is kept; when that fails, `heed_left` does it later. Whether it was."""
    try:
        return heed_reply(engine, planner, reply_id, now)
    except Exception as error:  # what the text said for consent is done, and must stay done
        log.error("a text is not heeded yet", reply_id=str(reply_id), error=type(error).__name__)
        return False


def heed_reply(engine: Engine, planner: Planner, reply_id: uuid.UUID, now: datetime) -> bool:
    """Plan what the text asks for, once. Whether that was still to be done."""
    with transaction(engine) as session:
        reply = replies.lock_unheeded(session, reply_id)
        if reply is None:
            return False
        # Two texts of one number must not both find that it had no answer yet.
        lock_addresses(session, [planner.keyring.hash(f"answers to {reply.sender}")])
        lead = leads.find_lead(session, reply.lead_id) if reply.lead_id else None
        words = find_risk([reply.body], planner.clinic.risk.words)
        is_told = False
        if words:
            is_told = _raise_danger(session, planner, lead, words, now, reply=reply)
        elif reply.is_for_staff:
            tell_of_text(session, planner, lead, reply, now)
        colleague = planner.find_colleague(session, reply.sender)
        if colleague is not None:
            if reply.is_answerable and not words:
                obey(session, planner, colleague, reply, now)
        elif reply.is_answerable:
            meaning = reply.meaning or Meaning.none
            answer = choose_answer(
                meaning,
                in_danger=is_told,
                is_known=lead is not None,
                is_command=read_command(reply.body) is not None,
            )
            if answer is not None:
                _answer(session, planner, lead, answer, reply.sender, reply.received_at, now, reply)
        reply.heeded_at = now
        return True


def heed_submission(
    session: Session,
    planner: Planner,
    lead: Lead,
    submission: Submission,
    words: Sequence[str],
    now: datetime,
) -> None:
    """`find_danger` found the words in what somebody wrote in a form."""
    is_told = _raise_danger(session, planner, lead, words, now, submission=submission)
    # A referrer speaks of somebody else, who does not have this phone.
    may_answer = lead.role is Role.patient and Audience.patient in audiences_of(submission)
    if is_told and lead.phone is not None and may_answer:
        arrived_at = submission.received_at
        _answer(session, planner, lead, Answer.crisis, lead.phone, arrived_at, now)


def find_danger(payload: Mapping[str, Any], clinic: Clinic) -> list[str]:
    """What in a form's fields says that somebody may be in danger."""
    item_9 = [ITEM_9] if is_urgent(payload) else []
    return [*find_risk(free_texts(payload), clinic.risk.words), *item_9]


def _raise_danger(
    session: Session,
    planner: Planner,
    lead: Lead | None,
    words: Sequence[str],
    now: datetime,
    *,
    reply: Reply | None = None,
    submission: Submission | None = None,
) -> bool:
    """Put the lead first, and alert staff at once. Whether anybody of them is really told."""
    replies.add_risk_match(
        session,
        lead_id=lead.id if lead else None,
        reply_id=reply.id if reply else None,
        submission_id=submission.id if submission else None,
        words=list(words),
        list_version=planner.clinic.risk.version,
        found_at=now,
    )
    if lead is not None:
        lead.priority = Priority.urgent
        session.flush()
    # To be told again and again, somebody must be able to say that they have heard.
    again = lead is not None and lead.status in WAITING
    return tell(session, planner, lead, DANGER, now, reply=reply, again=again)


def _answer(
    session: Session,
    planner: Planner,
    lead: Lead | None,
    answer: Answer,
    number: str,
    arrived_at: datetime,
    now: datetime,
    reply: Reply | None = None,
) -> None:
    """Once a day and number, of each kind; to a number of no lead, once."""
    if not _is_number(number):
        return
    since = now - ANSWER_EVERY if lead is not None else None
    hashes = planner.hashes_of(Channel.sms, number)
    if answers.was_answered(session, hashes, answer, since):
        return
    told = answers.last_occurrence(session, lead.id, answer) if lead else 0
    rows = planner.answer_rows(
        lead,
        answer,
        number,
        arrived_at,
        now,
        occurrence=told + 1,
        reply_id=reply.id if reply else None,
    )
    deliveries.plan(session, rows)


def _is_number(sender: str) -> bool:
    """A short code or a company's name takes no answer."""
    try:
        return parse_phone(sender).e164 == sender
    except Invalid:
        return False
