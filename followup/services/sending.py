"""Sends what is due: claim and assess (commit), call the providers, record (commit)."""

import random
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from followup.clinic_limits import Caps
from followup.domain.alarm import AlarmKind
from followup.domain.answer import Answer
from followup.domain.cadence import Audience, Channel, Lane
from followup.domain.delivery import Reason, Status
from followup.domain.eligibility import Facts, Send, Skip, Verdict, Wait, assess
from followup.domain.lead import WAITING
from followup.errors import (
    FollowupError,
    OutcomeUnknown,
    PermanentFailure,
    TransportError,
    Unfit,
)
from followup.services.alarming import blame_us, raise_alarm
from followup.services.braking import room, take_room
from followup.services.composing import Composer
from followup.services.concluding import (
    Claimed,
    Outcome,
    Returned,
    decision_of,
    draw_conclusions,
    outcome_values,
)
from followup.services.flowing import Ended, Run, Steps, Taken
from followup.services.flowing import Events as Events
from followup.services.gathering import Gathering, noted
from followup.services.insisting import insist
from followup.services.ladder import climb
from followup.services.pausing import note_outcomes
from followup.services.planning import Planner
from followup.store import alarms, breakers, deliveries, leads, ledger, replies
from followup.store.db import new_id, reading, real_now, transaction, try_lock_addresses
from followup.store.deliveries import Due, Row
from followup.store.models import Alarm, Delivery, Lead, Reply
from followup.transports.base import CALL_LIMIT, Outgoing, Transport

log = structlog.get_logger()

#: As many calls of a channel at once as sending threads, so that claimed is nearly on the wire.
BATCH = 16
#: One doorbell's run claims for that long at most, so that a warm stop has an end.
RUN = timedelta(seconds=10)
#: Real time; longer than a call may take, so that a lease that ran out means a lost worker.
LEASE = timedelta(seconds=60)
#: A row that we stumble over is looked at again after that long.
OUR_FAULT_PAUSE = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Sender:
    """The collaborators of sending."""

    engine: Engine
    planner: Planner
    composer: Composer
    transports: Mapping[Channel, Transport]
    #: Network only; the claiming thread owns the database. One pool a lane, with `BATCH` threads
    #: for every channel, so that a slow mail host holds up no text.
    threads: Mapping[Lane, ThreadPoolExecutor]
    #: Reserved numbers may be texted, because the provider is on this machine.
    reserved_allowed: bool = False
    #: The most that anybody is sent; None lifts it, for load tests.
    caps: Caps | None = None
    #: Emails and numbers to which alone anything is sent; none: to everybody.
    only_to: frozenset[str] = frozenset()
    chance: Callable[[], float] = field(default=random.random)
    #: Real seconds, for the lease; a demo's fast clock does not move them.
    monotonic: Callable[[], float] = field(default=time.monotonic)
    #: How many seconds of the service's clock a real one has.
    clock_rate: float = 1.0


@dataclass
class _Books:
    """What a claim decided, to be written together: rows that go, rows that do not, and why."""

    going: list[Due] = field(default_factory=list)
    aside: list[Due] = field(default_factory=list)
    decisions: list[dict[str, Any]] = field(default_factory=list)

    def put_aside(self, row: Due, verdict: Verdict, now: datetime, facts: dict[str, Any]) -> None:
        if isinstance(verdict, Wait):
            if verdict.extends_expiry and row.expires_at is not None:
                row.expires_at += verdict.until - now
            row.due_at, row.reason = verdict.until, verdict.reason
            facts = {**facts, "until": verdict.until.isoformat()}
        elif isinstance(verdict, Skip):
            row.status, row.reason = verdict.status, verdict.reason
        self.aside.append(row)
        self.decisions.append(_decision(row, now, facts))

    def let_go(self, row: Due, now: datetime, facts: dict[str, Any]) -> None:
        row.status, row.reason = Status.sending, None
        self.going.append(row)
        self.decisions.append(_decision(row, now, facts))


def send_due(
    sender: Sender, lane: Lane, clock: Callable[[], datetime], events: Events | None = None
) -> bool:
    """Send what is due in the lane until nothing is, for at most `RUN`; what falls due within a
    second is waited for.

    Returns whether all was done. Any number of processes may do so at once. Each call is recorded
    when it ends, and its thread gets the next row: a slow one holds up nobody else. Whoever puts
    None into `events` has the run look at once.
    """
    steps = Steps(
        look=lambda: _look(sender, lane, clock()),
        claim=lambda room, claimed_at: _claim(sender, lane, room, claimed_at, clock()),
        call=lambda taken, row: _call(sender, row, taken.claimed_at),
        record=lambda ended: _insist(sender, ended, clock()),
    )
    return Run(
        steps,
        sender.threads[lane],
        Events() if events is None else events,
        width=BATCH,
        seconds=RUN.total_seconds(),
        monotonic=sender.monotonic,
        until=lambda at: (at - clock()).total_seconds() / sender.clock_rate,
    ).go()


def _look(sender: Sender, lane: Lane, now: datetime) -> tuple[frozenset[Channel], datetime | None]:
    with reading(sender.engine) as session:
        return deliveries.look(session, lane, now)


def _claim(
    sender: Sender, lane: Lane, limits: Mapping[Channel, int], claimed_at: float, now: datetime
) -> Sequence[Taken]:
    """Take so many of each channel at most, decide each row by what is true now, and commit before
    anything is sent."""
    claim = new_id()
    takes = {one: Taken(one, limit, claim, claimed_at) for one, limit in sorted(limits.items())}
    with transaction(sender.engine) as session:
        paused = breakers.list_paused(session)
        rows = [
            row
            for taken in takes.values()
            for row in _take(sender, session, lane, now, taken, is_paused=taken.channel in paused)
        ]
        if not rows:
            return list(takes.values())
        real = real_now(session)
        gathering = Gathering(
            session,
            sender.planner,
            rows,
            now,
            reserved_allowed=sender.reserved_allowed,
            caps=sender.caps,
            only_to=sender.only_to,
        )
        books, ahead = _Books(), list[dict[str, Any]]()
        about = _About(session, rows)
        for row in rows:
            taken = takes[row.channel]
            taken.decided += 1
            told = about.of(row)
            if told is None:
                books.put_aside(row, Skip(Reason.closed, Status.cancelled), now, {})
                continue
            try:
                if isinstance(told, Lead) and told.status in WAITING and row.cadence is None:
                    ahead += sender.planner.next_rows(session, told, row.step, row.occurrence, now)
                facts = gathering.facts(row, told)
                message = _decide(sender, session, books, row, told, facts, now)
            except (ArithmeticError, FollowupError, LookupError, TypeError, ValueError) as error:
                _set_aside(books, row, error, now)
                continue
            if message is not None:
                books.let_go(row, now, noted(facts) | gathering.evidence(row, facts))
                gathering.note_going(row)
                taken.claimed.append(
                    Claimed(
                        row.id,
                        row.lead_id,
                        row.channel,
                        message,
                        row.failures,
                        row.expires_at,
                        facts.answer is Answer.opted_out,
                    )
                )
        deliveries.lease(session, books.going, claim, real + LEASE, now)
        deliveries.put_aside(session, books.aside)
        ledger.add_decisions(session, books.decisions)
        deliveries.plan(session, ahead)
        ended = [row.id for row in books.aside if row.status is not Status.planned]
        _climb(session, sender.planner, ended, now)
        take_room(session, lane, now, len(books.going))
        for taken in takes.values():
            if taken.is_probe and not taken.claimed:
                breakers.return_probe(session, taken.channel, real)
    return list(takes.values())


def _take(
    sender: Sender, session: Session, lane: Lane, now: datetime, taken: Taken, *, is_paused: bool
) -> list[Due]:
    """The rows to decide about: of a paused channel what has expired, and one to try it with."""
    channel, limit = taken.channel, taken.limit
    rows = deliveries.claim_due(session, lane, now, limit, channel, expired=is_paused or None)
    if is_paused:
        real = real_now(session)
        one = deliveries.claim_due(session, lane, now, 1, channel, expired=False)
        taken.is_probe = bool(one) and breakers.take_probe(session, channel, real, real + LEASE)
        rows += one if taken.is_probe else ()
    allowed = room(session, sender.caps, now, len(rows)) if rows else 0
    if allowed < len(rows):
        # Asked for by themselves, because more than a batch of others may be ahead of them.
        expired = is_paused or None
        free = deliveries.claim_due(session, lane, now, limit, channel, expired=expired, free=True)
        ids = {row.id for row in free}
        rows = [*free, *[row for row in rows if row.id not in ids][:allowed]][:limit]
    taken.looked_at = len(rows)
    return _may_decide(sender, session, rows)


def _may_decide(sender: Sender, session: Session, rows: Sequence[Due]) -> list[Due]:
    """Two workers must not both find that a number had no first text yet.

    Whoever cannot have the number at once leaves the row to the next claim: a consumer that has it
    may be waiting for the row.
    """
    firsts = {
        row.id: sender.planner.hashes_of(row.channel, row.recipient)[0]
        for row in rows
        if (row.lane, row.channel, row.audience) == (Lane.ack, Channel.sms, Audience.patient)
    }
    locked = try_lock_addresses(session, firsts.values())
    return [row for row in rows if row.id not in firsts or firsts[row.id] in locked]


class _About:
    """What the rows of a batch are about."""

    def __init__(self, session: Session, rows: Iterable[Due]) -> None:
        self._session = session
        self._leads = leads.read_leads(session, {row.lead_id for row in rows if row.lead_id})

    def of(self, row: Due) -> Lead | Alarm | Reply | None:
        """None when it was about something that was erased since."""
        if row.alarm_id is not None:
            return alarms.get_alarm(self._session, row.alarm_id)
        if row.lead_id is not None:
            return self._leads.get(row.lead_id)
        return replies.find_reply(self._session, row.reply_id)


def _decide(
    sender: Sender,
    session: Session,
    books: _Books,
    row: Due,
    about: Lead | Alarm | Reply,
    facts: Facts,
    now: datetime,
) -> Outgoing | None:
    """The message to send now; None when it is not to be sent now, which is recorded."""
    verdict = assess(facts, now)
    if not isinstance(verdict, Send):
        books.put_aside(row, verdict, now, noted(facts))
        return None
    try:
        return sender.composer.compose(row, about, now)
    except Unfit as error:
        _refuse(sender, session, books, row, error, now)
    except FollowupError as error:
        log.error("no wording for a delivery", delivery_id=str(row.id), problem=str(error))
        books.put_aside(row, Skip(Reason.no_wording, Status.skipped), now, {})
    return None


def _set_aside(books: _Books, row: Due, error: Exception, now: datetime) -> None:
    """One row that we stumble over must not hold up its lane."""
    log.error(
        "a delivery could not be assessed", delivery_id=str(row.id), error=type(error).__name__
    )
    books.put_aside(row, Wait(now + OUR_FAULT_PAUSE, Reason.our_fault), now, {})


def _refuse(
    sender: Sender, session: Session, books: _Books, row: Due, error: Unfit, now: datetime
) -> None:
    """What may not be said is reported instead of sent; of an alarm itself, in the log alone."""
    log.error("a message may not be sent", delivery_id=str(row.id), problem=str(error))
    row.wording = error.wording
    facts = {"wording": error.wording, "problem": "; ".join(error.complaints)}
    books.put_aside(row, Skip(Reason.unfit), now, facts)
    if row.lead_id is not None:
        name = error.wording.partition("@")[0]
        raise_alarm(session, sender.planner, AlarmKind.unfit, name, now, {})


def _climb(session: Session, planner: Planner, ended: Collection[uuid.UUID], now: datetime) -> None:
    if ended:
        climb(session, planner, deliveries.list_by_id(session, ended), now)


def _decision(row: Row, now: datetime, facts: dict[str, Any]) -> dict[str, Any]:
    return {
        "lead_id": row.lead_id,
        "delivery_id": row.id,
        "at": now,
        "status": row.status,
        "reason": row.reason,
        "facts": facts,
    }


def note(session: Session, row: Delivery, now: datetime, facts: dict[str, Any]) -> None:
    ledger.add_decisions(session, [_decision(row, now, facts)])


def _call(sender: Sender, row: Claimed, claimed_at: float) -> Outcome:
    """One call to a provider. A process that was frozen gives back what it may no longer send."""
    left = LEASE.total_seconds() - (sender.monotonic() - claimed_at)
    transport = sender.transports.get(row.channel)
    if left < CALL_LIMIT.total_seconds() or transport is None:
        return Returned()
    try:
        return transport.send(row.message)
    except TransportError as error:
        return error
    except Exception as error:
        log.error(
            "a transport failed unexpectedly",
            delivery_id=str(row.delivery_id),
            error=type(error).__name__,
        )
        return OutcomeUnknown("the transport failed unexpectedly", type(error).__name__)


def _insist(sender: Sender, ended: Sequence[Ended], now: datetime) -> None:
    """Until the first of the leases ends."""
    began_at = min(one.taken.claimed_at for one in ended)
    left = LEASE.total_seconds() - (sender.monotonic() - began_at)
    insist(lambda: _record(sender, ended, now), within=left)
    for one in ended:
        one.taken.outcomes.append(one.outcome)


def _record(sender: Sender, ended: Sequence[Ended], now: datetime) -> None:
    with transaction(sender.engine) as session:
        values = {
            one.row.delivery_id: outcome_values(session, one.row, one.outcome, now, sender.chance())
            for one in ended
        }
        # Fenced: a callback or the rescue may have settled a row meanwhile.
        claims = {one.row.delivery_id: one.taken.claim for one in ended}
        written = deliveries.record(session, claims, values)
        kept = [one for one in ended if one.row.delivery_id in written]
        ledger.add_decisions(
            session,
            [decision_of(one.row, values[one.row.delivery_id], one.outcome, now) for one in kept],
        )
        for one in kept:
            draw_conclusions(session, one.row, one.outcome, now)
        # The breaker before the leads, as whoever probes and as receipts do.
        _judge_channels(session, ended)
        for one in ended:
            if isinstance(one.outcome, PermanentFailure) and one.outcome.blames_us:
                blame_us(session, sender.planner, one.row.channel, one.outcome.code, now)
        ends = (Status.failed, Status.expired)
        lost = [row_id for row_id in written if values[row_id]["status"] in ends]
        _climb(session, sender.planner, lost, now)


def _judge_channels(session: Session, ended: Sequence[Ended]) -> None:
    """By all that one claim took, once the last of it is known: beside the others it shows which
    failure is one message's own."""
    takes = {(one.row.channel, one.taken.is_probe, one.taken.claim): one.taken for one in ended}
    troubled = set(breakers.list_troubled(session))
    for _, taken in sorted(takes.items()):
        known = [*taken.outcomes, *[one.outcome for one in ended if one.taken is taken]]
        answered = [outcome for outcome in known if not isinstance(outcome, Returned)]
        is_well = all(isinstance(outcome, str) for outcome in answered)
        if len(known) == len(taken.claimed) and not (is_well and taken.channel not in troubled):
            note_outcomes(session, taken.channel, answered, is_probe=taken.is_probe)
            troubled.add(taken.channel)
