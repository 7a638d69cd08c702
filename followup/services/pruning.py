"""Moves old messages to history, and deletes what was kept long enough: by night, in batches."""

import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from followup.clinic_limits import Retention
from followup.domain.retention import Cutoffs, cutoffs
from followup.store import expiries, history, removals
from followup.store.db import overwrite_deleted, transaction

log = structlog.get_logger()

#: Leads, each with its dozens of rows, in one transaction; and other rows.
LEADS_AT_ONCE = 20
ROWS_AT_ONCE = 500
#: Messages that move to history in one transaction, each with its decisions.
MOVED_AT_ONCE = 200
#: Real time for which one run goes on, well within a task's hard limit; the next continues.
RUN = timedelta(seconds=30)


def move_to_history(
    engine: Engine,
    retention: Retention,
    now: datetime,
    monotonic: Callable[[], float] = time.monotonic,
) -> bool:
    """Move messages of leads that have long been over to history. Whether all of them are there.

    Each batch is a transaction of its own, and what has moved is not looked at again: it may die at
    any point.
    """
    cutoff = cutoffs(now, **retention.model_dump()).history
    ends_at, moved = monotonic() + RUN.total_seconds(), 0
    place, is_done = None, False
    while not is_done and monotonic() < ends_at:
        with transaction(engine) as session:
            place, count = history.move_old(session, cutoff, place, MOVED_AT_ONCE)
        moved += count
        is_done = place is None
    if moved:
        log.info("old messages are in history", moved=moved)
    return is_done


def prune(
    engine: Engine,
    retention: Retention,
    now: datetime,
    monotonic: Callable[[], float] = time.monotonic,
) -> bool:
    """Delete what is older than the clinic keeps it. Whether all of it is gone.

    Done twice, or begun anew after a death at any point, it deletes the same.
    """
    limits = cutoffs(now, **retention.model_dump())
    ends_at, pruned, is_done = monotonic() + RUN.total_seconds(), Counter[str](), True
    deletions = {"leads": _delete_leads, **expiries.DELETIONS}
    for kind, delete in deletions.items():
        at_once = LEADS_AT_ONCE if kind == "leads" else ROWS_AT_ONCE
        count = at_once
        while count >= at_once and (is_done := monotonic() < ends_at):
            with transaction(engine) as session:
                count = delete(session, limits, at_once)
            pruned[kind] += count
    if +pruned:
        overwrite_deleted(engine)
        log.info("what was kept long enough is deleted", **(+pruned))
    return is_done


def _delete_leads(session: Session, limits: Cutoffs, limit: int) -> int:
    lead_ids = expiries.claim_stale_leads(session, limits, limit)
    if lead_ids:
        removals.remove_leads(session, lead_ids, limits.now)
    return len(lead_ids)
