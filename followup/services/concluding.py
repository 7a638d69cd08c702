"""What the outcome of a call changes: the row, the ledger, and what may still be written to."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.orm import Session

from followup.domain.cadence import Audience, Channel
from followup.domain.consent import MatchedBy, SuppressionReason
from followup.domain.delivery import Reason, Status, retry_delay
from followup.errors import (
    ConfigurationFailure,
    OutcomeUnknown,
    PermanentFailure,
    TemporaryFailure,
    TransportError,
)
from followup.services.silencing import silence
from followup.store import consents, deliveries
from followup.store.db import real_now
from followup.transports.base import Outgoing

log = structlog.get_logger()

#: A configuration fault burns no attempts; others go first when the channel is tried again.
CONFIGURATION_PAUSE = timedelta(minutes=1)
#: The provider is asked about an unknown outcome after that long: a message may take a while to
#: appear in its lists.
FIRST_ASKED_AFTER = timedelta(seconds=60)


@dataclass(frozen=True)
class Claimed:
    """One row on its way to the provider."""

    delivery_id: uuid.UUID
    lead_id: uuid.UUID | None
    channel: Channel
    message: Outgoing
    failures: int
    expires_at: datetime | None
    #: It is the confirmation of an opt-out, which is noted there as evidence.
    confirms_opt_out: bool = False
    #: By the sender's monotonic clock: not before, and not much later; None where nothing is paced.
    begins_at: float | None = None


@dataclass(frozen=True)
class Returned:
    """Claimed but not begun: the lease was nearly over, its turn was missed, or nothing of this
    channel can be sent."""


Outcome = str | TransportError | Returned


def outcome_values(
    session: Session, row: Claimed, outcome: Outcome, now: datetime, chance: float
) -> dict[str, Any]:
    """The columns that an outcome changes."""
    if isinstance(outcome, str):
        return {"status": Status.accepted, "provider_id": outcome, "sent_at": now, "reason": None}
    if isinstance(outcome, Returned):
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
    due_at = now + retry_delay(failures, chance, asked)
    return {**_again(row, due_at, Reason.will_retry), "failures": failures, **code}


def _again(row: Claimed, due_at: datetime, reason: Reason) -> dict[str, Any]:
    """Planned for later, or expired when later is too late."""
    if row.expires_at is not None and due_at >= row.expires_at:
        return {"status": Status.expired, "reason": Reason.expired, "claim": None}
    return {"status": Status.planned, "due_at": due_at, "reason": reason, "claim": None}


def decision_of(
    row: Claimed, values: dict[str, Any], outcome: Outcome, now: datetime
) -> dict[str, Any]:
    """What the ledger keeps of it."""
    facts = {}
    if isinstance(outcome, TransportError):
        facts = {"answer": outcome.reason, "code": outcome.code}
    return {
        "lead_id": row.lead_id,
        "delivery_id": row.delivery_id,
        "at": now,
        "status": values["status"],
        "reason": values["reason"],
        "facts": facts,
    }


def draw_conclusions(session: Session, row: Claimed, outcome: Outcome, now: datetime) -> None:
    """What the outcome says of the address."""
    if isinstance(outcome, str) and row.confirms_opt_out:
        confirmed = deliveries.find_delivery(session, row.delivery_id)
        if confirmed is not None:
            consents.note_confirmed(session, row.channel, confirmed.recipient_hash, now)
    if isinstance(outcome, PermanentFailure) and outcome.suppress is not None:
        delivery = deliveries.find_delivery(session, row.delivery_id)
        if delivery is not None and delivery.audience is Audience.patient:
            silence(
                session,
                row.channel,
                [delivery.recipient_hash],
                SuppressionReason(outcome.suppress),
                now,
                evidence=outcome.code,
                matched_by=MatchedBy.provider,
            )
