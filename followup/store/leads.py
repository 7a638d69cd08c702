"""Rows of `leads`: found by hash, merged under a lock, marked by compare and swap."""

import random
import uuid
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, and_, case, func, literal, or_, select, tuple_, update
from sqlalchemy.orm import InstrumentedAttribute, Session, defer

from followup.domain.lead import WAITING, LeadStatus, Priority, is_urgent, new_reference
from followup.domain.submission import Kind
from followup.domain.suspicion import Suspicion
from followup.errors import FollowupError, NotFound
from followup.store.db import try_lock_references
from followup.store.models import Lead, Submission
from followup.store.words import said

_choose = random.SystemRandom().choice

#: `domain.lead.is_urgent`, where the rows are, and in the words of the index on them.
_IS_URGENT = and_(
    Lead.priority == said(Priority.urgent),
    Lead.status.in_((said(LeadStatus.open), said(LeadStatus.held))),
)
_URGENCY = case((_IS_URGENT, 1), else_=0)
_IS_OPEN = Lead.status == said(LeadStatus.open)
_IS_HELD = Lead.status == said(LeadStatus.held)


def find_lead(session: Session, lead_id: uuid.UUID) -> Lead | None:
    return session.get(Lead, lead_id)


# `key_share` makes a lock FOR NO KEY UPDATE: planning inserts rows that refer to the lead, and must
# not wait for whoever changes it while that one waits for the planner's rows.


def get_lead(session: Session, lead_id: uuid.UUID | None, *, lock: bool = False) -> Lead:
    """Raises NotFound, also for None: what a delivery about no lead has."""
    lock_mode = {"key_share": True} if lock else None
    lead = (
        session.get(Lead, lead_id, with_for_update=lock_mode, populate_existing=lock)
        if lead_id is not None
        else None
    )
    if lead is None:
        raise NotFound("there is no such lead")
    return lead


def read_leads(session: Session, lead_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Lead]:
    """Those that there are. What is encrypted and seldom asked for is read when it is."""
    if not lead_ids:
        return {}
    seldom = (Lead.email, Lead.phone, Lead.interest, Lead.location)
    statement = select(Lead).where(Lead.id.in_(lead_ids)).options(*map(defer, seldom))
    return {lead.id: lead for lead in session.scalars(statement)}


def lock_leads(session: Session, lead_ids: Collection[uuid.UUID]) -> None:
    """In the order in which everybody locks several. Raises NotFound."""
    for lead_id in sorted(lead_ids):
        get_lead(session, lead_id, lock=True)


def list_merged(session: Session, lead_id: uuid.UUID) -> Sequence[Lead]:
    """The leads that are a part of this one, and the parts of these; the oldest first."""
    found: list[Lead] = []
    wanted = {lead_id}
    while wanted:
        parts = session.scalars(select(Lead).where(Lead.merged_into.in_(wanted))).all()
        found += parts
        wanted = {lead.id for lead in parts}
    return sorted(found, key=lambda lead: lead.id)


def list_parts_by_address(session: Session, hashes: Sequence[str]) -> Sequence[Lead]:
    """Those with that email or phone that are a part of another."""
    has_it = or_(Lead.email_hash.in_(hashes), Lead.phone_hash.in_(hashes))
    statement = select(Lead).where(has_it, Lead.merged_into.is_not(None)).order_by(Lead.id)
    return session.scalars(statement).all()


def find_whole(session: Session, lead: Lead) -> Lead:
    """The lead that this one is a part of; itself, if it stands alone."""
    while lead.merged_into is not None:
        whole = find_lead(session, lead.merged_into)
        if whole is None:
            break
        lead = whole
    return lead


def find_by_reference(session: Session, reference: str) -> Lead | None:
    return session.scalars(select(Lead).where(Lead.reference == reference.strip().upper())).first()


def list_open_alike(
    session: Session, email_hashes: Sequence[str], phone_hashes: Sequence[str]
) -> Sequence[Lead]:
    """Open leads that share an address, oldest first, locked until the transaction ends."""
    statement = (
        select(Lead)
        .where(
            Lead.status.in_(WAITING),
            or_(Lead.email_hash.in_(email_hashes), Lead.phone_hash.in_(phone_hashes)),
        )
        .order_by(Lead.id)
        .with_for_update(key_share=True)
    )
    return session.scalars(statement).all()


def find_free_references(session: Session, count: int) -> list[str]:
    """So many that no lead has and nobody else takes until the transaction ends; longer ones as the
    short ones run out."""
    free: set[str] = set()
    for pairs in range(2, 8):
        drawn = {new_reference(_choose, pairs=pairs) for _ in range(2 * count + 3)}
        # Before they are looked up: then whoever had one until now has committed it.
        ours = try_lock_references(session, drawn)
        statement = select(Lead.reference).where(Lead.reference.in_(ours))
        free |= ours.difference(session.scalars(statement))
        if len(free) >= count:
            return list(free)[:count]
    raise FollowupError("no free reference found")


def mark(session: Session, lead_id: uuid.UUID, **values: Any) -> bool:
    """Compare and swap: change the lead if it still waits. False when somebody was first, who may
    have changed more than what this session has read: it knows the lead as it is now."""
    statement = (
        update(Lead)
        .where(Lead.id == lead_id, Lead.status.in_(WAITING))
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    if session.execute(statement).rowcount == 1:  # type: ignore[attr-defined]
        return True
    session.get(Lead, lead_id, populate_existing=True)
    return False


def list_leads(
    session: Session,
    now: datetime,
    *,
    status: LeadStatus | None = None,
    overdue: bool | None = None,
    kind: Kind | None = None,
    reference: str | None = None,
    submission: uuid.UUID | None = None,
    before: uuid.UUID | None = None,
    limit: int = 50,
) -> Sequence[Lead]:
    """The urgent that wait, then the newest, first; `before` is the id to go on from."""
    last = session.get(Lead, before) if before is not None else None
    statement = select(Lead).order_by(Lead.id.desc())
    if status is not None:
        statement = statement.where(Lead.status == status)
    if kind is not None:
        statement = statement.where(Lead.kind == kind)
    if reference is not None:
        statement = statement.where(Lead.reference == reference.strip().upper())
    if submission is not None:
        owner = select(Submission.lead_id).where(Submission.id == submission)
        statement = statement.where(Lead.id.in_(owner))
    if overdue is not None:
        late = is_late(now)
        statement = statement.where(late if overdue else ~late)
    # One after the other, and not in one order, for which all would have to be looked at.
    found: list[Lead] = []
    goes_on_among_others = last is not None and not is_urgent(last.priority, last.status)
    if not goes_on_among_others:
        found += session.scalars(_before(statement.where(_IS_URGENT), last, limit))
        last = None
    if len(found) < limit:
        others = _before(statement.where(~_IS_URGENT), last, limit - len(found))
        found += session.scalars(others)
    return found


def _before(statement: Select[Lead], last: Lead | None, limit: int) -> Select[Lead]:
    return (statement.where(Lead.id < last.id) if last else statement).limit(limit)


def list_by_address(
    session: Session, hashes: Sequence[str], limit: int | None = 50
) -> Sequence[Lead]:
    """Leads with that email or phone, newest first; without a limit, every one."""
    statement = (
        select(Lead)
        .where(or_(Lead.email_hash.in_(hashes), Lead.phone_hash.in_(hashes)))
        .order_by(Lead.id.desc())
        .limit(limit)
    )
    return session.scalars(statement).all()


def list_open_names(session: Session) -> Iterator[tuple[uuid.UUID, str]]:
    """Everybody who waits, with the name alone, which is deciphered as it is asked for: the urgent,
    then the longest past the promise, first."""
    statement = select(Lead.id, Lead.name).where(_IS_OPEN)
    ordered = statement.order_by(_URGENCY.desc(), Lead.promised_at, Lead.id)
    return ((lead_id, name) for lead_id, name in session.execute(ordered))


def list_leads_by_id(session: Session, ids: Sequence[uuid.UUID]) -> list[Lead]:
    """Those that there are, in that order."""
    found = {lead.id: lead for lead in session.scalars(select(Lead).where(Lead.id.in_(ids)))}
    return [found[lead_id] for lead_id in ids if lead_id in found]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which leads somebody wants to see; None: whichever."""

    site: str | None = None
    kind: Kind | None = None
    assigned_to: str | None = None


def list_waiting(
    session: Session,
    now: datetime,
    wanted: Wanted,
    *,
    overdue: bool = False,
    after: uuid.UUID | None = None,
    limit: int = 50,
) -> Sequence[Lead]:
    """Those who are owed a call: the urgent, held or not, then the longest past the promise, first;
    `after` is the last one of the page before."""
    statement = _wanted(select(Lead), wanted)
    if overdue:
        statement = statement.where(is_late(now))
    last = session.get(Lead, after) if after is not None else None
    # One after the other, and not in one order. Which of the two the last one was among is told by
    # what never changes back: meanwhile somebody may have reached it.
    found: list[Lead] = []
    if last is None or last.priority is Priority.urgent:
        found += session.scalars(_after(statement.where(_IS_URGENT), last, limit))
        last = None
    if len(found) < limit:
        others = statement.where(_IS_OPEN, Lead.priority != said(Priority.urgent))
        found += session.scalars(_after(others, last, limit - len(found)))
    return found


def list_held(
    session: Session, wanted: Wanted, *, after: uuid.UUID | None = None, limit: int = 50
) -> Sequence[Lead]:
    """The oldest first."""
    statement = _wanted(select(Lead).where(_IS_HELD), wanted)
    last = session.get(Lead, after) if after is not None else None
    return session.scalars(_after(statement, last, limit, by=Lead.created_at)).all()


def _after(
    statement: Select[Lead],
    last: Lead | None,
    limit: int,
    by: InstrumentedAttribute[datetime] = Lead.promised_at,
) -> Select[Lead]:
    if last is not None:
        place = literal(getattr(last, by.key), by.type), literal(last.id, Lead.id.type)
        statement = statement.where(tuple_(by, Lead.id) > tuple_(*place))
    return statement.order_by(by, Lead.id).limit(limit)


def list_done(
    session: Session, wanted: Wanted, *, after: uuid.UUID | None = None, limit: int = 50
) -> Sequence[Lead]:
    """Contacted and closed leads, the newest first."""
    done = Lead.status.in_((LeadStatus.contacted, LeadStatus.closed))
    statement = _wanted(select(Lead).where(done), wanted)
    if after is not None:
        statement = statement.where(Lead.id < after)
    return session.scalars(statement.order_by(Lead.id.desc()).limit(limit)).all()


def _wanted(statement: Select[Lead], wanted: Wanted) -> Select[Lead]:
    if wanted.site is not None:
        statement = statement.where(Lead.site == wanted.site)
    if wanted.kind is not None:
        statement = statement.where(Lead.kind == wanted.kind)
    if wanted.assigned_to is not None:
        statement = statement.where(Lead.assigned_to == wanted.assigned_to)
    return statement


def assign(session: Session, lead_id: uuid.UUID, *, to: str | None, expected: str | None) -> bool:
    """Compare and swap: False when the lead no longer waits, or `expected` has it no longer."""
    has_it = Lead.assigned_to == expected if expected else Lead.assigned_to.is_(None)
    statement = (
        update(Lead)
        .where(Lead.id == lead_id, Lead.status.in_(WAITING), has_it)
        .values(assigned_to=to)
        .execution_options(synchronize_session=False)
    )
    return session.execute(statement).rowcount == 1  # type: ignore[attr-defined, no-any-return]


def claim_held(session: Session, held_for: Suspicion | None, limit: int) -> Sequence[Lead]:
    """The oldest that are held, for that reason or for any, locked until the transaction ends."""
    statement = (
        select(Lead)
        .where(_IS_HELD)
        .order_by(Lead.created_at, Lead.id)
        .limit(limit)
        .with_for_update(key_share=True)
    )
    if held_for is not None:
        statement = statement.where(Lead.held_for == held_for)
    return session.scalars(statement).all()


def count_held(session: Session) -> tuple[int, datetime | None]:
    """How many are held, and when the newest of them came in."""
    statement = select(func.count(), func.max(Lead.created_at)).where(_IS_HELD)
    count, newest = session.execute(statement).one()
    return count, newest


def count_waiting(session: Session, now: datetime) -> tuple[int, int]:
    """How many wait for a call, and how many of them longer than was promised."""
    waiting = select(func.count()).where(_IS_OPEN)
    late = select(func.count()).select_from(Lead).where(is_late(now))
    return session.execute(waiting).scalar_one(), session.execute(late).scalar_one()


def count_by_age(
    session: Session, now: datetime, limits: Sequence[timedelta]
) -> dict[int, tuple[int, int]]:
    """How many wait for a call, and how many of them longer than was promised: by how many of the
    limits, which rise, they have waited for longer than."""
    past = [(Lead.created_at >= now - limit, place) for place, limit in enumerate(limits)]
    age = case(*past, else_=len(limits)).label("age")
    late = func.count(case((is_late(now), 1)))
    statement = select(age, func.count(), late).where(_IS_OPEN).group_by("age")
    return {place: (count, overdue) for place, count, overdue in session.execute(statement)}


def list_contact_times(
    session: Session, since: datetime
) -> Sequence[tuple[datetime, datetime, datetime]]:
    """(created, promised, contacted) of each lead contacted since then."""
    statement = select(Lead.created_at, Lead.promised_at, Lead.contacted_at).where(
        Lead.contacted_at >= since
    )
    return [(created, promised, at) for created, promised, at in session.execute(statement) if at]


def is_late(now: datetime) -> Any:
    """The same rule as `domain.lead.is_overdue`, where the rows are."""
    return and_(
        _IS_OPEN,
        Lead.promised_at < now,
        or_(Lead.snoozed_until.is_(None), Lead.snoozed_until <= now),
    )
