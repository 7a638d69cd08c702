"""Deletes what was kept long enough, by night, a batch at a time."""

import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from followup.clinic_limits import Retention
from followup.domain.retention import Cutoffs, cutoffs
from followup.store import expiries, removals
from followup.store.db import overwrite_deleted, transaction

log = structlog.get_logger()

#: Leads, each with its dozens of rows, in one transaction; and other rows.
LEADS_AT_ONCE = 20
ROWS_AT_ONCE = 500
#: Real time for which one run goes on, well within a task's hard limit; the next continues.
RUN = timedelta(seconds=30)


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
        while count == at_once and (is_done := monotonic() < ends_at):
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
