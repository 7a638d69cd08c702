"""Tells the clinic's other systems what happened, at least once, by signed webhooks.

The rows were written with what happened (`store/announcements.py`). Claim, post, record: whoever
dies between the last two has the event posted again, under the same id.
"""

import json
import random
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from followup.clinic_webhooks import Webhook
from followup.domain.announcement import LONGEST_WAIT, MOST_ATTEMPTS, wait_after
from followup.domain.audit import Door
from followup.domain.spoken import iso
from followup.errors import NotFound
from followup.services.insisting import insist
from followup.store import announcements, entries, leads
from followup.store.db import reading, real_now, transaction
from followup.store.models import Announcement, Lead
from followup.transports import webhook as transport
from followup.transports.webhook import Answer, Answered, Unanswered

log = structlog.get_logger()

#: Of one webhook, at once.
BATCH = 8
#: One run begins no batch after that long.
RUN = timedelta(seconds=10)
#: A call that drips on is given up after that long, and its row is free again after the lease.
CALL_LIMIT = timedelta(seconds=35)
LEASE = timedelta(seconds=60)
#: A receiver that is in trouble gets nothing new for so long, unless it says how long.
REST = timedelta(seconds=60)

GONE = 410
TOO_MANY = 429

#: What details tell of a lead.
_DETAILS = (
    *("kind", "role", "site", "language", "name", "email", "phone", "phone_extension"),
    *("interest", "location", "preferred_channel"),
)


@dataclass(frozen=True)
class Receiver:
    """A webhook of clinic.toml with its keys, the newest first."""

    webhook: Webhook
    keys: tuple[bytes, ...]


Post = Callable[[str, tuple[bytes, ...], str, bytes, datetime], Answer]


@dataclass(frozen=True, kw_only=True)
class Announcer:
    """The collaborators of announcing."""

    engine: Engine
    receivers: Mapping[str, Receiver]
    post: Post = transport.post
    chance: Callable[[], float] = field(default=random.random)


@dataclass(frozen=True)
class _Attempt:
    announcement_id: uuid.UUID
    attempts: int
    receiver: Receiver
    body: bytes
    #: Real time.
    begun_at: datetime


def is_due(announcer: Announcer) -> bool:
    """Whether anything is to be posted now; without webhooks that is known without asking."""
    if not announcer.receivers:
        return False
    with reading(announcer.engine) as session:
        return announcements.has_due(session)


def announce_due(announcer: Announcer) -> int:
    """Post what is owed until nothing is due, for at most `RUN`. Returns how many were received."""
    with reading(announcer.engine) as session:
        ends_at = real_now(session) + RUN
    received, troubled = 0, set[str]()
    while attempts := _claim(announcer, troubled, ends_at):
        ended = list(zip(attempts, _post_all(announcer, attempts), strict=True))
        insist(partial(_record, announcer, ended), within=(LEASE - CALL_LIMIT).total_seconds())
        for attempt, answer in ended:
            received += _is_received(answer)
            if not _is_received(answer):
                troubled.add(attempt.receiver.webhook.name)
    return received


def _claim(announcer: Announcer, troubled: set[str], ends_at: datetime) -> list[_Attempt]:
    """What goes now, to those receivers that had no trouble in this run."""
    attempts = []
    with transaction(announcer.engine) as session:
        real = real_now(session)
        if real >= ends_at:
            return []
        open_ones = _give_up_closed(session, announcer, real)
        for name in sorted(open_ones - troubled):
            receiver = announcer.receivers[name]
            for row in announcements.claim(session, name, real, real + LEASE, BATCH):
                if row.attempts > MOST_ATTEMPTS:
                    # Whoever made the last attempt died with it.
                    row.died_at, row.problem = real, row.problem or "no answer was recorded"
                    continue
                attempts.append(
                    _Attempt(row.id, row.attempts, receiver, _body(session, row, receiver), real)
                )
    return attempts


def _give_up_closed(session: Session, announcer: Announcer, real: datetime) -> set[str]:
    """Nobody is there any more for what is owed to the others. Who is there."""
    stopped = {(one.webhook, one.url) for one in announcements.list_stops(session)}
    open_ones = {
        name
        for name, receiver in announcer.receivers.items()
        if (name, receiver.webhook.url) not in stopped
    }
    if announcements.give_up(
        session, real, "the webhook is stopped, or not in clinic.toml", but=open_ones
    ):
        log.error("announcements were given up", known=sorted(open_ones))
    return open_ones


def _body(session: Session, row: Announcement, receiver: Receiver) -> bytes:
    lead = leads.find_lead(session, row.lead_id) if row.lead_id else None
    data: dict[str, Any] = {}
    if lead is not None:
        data |= {"lead_id": str(lead.id), "reference": lead.reference}
    if row.delivery_id is not None:
        data["delivery_id"] = str(row.delivery_id)
    if receiver.webhook.details:
        data |= _details(lead) | row.facts
    event = {"type": row.event.value, "timestamp": iso(row.happened_at), "data": data}
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()


def _details(lead: Lead | None) -> dict[str, Any]:
    return {} if lead is None else {name: getattr(lead, name) for name in _DETAILS}


def _post_all(announcer: Announcer, attempts: Sequence[_Attempt]) -> list[Answer]:
    """All at once: a slow receiver holds up no other."""
    pool = ThreadPoolExecutor(len(attempts), thread_name_prefix="webhook")
    calls = [
        pool.submit(
            announcer.post,
            one.receiver.webhook.url,
            one.receiver.keys,
            f"msg_{one.announcement_id.hex}",
            one.body,
            one.begun_at,
        )
        for one in attempts
    ]
    wait(calls, timeout=CALL_LIMIT.total_seconds())
    pool.shutdown(wait=False, cancel_futures=True)
    return [call.result() if call.done() else Unanswered("no answer in time") for call in calls]


def _is_received(answer: Answer) -> bool:
    return isinstance(answer, Answered) and answer.is_received


def _record(announcer: Announcer, ended: Sequence[tuple[_Attempt, Answer]]) -> None:
    with transaction(announcer.engine) as session:
        real = real_now(session)
        for attempt, answer in ended:
            if _is_received(answer):
                announcements.note_received(session, attempt.announcement_id)
            else:
                _note_failed(session, announcer, attempt, answer, real)
        _rest(session, ended, real)


def _note_failed(
    session: Session, announcer: Announcer, attempt: _Attempt, answer: Answer, real: datetime
) -> None:
    webhook = attempt.receiver.webhook
    asked = answer.retry_after if isinstance(answer, Answered) else None
    further = wait_after(attempt.attempts, announcer.chance(), asked)
    if isinstance(answer, Answered) and answer.status == GONE:
        further = None
        announcements.stop(session, webhook.name, webhook.url, real)
        log.error("a webhook is gone, and is stopped", webhook=webhook.name)
    due_at = real + further if further is not None else None
    announcements.note_failed(
        session, attempt.announcement_id, attempt.attempts, str(answer), due_at=due_at, real=real
    )
    if due_at is None:
        log.error(
            "an announcement was given up",
            webhook=webhook.name,
            announcement_id=str(attempt.announcement_id),
            problem=str(answer),
        )


def _rest(session: Session, ended: Sequence[tuple[_Attempt, Answer]], real: datetime) -> None:
    """Who is in trouble is left alone: for as long as asked, or for a while by what is new."""
    for attempt, answer in ended:
        name = attempt.receiver.webhook.name
        if not _is_troubled(answer):
            continue
        if isinstance(answer, Answered) and answer.retry_after is not None:
            until = real + min(answer.retry_after, LONGEST_WAIT)
            announcements.put_off(session, name, until, new_only=False)
        else:
            announcements.put_off(session, name, real + REST, new_only=True)


def _is_troubled(answer: Answer) -> bool:
    """The receiver has too much, or is not there: "throttle" in the specification."""
    return isinstance(answer, Unanswered) or answer.status == TOO_MANY or answer.status >= 500


def resend(
    engine: Engine, announcement_id: uuid.UUID | None, *, by: str, now: datetime, door: Door
) -> int:
    """Owe one that was given up, or all of them, once more, under the same id. How many.

    Raises NotFound.
    """
    with transaction(engine) as session:
        count = announcements.revive(session, announcement_id)
        facts = {"count": count, "id": str(announcement_id) if announcement_id else "all"}
        entries.add_entry(
            session, at=now, verb="announcements resent", by=by, door=door, facts=facts
        )
        return count


def start(engine: Engine, webhook: str, *, by: str, now: datetime, door: Door) -> None:
    """A webhook that said it is gone is there again. Raises NotFound unless it was stopped."""
    with transaction(engine) as session:
        if not announcements.start(session, webhook):
            raise NotFound(f"the webhook {webhook} is not stopped")
        facts = {"webhook": webhook}
        entries.add_entry(session, at=now, verb="webhook started", by=by, door=door, facts=facts)


def list_webhooks(session: Session, webhooks: Sequence[Webhook]) -> list[dict[str, Any]]:
    """Each as it is in clinic.toml, with what it is still owed and whether it is stopped."""
    owed = announcements.count_owed(session)
    stops = {(one.webhook, one.url): one.stopped_at for one in announcements.list_stops(session)}
    return [
        {
            "name": one.name,
            "url": one.url,
            "events": sorted(event.value for event in one.events),
            "details": one.details,
            "owed": owed.get(one.name, 0),
            "stopped_at": iso(stops.get((one.name, one.url))),
        }
        for one in webhooks
    ]


def list_dead(session: Session, limit: int) -> list[dict[str, Any]]:
    """What nobody received, the latest first."""
    return [
        {
            "id": str(row.id),
            "webhook": row.webhook,
            "event": row.event.value,
            "lead_id": str(row.lead_id) if row.lead_id else None,
            "delivery_id": str(row.delivery_id) if row.delivery_id else None,
            "happened_at": iso(row.happened_at),
            "attempts": row.attempts,
            "problem": row.problem,
            "died_at": iso(row.died_at),
        }
        for row in announcements.list_dead(session, limit)
    ]
