"""Takes what comes back: receipts of deliveries, people's texts, and their click that ends mail."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from followup.domain.answer import Answer
from followup.domain.cadence import Audience, Channel
from followup.domain.command import read_command
from followup.domain.consent import (
    Act,
    MatchedBy,
    Meaning,
    Reading,
    SuppressionReason,
    read_with_provider,
)
from followup.domain.delivery import Reason, Status, may_become
from followup.domain.lead import WAITING
from followup.services.alarming import blame_us
from followup.services.heeding import try_to_heed
from followup.services.ladder import LOST, climb
from followup.services.obeying import COMMANDING
from followup.services.pausing import pause
from followup.services.planning import Planner
from followup.services.silencing import silence
from followup.store import consents, deliveries, leads, ledger, replies
from followup.store.db import reading, transaction
from followup.store.models import Delivery, Lead, Reply
from followup.templates import REPLIES
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
    if status not in LOST and (row.cadence, row.step) == (REPLIES, Answer.opted_out):
        consents.note_confirmed(session, row.channel, row.recipient_hash, now)
    if status in LOST:
        _draw_conclusions(session, planner, row, report, now)
        climb(session, planner, [row], now)
    return True


def _draw_conclusions(
    session: Session, planner: Planner, row: Delivery, report: Report, now: datetime
) -> None:
    """With a messaging service Twilio takes every text, and says later what is wrong with it."""
    if report.suppress is not None and row.audience is Audience.patient:
        silence(
            session,
            row.channel,
            [row.recipient_hash],
            SuppressionReason(report.suppress),
            now,
            evidence=report.code,
            matched_by=MatchedBy.provider,
        )
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
    """One inbound text. `recipient` is our own number that it came to."""

    provider_id: str
    sender: str
    body: str
    recipient: str = ""
    #: What the provider's own filter took it for, if anything.
    provider_meaning: Meaning | None = None
    #: Whether the provider has answered it: STOP, START and HELP, with its filter on.
    is_answered: bool = False


def receive_reply(engine: Engine, planner: Planner, text: Text, now: datetime) -> Reading:
    """Keep a text, once, with what it means for consent; then have it heeded.

    An opt-out silences the number at once, for every lead that has it, whatever fails afterwards.
    Any text ends the reminders to whoever may have written it, on every channel.
    """
    meant = read_with_provider(text.body, text.provider_meaning)
    if text.sender in planner.clinic.numbers | {text.recipient}:
        log.info("a text from our own number is no reply", provider_id=text.provider_id)
        return meant
    try:
        with transaction(engine) as session:
            reply_id = _keep(session, planner, text, meant, now).id
    except IntegrityError:
        log.info("the provider delivered a text again", provider_id=text.provider_id)
        with reading(engine) as session:
            known = replies.find_by_provider_id(session, text.provider_id)
        if known is None:
            raise
        reply_id = known.id
    try_to_heed(engine, planner, reply_id, now)
    return meant


def _keep(session: Session, planner: Planner, text: Text, meant: Reading, now: datetime) -> Reply:
    hashes = planner.hashes_of(Channel.sms, text.sender)
    is_staff = planner.is_of_staff(session, text.sender)
    is_answerable = not text.is_answered and not is_staff
    found = leads.list_by_address(session, hashes)
    if meant.meaning in COMMANDING and planner.find_colleague(session, text.sender):
        is_answerable = not text.is_answered
        if read_command(text.body) is not None:
            # Said as one of the staff, though the same phone may have filled in a form.
            found = []
    owners = [lead for lead in found if lead.phone_hash in hashes]
    waiting = [lead for lead in owners if lead.status in WAITING]
    # The newest that waits, else the newest; of what was merged, the whole.
    newest = next(iter(waiting or owners), None)
    lead = leads.find_whole(session, newest) if newest else None
    reminded = {one.id for part in owners for one in (part, leads.find_whole(session, part))}
    reply = replies.add_reply(
        session,
        provider_id=text.provider_id,
        sender=text.sender,
        sender_hash=hashes[0],
        body=text.body,
        lead_id=lead.id if lead else None,
        received_at=now,
        meaning=meant.meaning,
        matched_by=meant.matched_by,
        is_for_staff=meant.is_for_staff and not (is_staff and lead is None),
        is_answerable=is_answerable,
    )
    if meant.meaning is Meaning.opt_out:
        is_new = _silence(session, hashes, text, meant, now)
        reply.is_answerable = reply.is_answerable and is_new
    elif meant.meaning is Meaning.opt_in:
        _opt_in(session, hashes, lead, text, now)
    # Once more, because a claim that we waited for may have planned the next reminder meanwhile.
    for _ in range(2):
        deliveries.cancel_reminders(session, sorted(reminded), Reason.replied)
    return reply


def _silence(
    session: Session, hashes: Sequence[str], text: Text, meant: Reading, now: datetime
) -> bool:
    """Whether the number was not silent already."""
    reasons = [SuppressionReason.opted_out]
    if meant.is_wrong_number:
        reasons.append(SuppressionReason.wrong_number)
    matched_by = meant.matched_by or MatchedBy.provider
    is_new = [
        silence(
            session, Channel.sms, hashes, reason, now, evidence=text.body, matched_by=matched_by
        )
        for reason in reasons
    ]
    if text.is_answered:
        consents.note_confirmed(session, Channel.sms, hashes[0], now)
    return is_new[0]


def _opt_in(
    session: Session, hashes: Sequence[str], lead: Lead | None, text: Text, now: datetime
) -> None:
    """START lifts what STOP did, here or at another number of the person's, and is consent with
    these words, which are the patient's own and so stand in the evidence, encrypted, and not where
    the clinic's wording does."""
    for reason in (SuppressionReason.opted_out, SuppressionReason.refused_elsewhere):
        consents.lift(session, Channel.sms, hashes, reason, now)
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


def unsubscribe(
    engine: Engine,
    delivery_id: uuid.UUID,
    now: datetime,
    matched_by: MatchedBy = MatchedBy.link,
    *,
    texts_too: bool = False,
) -> bool:
    """Forbid the mail address that the delivery went to, and with `texts_too` its lead's number.

    False when there is no such delivery.
    """
    with transaction(engine) as session:
        row = deliveries.find_delivery(session, delivery_id)
        if row is None or row.audience is not Audience.patient:
            return False
        lead = leads.find_lead(session, row.lead_id) if row.lead_id and texts_too else None
        addresses = {row.channel: row.recipient_hash}
        if lead is not None and lead.phone_hash is not None:
            addresses[Channel.sms] = lead.phone_hash
        for channel, digits in addresses.items():
            silence(
                session,
                channel,
                [digits],
                SuppressionReason.unsubscribed,
                now,
                evidence=None,
                matched_by=matched_by,
            )
        return True
