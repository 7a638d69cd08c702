"""Sends what is due: claim and assess (commit), call the providers, record (commit)."""

import random
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from followup.clinic_limits import Caps
from followup.domain.answer import Answer
from followup.domain.breaker import is_slowed
from followup.domain.cadence import Audience, Channel, Lane
from followup.domain.delivery import Reason, Status
from followup.domain.eligibility import Skip
from followup.domain.lead import WAITING
from followup.domain.rate import LATE
from followup.errors import (
    FollowupError,
    OutcomeUnknown,
    PermanentFailure,
    TransportError,
)
from followup.services.alarming import blame_us
from followup.services.braking import return_room, room, take_room
from followup.services.composing import Composer
from followup.services.concluding import (
    Claimed,
    Outcome,
    Returned,
    decision_of,
    draw_conclusions,
    outcome_values,
)
from followup.services.deciding import About, Books, decide, set_aside
from followup.services.flowing import LINGER_SECONDS, Ended, Run, Steps, Taken
from followup.services.flowing import Events as Events
from followup.services.gathering import Gathering, noted
from followup.services.insisting import insist
from followup.services.ladder import climb
from followup.services.pacing import Overtaken, Pace, take_tokens, tokens
from followup.services.pausing import note_outcomes
from followup.services.planning import Planner
from followup.store import breakers, claims, deliveries, ledger, submissions
from followup.store.claims import Due
from followup.store.db import new_id, reading, real_now, transaction, try_lock_addresses
from followup.store.models import Breaker, Lead
from followup.transports.base import CALL_LIMIT, Transport

log = structlog.get_logger()

#: As many calls of a channel at once as sending threads, so that claimed is nearly on the wire.
BATCH = 16
#: One doorbell's run claims for that long at most, so that a warm stop has an end.
RUN = timedelta(seconds=10)
#: Real time; longer than a call may take, so that a lease that ran out means a lost worker.
LEASE = timedelta(seconds=60)
#: A claim whose tokens another worker took meanwhile is made again so often.
TRIES = 3


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
    #: What the senders may send a second; a channel that is not named, as much as it can.
    paces: Mapping[Channel, Pace] = field(default_factory=dict)
    #: Emails and numbers to which alone anything is sent; none: to everybody.
    only_to: frozenset[str] = frozenset()
    chance: Callable[[], float] = field(default=random.random)
    #: Real seconds, for the lease; a demo's fast clock does not move them.
    monotonic: Callable[[], float] = field(default=time.monotonic)
    #: How many seconds of the service's clock a real one has.
    clock_rate: float = 1.0


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
        claim=lambda limits, claimed_at: _claim_again(sender, lane, limits, claimed_at, clock),
        call=lambda taken, row: _call(sender, row, taken.claimed_at),
        record=lambda ended: _insist(sender, lane, ended, clock()),
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


def find_due(engine: Engine, now: datetime, *, rate: float) -> tuple[bool, Sequence[Lane]]:
    """Whether a submission waits to be consumed, and the lanes in which something is due or falls
    due so soon that a run waits for it; `rate` is the clock's."""
    soon = now + timedelta(seconds=LINGER_SECONDS * rate)
    with reading(engine) as session:
        is_waiting = submissions.oldest_unconsumed(session, now) is not None
        return is_waiting, claims.find_lanes(session, soon)


def _look(sender: Sender, lane: Lane, now: datetime) -> tuple[frozenset[Channel], datetime | None]:
    with reading(sender.engine) as session:
        return claims.look(session, lane, now)


def _claim_again(
    sender: Sender,
    lane: Lane,
    limits: Mapping[Channel, int],
    claimed_at: float,
    clock: Callable[[], datetime],
) -> Sequence[Taken]:
    for _ in range(TRIES):
        with suppress(Overtaken):
            return _claim(sender, lane, limits, claimed_at, clock())
    return ()


def _claim(
    sender: Sender, lane: Lane, limits: Mapping[Channel, int], claimed_at: float, now: datetime
) -> Sequence[Taken]:
    """Take so many of each channel at most, decide each row by what is true now, and commit before
    anything is sent."""
    claim = new_id()
    takes = {
        one: Taken(one, limit, claim, claimed_at, now) for one, limit in sorted(limits.items())
    }
    with transaction(sender.engine) as session:
        troubled = breakers.list_troubled(session)
        rows: list[Due] = []
        for taken in takes.values():
            breaker = troubled.get(taken.channel)
            rows += _take(sender, session, lane, now, taken, breaker, ahead=len(rows))
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
        books, ahead = Books(), list[dict[str, Any]]()
        about = About(session, rows)
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
                message = decide(
                    sender.composer, sender.planner, session, books, row, told, facts, now
                )
            except (ArithmeticError, FollowupError, LookupError, TypeError, ValueError) as error:
                set_aside(books, row, error, now)
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
        books.write(session, claim, real + LEASE, now)
        deliveries.plan(session, ahead)
        ended = [row.id for row in books.aside if row.status is not Status.planned]
        _climb(session, sender.planner, ended, now)
        take_room(session, lane, now, len(books.going))
        for taken in takes.values():
            if taken.is_probe and not taken.claimed:
                breakers.return_probe(session, taken.channel, real)
            _give_turns(sender, session, lane, taken)
    return list(takes.values())


def _take(
    sender: Sender,
    session: Session,
    lane: Lane,
    now: datetime,
    taken: Taken,
    breaker: Breaker | None,
    *,
    ahead: int,
) -> list[Due]:
    """The rows to decide about, of which `ahead` are the other channel's: of a paused channel what
    has expired, and one to try it with; of a sender that may send nothing now, what has expired
    alone."""
    channel = taken.channel
    is_paused = breaker is not None and breaker.paused_at is not None
    is_waiting = breaker is not None and is_slowed(breaker.slowed_until, real_now(session))
    pace = sender.paces.get(channel)
    free_tokens = 0 if is_waiting else tokens(session, pace, lane, taken.limit)
    expired = is_paused or not free_tokens or None
    taken.limit = limit = free_tokens or taken.limit
    rows = claims.claim_due(session, lane, now, limit, channel, expired=expired)
    if is_paused and free_tokens:
        real = real_now(session)
        one = claims.claim_due(session, lane, now, 1, channel, expired=False)
        taken.is_probe = bool(one) and breakers.take_probe(session, channel, real, real + LEASE)
        rows += one if taken.is_probe else ()
    wanted = ahead + len(rows)
    allowed = max(room(session, sender.caps, now, wanted) - ahead, 0) if rows else 0
    if allowed < len(rows):
        # Asked for by themselves, because more than a batch of others may be ahead of them.
        free = claims.claim_due(session, lane, now, limit, channel, expired=expired, free=True)
        ids = {row.id for row in free}
        rows = [*free, *[row for row in rows if row.id not in ids][:allowed]][:limit]
    taken.looked_at = len(rows)
    return _may_decide(sender, session, rows)


def _give_turns(sender: Sender, session: Session, lane: Lane, taken: Taken) -> None:
    """When each of them may begin, where the sender is paced. Raises Overtaken."""
    messages = [row.message for row in taken.claimed]
    pace = sender.paces.get(taken.channel)
    waits = take_tokens(session, pace, lane, taken.channel, messages)
    if waits is not None:
        began = sender.monotonic()
        pairs = zip(taken.claimed, waits, strict=True)
        taken.claimed = [replace(row, begins_at=began + seconds) for row, seconds in pairs]


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


def _climb(session: Session, planner: Planner, ended: Collection[uuid.UUID], now: datetime) -> None:
    if ended:
        climb(session, planner, deliveries.list_by_id(session, ended), now)


def _call(sender: Sender, row: Claimed, claimed_at: float) -> Outcome:
    """One call to a provider. A process that was frozen gives back what it may no longer send."""
    is_missed = _missed_its_turn(sender, row)
    left = LEASE.total_seconds() - (sender.monotonic() - claimed_at)
    transport = sender.transports.get(row.channel)
    if left < CALL_LIMIT.total_seconds() or transport is None or is_missed:
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


def _missed_its_turn(sender: Sender, row: Claimed) -> bool:
    """Waits for the turn of a message that is paced. Whether it came so late that it would be one
    too many now: another has its place."""
    if row.begins_at is None:
        return False
    time.sleep(max(0.0, row.begins_at - sender.monotonic()))
    return sender.monotonic() > row.begins_at + LATE.total_seconds()


def _insist(sender: Sender, lane: Lane, ended: Sequence[Ended], now: datetime) -> None:
    """Until the first of the leases ends."""
    began_at = min(one.taken.claimed_at for one in ended)
    left = LEASE.total_seconds() - (sender.monotonic() - began_at)
    insist(lambda: _record(sender, lane, ended, now), within=left)
    for one in ended:
        one.taken.outcomes.append(one.outcome)


def _record(sender: Sender, lane: Lane, ended: Sequence[Ended], now: datetime) -> None:
    with transaction(sender.engine) as session:
        values = {
            one.row.delivery_id: outcome_values(session, one.row, one.outcome, now, sender.chance())
            for one in ended
        }
        # Fenced: a callback or the rescue may have settled a row meanwhile.
        holders = {one.row.delivery_id: one.taken.claim for one in ended}
        written = claims.record(session, holders, values)
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
        # The counts after the breaker, as a claim does.
        for one in ended:
            if isinstance(one.outcome, Returned):
                return_room(session, lane, one.taken.at, 1)


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
