"""Sends what is due: claim and assess (commit), call the providers, record (commit)."""

import random
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from followup.domain.cadence import Audience, Channel, Lane
from followup.domain.consent import SuppressionReason
from followup.domain.delivery import Reason, Status, retry_delay
from followup.domain.eligibility import Send, Skip, Verdict, Wait, assess
from followup.domain.lead import WAITING
from followup.errors import (
    ConfigurationFailure,
    FollowupError,
    OutcomeUnknown,
    PermanentFailure,
    TemporaryFailure,
    TransportError,
)
from followup.services.composing import Composer
from followup.services.gathering import gather
from followup.services.planning import Planner
from followup.store import consents, deliveries, leads, ledger
from followup.store.db import new_id, real_now, transaction
from followup.store.models import Delivery, Lead
from followup.transports.base import CALL_LIMIT, Outgoing, Transport

log = structlog.get_logger()

#: As many rows as sending threads, so that claimed is nearly on the wire.
BATCH = 16
#: Real time; longer than a batch may take, so that a lease that ran out means a lost worker.
LEASE = timedelta(seconds=60)
#: One doorbell's run claims for that long at most, so that a warm stop has an end.
RUN = timedelta(seconds=10)
#: A configuration fault burns no attempts; after that long the account may be mended.
CONFIGURATION_PAUSE = timedelta(minutes=5)
#: The provider is first asked about an unknown text that long after the outcome was lost, and
#: again later: a message may take that long to appear in its lists.
ASK_AFTER = (timedelta(seconds=60), timedelta(minutes=5))


@dataclass(frozen=True, kw_only=True)
class Sender:
    """The collaborators of sending."""

    engine: Engine
    planner: Planner
    composer: Composer
    transports: Mapping[Channel, Transport]
    #: Network only; the claiming thread owns the database. One pool a lane, so that a slow mail
    #: host in one lane holds up no acknowledgement.
    threads: Mapping[Lane, ThreadPoolExecutor]
    #: Reserved numbers may be texted, because the provider is on this machine.
    reserved_allowed: bool = False
    chance: Callable[[], float] = field(default=random.random)


@dataclass(frozen=True)
class _Claimed:
    """One row on its way to the provider."""

    delivery_id: uuid.UUID
    lead_id: uuid.UUID
    channel: Channel
    message: Outgoing
    failures: int
    expires_at: datetime | None


@dataclass(frozen=True)
class _Returned:
    """Claimed but not begun: the lease was nearly over, or nothing of this channel can be sent."""


_Outcome = str | TransportError | _Returned


def send_due(sender: Sender, lane: Lane, clock: Callable[[], datetime]) -> bool:
    """Send what is due in the lane until nothing is, for at most `RUN`.

    Returns whether all was done. Any number of processes may do so at once.
    """
    ends_at = time.monotonic() + RUN.total_seconds()
    while time.monotonic() < ends_at:
        if _send_batch(sender, lane, clock) < BATCH:
            return True
    return False


def _send_batch(sender: Sender, lane: Lane, clock: Callable[[], datetime]) -> int:
    """Returns how many rows were looked at."""
    claim = new_id()
    claimed_at = time.monotonic()
    taken, batch = _claim(sender, lane, claim, clock())
    if batch:
        calls = sender.threads[lane].map(lambda row: _call(sender, row, claimed_at), batch)
        _record(sender, claim, batch, list(calls), clock())
    return taken


def _claim(
    sender: Sender, lane: Lane, claim: uuid.UUID, now: datetime
) -> tuple[int, list[_Claimed]]:
    """Take a batch, decide each row by what is true now, and commit before anything is sent.

    Returns how many rows were looked at, and those that are to be sent.
    """
    with transaction(sender.engine) as session:
        rows = deliveries.claim_due(session, lane, now, BATCH)
        if not rows:
            return 0, []
        lease_until = real_now(session) + LEASE
        known = {row.lead_id: leads.get_lead(session, row.lead_id) for row in rows}
        claimed = []
        for row, facts, noted in gather(
            session, sender.planner, rows, known, now, sender.reserved_allowed
        ):
            lead = known[row.lead_id]
            verdict = assess(facts, now)
            if lead.status in WAITING:
                sender.planner.plan_next(session, lead, row.step, row.occurrence, now)
            if isinstance(verdict, Send):
                message = _compose(sender, session, row, lead, now)
                if message is not None:
                    _lease(session, row, claim, lease_until, now, noted)
                    claimed.append(_on_its_way(row, message))
            else:
                _put_aside(session, row, verdict, now, noted)
        return len(rows), claimed


def _compose(
    sender: Sender, session: Session, row: Delivery, lead: Lead, now: datetime
) -> Outgoing | None:
    """The message, kept with the row; None when there is no wording for it, which is recorded."""
    try:
        return sender.composer.compose(row, lead, now)
    except FollowupError as error:
        log.error("no wording for a delivery", delivery_id=str(row.id), problem=str(error))
        _put_aside(session, row, Skip(Reason.no_wording, Status.skipped), now, {})
        return None


def _lease(
    session: Session,
    row: Delivery,
    claim: uuid.UUID,
    lease_until: datetime,
    now: datetime,
    noted: dict[str, Any],
) -> None:
    row.status, row.reason = Status.sending, None
    row.claim, row.lease_until = claim, lease_until
    row.attempted_at = lease_until - LEASE
    _note(session, row, now, noted)


def _put_aside(
    session: Session, row: Delivery, verdict: Verdict, now: datetime, noted: dict[str, Any]
) -> None:
    if isinstance(verdict, Wait):
        if verdict.extends_expiry and row.expires_at is not None:
            row.expires_at += verdict.until - row.due_at
        row.due_at, row.reason = verdict.until, verdict.reason
        noted = {**noted, "until": verdict.until.isoformat()}
    elif isinstance(verdict, Skip):
        row.status, row.reason = verdict.status, verdict.reason
    _note(session, row, now, noted)


def _note(session: Session, row: Delivery, now: datetime, facts: dict[str, Any]) -> None:
    ledger.add_decision(
        session,
        lead_id=row.lead_id,
        delivery_id=row.id,
        at=now,
        status=row.status,
        reason=row.reason,
        facts=facts,
    )


def _on_its_way(row: Delivery, message: Outgoing) -> _Claimed:
    return _Claimed(row.id, row.lead_id, row.channel, message, row.failures, row.expires_at)


def _call(sender: Sender, row: _Claimed, claimed_at: float) -> _Outcome:
    """One call to a provider. A process that was frozen gives back what it may no longer send."""
    left = LEASE.total_seconds() - (time.monotonic() - claimed_at)
    transport = sender.transports.get(row.channel)
    if left < CALL_LIMIT.total_seconds() or transport is None:
        return _Returned()
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


def _record(
    sender: Sender,
    claim: uuid.UUID,
    batch: Sequence[_Claimed],
    outcomes: Sequence[_Outcome],
    now: datetime,
) -> None:
    with transaction(sender.engine) as session:
        for row, outcome in zip(batch, outcomes, strict=True):
            values = _values(sender, session, row, outcome, now)
            # Fenced: a callback or the rescue may have settled the row meanwhile.
            if deliveries.record(session, row.delivery_id, claim, values):
                _keep_outcome(session, row, values, outcome, now)


def _values(
    sender: Sender, session: Session, row: _Claimed, outcome: _Outcome, now: datetime
) -> dict[str, Any]:
    """The columns that an outcome changes."""
    if isinstance(outcome, str):
        return {"status": Status.accepted, "provider_id": outcome, "sent_at": now, "reason": None}
    if isinstance(outcome, _Returned):
        return {"status": Status.planned, "reason": Reason.returned, "claim": None}
    code = {"provider_code": outcome.code}
    if isinstance(outcome, OutcomeUnknown):
        ask_at = real_now(session) + ASK_AFTER[0]
        return {"status": Status.unknown, "reason": Reason.answer_lost, "ask_at": ask_at, **code}
    if isinstance(outcome, PermanentFailure):
        return {"status": Status.failed, "reason": Reason.refused, **code}
    if isinstance(outcome, ConfigurationFailure):
        log.error("a channel is misconfigured", channel=row.channel, problem=str(outcome))
        due_at = now + CONFIGURATION_PAUSE
        return {**_again(row, due_at, Reason.channel_broken), **code}
    failures = row.failures + 1
    asked = outcome.retry_after if isinstance(outcome, TemporaryFailure) else None
    due_at = now + retry_delay(failures, sender.chance(), asked)
    return {**_again(row, due_at, Reason.will_retry), "failures": failures, **code}


def _again(row: _Claimed, due_at: datetime, reason: Reason) -> dict[str, Any]:
    """Planned for later, or expired when later is too late."""
    if row.expires_at is not None and due_at >= row.expires_at:
        return {"status": Status.expired, "reason": Reason.expired, "claim": None}
    return {"status": Status.planned, "due_at": due_at, "reason": reason, "claim": None}


def _keep_outcome(
    session: Session, row: _Claimed, values: dict[str, Any], outcome: _Outcome, now: datetime
) -> None:
    facts = {}
    if isinstance(outcome, TransportError):
        facts = {"answer": outcome.reason, "code": outcome.code}
    ledger.add_decision(
        session,
        lead_id=row.lead_id,
        delivery_id=row.delivery_id,
        at=now,
        status=values["status"],
        reason=values["reason"],
        facts=facts,
    )
    if isinstance(outcome, PermanentFailure) and outcome.suppress is not None:
        delivery = deliveries.find_delivery(session, row.delivery_id)
        if delivery is not None and delivery.audience is Audience.patient:
            reason = SuppressionReason(outcome.suppress)
            consents.suppress(
                session, row.channel, delivery.recipient_hash, reason, now, outcome.code
            )


def rescue(engine: Engine, now: datetime) -> int:
    """What lost workers held may have been sent, so it is asked about. Returns how many."""
    with transaction(engine) as session:
        real = real_now(session)
        lost = deliveries.rescue(session, real, real + ASK_AFTER[0])
        for row in lost:
            _note(session, row, now, {})
        return len(lost)


def settle(sender: Sender, now: datetime) -> int:
    """Ask about unknown outcomes whose time has come. Returns how many were settled."""
    with transaction(sender.engine) as session:
        real = real_now(session)
        rows = deliveries.claim_unknown(session, real, real + ASK_AFTER[1], BATCH)
        asked = [
            (row.id, row.asked, row.channel, sender.composer.again(row), row.attempted_at or real)
            for row in rows
        ]
    settled = 0
    for delivery_id, times, channel, message, attempted_at in asked:
        finding = _ask(sender, channel, message, attempted_at - timedelta(seconds=60))
        with transaction(sender.engine) as session:
            row = deliveries.find_delivery(session, delivery_id, lock=True)
            if row is not None and row.status is Status.unknown and row.asked == times:
                settled += _settle_one(session, row, finding, now)
    return settled


def _ask(
    sender: Sender, channel: Channel, message: Outgoing, since: datetime
) -> str | TransportError | None:
    """The provider's id, None when it has no trace, or why it could not tell."""
    try:
        trace = sender.transports[channel].find(message, since)
    except TransportError as error:
        return error
    return trace.provider_id if trace else None


def _settle_one(
    session: Session, row: Delivery, finding: str | TransportError | None, now: datetime
) -> bool:
    """Found: bound. Absent every time: planned once more, absence being proven. A mail cannot be
    asked about: an acknowledgement goes once more under the same Message-ID, which lets the
    receiver drop a double. Anything else stays unknown, for staff."""
    row.asked += 1
    in_time = row.expires_at is None or now < row.expires_at
    is_mail_to_repeat = row.channel is Channel.email and row.lane is Lane.ack and row.asked == 1
    was_absent_throughout = finding is None and row.asked >= len(ASK_AFTER)
    if isinstance(finding, str):
        row.status, row.reason, row.provider_id = Status.accepted, None, finding
        row.sent_at = row.sent_at or now
    elif in_time and (is_mail_to_repeat or was_absent_throughout):
        row.status, row.reason, row.due_at = Status.planned, Reason.not_found, now
    else:
        if isinstance(finding, TransportError) or row.asked >= len(ASK_AFTER) or not in_time:
            row.ask_at = None
        return False
    row.ask_at = None
    _note(session, row, now, {"asked": row.asked})
    return True
