"""Rows about people: what came in, who is owed a call, what was agreed, said and done."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, ForeignKey, Index, Integer, String, false, text
from sqlalchemy.orm import Mapped, mapped_column

from followup.domain.cadence import Channel
from followup.domain.consent import Act, MatchedBy, Meaning, SuppressionReason
from followup.domain.lead import LeadStatus, Outcome, Priority, Role
from followup.domain.submission import Kind
from followup.domain.suspicion import Suspicion
from followup.store.crypto import EncryptedJson, EncryptedText
from followup.store.db import new_id
from followup.store.models.base import Base
from followup.store.words import SubmissionStatus, Word

_OWNERLESS = "status = 'consumed' AND lead_id IS NULL"


class Submission(Base):
    """One form as it came in, kept as received."""

    __tablename__ = "submissions"
    __table_args__ = (
        # The consumer's question: which came in and were not consumed yet?
        Index(
            "ix_submissions_unconsumed",
            "due_at",
            "id",
            sqlite_where=text("status = 'accepted'"),
            postgresql_where=text("status = 'accepted'"),
        ),
        Index(
            "ix_submissions_problems",
            "id",
            sqlite_where=text("status = 'problem'"),
            postgresql_where=text("status = 'problem'"),
        ),
        Index(
            "ix_submissions_spam",
            "id",
            sqlite_where=text("status = 'spam'"),
            postgresql_where=text("status = 'spam'"),
        ),
        # The pruning's question: what was worked on and has no lead?
        Index(
            "ix_submissions_ownerless",
            "id",
            sqlite_where=text(_OWNERLESS),
            postgresql_where=text(_OWNERLESS),
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    kind: Mapped[Kind] = mapped_column(Word(Kind))
    #: Which door it came through: `form`, `api`, later the vendors' names.
    source: Mapped[str] = mapped_column(String(64))
    received_at: Mapped[datetime]
    #: The caller's Idempotency-Key as a keyed hash; one per form.
    key_hash: Mapped[str | None] = mapped_column(String(64), unique=True)
    content_hash: Mapped[str] = mapped_column(String(64))
    payload: Mapped[dict[str, Any]] = mapped_column(EncryptedJson)
    #: Address, browser and page of the sender, as evidence of consent.
    evidence: Mapped[dict[str, Any]] = mapped_column(EncryptedJson)
    status: Mapped[SubmissionStatus] = mapped_column(
        Word(SubmissionStatus), default=SubmissionStatus.accepted
    )
    #: When it may be consumed (again).
    due_at: Mapped[datetime]
    failures: Mapped[int] = mapped_column(Integer, default=0)
    #: Why it could not be consumed; no personal data.
    problem: Mapped[str | None]
    #: Why it was taken for spam at the door; stays when staff have released it.
    caught: Mapped[Suspicion | None] = mapped_column(Word(Suspicion))
    consumed_at: Mapped[datetime | None]
    lead_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("leads.id"), index=True)


_URGENT = "priority = 'urgent' AND status IN ('open', 'held')"


class Lead(Base):
    """The person, or the referrer, that we owe a call."""

    __tablename__ = "leads"
    __table_args__ = (
        # The board's question: who waits, the longest past the promise first?
        Index(
            "ix_leads_open",
            "promised_at",
            "id",
            sqlite_where=text("status = 'open'"),
            postgresql_where=text("status = 'open'"),
        ),
        # The list's question: of one status, the newest first; and before these who is urgent.
        Index("ix_leads_status", "status", "id"),
        Index(
            "ix_leads_urgent",
            "id",
            sqlite_where=text(_URGENT),
            postgresql_where=text(_URGENT),
        ),
        # The pruning's question: what is over, the oldest first?
        Index(
            "ix_leads_over",
            "arrived_at",
            "id",
            sqlite_where=text("status NOT IN ('open', 'held')"),
            postgresql_where=text("status NOT IN ('open', 'held')"),
        ),
        # How soon people were reached of late.
        Index(
            "ix_leads_contacted",
            "contacted_at",
            sqlite_where=text("contacted_at IS NOT NULL"),
            postgresql_where=text("contacted_at IS NOT NULL"),
        ),
        # What is a part of this lead?
        Index(
            "ix_leads_merged",
            "merged_into",
            sqlite_where=text("merged_into IS NOT NULL"),
            postgresql_where=text("merged_into IS NOT NULL"),
        ),
        # Whose are these? Of what is done, the newest first.
        Index(
            "ix_leads_assigned",
            "assigned_to",
            "id",
            sqlite_where=text("assigned_to IS NOT NULL"),
            postgresql_where=text("assigned_to IS NOT NULL"),
        ),
        # How many came in of late.
        Index("ix_leads_created", "created_at"),
        # The reviewer's, and each look of the watch: what is held, and since when?
        Index(
            "ix_leads_held",
            "created_at",
            "id",
            sqlite_where=text("status = 'held'"),
            postgresql_where=text("status = 'held'"),
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    reference: Mapped[str] = mapped_column(String(12), unique=True)
    status: Mapped[LeadStatus] = mapped_column(Word(LeadStatus), default=LeadStatus.open)
    #: Raised by risk words, never lowered by us.
    priority: Mapped[Priority] = mapped_column(
        Word(Priority), default=Priority.normal, server_default=Priority.normal
    )
    kind: Mapped[Kind] = mapped_column(Word(Kind))
    role: Mapped[Role] = mapped_column(Word(Role))
    cadence: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(EncryptedText)
    email: Mapped[str | None] = mapped_column(EncryptedText)
    email_hash: Mapped[str | None] = mapped_column(String(64), index=True)
    phone: Mapped[str | None] = mapped_column(EncryptedText)
    phone_hash: Mapped[str | None] = mapped_column(String(64), index=True)
    #: Behind a switchboard; a number with one is called, never texted.
    phone_extension: Mapped[str | None] = mapped_column(EncryptedText)
    language: Mapped[str] = mapped_column(String(8))
    interest: Mapped[str | None] = mapped_column(EncryptedText)
    #: What the person wrote as location; the site is what we made of it.
    location: Mapped[str | None] = mapped_column(EncryptedText)
    site: Mapped[str] = mapped_column(String(64))
    preferred_channel: Mapped[str | None] = mapped_column(String(8))
    created_at: Mapped[datetime]
    #: When the first submission came in: what reminders count from.
    arrived_at: Mapped[datetime]
    #: By when the clinic promised to call.
    promised_at: Mapped[datetime]
    contacted_at: Mapped[datetime | None]
    contacted_by: Mapped[str | None] = mapped_column(String(200))
    outcome: Mapped[Outcome | None] = mapped_column(Word(Outcome))
    assigned_to: Mapped[str | None] = mapped_column(String(200))
    snoozed_until: Mapped[datetime | None]
    #: How often it was reopened: what was planned before is never planned again.
    episode: Mapped[int] = mapped_column(Integer, default=0)
    #: Reference of an open lead that may be the same person.
    possible_duplicate: Mapped[str | None] = mapped_column(String(12))
    #: The lead of the same person which this one, closed, is a part of; and since when. No foreign
    #: key: that one may be gone before.
    merged_into: Mapped[uuid.UUID | None]
    merged_at: Mapped[datetime | None]
    #: Only what was agreed to after that permits texts: a lead that is a part of this one had not
    #: agreed, and the stricter of the two holds.
    consent_from: Mapped[datetime | None]
    #: Why it was held; stays when staff have released it.
    held_for: Mapped[Suspicion | None] = mapped_column(Word(Suspicion))
    #: The captcha was not solved, so that no text is sent.
    is_unproven: Mapped[bool] = mapped_column(Boolean, default=False)


class Consent(Base):
    """Append-only evidence of what the person agreed to, with the exact words shown."""

    __tablename__ = "consents"
    __table_args__ = (
        Index("ix_consents_address", "address_hash", "channel"),
        # The pruning's question: what is old enough?
        Index("ix_consents_recorded_at", "recorded_at"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    #: No foreign key: evidence outlives the lead (47 USC 227; kept for seven years).
    lead_id: Mapped[uuid.UUID] = mapped_column(index=True)
    submission_id: Mapped[uuid.UUID | None]
    channel: Mapped[Channel] = mapped_column(Word(Channel))
    address_hash: Mapped[str] = mapped_column(String(64))
    given: Mapped[bool] = mapped_column(Boolean)
    act: Mapped[Act] = mapped_column(Word(Act))
    text: Mapped[str]
    text_version: Mapped[str] = mapped_column(String(64))
    language: Mapped[str] = mapped_column(String(8))
    evidence: Mapped[dict[str, Any]] = mapped_column(EncryptedJson)
    occurred_at: Mapped[datetime]
    recorded_at: Mapped[datetime]


class Suppression(Base):
    """An address that must not be written to; outlives the lead as a keyed hash."""

    __tablename__ = "suppressions"
    __table_args__ = (
        Index("ix_suppressions_address", "address_hash", "channel"),
        # The pruning's question: what was lifted long ago?
        Index(
            "ix_suppressions_lifted",
            "lifted_at",
            sqlite_where=text("lifted_at IS NOT NULL"),
            postgresql_where=text("lifted_at IS NOT NULL"),
        ),
        # The insights' question: who said no of late?
        Index("ix_suppressions_created_at", "created_at"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    channel: Mapped[Channel] = mapped_column(Word(Channel))
    address_hash: Mapped[str] = mapped_column(String(64))
    reason: Mapped[SuppressionReason] = mapped_column(Word(SuppressionReason))
    #: The words or the provider's code that caused it.
    evidence: Mapped[str | None] = mapped_column(EncryptedText)
    #: How we know; None for one from before that was kept.
    matched_by: Mapped[MatchedBy | None] = mapped_column(Word(MatchedBy))
    #: When it was honoured: nothing begins to that address from then on.
    created_at: Mapped[datetime]
    #: When the one confirmation was sent, by us or by the provider.
    confirmed_at: Mapped[datetime | None]
    #: Set when the person opted in again; the row stays as history.
    lifted_at: Mapped[datetime | None]


class Action(Base):
    """What a person of the staff did with a lead: the verb, when, by whom, and from where."""

    __tablename__ = "actions"
    __table_args__ = (
        Index("ix_actions_lead", "lead_id", "at"),
        # The pruning's question: what is old enough?
        Index("ix_actions_at", "at"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    lead_id: Mapped[uuid.UUID]
    verb: Mapped[str] = mapped_column(String(32))
    by: Mapped[str] = mapped_column(String(200))
    at: Mapped[datetime]
    note: Mapped[str | None] = mapped_column(EncryptedText)
    facts: Mapped[dict[str, Any]]


class Reply(Base):
    """A text from a patient or from staff, once per provider's id."""

    __tablename__ = "replies"
    __table_args__ = (
        # Whose answer and alert are not planned yet?
        Index(
            "ix_replies_unheeded",
            "id",
            sqlite_where=text("heeded_at IS NULL"),
            postgresql_where=text("heeded_at IS NULL"),
        ),
        # What came from numbers of no lead.
        Index(
            "ix_replies_strangers",
            "id",
            sqlite_where=text("lead_id IS NULL"),
            postgresql_where=text("lead_id IS NULL"),
        ),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    provider_id: Mapped[str] = mapped_column(String(64), unique=True)
    sender: Mapped[str] = mapped_column(EncryptedText)
    sender_hash: Mapped[str] = mapped_column(String(64), index=True)
    body: Mapped[str] = mapped_column(EncryptedText)
    lead_id: Mapped[uuid.UUID | None] = mapped_column(index=True)
    received_at: Mapped[datetime]
    #: What it meant for consent, and how that was read.
    meaning: Mapped[Meaning | None] = mapped_column(Word(Meaning))
    matched_by: Mapped[MatchedBy | None] = mapped_column(Word(MatchedBy))
    #: Whether a human is to be told of it.
    is_for_staff: Mapped[bool] = mapped_column(Boolean, default=True, server_default=false())
    #: Whether an answer of ours is due: not where the provider has answered, nor to staff.
    is_answerable: Mapped[bool] = mapped_column(Boolean, default=True, server_default=false())
    #: When staff's alert and the answer were planned; None until then.
    heeded_at: Mapped[datetime | None]
    #: What its sender of the staff is answered: a reference, a colleague's name, an hour; nothing
    #: of a patient. None for everybody else's.
    told: Mapped[dict[str, Any] | None]


class RiskMatch(Base):
    """Risk words that were found in what somebody wrote, and by which list."""

    __tablename__ = "risk_matches"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    #: None for a text of somebody whom we do not know.
    lead_id: Mapped[uuid.UUID | None] = mapped_column(index=True)
    #: Where they stood: the one or the other.
    submission_id: Mapped[uuid.UUID | None]
    reply_id: Mapped[uuid.UUID | None]
    words: Mapped[list[str]] = mapped_column(EncryptedJson)
    list_version: Mapped[str] = mapped_column(String(16))
    found_at: Mapped[datetime]


class Person(Base):
    """Somebody of the staff. Token and password are kept as hashes."""

    __tablename__ = "staff"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    role: Mapped[str] = mapped_column(String(16))
    email: Mapped[str | None] = mapped_column(EncryptedText)
    phone: Mapped[str | None] = mapped_column(EncryptedText)
    phone_hash: Mapped[str | None] = mapped_column(String(64), index=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]
    #: Argon2's own text, with its salt and costs; None until a password is chosen.
    password_hash: Mapped[str | None] = mapped_column(String(200))
    #: Of the person's authenticator app (RFC 6238); None: no codes are asked for.
    totp_secret: Mapped[str | None] = mapped_column(EncryptedText)
    #: The last period whose code was used: a code that somebody watched opens nothing again.
    totp_step: Mapped[int | None] = mapped_column(Integer)

    def address(self, channel: Channel) -> str | None:
        return {Channel.email: self.email, Channel.sms: self.phone}.get(channel)


class SignIn(Base):
    """A browser in which somebody of the staff signed in. Times are real ones, as of leases."""

    __tablename__ = "sign_ins"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=new_id)
    person_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("staff.id"), index=True)
    #: Of what the cookie holds.
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    begun_at: Mapped[datetime]
    #: When something was last done in it; an open page that only watches does nothing.
    seen_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
