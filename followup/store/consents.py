"""Rows of `consents` and `suppressions`: what permits and what forbids an address."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.orm import Session, load_only

from followup.domain.cadence import Channel
from followup.domain.consent import MatchedBy, SuppressionReason
from followup.domain.lead import LeadStatus
from followup.store import entries
from followup.store.models import Consent, ErasedLead, Lead, Suppression


def add_consent(session: Session, **values: Any) -> Consent:
    consent = Consent(**values)
    entries.add_evidence(
        session, consent, at=consent.recorded_at, verb="consented", lead_id=consent.lead_id
    )
    return consent


def list_consented(
    session: Session, channel: Channel, hashes: Collection[str]
) -> dict[str, list[Consent]]:
    """By which acts the addresses have agreed to the channel, the latest first.

    What an erased person once agreed to is evidence, and permits nothing any more; nor does what
    came with a lead that is held, or was rejected as spam: anybody may know a number.
    """
    kept_back = (LeadStatus.held, LeadStatus.closed)
    statement = (
        select(Consent)
        .options(load_only(Consent.address_hash, Consent.act, Consent.occurred_at))
        .where(
            Consent.channel == channel,
            Consent.given,
            Consent.address_hash.in_(hashes),
            ~exists().where(ErasedLead.lead_id == Consent.lead_id),
            ~exists().where(Lead.id == Consent.lead_id, Lead.status.in_(kept_back)),
        )
        .order_by(Consent.occurred_at.desc(), Consent.id.desc())
    )
    found: dict[str, list[Consent]] = {}
    for one in session.scalars(statement):
        found.setdefault(one.address_hash, []).append(one)
    return found


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
    matched_by: MatchedBy | None = None,
) -> bool:
    """Forbid the address from now on; for a reason that holds already, nothing is added.

    Each reason has a row of its own, because lifting one must not lift the others. Whether it is
    new.
    """
    holds = select(Suppression.id).where(
        Suppression.channel == channel,
        Suppression.address_hash == address_hash,
        Suppression.reason == reason,
        Suppression.lifted_at.is_(None),
    )
    if session.scalars(holds).first() is not None:
        return False
    row = Suppression(
        channel=channel,
        address_hash=address_hash,
        reason=reason,
        evidence=evidence,
        matched_by=matched_by,
        created_at=now,
    )
    entries.add_evidence(session, row, at=now, verb="suppressed")
    session.flush()
    return True


def note_confirmed(session: Session, channel: Channel, address_hash: str, now: datetime) -> None:
    """Whoever opted out has the one confirmation of it."""
    statement = select(Suppression).where(
        Suppression.channel == channel,
        Suppression.address_hash == address_hash,
        Suppression.reason == SuppressionReason.opted_out,
        Suppression.lifted_at.is_(None),
        Suppression.confirmed_at.is_(None),
    )
    for row in session.scalars(statement).all():
        row.confirmed_at = now
        entries.add_entry(session, row=row, at=now, verb="confirmed")
    session.flush()


def list_history(session: Session, hashes: Collection[str]) -> Sequence[Suppression]:
    """What forbids, or has forbidden, the addresses, the oldest first."""
    statement = (
        select(Suppression).where(Suppression.address_hash.in_(hashes)).order_by(Suppression.id)
    )
    return session.scalars(statement).all()


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


def list_forbidden(
    session: Session, hashes: Collection[str]
) -> dict[tuple[Channel, str], SuppressionReason]:
    """Which of the addresses are forbidden on which channel, and the first reason why."""
    statement = (
        select(Suppression.channel, Suppression.address_hash, Suppression.reason)
        .where(Suppression.address_hash.in_(hashes), Suppression.lifted_at.is_(None))
        .order_by(Suppression.id.desc())
    )
    # Of several rows, the oldest comes last and stays.
    return {(one, digits): reason for one, digits, reason in session.execute(statement)}
