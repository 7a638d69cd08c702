"""Sends what is due: claim and assess (commit), call the providers, record (commit)."""

import random
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from followup.clinic_limits import Caps
from followup.domain.alarm import AlarmKind
from followup.domain.answer import Answer
from followup.domain.breaker import is_slowed
from followup.domain.cadence import Audience, Channel, Lane
from followup.domain.delivery import Reason, Status
from followup.domain.eligibility import Facts, Send, Skip, Verdict, Wait, assess
from followup.domain.lead import WAITING
from followup.domain.rate import LATE
from followup.errors import (
    FollowupError,
    OutcomeUnknown,
    PermanentFailure,
    TransportError,
    Unfit,
)
from followup.services.alarming import blame_us, raise_alarm
from followup.services.braking import return_room, room, take_room
from followup.services.composing import Composer
from followup.services.concluding import Claimed, Outcome, Returned, keep_outcome, outcome_values
from followup.services.gathering import Gathering, noted
from followup.services.insisting import insist
from followup.services.ladder import climb
from followup.services.pacing import Overtaken, Pace, take_tokens, tokens
from followup.services.pausing import note_outcomes
from followup.services.planning import Planner
from followup.store import alarms, breakers, deliveries, leads, ledger, replies
from followup.store.db import new_id, reading, real_now, transaction, try_lock_address
from followup.store.models import Alarm, Delivery, Lead, Reply
from followup.transports.base import CALL_LIMIT, Outgoing, Transport

log = structlog.get_logger()

#: As many rows as sending threads, so that claimed is nearly on the wire.
BATCH = 16
#: Real time; longer than a batch may take, so that a lease that ran out means a lost worker.
LEASE = timedelta(seconds=60)
#: One doorbell's run claims for that long at most, so that a warm stop has an end.
RUN = timedelta(seconds=10)
#: While one channel is busy, the other is looked at again that often.
LOOK_AGAIN_SECONDS = 0.5
#: A row that we stumble over is looked at again after that long.
OUR_FAULT_PAUSE = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Sender:
    """The collaborators of sending."""

    engine: Engine
    planner: Planner
    composer: Composer
    transports: Mapping[Channel, Transport]
    #: Network only; the claiming thread owns the database. One pool a lane, with a thread for each
    #: row of a batch of every channel, so that a slow mail host holds up no text.
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


@dataclass
class _Taken:
    """What a claim took: of how many rows at the most, how many were looked at, those that are to
    be sent, and whether one of them tries a channel that is paused."""

    at: datetime
    most: int = BATCH
    looked_at: int = 0
    claimed: list[Claimed] = field(default_factory=list)
    is_probe: bool = False


def send_due(sender: Sender, lane: Lane, clock: Callable[[], datetime]) -> bool:
    """Send what is due in the lane until nothing is, for at most `RUN`.

    Returns whether all was done. Any number of processes may do so at once. Each channel goes at
    its own pace: while one provider takes its time, what falls due for the other is not kept.
    """
    ends_at = sender.monotonic() + RUN.total_seconds()
    due = _due_channels(sender, lane, clock())
    if not due:
        return True
    is_done: dict[Channel, bool] = {}
    # Each run, and whether it began in time: one that did not is no reason to go on.
    busy: dict[Channel, tuple[Future[bool], bool]] = {}
    with ThreadPoolExecutor(len(Channel), thread_name_prefix=f"{lane}-run") as runs:
        while due or busy:
            is_timely = sender.monotonic() < ends_at
            for channel in sorted(due):
                run = runs.submit(_send_channel, sender, lane, channel, clock, ends_at)
                busy[channel] = run, is_timely
            wait([run for run, _ in busy.values()], LOOK_AGAIN_SECONDS)
            for channel in [channel for channel in busy if busy[channel][0].done()]:
                is_done[channel] = busy.pop(channel)[0].result()
            goes_on = any(is_timely for _, is_timely in busy.values())
            due = _due_channels(sender, lane, clock()) - busy.keys() if goes_on else frozenset()
    return all(is_done.values())


def _due_channels(sender: Sender, lane: Lane, now: datetime) -> frozenset[Channel]:
    with reading(sender.engine) as session:
        return deliveries.due_channels(session, lane, now)


def _send_channel(
    sender: Sender, lane: Lane, channel: Channel, clock: Callable[[], datetime], ends_at: float
) -> bool:
    """Batch after batch while there is time, one at least. Returns whether all was done."""
    while _send_batch(sender, lane, channel, clock):
        if sender.monotonic() >= ends_at:
            return False
    return True


def _send_batch(
    sender: Sender, lane: Lane, channel: Channel, clock: Callable[[], datetime]
) -> bool:
    """Returns whether more may be due that can be sent now."""
    claim = new_id()
    claimed_at = sender.monotonic()
    try:
        taken = _claim(sender, lane, channel, claim, clock())
    except Overtaken:
        return True
    if taken.claimed:
        calls = sender.threads[lane].map(lambda row: _call(sender, row, claimed_at), taken.claimed)
        outcomes, now = list(calls), clock()
        left = LEASE.total_seconds() - (sender.monotonic() - claimed_at)
        insist(lambda: _record(sender, claim, lane, channel, taken, outcomes, now), within=left)
    return taken.looked_at >= taken.most


def _claim(sender: Sender, lane: Lane, channel: Channel, claim: uuid.UUID, now: datetime) -> _Taken:
    """Take a batch, decide each row by what is true now, and commit before anything is sent."""
    taken = _Taken(now)
    with transaction(sender.engine) as session:
        rows = _take(sender, session, lane, channel, now, taken)
        if not rows:
            return taken
        lease_until = real_now(session) + LEASE
        gathering = Gathering(
            session,
            sender.planner,
            rows,
            now,
            reserved_allowed=sender.reserved_allowed,
            caps=sender.caps,
            only_to=sender.only_to,
        )
        ahead: list[dict[str, Any]] = []
        for row in rows:
            about = _about(session, row)
            if about is None:
                _put_aside(session, row, Skip(Reason.closed, Status.cancelled), now, {})
                continue
            try:
                if isinstance(about, Lead) and about.status in WAITING and row.cadence is None:
                    ahead += sender.planner.next_rows(session, about, row.step, row.occurrence, now)
                facts = gathering.facts(row, about)
                message = _decide(sender, session, row, about, facts, now)
            except (ArithmeticError, FollowupError, LookupError, TypeError, ValueError) as error:
                _set_aside(session, row, error, now)
                continue
            if message is not None:
                evidence = noted(facts) | gathering.evidence(row, facts)
                _lease(session, row, claim, lease_until, now, evidence)
                gathering.note_going(row)
                taken.claimed.append(
                    Claimed(
                        row.id,
                        row.lead_id,
                        channel,
                        message,
                        row.failures,
                        row.expires_at,
                        facts.answer is Answer.opted_out,
                    )
                )
        deliveries.plan(session, ahead)
        climb(session, sender.planner, rows, now)
        take_room(session, lane, now, len(taken.claimed))
        if taken.is_probe and not taken.claimed:
            breakers.return_probe(session, channel, real_now(session))
        messages = [row.message for row in taken.claimed]
        waits = take_tokens(session, sender.paces.get(channel), lane, channel, messages)
        if waits is not None:
            began = sender.monotonic()
            taken.claimed = [
                replace(row, begins_at=began + seconds)
                for row, seconds in zip(taken.claimed, waits, strict=True)
            ]
    return taken


def _take(
    sender: Sender, session: Session, lane: Lane, channel: Channel, now: datetime, taken: _Taken
) -> list[Delivery]:
    """The rows to decide about: of a paused channel what has expired, and one to try it with; of a
    sender that may send nothing now, what has expired alone."""
    breaker = breakers.list_troubled(session).get(channel)
    is_paused = breaker is not None and breaker.paused_at is not None
    is_waiting = breaker is not None and is_slowed(breaker.slowed_until, real_now(session))
    free_tokens = 0 if is_waiting else tokens(session, sender.paces.get(channel), lane, BATCH)
    expired = is_paused or not free_tokens or None
    taken.most = free_tokens or BATCH
    rows = list(deliveries.claim_due(session, lane, now, taken.most, channel, expired=expired))
    if is_paused and free_tokens:
        real = real_now(session)
        one = deliveries.claim_due(session, lane, now, 1, channel, expired=False)
        taken.is_probe = bool(one) and breakers.take_probe(session, channel, real, real + LEASE)
        rows += one if taken.is_probe else ()
    allowed = room(session, sender.caps, now, len(rows)) if rows else 0
    if allowed < len(rows):
        # Asked for by themselves, because more than a batch of others may be ahead of them.
        free = deliveries.claim_due(session, lane, now, BATCH, channel, expired=expired, free=True)
        rows = [*free, *[row for row in rows if row not in free][:allowed]][: taken.most]
    taken.looked_at = len(rows)
    return [row for row in rows if _may_decide(sender, session, row)]


def _may_decide(sender: Sender, session: Session, row: Delivery) -> bool:
    """Two workers must not both find that a number had no first text yet.

    Whoever cannot have the number at once leaves the row to the next claim: a consumer that has it
    may be waiting for the row.
    """
    if (row.lane, row.channel, row.audience) != (Lane.ack, Channel.sms, Audience.patient):
        return True
    hashes = sender.planner.hashes_of(row.channel, row.recipient)
    return try_lock_address(session, hashes[0])


def _about(session: Session, row: Delivery) -> Lead | Alarm | Reply | None:
    """None when it was about a text that was erased since."""
    if row.alarm_id is not None:
        return alarms.get_alarm(session, row.alarm_id)
    if row.lead_id is not None:
        return leads.get_lead(session, row.lead_id)
    return replies.find_reply(session, row.reply_id)


def _decide(
    sender: Sender,
    session: Session,
    row: Delivery,
    about: Lead | Alarm | Reply,
    facts: Facts,
    now: datetime,
) -> Outgoing | None:
    """The message to send now; None when it is not to be sent now, which is recorded."""
    verdict = assess(facts, now)
    if isinstance(verdict, Send):
        return _compose(sender, session, row, about, now)
    _put_aside(session, row, verdict, now, noted(facts))
    return None


def _set_aside(session: Session, row: Delivery, error: Exception, now: datetime) -> None:
    """One row that we stumble over must not hold up its lane."""
    log.error(
        "a delivery could not be assessed", delivery_id=str(row.id), error=type(error).__name__
    )
    _put_aside(session, row, Wait(now + OUR_FAULT_PAUSE, Reason.our_fault), now, {})


def _compose(
    sender: Sender, session: Session, row: Delivery, about: Lead | Alarm | Reply, now: datetime
) -> Outgoing | None:
    """The message, kept with the row; None when there is no wording for it, which is recorded."""
    try:
        return sender.composer.compose(row, about, now)
    except Unfit as error:
        _refuse(sender, session, row, error, now)
        return None
    except FollowupError as error:
        log.error("no wording for a delivery", delivery_id=str(row.id), problem=str(error))
        _put_aside(session, row, Skip(Reason.no_wording, Status.skipped), now, {})
        return None


def _refuse(sender: Sender, session: Session, row: Delivery, error: Unfit, now: datetime) -> None:
    """What may not be said is reported instead of sent; of an alarm itself, in the log alone."""
    log.error("a message may not be sent", delivery_id=str(row.id), problem=str(error))
    row.wording = error.wording
    facts = {"wording": error.wording, "problem": "; ".join(error.complaints)}
    _put_aside(session, row, Skip(Reason.unfit), now, facts)
    if row.lead_id is not None:
        name = error.wording.partition("@")[0]
        raise_alarm(session, sender.planner, AlarmKind.unfit, name, now, {})


def _lease(
    session: Session,
    row: Delivery,
    claim: uuid.UUID,
    lease_until: datetime,
    now: datetime,
    facts: dict[str, Any],
) -> None:
    row.status, row.reason = Status.sending, None
    row.claim, row.lease_until = claim, lease_until
    row.attempted_at = now
    note(session, row, now, facts)


def _put_aside(
    session: Session, row: Delivery, verdict: Verdict, now: datetime, facts: dict[str, Any]
) -> None:
    if isinstance(verdict, Wait):
        if verdict.extends_expiry and row.expires_at is not None:
            row.expires_at += verdict.until - now
        row.due_at, row.reason = verdict.until, verdict.reason
        facts = {**facts, "until": verdict.until.isoformat()}
    elif isinstance(verdict, Skip):
        row.status, row.reason = verdict.status, verdict.reason
    note(session, row, now, facts)


def note(session: Session, row: Delivery, now: datetime, facts: dict[str, Any]) -> None:
    ledger.add_decision(
        session,
        lead_id=row.lead_id,
        delivery_id=row.id,
        at=now,
        status=row.status,
        reason=row.reason,
        facts=facts,
    )


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


def _record(
    sender: Sender,
    claim: uuid.UUID,
    lane: Lane,
    channel: Channel,
    taken: _Taken,
    outcomes: Sequence[Outcome],
    now: datetime,
) -> None:
    with transaction(sender.engine) as session:
        lost: list[Delivery] = []
        for row, outcome in zip(taken.claimed, outcomes, strict=True):
            values = outcome_values(session, row, outcome, now, sender.chance())
            # Fenced: a callback or the rescue may have settled the row meanwhile.
            if deliveries.record(session, row.delivery_id, claim, values):
                keep_outcome(session, row, values, outcome, now)
                if values["status"] in (Status.failed, Status.expired):
                    lost += filter(None, [deliveries.find_delivery(session, row.delivery_id)])
        answered = [outcome for outcome in outcomes if not isinstance(outcome, Returned)]
        # The breaker before the leads, as whoever probes and as receipts do.
        note_outcomes(session, channel, answered, is_probe=taken.is_probe)
        for outcome in outcomes:
            if isinstance(outcome, PermanentFailure) and outcome.blames_us:
                blame_us(session, sender.planner, channel, outcome.code, now)
        climb(session, sender.planner, lost, now)
        # The counts after the breaker, as a claim does.
        return_room(session, lane, taken.at, len(outcomes) - len(answered))
