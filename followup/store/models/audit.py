"""Rows of the audit trail: who saw or changed what, chained, and the chain's head."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, Integer, String, text
from sqlalchemy.orm import Mapped, mapped_column

from followup.domain.audit import Door
from followup.store.crypto import EncryptedText
from followup.store.db import new_id
from followup.store.models.base import Base
from followup.store.words import Word


class AuditEntry(Base):
    """Who did what, when, through which door; for a row of evidence, what the row then held.

    Nothing personal of a patient: ids, references, counts, names of staff, keyed digests.
    """

    __tablename__ = "audit"
    __table_args__ = (
        # The sealer's question: what was committed and is not in the chain yet?
        Index(
            "ix_audit_unsealed",
            "id",
            sqlite_where=text("position IS NULL"),
            postgresql_where=text("position IS NULL"),
        ),
        Index("ix_audit_lead", "lead_id", "id"),
        # What was last known of a row of evidence.
        Index("ix_audit_row", "row_id", "position"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    at: Mapped[datetime]
    #: A person of the staff, or the operator; empty: the service itself.
    by: Mapped[str] = mapped_column(String(200))
    door: Mapped[Door] = mapped_column(Word(Door))
    verb: Mapped[str] = mapped_column(String(32))
    lead_id: Mapped[uuid.UUID | None]
    #: The row of evidence that this is about, and a keyed digest of it; no digest: it is gone.
    row_table: Mapped[str | None] = mapped_column(String(32))
    row_id: Mapped[uuid.UUID | None]
    digest: Mapped[str | None] = mapped_column(String(64))
    facts: Mapped[dict[str, Any]]
    #: Over all of the above.
    mac: Mapped[str] = mapped_column(String(64))
    #: Its place in the chain; None until it is sealed.
    position: Mapped[int | None] = mapped_column(BigInteger, unique=True)
    seal: Mapped[str | None] = mapped_column(String(64))


class AuditHead(Base):
    """Where the chain ends; one row, which whoever seals holds locked."""

    __tablename__ = "audit_heads"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    #: Makes every digest and seal; itself encrypted, so that keys are rotated as everywhere.
    key: Mapped[str] = mapped_column(EncryptedText)
    position: Mapped[int] = mapped_column(BigInteger)
    seal: Mapped[str] = mapped_column(String(64))
    mac: Mapped[str] = mapped_column(String(64))
