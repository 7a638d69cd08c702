"""What is due of `deliveries`: claimed once, written in a few statements, every outcome fenced."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from functools import cache
from itertools import groupby
from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    Integer,
    ScalarSelect,
    Select,
    Table,
    bindparam,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session

from followup.domain.cadence import Audience, Channel, Lane
from followup.domain.delivery import Reason, Status
from followup.store.models import Delivery
from followup.store.words import said

_TABLE = cast(Table, Delivery.__table__)


@dataclass(kw_only=True, eq=False, slots=True)
class Due:
    """A due row with what sending reads of it and may change. Plain, because thousands pass here
    and a row of the ORM would cost more than all the rest of its message."""

    id: uuid.UUID
    lead_id: uuid.UUID | None
    alarm_id: uuid.UUID | None
    reply_id: uuid.UUID | None
    cadence: str | None
    episode: int
    step: str
    occurrence: int
    audience: Audience
    channel: Channel
    lane: Lane
    recipient: str
    recipient_hash: str
    status: Status
    reason: Reason | None
    arrived_at: datetime
    due_at: datetime
    expires_at: datetime | None
    failures: int
    provider_id: str | None
    wording: str | None
    # Written with the message, and never read here.
    subject: str | None = None
    body: str | None = None


_WRITTEN = ("subject", "body")


_READ = [_TABLE.c[one.name] for one in fields(Due) if one.name not in _WRITTEN]


#: A delivery, whichever way it was read.
Row = Delivery | Due


def claim_due(
    session: Session,
    lane: Lane,
    now: datetime,
    limit: int,
    channel: Channel,
    *,
    expired: bool | None = None,
    free: bool = False,
) -> list[Due]:
    """The most overdue of a lane and channel, locked until the transaction ends; none that another
    holds. With `expired` only those whose life is over, or only those that still live; `free` are
    those alone that no cap holds up: alarms, and what has expired.
    """
    values = {"lane": lane, "channel": channel, "now": now, "most": limit}
    found = session.execute(_claiming(expired, free), values)
    return [Due(**row._mapping) for row in found]


# Each statement of the hot path is made once: to make one anew costs more than to run it.
_NOW = bindparam("now", type_=_TABLE.c.due_at.type)
_CHANNEL = bindparam("channel", type_=_TABLE.c.channel.type)


def _of_lane(
    channel: ColumnElement[Channel], lane: Lane | None = None
) -> tuple[ColumnElement[bool], ...]:
    return (
        _TABLE.c.status == said(Status.planned),
        _TABLE.c.lane == (said(lane) if lane else bindparam("lane", type_=_TABLE.c.lane.type)),
        _TABLE.c.channel == channel,
    )


@cache
def _claiming(expired: bool | None, free: bool) -> Select[Any]:
    statement = (
        select(*_READ)
        .where(*_of_lane(_CHANNEL), _TABLE.c.due_at <= _NOW)
        .order_by(_TABLE.c.due_at, _TABLE.c.id)
        .limit(bindparam("most", type_=Integer()))
        .with_for_update(skip_locked=True)
    )
    if expired is not None:
        is_over = func.coalesce(_TABLE.c.expires_at <= _NOW, False)
        statement = statement.where(is_over if expired else ~is_over)
    if free:
        is_free = or_(_TABLE.c.alarm_id.is_not(None), _TABLE.c.expires_at <= _NOW)
        statement = statement.where(is_free)
    return statement


def lease(
    session: Session, rows: Sequence[Due], claim: uuid.UUID, lease_until: datetime, now: datetime
) -> None:
    """Note that these are on their way, with the message that each of them is."""
    _write(
        session,
        [
            {
                "row_id": row.id,
                "status": row.status,
                "reason": row.reason,
                "claim": claim,
                "lease_until": lease_until,
                "attempted_at": now,
                "provider_id": row.provider_id,
                "subject": row.subject,
                "body": row.body,
                "wording": row.wording,
            }
            for row in rows
        ],
    )


def put_aside(session: Session, rows: Sequence[Due]) -> None:
    """Note that these are not sent now, or not at all."""
    _write(
        session,
        [
            {
                "row_id": row.id,
                "status": row.status,
                "reason": row.reason,
                "due_at": row.due_at,
                "expires_at": row.expires_at,
                "wording": row.wording,
            }
            for row in rows
        ],
    )


_THIS = update(_TABLE).where(_TABLE.c.id == bindparam("row_id"))


def _write(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Give each row its columns; rows with the same columns go in one statement."""
    connection = session.connection()
    for _, alike in groupby(sorted(rows, key=_names), _names):
        connection.execute(_THIS, list(alike))


def _names(row: Mapping[str, Any]) -> list[str]:
    return sorted(row)


def look(session: Session, lane: Lane, now: datetime) -> tuple[frozenset[Channel], datetime | None]:
    """On which channels something of the lane is due, and when the next falls due after now."""
    found = session.connection().execute(_LOOK, {"lane": lane, "now": now}).one()
    due_at, next_at = found[: len(Channel)], found[len(Channel) :]
    due = (channel for channel, at in zip(Channel, due_at, strict=True) if at and at <= now)
    return frozenset(due), min((at for at in next_at if at), default=None)


def find_lanes(session: Session, until: datetime) -> Sequence[Lane]:
    """The lanes in which something is due by then, the most urgent first."""
    firsts = session.connection().execute(_FIRSTS).one()
    due = {lane for lane, at in zip(_LANES, firsts, strict=True) if at and at <= until}
    return [lane for lane in Lane if lane in due]


def _first(
    channel: Channel, *conditions: ColumnElement[bool], lane: Lane | None = None
) -> ScalarSelect[datetime]:
    return (
        select(_TABLE.c.due_at)
        .where(*_of_lane(said(channel), lane), *conditions)
        .order_by(_TABLE.c.due_at)
        .limit(1)
        .scalar_subquery()
    )


_LOOK = select(
    *(_first(channel) for channel in Channel),
    *(_first(channel, _TABLE.c.due_at > _NOW) for channel in Channel),
)

_FIRSTS = select(*(_first(channel, lane=lane) for lane in Lane for channel in Channel))
#: Whose first each column of it is.
_LANES = [lane for lane in Lane for _ in Channel]


def record(
    session: Session,
    claims: Mapping[uuid.UUID, uuid.UUID],
    values: Mapping[uuid.UUID, dict[str, Any]],
) -> set[uuid.UUID]:
    """Write the outcomes of deliveries whose claim still holds. Returns which: not those where a
    callback or the rescue was first."""
    found = session.connection().execute(_HELD, {"ids": list(claims)})
    held = {row_id for row_id, claim in found if claim == claims[row_id]}
    _write(session, [{"row_id": row_id, **values[row_id]} for row_id in sorted(held)])
    return held


_HELD = (
    select(_TABLE.c.id, _TABLE.c.claim)
    .where(
        _TABLE.c.id.in_(bindparam("ids", expanding=True, type_=_TABLE.c.id.type)),
        _TABLE.c.status == said(Status.sending),
    )
    .order_by(_TABLE.c.id)
    .with_for_update()
)
