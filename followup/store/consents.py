"""Rows of `consents` and `suppressions`: what permits and what forbids an address."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from followup.domain.cadence import Channel
from followup.domain.consent import SuppressionReason
from followup.store import entries
from followup.store.models import Consent, ErasedLead, Suppression


def add_consent(session: Session, **values: Any) -> Consent:
    consent = Consent(**values)
    entries.add_evidence(
        session, consent, at=consent.recorded_at, verb="consented", lead_id=consent.lead_id
    )
    return consent


def list_consented(session: Session, channel: Channel, hashes: Collection[str]) -> set[str]:
    """Which of the addresses have agreed to the channel. What an erased person once agreed to is
    evidence, and permits nothing any more."""
    statement = select(Consent.address_hash).where(
        Consent.channel == channel,
        Consent.given,
        Consent.address_hash.in_(hashes),
        Consent.lead_id.not_in(select(ErasedLead.lead_id)),
    )
    return set(session.scalars(statement))


def list_consents(session: Session, lead_id: Any) -> Sequence[Consent]:
    return session.scalars(
        select(Consent).where(Consent.lead_id == lead_id).order_by(Consent.id)
    ).all()


def suppress(
    session: Session,
    channel: Channel,
    address_hash: str,
    reason: SuppressionReason,
    now: datetime,
    evidence: str | None = None,
) -> None:
    """Forbid the address from now on; for a reason that holds already, nothing is added.

    Each reason has a row of its own, because lifting one must not lift the others.
    """
    holds = select(Suppression.id).where(
        Suppression.channel == channel,
        Suppression.address_hash == address_hash,
        Suppression.reason == reason,
        Suppression.lifted_at.is_(None),
    )
    if session.scalars(holds).first() is None:
        row = Suppression(
            channel=channel,
            address_hash=address_hash,
            reason=reason,
            evidence=evidence,
            created_at=now,
        )
        entries.add_evidence(session, row, at=now, verb="suppressed")
        session.flush()


def lift(
    session: Session,
    channel: Channel,
    hashes: Collection[str],
    reason: SuppressionReason,
    now: datetime,
) -> int:
    """End suppressions of that reason; the rows stay as history. Returns how many."""
    statement = (
        select(Suppression)
        .where(
            Suppression.channel == channel,
            Suppression.address_hash.in_(hashes),
            Suppression.reason == reason,
            Suppression.lifted_at.is_(None),
        )
        .with_for_update()
    )
    rows = session.scalars(statement).all()
    for row in rows:
        row.lifted_at = now
        entries.add_entry(session, row=row, at=now, verb="lifted")
    session.flush()
    return len(rows)


def list_suppressed(
    session: Session, channel: Channel, hashes: Collection[str]
) -> dict[str, SuppressionReason]:
    """Which of the addresses are forbidden on the channel, and the first reason why."""
    statement = (
        select(Suppression.address_hash, Suppression.reason)
        .where(
            Suppression.channel == channel,
            Suppression.address_hash.in_(hashes),
            Suppression.lifted_at.is_(None),
        )
        .order_by(Suppression.id.desc())
    )
    # Of several rows, the oldest comes last and stays.
    return dict(session.execute(statement).all())
