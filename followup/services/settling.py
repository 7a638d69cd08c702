"""Settles what nobody knows: rows of lost workers become unknown, and the provider is asked."""

from datetime import datetime, timedelta

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from followup.domain.cadence import Channel, Lane
from followup.domain.delivery import Reason, Status
from followup.errors import TransportError
from followup.services.sending import BATCH, FIRST_ASKED_AFTER, Sender, note
from followup.store import deliveries
from followup.store.db import real_now, transaction
from followup.store.models import Delivery
from followup.transports.base import Outgoing

#: A text that the provider has no trace of is asked about once more, that long after.
ASKED_AGAIN_AFTER = timedelta(minutes=4)
TIMES_ASKED = 2
#: Clocks of two companies may differ by that much.
SKEW = timedelta(seconds=60)


def rescue(engine: Engine, now: datetime) -> int:
    """What lost workers held may have been sent, so it is asked about. Returns how many."""
    with transaction(engine) as session:
        real = real_now(session)
        lost = deliveries.rescue(session, real, real + FIRST_ASKED_AFTER)
        for row in lost:
            note(session, row, now, {})
        return len(lost)


def settle(sender: Sender, now: datetime) -> int:
    """Ask about unknown outcomes whose time has come. Returns how many were settled."""
    with transaction(sender.engine) as session:
        real = real_now(session)
        rows = deliveries.claim_unknown(session, real, real + ASKED_AGAIN_AFTER, BATCH)
        asked = [
            (row.id, row.asked, row.channel, sender.composer.again(row), row.attempted_at or now)
            for row in rows
        ]
    settled = 0
    for delivery_id, times, channel, message, attempted_at in asked:
        finding = _ask(sender, channel, message, attempted_at - SKEW)
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
    """Found: bound. Proven absent: planned once more. Anything less certain stays unknown, for
    staff; where only the asking failed, it is asked again while there is time."""
    in_time = row.expires_at is None or now < row.expires_at
    if isinstance(finding, str):
        row.status, row.reason, row.provider_id = Status.accepted, None, finding
        row.sent_at = row.sent_at or now
    elif in_time and _may_go_once_more(row, finding):
        row.status, row.reason, row.due_at = Status.planned, Reason.not_found, now
    else:
        can_still_tell = row.asked < TIMES_ASKED and row.channel is Channel.sms
        if not (in_time and can_still_tell):
            row.ask_at = None
        return False
    row.ask_at = None
    note(session, row, now, {"asked": row.asked})
    return True


def _may_go_once_more(row: Delivery, finding: TransportError | None) -> bool:
    """A text: once, when it was absent every time. A mail cannot be asked about, but an
    acknowledgement goes once more under the same Message-ID, by which a receiver drops a double."""
    if row.channel is Channel.email:
        row.asked += 1
        return row.lane is Lane.ack and row.asked == 1
    if finding is None:
        row.asked += 1
    return finding is None and row.asked == TIMES_ASKED
