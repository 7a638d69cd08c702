"""Settles what nobody knows: rows of lost workers become unknown, and the provider is asked."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from followup.domain.cadence import Channel, Lane
from followup.domain.delivery import Reason, Status
from followup.errors import TransportError
from followup.services.concluding import FIRST_ASKED_AFTER
from followup.services.deciding import note
from followup.services.ladder import climb
from followup.services.planning import Planner
from followup.services.receiving import apply_report
from followup.services.sending import BATCH, RUN, Sender
from followup.store import deliveries
from followup.store.db import real_now, transaction
from followup.store.models import Delivery
from followup.transports.base import Finding, Lost, Report

#: A text that the provider has no trace of is asked about once more, that long after.
ASKED_AGAIN_AFTER = timedelta(minutes=4)
TIMES_ASKED = 2
#: `sent` without a receipt for that long: the receipt is lost, or will never come.
RECEIPT_AWAITED = timedelta(days=1)
RECEIPT_GIVEN_UP = timedelta(days=4)
#: Clocks of two companies may differ by that much.
SKEW = timedelta(seconds=60)
#: Real time after which a run asks for no further receipt, so that a slow provider keeps nobody
#: else waiting; what is left waits for the next run.
RECONCILE_RUN = timedelta(seconds=30)


def rescue(engine: Engine, now: datetime) -> int:
    """What lost workers held may have been sent, so it is asked about. Returns how many."""
    with transaction(engine) as session:
        real = real_now(session)
        lost = deliveries.rescue(session, real, real + FIRST_ASKED_AFTER)
        for row in lost:
            note(session, row, now, {})
        return len(lost)


@dataclass(frozen=True)
class _Question:
    """About one delivery that had been asked about so many times before."""

    delivery_id: uuid.UUID
    asked: int
    channel: Channel
    lost: Lost
    #: What the provider calls the others that went to this address.
    known: frozenset[str]

    @property
    def about(self) -> tuple[Channel, str]:
        return self.channel, self.lost.message.to


def settle(sender: Sender, now: datetime) -> int:
    """Ask about unknown outcomes whose time has come, for at most `RUN`. Returns how many were
    settled."""
    ends_at = sender.monotonic() + RUN.total_seconds()
    settled, questions = 0, _claim_questions(sender, now)
    while questions:
        # All about one address at once: whoever is written to most is asked about most.
        for (channel, _), alike in groupby(questions, key=lambda one: one.about):
            settled += _settle_alike(sender, channel, list(alike), now)
            if sender.monotonic() >= ends_at:
                # What is left was put off, and is asked about then.
                return settled
        questions = _claim_questions(sender, now)
    return settled


def _claim_questions(sender: Sender, now: datetime) -> list[_Question]:
    with transaction(sender.engine) as session:
        real = real_now(session)
        rows = deliveries.claim_unknown(session, real, real + ASKED_AGAIN_AFTER, BATCH)
        found = [_question(sender, session, row, (row.attempted_at or now) - SKEW) for row in rows]
    return sorted(found, key=lambda one: one.about)


def _question(sender: Sender, session: Session, row: Delivery, since: datetime) -> _Question:
    known = deliveries.list_provider_ids(session, row, since - SKEW)
    lost = Lost(sender.composer.again(row), since)
    return _Question(row.id, row.asked, row.channel, lost, known)


def _settle_alike(
    sender: Sender, channel: Channel, questions: Sequence[_Question], now: datetime
) -> int:
    settled = 0
    findings = _ask(sender, channel, questions)
    for question, finding in zip(questions, findings, strict=True):
        with transaction(sender.engine) as session:
            row = deliveries.find_delivery(session, question.delivery_id, lock=True)
            if row is not None and (row.status, row.asked) == (Status.unknown, question.asked):
                settled += _settle_one(session, sender.planner, row, finding, now)
    return settled


def _ask(sender: Sender, channel: Channel, questions: Sequence[_Question]) -> Sequence[Finding]:
    """What the provider knows of each: a report, None for nothing, or why it does not tell."""
    known = frozenset().union(*(one.known for one in questions))
    return sender.transports[channel].find([one.lost for one in questions], known)


def _settle_one(
    session: Session,
    planner: Planner,
    row: Delivery,
    finding: Finding,
    now: datetime,
) -> bool:
    """Found: bound. Proven absent: planned once more. Anything less certain stays unknown, for
    staff; where only the asking failed, it is asked again while there is time."""
    in_time = row.expires_at is None or now < row.expires_at
    if isinstance(finding, Report):
        known = replace(finding, status=finding.status or Status.accepted)
        return apply_report(session, planner, row, known, now)
    if in_time and _may_go_once_more(row, finding):
        row.status, row.reason, row.due_at = Status.planned, Reason.not_found, now
    else:
        can_still_tell = row.asked < TIMES_ASKED and row.channel is Channel.sms
        if not (in_time and can_still_tell):
            row.ask_at = None
            note(session, row, now, {"asked": row.asked})
            climb(session, planner, [row], now)
        return False
    row.ask_at = None
    note(session, row, now, {"asked": row.asked})
    return True


def _may_go_once_more(row: Delivery, finding: TransportError | None) -> bool:
    """A text: once, when it was absent every time. A mail cannot be asked about, but an
    acknowledgement goes once more under the same Message-ID, by which a receiver drops a double. A
    chat neither tells nor drops a double, so there once is once: the reminder follows anyway."""
    if row.channel is Channel.email:
        row.asked += 1
        return row.lane is Lane.ack and row.asked == 1
    if finding is None:
        row.asked += 1
    return finding is None and row.asked == TIMES_ASKED


def reconcile(sender: Sender, now: datetime) -> int:
    """Ask what became of texts whose receipt has not come for a day: callbacks may be lost.

    Each is asked about once a day, for `RECEIPT_GIVEN_UP` at most. Returns how many moved.
    """
    ends_at = sender.monotonic() + RECONCILE_RUN.total_seconds()
    moved, since = 0, now - RECEIPT_GIVEN_UP
    while (row := _claim_unreceipted(sender.engine, now, since)) is not None:
        # Those before it were asked about, and need not be walked over again.
        since = row.sent_at or since
        moved += _reconcile_one(sender, row, now)
        if sender.monotonic() >= ends_at:
            break
    return moved


def _claim_unreceipted(engine: Engine, now: datetime, since: datetime) -> Delivery | None:
    with transaction(engine) as session:
        real = real_now(session)
        found = deliveries.claim_unreceipted(
            session,
            real,
            real + RECEIPT_AWAITED,
            since=since,
            before=now - RECEIPT_AWAITED,
            limit=1,
        )
        return next(iter(found), None)


def _reconcile_one(sender: Sender, asked: Delivery, now: datetime) -> bool:
    """Whether the text moved."""
    try:
        report = sender.transports[asked.channel].look_up(asked.provider_id or "")
    except TransportError:
        return False
    with transaction(sender.engine) as session:
        row = deliveries.find_delivery(session, asked.id, lock=True)
        if row is None or report is None:
            return False
        return apply_report(session, sender.planner, row, report, now)
