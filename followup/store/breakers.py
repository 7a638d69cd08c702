"""Rows of `breakers`: which channels are paused, shared by all workers."""

from datetime import datetime

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from followup.domain.cadence import Channel
from followup.store.db import insert_into
from followup.store.models import Breaker

_TROUBLED = select(Breaker).where(
    or_(
        Breaker.failures > 0,
        Breaker.paused_at.is_not(None),
        Breaker.slowed_until.is_not(None),
    )
)


def list_troubled(session: Session) -> dict[Channel, Breaker]:
    """Channels that failed when last called, paused or not yet, or are slowed."""
    return {row.channel: row for row in session.scalars(_TROUBLED)}


def list_paused(session: Session) -> dict[Channel, Breaker]:
    return {
        channel: row for channel, row in list_troubled(session).items() if row.paused_at is not None
    }


def lock_breaker(session: Session, channel: Channel) -> Breaker:
    """The channel's row, locked until the transaction ends; made when there is none."""
    blank = {"channel": channel, "failures": 0, "probes": 0}
    session.execute(insert_into(session, Breaker).values(blank).on_conflict_do_nothing())
    statement = (
        select(Breaker)
        .where(Breaker.channel == channel)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return session.scalars(statement).one()


def take_probe(session: Session, channel: Channel, real_now: datetime, until: datetime) -> bool:
    """Whether the caller is the one who may try the paused channel; nobody else may till then."""
    statement = (
        update(Breaker)
        .where(
            Breaker.channel == channel,
            Breaker.paused_at.is_not(None),
            Breaker.probe_at <= real_now,
        )
        .values(probe_at=until)
        .execution_options(synchronize_session=False)
    )
    return session.execute(statement).rowcount == 1  # type: ignore[attr-defined, no-any-return]


def return_probe(session: Session, channel: Channel, real_now: datetime) -> None:
    """The probe was not made after all; the next one may."""
    statement = update(Breaker).where(Breaker.channel == channel).values(probe_at=real_now)
    session.execute(statement.execution_options(synchronize_session=False))
