"""Rows that keep the others in order: the keys of hashes, and erasures with what they still owe."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from followup.domain.cadence import Channel
from followup.store.crypto import EncryptedText
from followup.store.db import new_id
from followup.store.models.base import Base
from followup.store.words import Word


class HashKey(Base):
    """What addresses are hashed with, in hexadecimal digits: position 0 makes new hashes, the
    others made older ones. Never changed, so that no hash is ever lost."""

    __tablename__ = "hash_keys"

    position: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    secret: Mapped[str] = mapped_column(EncryptedText)


class Erasure(Base):
    """That a person was erased, by whom and when; nothing of the person."""

    __tablename__ = "erasures"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    #: Who did it, of the staff.
    by: Mapped[str] = mapped_column(String(200))
    requested_at: Mapped[datetime]
    #: None while something is left to be done, such as a message that is still on its way.
    finished_at: Mapped[datetime | None]
    #: References and numbers alone.
    facts: Mapped[dict[str, Any]]


class ErasedLead(Base):
    """A lead that an erasure took or, while a message of it is on its way, still has to take."""

    __tablename__ = "erased_leads"

    #: No foreign key: the lead goes, this stays.
    lead_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    erasure_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("erasures.id"), index=True)
    #: When the last of it was removed.
    removed_at: Mapped[datetime | None]


class ProviderCopy(Base):
    """A message of an erased person that a provider still has; goes when the provider's copy does.

    A message that is still on its way cannot be deleted (twilio.com/docs/api/errors/20009).
    """

    __tablename__ = "provider_copies"

    channel: Mapped[Channel] = mapped_column(Word(Channel), primary_key=True)
    provider_id: Mapped[str] = mapped_column(String(200), primary_key=True)
    erasure_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("erasures.id"), index=True)
    #: When the provider is to be asked (again) to delete it.
    due_at: Mapped[datetime] = mapped_column(index=True)
    failures: Mapped[int] = mapped_column(Integer, default=0)
    #: The provider's code of the last refusal.
    code: Mapped[str | None] = mapped_column(String(64))
