"""Silences an address at once: what it was still owed is cancelled, for every lead that has it. A
refusal holds at the other addresses of the person, too, as far as staff have merged their leads."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from followup.domain.cadence import Channel
from followup.domain.consent import REFUSALS, MatchedBy, SuppressionReason
from followup.domain.delivery import Reason
from followup.store import consents, deliveries, leads
from followup.store.db import lock_addresses


def silence(
    session: Session,
    channel: Channel,
    hashes: Sequence[str],
    reason: SuppressionReason,
    now: datetime,
    *,
    evidence: str | None,
    matched_by: MatchedBy,
) -> bool:
    """Nothing more goes to the address, whose hashes are given under every key, the newest first.

    `evidence` is what was said, or the provider's code. Whether it is new.
    """
    if reason in REFUSALS:
        lock_refusals(session, hashes)
    is_new = consents.suppress(session, channel, hashes[0], reason, now, evidence, matched_by)
    deliveries.cancel_addressed(session, channel, hashes, Reason(reason.value))
    if reason in REFUSALS:
        _spread(session, channel, hashes, now)
    return is_new


def lock_refusals(session: Session, hashes: Sequence[str]) -> None:
    """Until the transaction ends, nobody refuses at these addresses while somebody merges their
    leads: else neither would see the other. Not the lock of intake, which is taken before those of
    leads; this one is taken after."""
    lock_addresses(session, [digits[::-1] for digits in hashes])


def _spread(session: Session, channel: Channel, hashes: Sequence[str], now: datetime) -> None:
    """To the address of the lead that one with this address is a part of."""
    for part in leads.list_parts_by_address(session, hashes):
        whole = leads.find_whole(session, part)
        address = whole.email_hash if channel is Channel.email else whole.phone_hash
        if address is not None and address not in hashes:
            refuse_elsewhere(session, channel, [address], now)


def refuse_elsewhere(
    session: Session, channel: Channel, hashes: Sequence[str], now: datetime
) -> None:
    """The person refused at another address of theirs on that channel."""
    reason, staff = SuppressionReason.refused_elsewhere, MatchedBy.staff
    silence(session, channel, hashes, reason, now, evidence=None, matched_by=staff)
