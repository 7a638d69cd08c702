"""What the insights are made of: one period's leads with when they were called, its deliveries
wherever they are, and who said no. Each is found by when it was, whatever else is kept."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, Table, func, select, union_all
from sqlalchemy.orm import Session

from followup.domain.cadence import Audience, Channel
from followup.domain.consent import SuppressionReason
from followup.domain.delivery import Reason, Status
from followup.domain.lead import LeadStatus
from followup.domain.submission import Kind
from followup.store.history import OVER
from followup.store.models import Action, Base, Delivery, Lead, Submission, Suppression
from followup.store.models import delivery_history as past
from followup.store.words import said


@dataclass(frozen=True)
class Called:
    """One lead: when it came in, by when a call was promised, and what staff did, if anything."""

    created_at: datetime
    promised_at: datetime
    #: The first attempt that did not reach the person.
    tried_at: datetime | None
    contacted_at: datetime | None
    kind: Kind
    site: str
    #: Of the first submission.
    source: str | None
    #: Who of the staff reached the person, or else has the lead.
    person: str | None


def list_called(session: Session, since: datetime) -> list[Called]:
    """Leads that came in since then and wait or were contacted; none that is held, or was closed
    without a contact: nobody is owed a call there."""
    # Looked up for each: joined, all submissions and actions might be read.
    tried_at = select(func.min(Action.at)).where(
        Action.lead_id == Lead.id, Action.verb == "attempt"
    )
    source = (
        select(Submission.source)
        .where(Submission.lead_id == Lead.id)
        .order_by(Submission.id)
        .limit(1)
    )
    asked = select(
        Lead.created_at,
        Lead.promised_at,
        tried_at.scalar_subquery().label("tried_at"),
        Lead.contacted_at,
        Lead.kind,
        Lead.site,
        source.scalar_subquery().label("source"),
        func.coalesce(Lead.contacted_by, Lead.assigned_to).label("person"),
    ).where(Lead.created_at >= since)
    # Each by an index that is there: who came in since then was not contacted before.
    waiting = asked.where(Lead.status == said(LeadStatus.open))
    contacted = asked.where(Lead.contacted_at >= since, Lead.status == said(LeadStatus.contacted))
    return [Called(*row) for row in session.execute(union_all(waiting, contacted))]


Outcome = tuple[Audience, Channel, Status, Reason | None]


def count_outcomes(session: Session, since: datetime, until: datetime) -> Counter[Outcome]:
    """What became of the deliveries to patients and staff that were due then, those in history
    too; what is still owed has come to nothing yet."""
    first_month = since.astimezone(UTC).date().replace(day=1)
    present = _by_outcome(Base.metadata.tables[Delivery.__tablename__], since, until).where(OVER)
    moved = _by_outcome(past, since, until).where(past.c.month >= first_month)
    counted: Counter[Outcome] = Counter()
    # In one look: what moves meanwhile is in one of the two places.
    for audience, channel, status, reason, count in session.execute(union_all(present, moved)):
        counted[audience, channel, status, reason] += count
    return counted


def _by_outcome(table: Table, since: datetime, until: datetime) -> Select[Any]:
    outcome = (table.c.audience, table.c.channel, table.c.status, table.c.reason)
    return (
        select(*outcome, func.count())
        .where(table.c.due_at >= since, table.c.due_at <= until, table.c.alarm_id.is_(None))
        .group_by(*outcome)
    )


def count_suppressed(
    session: Session, since: datetime, reasons: Collection[SuppressionReason]
) -> dict[tuple[Channel, SuppressionReason], int]:
    """How many addresses were forbidden since then for these reasons, those also that have been
    allowed again."""
    statement = (
        select(Suppression.channel, Suppression.reason, func.count())
        .where(Suppression.created_at >= since, Suppression.reason.in_(reasons))
        .group_by(Suppression.channel, Suppression.reason)
    )
    return {(channel, reason): count for channel, reason, count in session.execute(statement)}
