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
from followup.services.alarming import blame_us
from followup.services.ladder import LOST, climb
from followup.services.pausing import pause
from followup.services.planning import Planner
from followup.store import consents, deliveries, leads, ledger, replies
from followup.store.db import transaction
from followup.store.models import Delivery, Lead
from followup.transports.base import Report

log = structlog.get_logger()


def record_receipt(
    engine: Engine, planner: Planner, delivery_id: uuid.UUID, report: Report, now: datetime
) -> bool:
    """Keep the report, and move the delivery forward if it says more than we know.

    Never a step back, whatever the order. Returns whether the delivery changed; a report on an
    unknown delivery, or one that was seen before, changes nothing.
    """
    with transaction(engine) as session:
        row = deliveries.find_delivery(session, delivery_id, lock=True)
        if row is None or row.channel is not Channel.sms:
            return False
        is_new = replies.add_receipt(
            session,
            delivery_id=delivery_id,
            provider_id=report.provider_id,
            status=report.said,
            code=report.code,
            received_at=now,
        )
        return is_new and apply_report(session, planner, row, report, now)


def apply_report(
    session: Session, planner: Planner, row: Delivery, report: Report, now: datetime
) -> bool:
    """Move the row forward by what its provider says; never a step back. Whether it moved.

    A row that was never handed over cannot be reported on, and one that was planned again after
    an attempt can: the attempt did arrive, and another would be one too many.
    """
    status = report.status
    if status is None or row.attempted_at is None or not may_become(row.status, status):
        return False
    if row.provider_id not in (None, report.provider_id):
        log.error("a delivery has two messages at its provider", delivery_id=str(row.id))
        return False
    if row.status is Status.unknown:
        row.ask_at = None
    row.status, row.provider_id = status, report.provider_id
    row.sent_at = row.sent_at or now
    row.provider_code = report.code or row.provider_code
    row.reason = Reason.undeliverable if status in LOST else None
    _note_receipt(session, row, now)
    if status in LOST:
        _draw_conclusions(session, planner, row, report, now)
        climb(session, planner, [row], now)
    return True


def _draw_conclusions(
    session: Session, planner: Planner, row: Delivery, report: Report, now: datetime
) -> None:
    """With a messaging service Twilio takes every text, and says later what is wrong with it."""
    if report.suppress is not None and row.audience is Audience.patient:
        reason = SuppressionReason(report.suppress)
        consents.suppress(session, row.channel, row.recipient_hash, reason, now, report.code)
    if report.misconfigured:
        pause(session, row.channel, report.code)
    if report.blames_us:
        blame_us(session, planner, row.channel, report.code, now)


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
    """START lifts what STOP did, and is consent with these words, which are the patient's own and
    so stand in the evidence, encrypted, and not where the clinic's wording does."""
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
        text="",
        text_version="",
        language=lead.language,
        evidence={"provider_id": text.provider_id, "words": text.body},
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
