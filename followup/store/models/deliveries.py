"""Rows about messages: what is owed and was sent, why, and how the sending itself fares."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, Integer, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, validates

from followup.domain.alarm import AlarmKind
from followup.domain.cadence import Audience, Channel, Lane
from followup.domain.delivery import Reason, Status, may_become
from followup.store.crypto import EncryptedText
from followup.store.db import new_id
from followup.store.models.base import Base
from followup.store.words import Word

_FIRST_TEXT = "lane = 'ack' AND channel = 'sms' AND audience = 'patient' AND cadence IS NULL"
_IS_SUMMARY = "kind IN ('morning', 'weekly')"
_CAME_BACK = "audience = 'staff' AND status IN ('failed', 'undelivered')"


class Delivery(Base):
    """One message owed or sent to one recipient on one channel: the schedule, the outbox, and what
    was sent until it moves to history."""

    __tablename__ = "deliveries"
    __table_args__ = (
        # Planning twice plans once.
        UniqueConstraint(
            "lead_id",
            "episode",
            "step",
            "occurrence",
            "channel",
            "recipient_hash",
            name="uq_deliveries_once",
        ),
        # The claim's question: what of this lane is due?
        Index(
            "ix_deliveries_due",
            "lane",
            "channel",
            "due_at",
            "id",
            sqlite_where=text("status = 'planned'"),
            postgresql_where=text("status = 'planned'"),
        ),
        # What an address is just getting; and, few as these are, the rescue's question: whose
        # worker is lost?
        Index(
            "ix_deliveries_leased",
            "recipient_hash",
            "lease_until",
            sqlite_where=text("status = 'sending'"),
            postgresql_where=text("status = 'sending'"),
        ),
        # The settling's question: which unknown outcome is to be asked about now?
        Index(
            "ix_deliveries_unknown",
            "ask_at",
            sqlite_where=text("status = 'unknown'"),
            postgresql_where=text("status = 'unknown'"),
        ),
        # How many an address had of late, and which.
        Index("ix_deliveries_recipient", "recipient_hash", "channel", "sent_at"),
        # Of which outcome, sent or not, nobody knows at an address.
        Index(
            "ix_deliveries_unknown_to",
            "recipient_hash",
            sqlite_where=text("status = 'unknown'"),
            postgresql_where=text("status = 'unknown'"),
        ),
        # Whether a number had its first text.
        Index(
            "ix_deliveries_first_texts",
            "recipient_hash",
            "arrived_at",
            sqlite_where=text(_FIRST_TEXT),
            postgresql_where=text(_FIRST_TEXT),
        ),
        # What is over: counted by the statistics, and moved to history when it is old.
        Index(
            "ix_deliveries_over",
            "due_at",
            "id",
            sqlite_where=text("status NOT IN ('planned', 'sending')"),
            postgresql_where=text("status NOT IN ('planned', 'sending')"),
        ),
        # Whom of the staff no message reaches.
        Index(
            "ix_deliveries_came_back",
            "recipient_name",
            "attempted_at",
            sqlite_where=text(_CAME_BACK),
            postgresql_where=text(_CAME_BACK),
        ),
        # Which wording was held back of late.
        Index(
            "ix_deliveries_unfit",
            "due_at",
            sqlite_where=text("reason = 'unfit'"),
            postgresql_where=text("reason = 'unfit'"),
        ),
        # The reconciling's question: whose receipt never came?
        Index(
            "ix_deliveries_unreceipted",
            "sent_at",
            sqlite_where=text("status IN ('accepted', 'sent') AND channel = 'sms'"),
            postgresql_where=text("status IN ('accepted', 'sent') AND channel = 'sms'"),
        ),
        # One alarm is told to one recipient once.
        Index(
            "uq_deliveries_alarm",
            "alarm_id",
            "step",
            "channel",
            "recipient_hash",
            unique=True,
            sqlite_where=text("alarm_id IS NOT NULL"),
            postgresql_where=text("alarm_id IS NOT NULL"),
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    #: What it is about: a lead, an alarm, or a text of somebody whom we do not know.
    lead_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("leads.id"))
    alarm_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("alarms.id"))
    #: The text that it answers or tells of. No foreign key: a reply may be erased before.
    reply_id: Mapped[uuid.UUID | None]
    #: Where its step stands, when that is not the lead's own cadence: answers and what staff are
    #: told of them.
    cadence: Mapped[str | None] = mapped_column(String(64))
    #: The lead's, when this was planned.
    episode: Mapped[int] = mapped_column(Integer, default=0)
    step: Mapped[str] = mapped_column(String(64))
    occurrence: Mapped[int] = mapped_column(Integer)
    audience: Mapped[Audience] = mapped_column(Word(Audience))
    channel: Mapped[Channel] = mapped_column(Word(Channel))
    lane: Mapped[Lane] = mapped_column(Word(Lane))
    recipient: Mapped[str] = mapped_column(EncryptedText)
    recipient_hash: Mapped[str] = mapped_column(String(64))
    #: A person of the staff by name, for the link that marks the lead.
    recipient_name: Mapped[str | None] = mapped_column(String(200))
    status: Mapped[Status] = mapped_column(Word(Status), default=Status.planned)
    reason: Mapped[Reason | None] = mapped_column(Word(Reason))
    #: When the submission that this answers came in.
    arrived_at: Mapped[datetime]
    due_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    #: The token of the worker that holds it.
    claim: Mapped[uuid.UUID | None]
    #: Real time of the database; past it the worker is lost.
    lease_until: Mapped[datetime | None]
    failures: Mapped[int] = mapped_column(Integer, default=0)
    #: When the provider is to be asked about an unknown outcome, or again about a receipt that
    #: never came, by real time; None: no more.
    ask_at: Mapped[datetime | None]
    #: How often it was asked and had no trace.
    asked: Mapped[int] = mapped_column(Integer, default=0)
    #: When the attempt began; the provider is asked for messages since then.
    attempted_at: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
    provider_id: Mapped[str | None] = mapped_column(String(200))
    provider_code: Mapped[str | None] = mapped_column(String(64))
    subject: Mapped[str | None] = mapped_column(EncryptedText)
    body: Mapped[str | None] = mapped_column(EncryptedText)
    #: Which wording, by name and version, was rendered.
    wording: Mapped[str | None] = mapped_column(String(120))

    @validates("status")
    def _only_forward(self, _name: str, status: Status) -> Status:
        """A mistake of ours must not bring a delivery back to life."""
        known: Status | None = self.status
        if known is not None and known is not status and not may_become(known, status):
            raise ValueError(f"a delivery that is {known} cannot become {status}")
        return status


class Decision(Base):
    """The ledger's entry: this delivery was sent, postponed or skipped, then, for this reason."""

    __tablename__ = "decisions"
    __table_args__ = (Index("ix_decisions_lead", "lead_id", "at"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    lead_id: Mapped[uuid.UUID | None]
    delivery_id: Mapped[uuid.UUID] = mapped_column(index=True)
    at: Mapped[datetime]
    #: The status that the delivery took.
    status: Mapped[Status] = mapped_column(Word(Status))
    reason: Mapped[Reason | None] = mapped_column(Word(Reason))
    #: What the decision was made from; no personal data.
    facts: Mapped[dict[str, Any]]
    #: The same answer again and again is one entry: how often, and when last.
    times: Mapped[int] = mapped_column(Integer, default=1, server_default="1")
    last_at: Mapped[datetime | None]


class Receipt(Base):
    """The provider's report on a delivery, each once, in whatever order they came."""

    __tablename__ = "receipts"
    __table_args__ = (UniqueConstraint("provider_id", "status", "code", name="uq_receipts_once"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    delivery_id: Mapped[uuid.UUID] = mapped_column(index=True)
    provider_id: Mapped[str] = mapped_column(String(200))
    status: Mapped[str] = mapped_column(String(32))
    code: Mapped[str] = mapped_column(String(32), default="")
    received_at: Mapped[datetime]


class Task(Base):
    """What staff must do because we could not: call a person whom no message of ours reached."""

    __tablename__ = "tasks"
    __table_args__ = (
        # Once, however many messages came back.
        UniqueConstraint("lead_id", "episode", name="uq_tasks_once"),
        # Which ones staff were not told of yet.
        Index(
            "ix_tasks_untold",
            "id",
            sqlite_where=text("told_at IS NULL"),
            postgresql_where=text("told_at IS NULL"),
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    lead_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("leads.id"))
    #: The lead's, when this arose.
    episode: Mapped[int] = mapped_column(Integer)
    #: The delivery that failed last, and how.
    delivery_id: Mapped[uuid.UUID]
    reason: Mapped[Reason] = mapped_column(Word(Reason))
    created_at: Mapped[datetime]
    #: When staff were told, in a summary; None until then.
    told_at: Mapped[datetime | None]


class Alarm(Base):
    """Something wrong with the service itself, from when to when, and what staff were told."""

    __tablename__ = "alarms"
    __table_args__ = (
        # One of a kind and subject at a time.
        Index(
            "uq_alarms_open",
            "kind",
            "subject",
            unique=True,
            sqlite_where=text("cleared_at IS NULL"),
            postgresql_where=text("cleared_at IS NULL"),
        ),
        # What is told once a day or week and site.
        Index(
            "uq_alarms_summary",
            "kind",
            "subject",
            unique=True,
            sqlite_where=text(_IS_SUMMARY),
            postgresql_where=text(_IS_SUMMARY),
        ),
        # Whether one of that kind and subject was over of late; and which are old enough to go.
        Index("ix_alarms_subject", "kind", "subject", "cleared_at"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    kind: Mapped[AlarmKind] = mapped_column(Word(AlarmKind))
    #: Which channel, lane or person; no patient.
    subject: Mapped[str] = mapped_column(String(200), default="")
    raised_at: Mapped[datetime]
    cleared_at: Mapped[datetime | None]
    #: Numbers and references alone.
    facts: Mapped[dict[str, Any]]


class Breaker(Base):
    """A channel's circuit breaker, shared by all workers. Instants are real time."""

    __tablename__ = "breakers"

    channel: Mapped[Channel] = mapped_column(Word(Channel), primary_key=True)
    #: Calls in a row that the channel failed.
    failures: Mapped[int] = mapped_column(Integer, default=0)
    #: Since when nothing is claimed; None: the channel works.
    paused_at: Mapped[datetime | None]
    #: From then on one delivery may be tried.
    probe_at: Mapped[datetime | None]
    #: Probes that failed since the pause.
    probes: Mapped[int] = mapped_column(Integer, default=0)
    #: Why it paused: `will_retry`, or `channel_broken` for a wrong account.
    reason: Mapped[Reason | None] = mapped_column(Word(Reason))
    #: The provider's code of the last failure.
    code: Mapped[str | None] = mapped_column(String(64))
    #: The provider asked to be called less often: nothing is claimed until then.
    slowed_until: Mapped[datetime | None]


class SenderRate(Base):
    """How far the tokens of a sender are taken, such as of a number. Real time."""

    __tablename__ = "rates"

    sender: Mapped[str] = mapped_column(String(300), primary_key=True)
    #: When its bucket is full again.
    next_at: Mapped[datetime]


class SendCount(Base):
    """How many deliveries of a lane went on their way in an hour of the service's clock."""

    __tablename__ = "send_counts"

    hour: Mapped[datetime] = mapped_column(primary_key=True)
    lane: Mapped[Lane] = mapped_column(Word(Lane), primary_key=True)
    count: Mapped[int] = mapped_column(Integer)


class IntakeCount(Base):
    """How many submissions with one likeness came in a window of time."""

    __tablename__ = "intake_counts"

    #: A keyed hash: neither address nor number is kept for being counted.
    likeness: Mapped[str] = mapped_column(String(64), primary_key=True)
    #: When the window began.
    window: Mapped[datetime] = mapped_column(primary_key=True, index=True)
    count: Mapped[int] = mapped_column(Integer)


class Heartbeat(Base):
    """When something that must never stop was last seen, by real time."""

    __tablename__ = "heartbeats"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    at: Mapped[datetime]
