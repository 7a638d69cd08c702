"""Takes what providers tell us: receipts of deliveries, and replies of people."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from followup.domain.cadence import Audience, Channel
from followup.domain.consent import Act, Reading, SuppressionReason, read_reply
from followup.domain.delivery import Reason, Status, may_become
from followup.domain.lead import LeadStatus
from followup.services.planning import Planner
from followup.store import consents, deliveries, leads, ledger, replies
from followup.store.db import transaction
from followup.store.models import Delivery, Lead

log = structlog.get_logger()


@dataclass(frozen=True)
class Report:
    """A provider's word on one delivery, in our words; `status` is None when we do not know it."""

    provider_id: str
    said: str
    status: Status | None
    code: str = ""


def record_receipt(engine: Engine, delivery_id: uuid.UUID, report: Report, now: datetime) -> bool:
    """Keep the report, and move the delivery forward if it says more than we know.

    Never a step back, whatever the order. Returns whether the delivery changed; a report on an
    unknown delivery, or one that was seen before, changes nothing.
    """
    try:
        with transaction(engine) as session:
            row = deliveries.find_delivery(session, delivery_id, lock=True)
            if row is None or row.channel is not Channel.sms:
                return False
            replies.add_receipt(
                session,
                delivery_id=delivery_id,
                provider_id=report.provider_id,
                status=report.said,
                code=report.code,
                received_at=now,
            )
            if report.status is None or not may_become(row.status, report.status):
                return False
            if row.provider_id not in (None, report.provider_id):
                return False
            _apply(row, report, report.status, now)
            _note_receipt(session, row, now)
            return True
    except IntegrityError:
        return False


def _apply(row: Delivery, report: Report, status: Status, now: datetime) -> None:
    row.status, row.provider_id = status, report.provider_id
    row.sent_at = row.sent_at or now
    row.provider_code = report.code or row.provider_code
    row.ask_at = None
    is_bad = status in (Status.undelivered, Status.failed)
    row.reason = Reason.undeliverable if is_bad else None


def _note_receipt(session: Session, row: Delivery, now: datetime) -> None:
    ledger.add_decision(
        session,
        lead_id=row.lead_id,
        delivery_id=row.id,
        at=now,
        status=row.status,
        reason=row.reason,
        facts={"code": row.provider_code} if row.provider_code else {},
    )


@dataclass(frozen=True)
class Text:
    """One inbound text."""

    provider_id: str
    sender: str
    body: str
    #: What the provider itself took it for: STOP, START, HELP or nothing.
    opt_out_type: str = ""


def receive_reply(engine: Engine, planner: Planner, text: Text, now: datetime) -> Reading:
    """Keep a text, once; an opt-out silences the number at once, for every lead that has it."""
    hashes = planner.keyring.hashes(text.sender)
    reading = _reading(text)
    try:
        with transaction(engine) as session:
            lead = _owner(session, hashes)
            replies.add_reply(
                session,
                provider_id=text.provider_id,
                sender=text.sender,
                sender_hash=hashes[0],
                body=text.body,
                lead_id=lead.id if lead else None,
                received_at=now,
            )
            if reading is Reading.opt_out:
                reason = SuppressionReason.opted_out
                consents.suppress(session, Channel.sms, hashes[0], reason, now, text.body)
                deliveries.cancel_addressed(session, Channel.sms, hashes, Reason.opted_out)
            elif reading is Reading.opt_in:
                _opt_in(session, hashes, lead, text, now)
    except IntegrityError:
        log.info("the provider delivered a text again", provider_id=text.provider_id)
    return reading


def _owner(session: Session, hashes: Sequence[str]) -> Lead | None:
    """The lead that a text belongs to: the newest that waits, else the newest."""
    owners = [one for one in leads.list_by_address(session, hashes) if one.phone_hash in hashes]
    waiting = [one for one in owners if one.status is LeadStatus.open]
    return next(iter(waiting or owners), None)


def _opt_in(
    session: Session, hashes: Sequence[str], lead: Lead | None, text: Text, now: datetime
) -> None:
    """START lifts what STOP did, and is consent with these words."""
    consents.lift(session, Channel.sms, hashes, SuppressionReason.opted_out, now)
    if lead is None:
        return
    consents.add_consent(
        session,
        lead_id=lead.id,
        submission_id=None,
        channel=Channel.sms,
        address_hash=hashes[0],
        given=True,
        act=Act.texted_start,
        text=text.body,
        text_version="",
        language=lead.language,
        evidence={"provider_id": text.provider_id},
        occurred_at=now,
        recorded_at=now,
    )


def _reading(text: Text) -> Reading:
    by_provider = {"STOP": Reading.opt_out, "START": Reading.opt_in, "HELP": Reading.help}
    return by_provider.get(text.opt_out_type.upper()) or read_reply(text.body)


def unsubscribe(engine: Engine, delivery_id: uuid.UUID, now: datetime) -> bool:
    """Forbid the mail address that the delivery went to. False when there is no such delivery."""
    with transaction(engine) as session:
        row = deliveries.find_delivery(session, delivery_id)
        if row is None or row.audience is not Audience.patient:
            return False
        hashes, reason = [row.recipient_hash], SuppressionReason.unsubscribed
        consents.suppress(session, row.channel, row.recipient_hash, reason, now)
        deliveries.cancel_addressed(session, row.channel, hashes, Reason.unsubscribed)
        return True
