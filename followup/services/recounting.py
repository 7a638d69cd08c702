"""Recounts a lead: all that happened to it, as one list in order of time, and what comes next.

What is told is facts; a page, in the language of whoever reads it, has the words.
"""

import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy.orm import Session

from followup.domain.cadence import Audience, Channel
from followup.domain.delivery import Status
from followup.domain.lead import WAITING
from followup.services.ladder import LOST
from followup.services.planning import Planner
from followup.store import (
    alarms,
    breakers,
    consents,
    deliveries,
    leads,
    ledger,
    replies,
    submissions,
)
from followup.store.models import Decision, Delivery, Lead, Submission, Task


class What(StrEnum):
    """The kinds of event; at one instant, the earlier named come first."""

    submission = "submission"
    consent = "consent"
    danger = "danger"
    reply = "reply"
    #: Somebody of the staff did something, or wrote a note.
    action = "action"
    silenced = "silenced"
    lifted = "lifted"
    #: A message to the patient waits, and why.
    postponed = "postponed"
    #: A message went, or was not sent, and why.
    message = "message"
    #: What became of it at the recipient's side.
    receipt = "receipt"


_ORDER = list(What)


@dataclass(frozen=True)
class Message:
    """A delivery with its decisions, the oldest first."""

    row: Delivery
    decisions: Sequence[Decision]

    @property
    def at(self) -> datetime | None:
        """When it went, or when it was decided that it would not; None while that lies ahead.
        What was cancelled is told of when it would have been due."""
        row = self.row
        if row.status is Status.planned:
            return None
        if row.sent_at or row.attempted_at:
            return row.sent_at or row.attempted_at
        return self.decisions[-1].at if self.decisions else row.due_at


@dataclass(frozen=True)
class Event:
    what: What
    at: datetime
    #: The row that it is about.
    row: Any = None
    #: The message that it is about; what staff were told at once is one event with several.
    messages: Sequence[Message] = ()
    #: The part of the lead that it is about, of what was merged.
    part: Lead | None = None


@dataclass(frozen=True)
class Whole:
    """A lead with all that there is to know about it."""

    lead: Lead
    #: The leads that were merged into it.
    parts: Sequence[Lead]
    submissions: Sequence[Submission]
    events: Sequence[Event]
    #: What is owed still, the soonest first.
    next: Sequence[Delivery]
    #: Channels that wait for their provider to work again.
    paused: frozenset[Channel]
    #: No message of ours got through: somebody has to call.
    task: Task | None
    #: What forbids the lead's addresses now.
    silent: frozenset[Channel]


def recount(session: Session, planner: Planner, lead: Lead, now: datetime) -> Whole:
    """With what was merged into it, both histories in one."""
    parts = leads.list_merged(session, lead.id)
    events: list[Event] = []
    for one in (lead, *parts):
        found = _of_lead(session, one, now)
        events += found if one is lead else [replace(event, part=one) for event in found]
    # Under every key, as whoever sends looks for them.
    own = _hashes(planner, lead)
    for row in consents.list_history(session, [*own, *_hashes(planner, *parts)]):
        events.append(Event(What.silenced, row.created_at, row))
        events += [Event(What.lifted, row.lifted_at, row)] if row.lifted_at else []
    events.sort(key=lambda event: (event.at, _ORDER.index(event.what)))
    return Whole(
        lead=lead,
        parts=parts,
        submissions=[event.row for event in events if event.what is What.submission],
        events=events,
        next=_list_next(session, lead),
        paused=frozenset(breakers.list_paused(session)),
        task=alarms.find_task(session, lead.id, lead.episode),
        silent=frozenset(channel for channel, _ in consents.list_forbidden(session, own)),
    )


def _hashes(planner: Planner, *of: Lead) -> list[str]:
    return [
        text
        for lead in of
        for channel, address in ((Channel.email, lead.email), (Channel.sms, lead.phone))
        if address
        for text in planner.hashes_of(channel, address)
    ]


def _list_next(session: Session, lead: Lead) -> list[Delivery]:
    rows = deliveries.list_of_lead(session, lead.id) if lead.status in WAITING else ()
    return [row for row in rows if row.status is Status.planned]


def _of_lead(session: Session, lead: Lead, now: datetime) -> list[Event]:
    decided: dict[uuid.UUID, list[Decision]] = defaultdict(list)
    for decision in ledger.list_decisions(session, lead.id):
        decided[decision.delivery_id].append(decision)
    rows = deliveries.list_of_lead(session, lead.id)
    messages = [Message(row, decided[row.id]) for row in rows]
    came = submissions.list_of_lead(session, lead.id)
    agreed = consents.list_consents(session, lead.id)
    found = replies.list_risk_matches(session, lead.id)
    wrote = replies.list_replies(session, lead.id)
    done = ledger.list_actions(session, lead.id)
    return [
        *(Event(What.submission, one.received_at, one) for one in came),
        *(Event(What.consent, one.occurred_at, one) for one in agreed),
        *(Event(What.danger, one.found_at, one) for one in found),
        *(Event(What.reply, one.received_at, one) for one in wrote),
        *(Event(What.action, one.at, one) for one in done),
        *_of_patient(messages, now),
        *_of_staff(messages, now),
    ]


def _of_patient(messages: Sequence[Message], now: datetime) -> Iterator[Event]:
    for message in messages:
        if message.row.audience is not Audience.patient:
            continue
        for one in message.decisions:
            if one.status is Status.planned and one.reason is not None:
                yield Event(What.postponed, one.at, one, [message])
            elif _is_receipt(message.row, one):
                yield Event(What.receipt, one.at, one, [message])
        if message.at is not None and message.at <= now:
            yield Event(What.message, message.at, message.row, [message])


def _is_receipt(row: Delivery, decision: Decision) -> bool:
    """What came back later of a message that had gone; what was refused at once is told with it."""
    came_back = decision.status in LOST and row.sent_at is not None
    return came_back or decision.status in (Status.delivered, Status.unknown)


def _of_staff(messages: Sequence[Message], now: datetime) -> Iterator[Event]:
    """What staff were told at once, by whatever channels, is one event."""
    told: dict[Any, list[Message]] = defaultdict(list)
    for message in messages:
        row = message.row
        if row.audience is Audience.staff and message.at is not None and message.at <= now:
            told[row.episode, row.step, row.occurrence].append(message)
    for group in told.values():
        first = min(group, key=lambda one: one.at or now)
        yield Event(What.message, first.at or now, first.row, group)


def list_fields(payload: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """What somebody wrote, each field by its path; those that nobody knows too. Values are texts,
    numbers, truth values, or lists of these."""
    found: list[tuple[str, Any]] = []
    for name, value in payload.items():
        if isinstance(value, Mapping):
            found += [(f"{name}.{inner}", one) for inner, one in list_fields(value)]
        elif isinstance(value, list) and any(isinstance(one, Mapping | list) for one in value):
            numbered = {str(number): one for number, one in enumerate(value, start=1)}
            found += [(f"{name}.{inner}", one) for inner, one in list_fields(numbered)]
        elif value not in (None, "", []):
            found.append((name, value))
    return found
