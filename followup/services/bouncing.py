"""Takes what became of a mail: delivered, bounced, refused, called spam, unsubscribed."""

import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from followup.domain.address import normal_email
from followup.domain.cadence import Audience, Channel
from followup.domain.consent import MatchedBy, SuppressionReason
from followup.domain.delivery import Status
from followup.errors import Invalid, NotFound
from followup.services import receiving
from followup.services.links import Links
from followup.services.planning import Planner
from followup.services.receiving import apply_report
from followup.services.silencing import silence
from followup.store import consents, deliveries, replies
from followup.store.db import transaction
from followup.store.models import Delivery
from followup.transports import bounces
from followup.transports.base import Report
from followup.transports.mail_events import MailEvent, MailHappening
from followup.transports.mailbox import Mailbox

#: Mails in a row to one address that were put off before the address counts as bad.
DEFERRED_IN_A_ROW = 3

#: Real time after which a run begins no further report, so that a slow mailbox keeps nobody else
#: waiting; what is left waits for the next run.
RUN = timedelta(seconds=30)

#: What ends all mail to a patient's address at once.
_SILENCES = {
    MailHappening.complained: SuppressionReason.complained,
    MailHappening.unsubscribed: SuppressionReason.unsubscribed,
}
_STATUSES = {
    MailHappening.delivered: Status.delivered,
    MailHappening.bounced: Status.undelivered,
    MailHappening.refused: Status.undelivered,
}


def record_mail_event(engine: Engine, planner: Planner, event: MailEvent, now: datetime) -> bool:
    """Keep the event with its delivery, once, and draw what follows from it.

    Never a step back, whatever the order. Returns whether it was news: an event that was seen
    before changes nothing, nor does one on a mail that is not ours, unless it names an address
    that wants no more mail.
    """
    with transaction(engine) as session:
        row = _find(session, event.delivery_id)
        if row is None:
            return _silence_stranger(session, planner, event, now)
        is_new = replies.add_receipt(
            session,
            delivery_id=row.id,
            provider_id=event.event_id,
            status=_word(event),
            code=event.code,
            received_at=now,
        )
        if is_new:
            _apply(session, planner, row, event, now)
        return is_new


def read_bounces(
    engine: Engine,
    planner: Planner,
    links: Links,
    mailbox: Mailbox,
    now: datetime,
    monotonic: Callable[[], float] = time.monotonic,
) -> int:
    """Take what arrived in the mailbox: reports, and mails that unsubscribe. Each is marked as read
    once what it says is committed.

    Returns how many mails were read. Raises TransportError when the mailbox cannot be read.
    """
    ends_at, done = monotonic() + RUN.total_seconds(), 0
    with mailbox.open() as conversation:
        for number in conversation.unread_for_us():
            if monotonic() >= ends_at:
                break
            mail = conversation.fetch(number)
            for event in bounces.read(mail):
                record_mail_event(engine, planner, event, now)
            _unsubscribe(engine, links, bounces.read_farewell(mail), now)
            conversation.mark_read(number)
            done += 1
    return done


def _unsubscribe(engine: Engine, links: Links, token: str | None, now: datetime) -> None:
    """A token that is not ours is somebody's own word, and means nothing."""
    with suppress(NotFound):
        if token is not None:
            receiving.unsubscribe(engine, links.read_unsubscribe(token), now, MatchedBy.mail)


def _find(session: Session, delivery_id: uuid.UUID | None) -> Delivery | None:
    row = deliveries.find_delivery(session, delivery_id, lock=True) if delivery_id else None
    return row if row is not None and row.channel is Channel.email else None


def _word(event: MailEvent) -> str:
    is_known = event.happening is not MailHappening.unknown
    return event.happening.value if is_known else event.said


def _apply(
    session: Session, planner: Planner, row: Delivery, event: MailEvent, now: datetime
) -> None:
    hashes = planner.hashes_of(Channel.email, row.recipient)
    happening = event.happening
    if happening is MailHappening.deferred and _is_hopeless(session, hashes):
        happening = MailHappening.bounced
    if row.audience is Audience.patient:
        if happening is MailHappening.bounced:
            reason, by = SuppressionReason.unreachable, MatchedBy.provider
            consents.suppress(session, Channel.email, hashes[0], reason, now, event.code, by)
        _silence(session, hashes, happening, now)
    status = _STATUSES.get(happening)
    code = event.code or (event.said if status is Status.undelivered else "")
    # A mail has one id, whoever reports on it.
    blames_us = happening is MailHappening.refused
    report = Report(row.provider_id or "", event.said, status, code, blames_us=blames_us)
    apply_report(session, planner, row, report, now)


def _is_hopeless(session: Session, hashes: Sequence[str]) -> bool:
    """Whether the newest mails to the address were all put off, and none was brought since."""
    put_off: set[uuid.UUID] = set()
    for receipt in replies.list_receipts_to(session, hashes):
        if receipt.status == MailHappening.delivered:
            break
        if receipt.status == MailHappening.deferred:
            put_off.add(receipt.delivery_id)
    return len(put_off) >= DEFERRED_IN_A_ROW


def _silence(
    session: Session, hashes: Sequence[str], happening: MailHappening, now: datetime
) -> bool:
    """No more mail to the address, if that is what happened."""
    if happening not in _SILENCES:
        return False
    reason, by = _SILENCES[happening], MatchedBy.provider
    silence(session, Channel.email, hashes, reason, now, evidence=None, matched_by=by)
    return True


def _silence_stranger(session: Session, planner: Planner, event: MailEvent, now: datetime) -> bool:
    """A complaint or a farewell is about the address, whichever mail it came by."""
    try:
        address = normal_email(event.recipient or "")
    except Invalid:
        return False
    return _silence(session, planner.hashes_of(Channel.email, address), event.happening, now)
