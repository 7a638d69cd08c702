"""Answers questions about leads: what the admin API, the command line and the pages show."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from statistics import median, quantiles
from typing import Any

from sqlalchemy.orm import Session

from followup.domain.cadence import Channel
from followup.domain.instrument import DISCLAIMER, list_scores
from followup.domain.lead import LeadStatus, is_overdue
from followup.domain.spoken import iso
from followup.domain.submission import Kind
from followup.domain.suspicion import SENTENCES as REASONS_TO_SUSPECT
from followup.services.arriving import is_unsigned
from followup.services.explaining import list_next, sentence, show_decision, show_task
from followup.services.planning import Planner
from followup.store import consents, counts, deliveries, leads, ledger, replies, submissions
from followup.store.models import Delivery, Lead, Reply, Submission, Suppression

#: The period that the statistics cover.
STATS_PERIOD = timedelta(days=30)
PAGE = 50


def show_lead(lead: Lead, now: datetime) -> dict[str, Any]:
    """The lead as every door shows it; instants in UTC, ISO 8601."""
    return {
        "id": str(lead.id),
        "reference": lead.reference,
        "status": lead.status.value,
        "held_for": lead.held_for.value if lead.held_for else None,
        "priority": lead.priority.value,
        "kind": lead.kind.value,
        "role": lead.role.value,
        "name": lead.name,
        "email": lead.email,
        "phone": lead.phone,
        "phone_extension": lead.phone_extension,
        "language": lead.language,
        "interest": lead.interest,
        "location": lead.location,
        "site": lead.site,
        "preferred_channel": lead.preferred_channel,
        "created_at": iso(lead.created_at),
        "promised_at": iso(lead.promised_at),
        "contacted_at": iso(lead.contacted_at),
        "contacted_by": lead.contacted_by,
        "outcome": lead.outcome.value if lead.outcome else None,
        "assigned_to": lead.assigned_to,
        "snoozed_until": iso(lead.snoozed_until),
        "overdue": is_overdue(lead.status, lead.promised_at, lead.snoozed_until, now),
        "possible_duplicate": lead.possible_duplicate,
        "merged_into": str(lead.merged_into) if lead.merged_into else None,
    }


def show_lead_whole(
    session: Session, planner: Planner, lead: Lead, now: datetime
) -> dict[str, Any]:
    """The lead with all that came in, was agreed, was sent or not and why, and was done."""
    addresses = ((Channel.email, lead.email), (Channel.sms, lead.phone))
    # Under every key, as whoever sends looks for them.
    hashes = [text for channel, one in addresses if one for text in planner.hashes_of(channel, one)]
    return show_lead(lead, now) | {
        "submissions": [
            {
                "id": str(one.id),
                "kind": one.kind.value,
                "source": one.source,
                "unsigned": is_unsigned(one),
                "received_at": iso(one.received_at),
                "fields": one.payload,
                "scores": show_scores(one.payload),
            }
            for one in submissions.list_of_lead(session, lead.id)
        ],
        "consents": [
            {
                "id": str(one.id),
                "submission_id": str(one.submission_id) if one.submission_id else None,
                "channel": one.channel.value,
                "given": one.given,
                "act": one.act.value,
                "text": one.text or one.evidence.get("words", ""),
                "text_version": one.text_version,
                "language": one.language,
                "evidence": one.evidence,
                "occurred_at": iso(one.occurred_at),
                "recorded_at": iso(one.recorded_at),
            }
            for one in consents.list_consents(session, lead.id)
        ],
        "suppressions": [show_suppression(one) for one in consents.list_history(session, hashes)],
        "risks": [
            {
                "words": one.words,
                "list_version": one.list_version,
                "found_at": iso(one.found_at),
                "submission_id": str(one.submission_id) if one.submission_id else None,
                "reply_id": str(one.reply_id) if one.reply_id else None,
            }
            for one in replies.list_risk_matches(session, lead.id)
        ],
        "deliveries": [_show_delivery(one) for one in deliveries.list_of_lead(session, lead.id)],
        "decisions": [show_decision(one) for one in ledger.list_decisions(session, lead.id)],
        "next": list_next(session, lead, now),
        "parts": [show_lead(one, now) for one in leads.list_merged(session, lead.id)],
        "task": show_task(session, lead),
        "actions": [
            {"verb": one.verb, "by": one.by, "at": iso(one.at), "note": one.note, **one.facts}
            for one in ledger.list_actions(session, lead.id)
        ],
        "replies": [show_reply(one) for one in replies.list_replies(session, lead.id)],
    }


def show_reply(one: Reply) -> dict[str, Any]:
    return {
        "id": str(one.id),
        "body": one.body,
        "received_at": iso(one.received_at),
        "meaning": one.meaning.value if one.meaning else None,
        "matched_by": one.matched_by.value if one.matched_by else None,
    }


def show_suppression(one: Suppression) -> dict[str, Any]:
    return {
        "channel": one.channel.value,
        "reason": one.reason.value,
        "matched_by": one.matched_by.value if one.matched_by else None,
        "evidence": one.evidence,
        "honored_at": iso(one.created_at),
        "confirmed_at": iso(one.confirmed_at),
        "lifted_at": iso(one.lifted_at),
    }


def _show_delivery(row: Delivery) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "step": row.step,
        "occurrence": row.occurrence,
        "audience": row.audience.value,
        "channel": row.channel.value,
        "lane": row.lane.value,
        "status": row.status.value,
        "reason": row.reason.value if row.reason else None,
        "explanation": sentence(row.reason),
        "due_at": iso(row.due_at),
        "expires_at": iso(row.expires_at),
        "sent_at": iso(row.sent_at),
        "provider_id": row.provider_id,
        "recipient": row.recipient,
        "subject": row.subject,
        "body": row.body,
        "wording": row.wording,
    }


def show_scores(fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The scores of a submission's answers, for staff alone, made anew each time."""
    answers = fields.get("answers")
    return [
        {
            "instrument": one.instrument.title,
            "total": one.total,
            "highest": one.instrument.highest,
            "band": one.band,
            "positive": one.is_positive,
            "missing": list(one.missing),
            "note": DISCLAIMER,
        }
        for one in list_scores(answers if isinstance(answers, Mapping) else {})
    ]


def show_problem(submission: Submission) -> dict[str, Any]:
    """A submission that could not be consumed, as it came in."""
    return {
        "id": str(submission.id),
        "kind": submission.kind.value,
        "source": submission.source,
        "received_at": iso(submission.received_at),
        "problem": submission.problem,
        "fields": submission.payload,
    }


def show_spam(submission: Submission) -> dict[str, Any]:
    """A submission that was caught at the door, as it came in, and why."""
    return {
        "id": str(submission.id),
        "kind": submission.kind.value,
        "received_at": iso(submission.received_at),
        "caught": submission.caught.value if submission.caught else None,
        "explanation": REASONS_TO_SUSPECT[submission.caught] if submission.caught else None,
        "fields": submission.payload,
    }


def list_page(
    session: Session,
    now: datetime,
    *,
    status: LeadStatus | None = None,
    overdue: bool | None = None,
    kind: Kind | None = None,
    reference: str | None = None,
    submission: uuid.UUID | None = None,
    cursor: uuid.UUID | None = None,
) -> tuple[Sequence[Lead], str | None]:
    """One page of leads, the urgent first, then the newest, and where the next one begins (None at
    the end)."""
    found = leads.list_leads(
        session,
        now,
        status=status,
        overdue=overdue,
        kind=kind,
        reference=reference,
        submission=submission,
        before=cursor,
        limit=PAGE + 1,
    )
    page = found[:PAGE]
    return page, str(page[-1].id) if len(found) > PAGE else None


def stats(session: Session, now: datetime) -> dict[str, Any]:
    """Who waits, how soon people were reached, and what became of the messages.

    Times to contact are in seconds of wall time, over leads contacted in the last 30 days; our
    own acknowledgement never counts as contact.
    """
    since = now - STATS_PERIOD
    waiting, overdue = leads.count_waiting(session, now)
    times = leads.list_contact_times(session, since)
    seconds = sorted((contacted - created).total_seconds() for created, _, contacted in times)
    kept = sum(contacted <= promised for _, promised, contacted in times)
    sent: dict[str, dict[str, int]] = {}
    for (channel, status), count in counts.count_by_status(session, since).items():
        sent.setdefault(channel.value, {})[status.value] = count
    by_status = submissions.count_by_status(session)
    return {
        "waiting": waiting,
        "held": leads.count_held(session)[0],
        "overdue": overdue,
        "contacted": len(seconds),
        "seconds_to_contact": {
            "median": median(seconds) if seconds else None,
            "p90": p90(seconds),
        },
        "promise_kept": kept / len(times) if times else None,
        "deliveries": sent,
        "submissions": {status.value: count for status, count in by_status.items()},
    }


def p90(values: Sequence[float]) -> float | None:
    """Nine of ten are at most that; never more than the largest."""
    if len(values) < 2:
        return next(iter(values), None)
    return quantiles(values, n=10, method="inclusive")[-1]
