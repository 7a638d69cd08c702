"""Silences an address at once: what it was still owed is cancelled, for every lead that has it."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from followup.domain.cadence import Channel
from followup.domain.consent import MatchedBy, SuppressionReason
from followup.domain.delivery import Reason
from followup.store import consents, deliveries


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
    is_new = consents.suppress(session, channel, hashes[0], reason, now, evidence, matched_by)
    deliveries.cancel_addressed(session, channel, hashes, Reason(reason.value))
    return is_new
