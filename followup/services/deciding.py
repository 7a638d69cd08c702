"""Decides about each row of a claim by what is true now, and keeps the books of it, which are
written together."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.orm import Session

from followup.domain.alarm import AlarmKind
from followup.domain.delivery import Reason, Status
from followup.domain.eligibility import Facts, Send, Skip, Verdict, Wait, assess
from followup.errors import FollowupError, Unfit
from followup.services.alarming import raise_alarm
from followup.services.composing import Composer
from followup.services.gathering import noted
from followup.services.planning import Planner
from followup.store import alarms, claims, leads, ledger, replies
from followup.store.claims import Due, Row
from followup.store.models import Alarm, Delivery, Lead, Reply
from followup.transports.base import Outgoing

log = structlog.get_logger()

#: A row that we stumble over is looked at again after that long.
OUR_FAULT_PAUSE = timedelta(hours=1)


@dataclass
class Books:
    """What a claim decided, to be written together: rows that go, rows that do not, and why."""

    going: list[Due] = field(default_factory=list)
    aside: list[Due] = field(default_factory=list)
    decisions: list[dict[str, Any]] = field(default_factory=list)

    def put_aside(self, row: Due, verdict: Verdict, now: datetime, facts: dict[str, Any]) -> None:
        if isinstance(verdict, Wait):
            if verdict.extends_expiry and row.expires_at is not None:
                row.expires_at += verdict.until - now
            row.due_at, row.reason = verdict.until, verdict.reason
            facts = {**facts, "until": verdict.until.isoformat()}
        elif isinstance(verdict, Skip):
            row.status, row.reason = verdict.status, verdict.reason
        self.aside.append(row)
        self.decisions.append(decision_about(row, now, facts))

    def let_go(self, row: Due, now: datetime, facts: dict[str, Any]) -> None:
        row.status, row.reason = Status.sending, None
        self.going.append(row)
        self.decisions.append(decision_about(row, now, facts))

    def write(
        self, session: Session, claim: uuid.UUID, lease_until: datetime, at: datetime
    ) -> None:
        claims.lease(session, self.going, claim, lease_until, at)
        claims.put_aside(session, self.aside)
        ledger.add_decisions(session, self.decisions)


class About:
    """What the rows of a batch are about."""

    def __init__(self, session: Session, rows: Iterable[Due]) -> None:
        self._session = session
        self._leads = leads.read_leads(session, {row.lead_id for row in rows if row.lead_id})

    def of(self, row: Due) -> Lead | Alarm | Reply | None:
        """None when it was about something that was erased since."""
        if row.alarm_id is not None:
            return alarms.get_alarm(self._session, row.alarm_id)
        if row.lead_id is not None:
            return self._leads.get(row.lead_id)
        return replies.find_reply(self._session, row.reply_id)


def decide(
    composer: Composer,
    planner: Planner,
    session: Session,
    books: Books,
    row: Due,
    about: Lead | Alarm | Reply,
    facts: Facts,
    now: datetime,
) -> Outgoing | None:
    """The message to send now; None when it is not to be sent now, which is recorded."""
    verdict = assess(facts, now)
    if not isinstance(verdict, Send):
        books.put_aside(row, verdict, now, noted(facts))
        return None
    try:
        return composer.compose(row, about, now)
    except Unfit as error:
        _refuse(planner, session, books, row, error, now)
    except FollowupError as error:
        log.error("no wording for a delivery", delivery_id=str(row.id), problem=str(error))
        books.put_aside(row, Skip(Reason.no_wording, Status.skipped), now, {})
    return None


def set_aside(books: Books, row: Due, error: Exception, now: datetime) -> None:
    """One row that we stumble over must not hold up its lane."""
    log.error(
        "a delivery could not be assessed", delivery_id=str(row.id), error=type(error).__name__
    )
    books.put_aside(row, Wait(now + OUR_FAULT_PAUSE, Reason.our_fault), now, {})


def _refuse(
    planner: Planner, session: Session, books: Books, row: Due, error: Unfit, now: datetime
) -> None:
    """What may not be said is reported instead of sent; of an alarm itself, in the log alone."""
    log.error("a message may not be sent", delivery_id=str(row.id), problem=str(error))
    row.wording = error.wording
    facts = {"wording": error.wording, "problem": "; ".join(error.complaints)}
    books.put_aside(row, Skip(Reason.unfit), now, facts)
    if row.lead_id is not None:
        name = error.wording.partition("@")[0]
        raise_alarm(session, planner, AlarmKind.unfit, name, now, {})


def decision_about(row: Row, now: datetime, facts: dict[str, Any]) -> dict[str, Any]:
    return {
        "lead_id": row.lead_id,
        "delivery_id": row.id,
        "at": now,
        "status": row.status,
        "reason": row.reason,
        "facts": facts,
    }


def note(session: Session, row: Delivery, now: datetime, facts: dict[str, Any]) -> None:
    ledger.add_decisions(session, [decision_about(row, now, facts)])
