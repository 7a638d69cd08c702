"""Rows about what a clinic's other systems are told: the outbox of webhooks."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import Index, Integer, String, text
from sqlalchemy.orm import Mapped, mapped_column

from followup.domain.announcement import Event
from followup.store.db import new_id
from followup.store.models.base import Base
from followup.store.words import Word


class Announcement(Base):
    """One event that one webhook is still owed, or never got; gone when it is received. Holds
    nothing of a person: who it is about is read when it is sent. `due_at` is real time."""

    __tablename__ = "announcements"
    __table_args__ = (
        # The claim's question: what is this webhook owed now?
        Index(
            "ix_announcements_due",
            "webhook",
            "due_at",
            "id",
            sqlite_where=text("died_at IS NULL"),
            postgresql_where=text("died_at IS NULL"),
        ),
        # The list of those that nobody received.
        Index(
            "ix_announcements_dead",
            "died_at",
            "id",
            sqlite_where=text("died_at IS NOT NULL"),
            postgresql_where=text("died_at IS NOT NULL"),
        ),
    )

    #: The same over all attempts: the receiver knows by it what it has already.
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    #: By its name in clinic.toml.
    webhook: Mapped[str] = mapped_column(String(64))
    event: Mapped[Event] = mapped_column(Word(Event))
    lead_id: Mapped[uuid.UUID | None] = mapped_column(index=True)
    delivery_id: Mapped[uuid.UUID | None]
    #: What details say of the event itself, such as the outcome.
    facts: Mapped[dict[str, Any]]
    happened_at: Mapped[datetime] = mapped_column(index=True)
    due_at: Mapped[datetime]
    #: Begun; the row is the attempt's that counted last.
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    #: What became of the last attempt.
    problem: Mapped[str | None] = mapped_column(String(200))
    #: When it was given up.
    died_at: Mapped[datetime | None]


class WebhookStop(Base):
    """A receiver that said it is gone for good (410); staff start it again."""

    __tablename__ = "webhook_stops"

    webhook: Mapped[str] = mapped_column(String(64), primary_key=True)
    #: Another address in clinic.toml is another receiver.
    url: Mapped[str]
    stopped_at: Mapped[datetime]
