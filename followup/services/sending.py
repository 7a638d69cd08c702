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
from followup.domain.eligibility import Facts, Send, Skip, Verdict, Wait, assess
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
from followup.services.gathering import Gathering, noted
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
#: The provider is asked about an unknown outcome after that long: a message may take a while to
#: appear in its lists.
FIRST_ASKED_AFTER = timedelta(seconds=60)
#: A row that we stumble over is looked at again after that long.
OUR_FAULT_PAUSE = timedelta(hours=1)


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
    #: Real seconds, for the lease; a demo's fast clock does not move them.
    monotonic: Callable[[], float] = field(default=time.monotonic)


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
    ends_at = sender.monotonic() + RUN.total_seconds()
    while sender.monotonic() < ends_at:
        if _send_batch(sender, lane, clock) < BATCH:
            return True
    return False


def _send_batch(sender: Sender, lane: Lane, clock: Callable[[], datetime]) -> int:
    """Returns how many rows were looked at."""
    claim = new_id()
    claimed_at = sender.monotonic()
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
        gathering = Gathering(
            session, sender.planner, rows, now, reserved_allowed=sender.reserved_allowed
        )
        claimed: list[_Claimed] = []
        ahead: list[dict[str, Any]] = []
        for row in rows:
            lead = known[row.lead_id]
            try:
                if lead.status in WAITING:
                    ahead += sender.planner.next_rows(session, lead, row.step, row.occurrence, now)
                facts = gathering.facts(row, lead)
                message = _decide(sender, session, row, lead, facts, now)
            except (ArithmeticError, LookupError, TypeError, ValueError) as error:
                _set_aside(session, row, error, now)
                continue
            if message is not None:
                _lease(session, row, claim, lease_until, now, noted(facts))
                gathering.note_going(row)
                claimed.append(_on_its_way(row, message))
        deliveries.plan(session, ahead)
        return len(rows), claimed


def _decide(
    sender: Sender, session: Session, row: Delivery, lead: Lead, facts: Facts, now: datetime
) -> Outgoing | None:
    """The message to send now; None when it is not to be sent now, which is recorded."""
    verdict = assess(facts, now)
    if isinstance(verdict, Send):
        return _compose(sender, session, row, lead, now)
    _put_aside(session, row, verdict, now, noted(facts))
    return None


def _set_aside(session: Session, row: Delivery, error: Exception, now: datetime) -> None:
    """One row that we stumble over must not hold up its lane."""
    log.error(
        "a delivery could not be assessed", delivery_id=str(row.id), error=type(error).__name__
    )
    _put_aside(session, row, Wait(now + OUR_FAULT_PAUSE, Reason.our_fault), now, {})


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


def _on_its_way(row: Delivery, message: Outgoing) -> _Claimed:
    return _Claimed(row.id, row.lead_id, row.channel, message, row.failures, row.expires_at)


def _call(sender: Sender, row: _Claimed, claimed_at: float) -> _Outcome:
    """One call to a provider. A process that was frozen gives back what it may no longer send."""
    left = LEASE.total_seconds() - (sender.monotonic() - claimed_at)
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
        ask_at = real_now(session) + FIRST_ASKED_AFTER
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
