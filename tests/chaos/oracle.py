"""What must hold whatever happened, judged from what the providers took and what the rows say."""

import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from urllib.parse import urlsplit

from sqlalchemy import Engine, select, text

from followup.domain.announcement import Event
from followup.domain.cadence import Channel, Lane
from followup.domain.delivery import REACHED_PROVIDER, Status, may_become
from followup.domain.lead import WAITING, LeadStatus
from followup.sandbox.outbox import Message
from followup.store.db import reading
from followup.store.models import Decision, Delivery, Lead, Submission
from followup.store.words import SubmissionStatus

#: A database notes each change of a status by itself: what the services write past the ORM, too;
#: and of a lead, that it is new.
_NOTES = (
    (
        *("status_changes", "note_status", "old.id, old.status, new.status"),
        "UPDATE OF status ON deliveries FOR EACH ROW WHEN (old.status <> new.status)",
    ),
    (
        *("lead_changes", "note_lead", "old.id, old.status, new.status"),
        "UPDATE OF status ON leads FOR EACH ROW WHEN (old.status <> new.status)",
    ),
    (
        *("lead_changes", "note_new_lead", "new.id, NULL, new.status"),
        "INSERT ON leads FOR EACH ROW",
    ),
)
_TABLES = ("status_changes", "lead_changes")


def note_changes(engine: Engine) -> None:
    is_sqlite = engine.dialect.name == "sqlite"
    with engine.begin() as connection:
        for table in _TABLES:
            of = "TEXT" if is_sqlite else "UUID"
            connection.exec_driver_sql(f"CREATE TABLE {table} (id {of}, before TEXT, after TEXT)")
        for table, name, values, when in _NOTES:
            note = f"INSERT INTO {table} VALUES ({values})"  # noqa: S608
            trigger = f"CREATE TRIGGER {name} AFTER {when}"
            if is_sqlite:
                connection.exec_driver_sql(f"{trigger} BEGIN {note}; END")
                continue
            connection.exec_driver_sql(
                f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS "
                f"'BEGIN {note}; RETURN new; END'"
            )
            connection.exec_driver_sql(f"{trigger} EXECUTE FUNCTION {name}()")


def forget_changes(engine: Engine) -> None:
    with engine.begin() as connection:
        for table in _TABLES:
            connection.exec_driver_sql(f"DELETE FROM {table}")  # noqa: S608


def status_changes(engine: Engine) -> Counter[tuple[Status, Status]]:
    with engine.connect() as connection:
        found = connection.execute(text("SELECT before, after FROM status_changes"))
        return Counter((Status(before), Status(after)) for before, after in found)


def steps_back(engine: Engine) -> list[str]:
    """Changes of a status that the table of transitions does not know."""
    changes = status_changes(engine)
    return [f"{before} → {after}" for before, after in changes if not may_become(before, after)]


def wrongly_told(
    engine: Engine,
    webhooks: Mapping[str, Collection[Event]],
    told: Iterable[tuple[str, Event, uuid.UUID]],
) -> list[str]:
    """Where a webhook is told of an event more or less often than it came about; each of `told`
    names the webhook, the event, and the lead or the delivery."""
    happened = list(_happened(engine))
    wanted = Counter(
        (webhook, event, about)
        for webhook, events in webhooks.items()
        for event, about in happened
        if event in events
    )
    found = Counter(told)
    return [
        f"{one[0]} is told {found[one]} times of {one[1]}, which came about {wanted[one]} times"
        for one in found.keys() | wanted.keys()
        if found[one] != wanted[one]
    ]


def _happened(engine: Engine) -> Iterator[tuple[Event, uuid.UUID]]:
    """By the notes of the database."""
    with engine.connect() as connection:
        of_deliveries = connection.execute(text("SELECT id, after FROM status_changes")).all()
        of_leads = connection.execute(text("SELECT id, before, after FROM lead_changes")).all()
    for one, before, after in of_leads:
        if after == LeadStatus.contacted:
            yield Event.lead_contacted, uuid.UUID(str(one))
        # What staff reject was never announced.
        elif after == LeadStatus.closed and before == LeadStatus.open:
            yield Event.lead_closed, uuid.UUID(str(one))
        elif after == LeadStatus.open:
            is_new = before in (None, LeadStatus.held)
            yield Event.lead_created if is_new else Event.lead_reopened, uuid.UUID(str(one))
    for one, after in of_deliveries:
        if after in (Status.failed, Status.undelivered):
            yield Event.message_failed, uuid.UUID(str(one))


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


def owed_in_silence(engine: Engine) -> list[str]:
    """What is still planned for leads that wait no longer, but what answers or tells of a text."""
    with reading(engine) as session:
        rows = session.execute(
            select(Lead.status, Delivery.step, Delivery.channel)
            .join(Delivery, Delivery.lead_id == Lead.id)
            .where(
                Lead.status.not_in(WAITING),
                Delivery.status == Status.planned,
                Delivery.reply_id.is_(None),
            )
        )
        return [
            f"{step} by {channel}, of a lead that is {status}" for status, step, channel in rows
        ]


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
