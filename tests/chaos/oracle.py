"""What must hold whatever happened, judged from what the providers took and what the rows say."""

import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from urllib.parse import urlsplit

from sqlalchemy import Engine, select, text

from followup.domain.cadence import Channel, Lane
from followup.domain.delivery import REACHED_PROVIDER, Status, may_become
from followup.sandbox.outbox import Message
from followup.store.db import reading
from followup.store.models import Decision, Delivery, Submission
from followup.store.words import SubmissionStatus

#: A database notes each change of a status by itself: what the services write past the ORM, too.
_NOTE = "INSERT INTO status_changes VALUES (old.id, old.status, new.status)"
_WHEN = "AFTER UPDATE OF status ON deliveries FOR EACH ROW WHEN (old.status <> new.status)"
_TRIGGERS = {
    "sqlite": (
        "CREATE TABLE status_changes (delivery_id TEXT, before TEXT, after TEXT)",
        f"CREATE TRIGGER note_status {_WHEN} BEGIN {_NOTE}; END",
    ),
    "postgresql": (
        "CREATE TABLE status_changes (delivery_id UUID, before TEXT, after TEXT)",
        "CREATE FUNCTION note_status() RETURNS trigger LANGUAGE plpgsql AS "
        f"'BEGIN {_NOTE}; RETURN new; END'",
        f"CREATE TRIGGER note_status {_WHEN} EXECUTE FUNCTION note_status()",
    ),
}


def note_changes(engine: Engine) -> None:
    with engine.begin() as connection:
        for statement in _TRIGGERS[engine.dialect.name]:
            connection.exec_driver_sql(statement)


def status_changes(engine: Engine) -> Counter[tuple[Status, Status]]:
    with engine.connect() as connection:
        found = connection.execute(text("SELECT before, after FROM status_changes"))
        return Counter((Status(before), Status(after)) for before, after in found)


def steps_back(engine: Engine) -> list[str]:
    """Changes of a status that the table of transitions does not know."""
    changes = status_changes(engine)
    return [f"{before} → {after}" for before, after in changes if not may_become(before, after)]


@dataclass(frozen=True)
class Taken:
    """One message that a provider took."""

    delivery_id: uuid.UUID
    channel: Channel
    to: str
    message_id: str


def read_record(messages: Iterable[Message]) -> list[Taken]:
    """The sandbox's own record, by the delivery's id that each message carries."""
    return [
        Taken(_delivery_id(one), Channel(one.channel), one.to, one.message_id or one.id)
        for one in messages
    ]


def _delivery_id(message: Message) -> uuid.UUID:
    if message.channel == Channel.sms:
        return uuid.UUID(urlsplit(message.status_callback or "").path.rpartition("/")[2])
    return uuid.UUID((message.message_id or "").strip("<>").partition("@")[0])


def sent_twice(engine: Engine, taken: Sequence[Taken]) -> list[uuid.UUID]:
    """Deliveries that reached a provider more often than they may: a text once; a mail once, an
    acknowledgement twice under one Message-ID."""
    with reading(engine) as session:
        acks = set(session.scalars(select(Delivery.id).where(Delivery.lane == Lane.ack)))
    found = []
    for delivery_id, group in groupby(sorted(taken, key=_by_delivery), key=_by_delivery):
        messages = list(group)
        is_mail = messages[0].channel is Channel.email
        allowed = 2 if is_mail and delivery_id in acks else 1
        is_one = not is_mail or len({message.message_id for message in messages}) == 1
        if len(messages) > allowed or not is_one:
            found.append(delivery_id)
    return found


def _by_delivery(taken: Taken) -> uuid.UUID:
    return taken.delivery_id


def not_in_the_books(engine: Engine, taken: Sequence[Taken]) -> list[str]:
    """Texts that a provider took, of deliveries that say they were never sent.

    Of a mail whose answer was lost nobody can know; its second attempt may be cancelled.
    """
    rows = {row.id: row for row in _rows(engine)}
    return [
        f"{rows[one.delivery_id].status}, {rows[one.delivery_id].reason}"
        for one in taken
        if one.channel is Channel.sms
        and rows[one.delivery_id].status not in REACHED_PROVIDER | {Status.failed}
    ]


def still_owed(engine: Engine, now: datetime) -> list[str]:
    """What is not done although nothing keeps it from being done."""
    rows = [
        f"{row.step} by {row.channel}: {row.status}, {row.reason}"
        for row in _rows(engine)
        if row.status is Status.sending
        or (row.status is Status.planned and row.due_at <= now)
        or (row.status is Status.unknown and row.ask_at is not None)
    ]
    with reading(engine) as session:
        waiting = session.scalars(
            select(Submission.status).where(Submission.status != SubmissionStatus.consumed)
        ).all()
    return rows + [f"a submission: {status}" for status in waiting]


#: A person, not the sender, decides these: many rows at once, told by the lead's actions.
_BY_ACT = frozenset({Status.cancelled})
_NEEDS_REASON = frozenset(
    {
        *(Status.skipped, Status.cancelled, Status.expired),
        *(Status.failed, Status.undelivered, Status.unknown),
    }
)


def unexplained(engine: Engine) -> list[str]:
    """Deliveries whose state has no reason, or which the ledger tells otherwise."""
    # By one look at both: a receipt may come in between two. SQLite's transactions are that.
    if engine.dialect.name == "postgresql":
        engine = engine.execution_options(isolation_level="REPEATABLE READ")
    with reading(engine) as session:
        decisions = session.scalars(select(Decision).order_by(Decision.id)).all()
        rows = session.scalars(select(Delivery).order_by(Delivery.id)).all()
    last = {decision.delivery_id: decision for decision in decisions}
    found = []
    for row in rows:
        decision = last.get(row.id)
        told = (decision.status, decision.reason) if decision else (Status.planned, None)
        if row.status in _NEEDS_REASON and row.reason is None:
            found.append(f"{row.step} by {row.channel} is {row.status} without a reason")
        elif row.status not in _BY_ACT and told != (row.status, row.reason):
            found.append(f"{row.step} by {row.channel} is {row.status}, {row.reason}; told: {told}")
    return found


def _rows(engine: Engine) -> Sequence[Delivery]:
    with reading(engine) as session:
        return session.scalars(select(Delivery).order_by(Delivery.id)).all()
