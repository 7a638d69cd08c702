"""Takes leads out of every table that holds something about them, and their text out of the rest.

A table with a `lead_id`, or one about deliveries, goes with the lead unless it is named here.
"""

import uuid
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Table, delete, exists, or_, select, update
from sqlalchemy.orm import Session

from followup.domain.audit import STRIPPED
from followup.domain.delivery import Status
from followup.store import entries, history
from followup.store.history import AnyDelivery
from followup.store.models import (
    Action,
    Base,
    Consent,
    Delivery,
    Lead,
    Receipt,
    Reply,
    RiskMatch,
    Submission,
    delivery_history,
)

#: What outlives a lead: evidence that says nothing of the person, and what was done by whom.
EVIDENCE = frozenset(
    {"consents", "decisions", "decision_history", "actions", "audit", "erased_leads"}
)
#: Rows decrypted at a time.
AT_ONCE = 200


def lock_deliveries(
    session: Session, lead_ids: Collection[uuid.UUID]
) -> tuple[Sequence[Delivery], Sequence[Delivery]]:
    """The leads' deliveries: those that are over, in history too, and those that are on their way,
    whose provider id is yet to come. What may still change is locked."""
    current = select(Delivery.id).where(Delivery.lead_id.in_(lead_ids)).order_by(Delivery.id)
    session.execute(current.with_for_update()).all()
    # In one look: what moves, or comes back, is then in one of the two places and not in neither.
    statement = (
        select(AnyDelivery)
        .where(AnyDelivery.lead_id.in_(lead_ids))
        .order_by(AnyDelivery.id)
        .execution_options(populate_existing=True)
    )
    rows = session.scalars(statement).all()
    moving = [row for row in rows if _is_moving(row)]
    return [row for row in rows if row not in moving], moving


def _is_moving(row: Delivery) -> bool:
    """Unknown for good is over: the provider will not be asked again."""
    return row.status is Status.sending or (row.status is Status.unknown and row.ask_at is not None)


def remove_leads(
    session: Session,
    lead_ids: Collection[uuid.UUID],
    now: datetime,
    moving: Collection[uuid.UUID] = (),
) -> Counter[str]:
    """Delete all about these leads, but the given deliveries and the leads that these belong to,
    which keep nothing of the person. Returns how many rows went, by table."""
    removed: Counter[str] = Counter()
    _strip_notes(session, lead_ids, now)
    going_with_them = Delivery.lead_id.in_(lead_ids) & Delivery.id.not_in(moving)
    history.keep_decisions(session, going_with_them)
    waiting = select(Delivery.lead_id).where(Delivery.id.in_(moving))
    # Stable: otherwise the order stays that of the foreign keys.
    tables = list(reversed(Base.metadata.sorted_tables))
    for table in sorted(tables, key=_turn):
        if table.name in EVIDENCE:
            continue
        going = _rows_about(table, lead_ids, moving)
        if going is None:
            continue
        if table.name == Lead.__tablename__:
            going = table.c.id.in_(lead_ids) & table.c.id.not_in(waiting)
        count = session.execute(delete(table).where(going)).rowcount  # type: ignore[attr-defined]
        removed[table.name] += count
    _blank(session, lead_ids)
    session.expire_all()
    return +removed


def _turn(table: Table) -> int:
    """Rows that are found by their delivery go before it, which no foreign key says; and those in
    history before the others, because what comes back meanwhile is then found among these."""
    return 0 if "delivery_id" in table.c else 1 if table is delivery_history else 2


def _rows_about(
    table: Table, lead_ids: Collection[uuid.UUID], moving: Collection[uuid.UUID]
) -> Any | None:
    if table.name == Lead.__tablename__:
        return table.c.id.in_(lead_ids)
    if table.name == Delivery.__tablename__:
        return table.c.lead_id.in_(lead_ids) & table.c.id.not_in(moving)
    if "lead_id" in table.c:
        return table.c.lead_id.in_(lead_ids)
    if "delivery_id" in table.c:
        about = select(AnyDelivery.id).where(AnyDelivery.lead_id.in_(lead_ids))
        return table.c.delivery_id.in_(about) & table.c.delivery_id.not_in(moving)
    return None


def _blank(session: Session, lead_ids: Collection[uuid.UUID]) -> None:
    """What is left of a lead whose message is on its way: a row for the delivery to refer to."""
    empty = {
        column.name: None
        for column in Lead.__table__.columns
        if column.nullable and column.name not in ("contacted_at", "outcome", "contacted_by")
    }
    statement = update(Lead).where(Lead.id.in_(lead_ids)).values({**empty, "name": ""})
    session.execute(statement.execution_options(synchronize_session=False))


def _strip_notes(session: Session, lead_ids: Collection[uuid.UUID], now: datetime) -> None:
    statement = select(Action).where(Action.lead_id.in_(lead_ids), Action.note.is_not(None))
    for action in session.scalars(statement).all():
        action.note = None
        entries.add_entry(session, row=action, at=now, verb=STRIPPED, lead_id=action.lead_id)
    session.flush()


def list_reply_ids(session: Session, lead_ids: Collection[uuid.UUID]) -> set[str]:
    """What the provider calls the texts that these leads wrote."""
    return set(session.scalars(select(Reply.provider_id).where(Reply.lead_id.in_(lead_ids))))


def list_strangers_replies(session: Session, sender_hashes: Collection[str]) -> Sequence[Reply]:
    """Texts from these numbers that belong to no lead, or to one that is no more."""
    gone = Reply.lead_id.is_(None) | ~exists().where(Lead.id == Reply.lead_id)
    statement = select(Reply).where(Reply.sender_hash.in_(sender_hashes), gone)
    return session.scalars(statement).all()


def list_strangers_deliveries(
    session: Session, hashes: Collection[str], replies: Collection[Reply]
) -> Sequence[Delivery]:
    """What we answered these numbers when they belonged to no lead, and what staff are told of
    their texts, as far as it is not on its way."""
    ours = or_(
        Delivery.recipient_hash.in_(hashes), Delivery.reply_id.in_([one.id for one in replies])
    )
    statement = select(Delivery).where(
        ours, Delivery.lead_id.is_(None), Delivery.alarm_id.is_(None)
    )
    return [row for row in session.scalars(statement) if not _is_moving(row)]


def remove_of_strangers(
    session: Session, rows: Sequence[Reply | Submission], sent: Sequence[Delivery] = ()
) -> None:
    """With what was sent its receipts, and with the words what was found in them."""
    ids = [row.id for row in rows]
    found = or_(RiskMatch.reply_id.in_(ids), RiskMatch.submission_id.in_(ids))
    session.execute(delete(RiskMatch).where(found))
    sent_ids = [row.id for row in sent]
    history.keep_decisions(session, Delivery.id.in_(sent_ids))
    session.execute(delete(Receipt).where(Receipt.delivery_id.in_(sent_ids)))
    for row in (*sent, *rows):
        session.delete(row)
    session.flush()


def walk_unowned_submissions(session: Session) -> Iterator[Submission]:
    """What belongs to no lead: not consumed yet, not to be consumed, or spam. A part at a time, for
    a flood leaves many."""
    unowned = select(Submission).where(Submission.lead_id.is_(None)).order_by(Submission.id)
    statement = unowned.limit(AT_ONCE)
    while rows := session.scalars(statement).all():
        yield from rows
        statement = unowned.where(Submission.id > rows[-1].id).limit(AT_ONCE)


def list_evidence(
    session: Session, lead_ids: Collection[uuid.UUID], hashes: Collection[str]
) -> Sequence[Consent]:
    """Consents of these leads, and those of the addresses whose lead is no more."""
    is_orphan = ~exists().where(Lead.id == Consent.lead_id)
    orphaned = Consent.address_hash.in_(hashes) & is_orphan
    statement = select(Consent).where(or_(Consent.lead_id.in_(lead_ids), orphaned))
    return session.scalars(statement).all()
