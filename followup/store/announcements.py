"""Rows of `announcements`: written beside what happened, in one transaction, for each webhook that
wants to know; a clinic without webhooks has none.

Who wants to know what is given to the engine, so that every door's acts are announced alike.
"""

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, delete, exists, func, select, update
from sqlalchemy.orm import Session

from followup.domain.announcement import Event
from followup.errors import NotFound
from followup.store.db import insert_into, real_now
from followup.store.models import Announcement, WebhookStop

#: Characters of a problem that are kept.
_PROBLEM = 200


def subscribe(engine: Engine, events: Mapping[str, Collection[Event]]) -> None:
    """From now on, these webhooks are told of these events."""
    engine.dialect.followup_webhooks = dict(events)  # type: ignore[attr-defined]


def announce(
    session: Session, event: Event, at: datetime, about: Iterable[Mapping[str, Any]]
) -> None:
    """It happened: to each of `about`, with its `lead_id`, `delivery_id` and `facts`."""
    wanted: Mapping[str, Collection[Event]] = getattr(
        session.get_bind().dialect, "followup_webhooks", {}
    )
    hearers = [name for name, events in wanted.items() if event in events]
    told = list(about) if hearers else []
    if not told:
        return
    due_at = real_now(session)
    session.add_all(
        Announcement(
            **{"facts": {}, **one}, webhook=name, event=event, happened_at=at, due_at=due_at
        )
        for one in told
        for name in hearers
    )


def has_due(session: Session) -> bool:
    statement = select(
        exists().where(Announcement.died_at.is_(None), Announcement.due_at <= real_now(session))
    )
    return bool(session.scalar(statement))


def claim(
    session: Session, webhook: str, real: datetime, lease_until: datetime, limit: int
) -> Sequence[Announcement]:
    """What the webhook is owed now, as one more attempt each; nobody else takes them before the
    lease runs out."""
    statement = (
        select(Announcement)
        .where(
            Announcement.webhook == webhook,
            Announcement.died_at.is_(None),
            Announcement.due_at <= real,
        )
        .order_by(Announcement.due_at, Announcement.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = session.scalars(statement).all()
    for row in rows:
        row.attempts += 1
        row.due_at = lease_until
    return rows


def note_received(session: Session, announcement_id: uuid.UUID) -> None:
    """Whichever attempt it was: the receiver has it."""
    session.execute(delete(Announcement).where(Announcement.id == announcement_id))


def note_failed(
    session: Session,
    announcement_id: uuid.UUID,
    attempts: int,
    problem: str,
    *,
    due_at: datetime | None,
    real: datetime,
) -> None:
    """To be tried again, or given up; unless another attempt was begun meanwhile."""
    values: dict[str, Any] = {"problem": problem[:_PROBLEM]}
    values |= {"died_at": real} if due_at is None else {"due_at": due_at}
    statement = update(Announcement).where(
        Announcement.id == announcement_id,
        Announcement.attempts == attempts,
        Announcement.died_at.is_(None),
    )
    session.execute(statement.values(values).execution_options(synchronize_session=False))


def put_off(session: Session, webhook: str, until: datetime, *, new_only: bool) -> None:
    """What the webhook is owed waits until then; `new_only`: what was not tried yet."""
    statement = update(Announcement).where(
        Announcement.webhook == webhook,
        Announcement.died_at.is_(None),
        Announcement.due_at < until,
    )
    if new_only:
        statement = statement.where(Announcement.attempts == 0)
    session.execute(statement.values(due_at=until).execution_options(synchronize_session=False))


def give_up(session: Session, real: datetime, problem: str, *, but: Collection[str]) -> int:
    """All that is owed to other webhooks than these. Returns how many."""
    statement = (
        update(Announcement)
        .where(Announcement.died_at.is_(None), Announcement.webhook.not_in(but))
        .values(died_at=real, problem=problem)
        .execution_options(synchronize_session=False)
    )
    return session.execute(statement).rowcount  # type: ignore[attr-defined, no-any-return]


def count_owed(session: Session) -> dict[str, int]:
    """How many each webhook is still owed."""
    statement = (
        select(Announcement.webhook, func.count())
        .where(Announcement.died_at.is_(None))
        .group_by(Announcement.webhook)
    )
    return {name: count for name, count in session.execute(statement)}  # noqa: C416


def count_dead(session: Session) -> int:
    statement = select(func.count()).where(Announcement.died_at.is_not(None))
    return session.execute(statement).scalar_one()


def count_dead_since(session: Session, since: datetime) -> dict[str, int]:
    """How many of each webhook's were given up since then."""
    statement = (
        select(Announcement.webhook, func.count())
        .where(Announcement.died_at >= since)
        .group_by(Announcement.webhook)
    )
    return {name: count for name, count in session.execute(statement)}  # noqa: C416


def list_dead(session: Session, limit: int) -> Sequence[Announcement]:
    """Those that nobody received, the latest first."""
    statement = (
        select(Announcement)
        .where(Announcement.died_at.is_not(None))
        .order_by(Announcement.died_at.desc(), Announcement.id.desc())
        .limit(limit)
    )
    return session.scalars(statement).all()


def revive(session: Session, announcement_id: uuid.UUID | None) -> int:
    """One that nobody received, or all, begin anew under the same id. Raises NotFound for one that
    is not dead."""
    statement = update(Announcement).where(Announcement.died_at.is_not(None))
    if announcement_id is not None:
        statement = statement.where(Announcement.id == announcement_id)
    values = {"died_at": None, "attempts": 0, "due_at": real_now(session)}
    statement = statement.values(values).execution_options(synchronize_session=False)
    count: int = session.execute(statement).rowcount  # type: ignore[attr-defined]
    if announcement_id is not None and not count:
        raise NotFound("there is no dead announcement of that id")
    return count


def list_stops(session: Session) -> Sequence[WebhookStop]:
    return session.scalars(select(WebhookStop).order_by(WebhookStop.webhook)).all()


def stop(session: Session, webhook: str, url: str, at: datetime) -> None:
    values = {"url": url, "stopped_at": at}
    statement = insert_into(session, WebhookStop).values(webhook=webhook, **values)
    session.execute(statement.on_conflict_do_update(index_elements=["webhook"], set_=values))


def start(session: Session, webhook: str) -> bool:
    """Whether it was stopped."""
    statement = delete(WebhookStop).where(WebhookStop.webhook == webhook)
    return session.execute(statement).rowcount == 1  # type: ignore[attr-defined, no-any-return]


def forget(session: Session, before: datetime, limit: int) -> int:
    """What happened before then, whether anybody received it or not. Returns how many."""
    old = (
        select(Announcement.id)
        .where(Announcement.happened_at < before)
        .order_by(Announcement.happened_at)
        .limit(limit)
    )
    statement = delete(Announcement).where(Announcement.id.in_(old))
    return session.execute(statement).rowcount  # type: ignore[attr-defined, no-any-return]
