"""Tells staff at once, whatever the cadence: of a text that came in, and of danger."""

from datetime import datetime

from sqlalchemy.orm import Session

from followup.domain.delivery import Reason
from followup.services.planning import Planner
from followup.store import answers, deliveries
from followup.store.models import Lead, Reply
from followup.templates import DANGER, REPLIED


def hand_over(session: Session, planner: Planner, part: Lead, lead: Lead, now: datetime) -> None:
    """What staff were still to hear of the part, of danger and of texts, they hear of the lead."""
    for step in (DANGER, REPLIED):
        if answers.find_untold_channels(session, part.id, step):
            tell(session, planner, lead, step, now, again=step == DANGER)
    deliveries.cancel_notices(session, part.id, Reason.closed)


def tell(
    session: Session,
    planner: Planner,
    lead: Lead | None,
    step: str,
    now: datetime,
    *,
    reply: Reply | None = None,
    again: bool,
) -> bool:
    """Whether anybody of the staff is really told."""
    reply_id = reply.id if reply else None
    while True:
        told = answers.last_occurrence(session, lead.id, step) if lead else 0
        rows = planner.notice_rows(
            session, lead, step, now, told=told, reply_id=reply_id, again=again
        )
        # Nobody to tell; or told; or the numbers were planned meanwhile, for another text.
        if not rows or deliveries.plan(session, rows):
            return bool(rows)


def tell_of_text(
    session: Session, planner: Planner, lead: Lead | None, reply: Reply, now: datetime
) -> None:
    """Staff hear that somebody wrote; where they are still to hear of an earlier text, that says
    it too."""
    untold = answers.find_untold_channels(session, lead.id if lead else None, REPLIED)
    told = answers.last_occurrence(session, lead.id, REPLIED) if lead else 0
    rows = planner.notice_rows(session, lead, REPLIED, now, told=told, reply_id=reply.id)
    deliveries.plan(session, [row for row in rows if row["channel"] not in untold])
