"""Numbers of `leads` by site, for what staff are told each morning and managers each week."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, case, func, select
from sqlalchemy.orm import Session

from followup.clinic import Clinic, Site
from followup.domain.alarm import AlarmKind
from followup.domain.lead import LeadStatus, Priority
from followup.store.db import insert_into, new_id
from followup.store.leads import is_late
from followup.store.models import Alarm, Lead
from followup.store.words import said

_IS_OPEN = Lead.status == said(LeadStatus.open)


def _of(clinic: Clinic, site: Site) -> ColumnElement[bool]:
    """The same rule as `Clinic.site`, where the rows are: leads of a site that is no more are the
    default one's."""
    if site.id != clinic.default_site:
        return Lead.site == site.id
    return Lead.site.not_in([one.id for one in clinic.sites if one.id != site.id])


def count_waiting(session: Session, clinic: Clinic, site: Site, now: datetime) -> tuple[int, int]:
    """How many wait for a call, and how many of them longer than was promised."""
    late = func.coalesce(func.sum(case((is_late(now), 1), else_=0)), 0)
    statement = select(func.count(), late).select_from(Lead).where(_IS_OPEN, _of(clinic, site))
    waiting, overdue = session.execute(statement).one()
    return waiting, overdue


def list_references(session: Session, clinic: Clinic, site: Site, limit: int) -> Sequence[str]:
    """Of who waits, in the board's order: the urgent, then the longest past the promise, first."""
    is_urgent = case((Lead.priority == said(Priority.urgent), 1), else_=0)
    statement = (
        select(Lead.reference)
        .where(_IS_OPEN, _of(clinic, site))
        .order_by(is_urgent.desc(), Lead.promised_at, Lead.id)
        .limit(limit)
    )
    return session.scalars(statement).all()


def count_new(
    session: Session, clinic: Clinic, site: Site, since: datetime, until: datetime
) -> int:
    """How many leads came in, whatever has become of them."""
    statement = select(func.count()).where(
        Lead.created_at >= since,
        Lead.created_at < until,
        Lead.merged_into.is_(None),
        _of(clinic, site),
    )
    return session.execute(statement).scalar_one()


def list_contacts(
    session: Session, clinic: Clinic, site: Site, since: datetime, until: datetime
) -> Sequence[tuple[datetime, datetime, datetime]]:
    """(created, promised, contacted) of each lead that was contacted."""
    statement = select(Lead.created_at, Lead.promised_at, Lead.contacted_at).where(
        Lead.contacted_at >= since, Lead.contacted_at < until, _of(clinic, site)
    )
    return [(created, promised, at) for created, promised, at in session.execute(statement) if at]


def was_made(session: Session, kind: AlarmKind, subject: str) -> bool:
    statement = select(Alarm.id).where(Alarm.kind == kind, Alarm.subject == subject)
    return session.scalars(statement.limit(1)).first() is not None


def add_summary(
    session: Session, kind: AlarmKind, subject: str, now: datetime, facts: dict[str, object]
) -> Alarm | None:
    """Once of that kind and subject; None when there is one, whoever made it."""
    values = {
        "id": new_id(),
        "kind": kind,
        "subject": subject,
        "raised_at": now,
        "cleared_at": now,
        "facts": facts,
    }
    statement = insert_into(session, Alarm).values(values).on_conflict_do_nothing().returning(Alarm)
    return session.scalars(statement).first()
