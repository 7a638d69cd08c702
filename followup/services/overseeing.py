"""What the board shows: who waits, in which order, how urgent that is, and who has it."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy.orm import Session

from followup.domain.lead import LeadStatus, is_urgent
from followup.store import leads, ledger
from followup.store.leads import Wanted
from followup.store.models import Action, Lead

PAGE = 50
#: A promise that ends sooner than that is shown as one to hurry for.
SOON = timedelta(minutes=15)


class Urgency(StrEnum):
    """How a row of the board looks, the most pressing first."""

    #: Somebody may be in danger.
    danger = "danger"
    #: The call that was promised is late.
    overdue = "overdue"
    #: The promise ends within `SOON`.
    soon = "soon"
    waiting = "waiting"
    #: Staff have put it off.
    resting = "resting"
    done = "done"


@dataclass(frozen=True)
class Row:
    """One lead on the board."""

    lead: Lead
    urgency: Urgency
    #: How long the person has waited for a human.
    waited: timedelta
    #: How far past the promise it is; below zero: how much time is left.
    past: timedelta
    last_attempt: Action | None


@dataclass(frozen=True)
class Board:
    """One page of the board, and the lead after which the next one begins; None at the end."""

    rows: Sequence[Row]
    next_after: uuid.UUID | None


def list_board(
    session: Session,
    now: datetime,
    wanted: Wanted,
    *,
    overdue: bool = False,
    done: bool = False,
    held: bool = False,
    after: uuid.UUID | None = None,
) -> Board:
    """Leads that wait, the longest past the promise first; with `done`, those that no longer do,
    the newest first; with `held`, those that staff are to look at, the oldest first."""
    if held:
        found = leads.list_held(session, wanted, after=after, limit=PAGE + 1)
    elif done:
        found = leads.list_done(session, wanted, after=after, limit=PAGE + 1)
    else:
        found = leads.list_waiting(
            session, now, wanted, overdue=overdue, after=after, limit=PAGE + 1
        )
    shown = found[:PAGE]
    return Board(rows_of(session, shown, now), shown[-1].id if len(found) > PAGE else None)


def rows_of(session: Session, shown: Sequence[Lead], now: datetime) -> list[Row]:
    attempts = ledger.list_last_actions(session, [lead.id for lead in shown], "attempt")
    return [
        Row(
            lead,
            _urgency(lead, now),
            (lead.contacted_at or now) - lead.created_at,
            now - lead.promised_at,
            attempts.get(lead.id),
        )
        for lead in shown
    ]


def _urgency(lead: Lead, now: datetime) -> Urgency:
    if is_urgent(lead.priority, lead.status):
        return Urgency.danger
    if lead.status is not LeadStatus.open:
        return Urgency.done
    if lead.snoozed_until is not None and now < lead.snoozed_until:
        return Urgency.resting
    if now > lead.promised_at:
        return Urgency.overdue
    return Urgency.soon if lead.promised_at - now <= SOON else Urgency.waiting
