"""Rows of `deliveries`: planned once, claimed once, every later change fenced."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import ColumnElement, Select, Table, exists, func, or_, select, union_all, update
from sqlalchemy.orm import Session, aliased

from followup.domain.cadence import Audience, Channel, Lane
from followup.domain.delivery import REACHED_PROVIDER, Reason, Status
from followup.store import history
from followup.store.db import insert_into, new_id
from followup.store.history import AnyDelivery
from followup.store.models import Delivery
from followup.store.words import said

_TABLE = cast(Table, Delivery.__table__)

#: What a planned delivery has unless it is said.
_UNSAID: Mapping[str, Any] = {
    **{"lead_id": None, "alarm_id": None, "reply_id": None, "cadence": None},
    **{"recipient_name": None, "status": Status.planned, "failures": 0, "asked": 0},
}


UNIQUE_KEY = ("lead_id", "episode", "step", "occurrence", "channel", "recipient_hash")


def plan(session: Session, rows: Sequence[dict[str, Any]]) -> int:
    """Add what is not planned yet, by its unique key. Returns how many were new.

    In the order of that key: two that plan the same rows then wait for each other, never both.
    """
    if not rows:
        return 0
    rows = sorted(rows, key=lambda row: [str(row.get(name)) for name in UNIQUE_KEY])
    # They refer to leads that may be new.
    session.flush()
    # Each with the same columns, so that they are one statement.
    values = [{"id": new_id(), **_UNSAID, **row} for row in rows]
    statement = insert_into(session, _TABLE).on_conflict_do_nothing()
    counted = statement.execution_options(preserve_rowcount=True)
    return session.connection().execute(counted, values).rowcount


def find_delivery(
    session: Session, delivery_id: uuid.UUID, *, lock: bool = False
) -> Delivery | None:
    """Wherever it is; to be changed, with `lock`, it comes back from history."""
    if not lock:
        found = session.get(Delivery, delivery_id)
        past = select(AnyDelivery).where(AnyDelivery.id == delivery_id)
        return found or session.scalars(past).first()
    found = _lock(session, delivery_id)
    if found is None:
        history.recall(session, delivery_id)
        found = _lock(session, delivery_id)
    return found


def _lock(session: Session, delivery_id: uuid.UUID) -> Delivery | None:
    return session.get(Delivery, delivery_id, with_for_update=True, populate_existing=True)


def cancel_planned(session: Session, lead_id: uuid.UUID | None, reason: Reason) -> int:
    """What the lead was still owed is no longer owed. Returns how many deliveries that were.

    Waits for a claim in progress: what that claim takes is `sending` when this returns.
    """
    return _cancel(session, reason, Delivery.lead_id == lead_id)


def cancel_cadence(session: Session, lead_id: uuid.UUID, reason: Reason) -> int:
    """The same for what its own cadence owes: answers to texts, and what staff are told of them,
    stay. Returns how many."""
    return _cancel(session, reason, Delivery.lead_id == lead_id, Delivery.cadence.is_(None))


def cancel_addressed(
    session: Session,
    channel: Channel,
    recipient_hashes: Collection[str],
    reason: Reason,
    lead_id: uuid.UUID | None = None,
) -> int:
    """What patients' addresses were still owed, of one lead or of all. Returns how many."""
    conditions = [
        Delivery.audience == Audience.patient,
        Delivery.channel == channel,
        Delivery.recipient_hash.in_(recipient_hashes),
    ]
    if lead_id is not None:
        conditions.append(Delivery.lead_id == lead_id)
    return _cancel(session, reason, *conditions)


def cancel_reminders(session: Session, lead_ids: Collection[uuid.UUID], reason: Reason) -> int:
    """What patients were still to be reminded of, on every channel. Returns how many."""
    return _cancel(
        session,
        reason,
        Delivery.lead_id.in_(lead_ids),
        Delivery.audience == Audience.patient,
        Delivery.lane == Lane.reminder,
    )


def cancel_notices(session: Session, lead_id: uuid.UUID, reason: Reason) -> int:
    """What staff were still to be told of the lead's texts and of danger. Returns how many."""
    return _cancel(
        session,
        reason,
        Delivery.lead_id == lead_id,
        Delivery.audience == Audience.staff,
        Delivery.cadence.is_not(None),
    )


def cancel_alarm(session: Session, alarm_id: uuid.UUID, reason: Reason) -> int:
    """What was still to be told of an alarm that is over. Returns how many."""
    return _cancel(session, reason, Delivery.alarm_id == alarm_id)


def cancel_recipient(
    session: Session, name: str, recipient_hashes: Collection[str], reason: Reason
) -> int:
    """What a person of the staff was still owed, by name and address. Returns how many."""
    return _cancel(
        session,
        reason,
        Delivery.audience == Audience.staff,
        Delivery.recipient_name == name,
        Delivery.recipient_hash.in_(recipient_hashes),
    )


def redirect_recipient(
    session: Session,
    name: str,
    channel: Channel,
    recipient_hashes: Collection[str],
    recipient: str,
    recipient_hash: str,
) -> None:
    """What a person of the staff is still owed at one address goes to another, unless the same is
    owed there already."""
    other = aliased(Delivery)
    is_owed = exists().where(
        other.recipient_hash == recipient_hash,
        *(
            getattr(other, column).is_not_distinct_from(getattr(Delivery, column))
            for column in ("lead_id", "alarm_id", "episode", "step", "occurrence", "channel")
        ),
    )
    statement = (
        update(Delivery)
        .where(
            Delivery.status == said(Status.planned),
            Delivery.audience == Audience.staff,
            Delivery.recipient_name == name,
            Delivery.channel == channel,
            Delivery.recipient_hash.in_(recipient_hashes),
            ~is_owed,
        )
        .values(recipient=recipient, recipient_hash=recipient_hash)
        .execution_options(synchronize_session=False)
    )
    session.execute(statement)


def _cancel(session: Session, reason: Reason, *conditions: ColumnElement[bool]) -> int:
    statement = (
        update(Delivery)
        .where(Delivery.status == said(Status.planned), *conditions)
        .values(status=Status.cancelled, reason=reason)
        .execution_options(synchronize_session=False)
    )
    return session.execute(statement).rowcount  # type: ignore[attr-defined, no-any-return]


def list_by_id(session: Session, ids: Collection[uuid.UUID]) -> Sequence[Delivery]:
    statement = select(Delivery).where(Delivery.id.in_(ids)).order_by(Delivery.id)
    return session.scalars(statement.execution_options(populate_existing=True)).all()


def list_in_flight(session: Session, lead_id: uuid.UUID) -> list[uuid.UUID]:
    statement = (
        select(Delivery.id)
        .where(Delivery.lead_id == lead_id, Delivery.status == said(Status.sending))
        .order_by(Delivery.id)
    )
    return list(session.scalars(statement))


def came_back(session: Session, name: str, since: datetime) -> bool:
    """Whether a message to that person of the staff, attempted since then, was not brought."""
    statement = (
        select(Delivery.id)
        .where(
            Delivery.recipient_name == name,
            Delivery.audience == said(Audience.staff),
            Delivery.status.in_((said(Status.failed), said(Status.undelivered))),
            Delivery.attempted_at > since,
        )
        .limit(1)
    )
    return session.scalars(statement).first() is not None


def was_unfit(session: Session, wording: str, since: datetime) -> bool:
    """Whether a message in those words, due since then, was held back for what it says."""
    statement = (
        select(Delivery.id)
        .where(
            Delivery.reason == said(Reason.unfit),
            Delivery.wording.startswith(f"{wording}@", autoescape=True),
            Delivery.due_at > since,
        )
        .limit(1)
    )
    return session.scalars(statement).first() is not None


def list_of_lead(session: Session, lead_id: uuid.UUID) -> Sequence[Delivery]:
    """All of them, those in history too."""
    statement = (
        select(AnyDelivery)
        .where(AnyDelivery.lead_id == lead_id)
        .order_by(AnyDelivery.due_at, AnyDelivery.id)
    )
    return session.scalars(statement).all()


def list_siblings(session: Session, row: Delivery) -> Sequence[Delivery]:
    """The other deliveries of the same occurrence: other channels, other recipients."""
    statement = select(Delivery).where(
        Delivery.lead_id == row.lead_id,
        Delivery.episode == row.episode,
        Delivery.step == row.step,
        Delivery.occurrence == row.occurrence,
        Delivery.id != row.id,
    )
    return session.scalars(statement).all()


def last_acknowledged_at(session: Session, lead_id: uuid.UUID) -> datetime | None:
    """Arrival of the newest submission for which an acknowledgement was planned."""
    statement = select(func.max(Delivery.arrived_at)).where(
        Delivery.lead_id == lead_id, Delivery.lane == Lane.ack, Delivery.cadence.is_(None)
    )
    return session.execute(statement).scalar_one()


def list_texted(session: Session, hashes: Collection[str], since: datetime) -> set[str]:
    """Which of the numbers got, or may have got, a first text since then."""
    statement = select(Delivery.recipient_hash).where(
        Delivery.recipient_hash.in_(hashes),
        Delivery.channel == said(Channel.sms),
        Delivery.lane == said(Lane.ack),
        Delivery.cadence.is_(None),
        Delivery.audience == said(Audience.patient),
        Delivery.status.in_(REACHED_PROVIDER),
        Delivery.arrived_at >= since,
    )
    return set(session.scalars(statement))


#: What an address has had: sent, or on its way, or of unknown outcome.
_GONE = or_(Delivery.sent_at.is_not(None), Delivery.status.in_((Status.sending, Status.unknown)))
_GONE_AT = func.coalesce(Delivery.sent_at, Delivery.attempted_at, type_=Delivery.sent_at.type)


def count_recent(
    session: Session, hashes: Collection[str], since: datetime
) -> dict[tuple[str, Channel], tuple[int, datetime]]:
    """How many each address got, or may have got, on each channel since then, and when the first
    of them."""
    # Staff have had a hundred thousand, so each part has an index that leaves the older ones out.
    to_them = Delivery.recipient_hash.in_(hashes)
    gone = union_all(
        *(
            select(Delivery.recipient_hash, Delivery.channel, _GONE_AT.label("at")).where(
                to_them, condition, since < _GONE_AT
            )
            for condition in (
                Delivery.channel.in_(Channel) & (Delivery.sent_at > since),
                Delivery.sent_at.is_(None) & (Delivery.status == said(Status.sending)),
                Delivery.sent_at.is_(None) & (Delivery.status == said(Status.unknown)),
            )
        )
    ).subquery()
    statement = select(
        gone.c.recipient_hash, gone.c.channel, func.count(), func.min(gone.c.at)
    ).group_by(gone.c.recipient_hash, gone.c.channel)
    return {
        (digits, channel): (count, first)
        for digits, channel, count, first in session.execute(statement)
        if first is not None
    }


def count_recent_of_leads(
    session: Session, lead_ids: Collection[uuid.UUID], since: datetime
) -> dict[uuid.UUID, tuple[int, datetime]]:
    """The same for the patient of each lead."""
    statement = (
        select(Delivery.lead_id, func.count(), func.min(_GONE_AT))
        .where(
            Delivery.lead_id.in_(lead_ids),
            Delivery.audience == Audience.patient,
            _GONE,
            since < _GONE_AT,
        )
        .group_by(Delivery.lead_id)
    )
    return {
        lead_id: (count, first)
        for lead_id, count, first in session.execute(statement)
        if lead_id is not None and first is not None
    }


def rescue(session: Session, real_now: datetime, ask_at: datetime) -> Sequence[Delivery]:
    """Mark what a lost worker held as unknown. Returns the rows."""
    statement = (
        update(Delivery)
        .where(Delivery.status == said(Status.sending), Delivery.lease_until < real_now)
        .values(status=Status.unknown, reason=Reason.worker_lost, claim=None, ask_at=ask_at)
        .returning(Delivery)
        .execution_options(synchronize_session=False)
    )
    return session.scalars(statement).all()


def claim_unknown(
    session: Session, real_now: datetime, again_at: datetime, limit: int
) -> Sequence[Delivery]:
    """Those to be asked about now, put off until `again_at` so that nobody else asks meanwhile."""
    statement = (
        select(Delivery)
        .where(Delivery.status == said(Status.unknown), Delivery.ask_at <= real_now)
        .order_by(Delivery.ask_at)
        .limit(limit)
    )
    return _put_off(session, statement, again_at)


def list_provider_ids(session: Session, row: Delivery, since: datetime) -> frozenset[str]:
    """What the provider calls the other deliveries that went to this one's address since then."""
    statement = select(Delivery.provider_id).where(
        Delivery.recipient_hash == row.recipient_hash,
        Delivery.channel == row.channel,
        Delivery.id != row.id,
        Delivery.sent_at >= since,
        Delivery.provider_id.is_not(None),
    )
    return frozenset(filter(None, session.scalars(statement)))


def claim_unreceipted(
    session: Session,
    real_now: datetime,
    again_at: datetime,
    *,
    since: datetime,
    before: datetime,
    limit: int,
) -> Sequence[Delivery]:
    """Texts that went between the two and whose end is not known, put off until `again_at`."""
    statement = (
        select(Delivery)
        .where(
            Delivery.status.in_((said(Status.accepted), said(Status.sent))),
            Delivery.channel == said(Channel.sms),
            Delivery.sent_at >= since,
            Delivery.sent_at < before,
            or_(Delivery.ask_at.is_(None), Delivery.ask_at <= real_now),
        )
        .order_by(Delivery.sent_at)
        .limit(limit)
    )
    return _put_off(session, statement, again_at)


def _put_off(
    session: Session, statement: Select[Delivery], again_at: datetime
) -> Sequence[Delivery]:
    """Those that nobody else asks about now, to be asked about again then."""
    rows = session.scalars(statement.with_for_update(skip_locked=True)).all()
    for row in rows:
        row.ask_at = again_at
    return rows
