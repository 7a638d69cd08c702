"""Explains a lead: what was sent and what was not, each time why, and what comes next and when."""

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from followup.domain.delivery import SENTENCES, Reason, Status
from followup.domain.lead import WAITING
from followup.domain.spoken import iso
from followup.domain.suspicion import SENTENCES as REASONS_TO_SUSPECT
from followup.store import alarms, breakers, deliveries, ledger
from followup.store.models import Breaker, Decision, Delivery, Lead

_HAPPENED = {
    Status.planned: "put off",
    Status.sending: "allowed to go",
    Status.accepted: "taken by the provider",
    Status.sent: "handed on by the provider",
    Status.delivered: "delivered",
    Status.undelivered: "not delivered",
    Status.failed: "refused",
    Status.unknown: "of unknown outcome",
    Status.skipped: "not sent",
    Status.cancelled: "cancelled",
    Status.expired: "too late, not sent",
}
_CHANNEL_PAUSED = "The channel is paused until its provider works again."


def explain(session: Session, lead: Lead, now: datetime) -> dict[str, Any]:
    """`deliveries`, each with its decisions in order; `next`, what is owed still, the soonest
    first; `task`, what staff must do because no message got through, or None."""
    rows = deliveries.list_of_lead(session, lead.id)
    decisions: dict[Any, list[Decision]] = {}
    for one in ledger.list_decisions(session, lead.id):
        decisions.setdefault(one.delivery_id, []).append(one)
    return {
        "reference": lead.reference,
        "status": lead.status.value,
        "held": REASONS_TO_SUSPECT[lead.held_for] if lead.held_for else None,
        "deliveries": [
            {
                **_name(row),
                "status": row.status.value,
                "happened": _HAPPENED[row.status],
                "explanation": sentence(row.reason),
                "decisions": [show_decision(one) for one in decisions.get(row.id, [])],
            }
            for row in rows
            if row.status is not Status.planned or row.id in decisions
        ],
        "next": list_next(session, lead, now),
        "task": show_task(session, lead),
    }


def list_next(session: Session, lead: Lead, now: datetime) -> list[dict[str, Any]]:
    """What the lead is still owed, in the order in which it falls due, and what it waits for.

    A repeating step shows its next occurrence alone: the one after is planned when that goes.
    """
    if lead.status not in WAITING:
        return []
    paused = breakers.list_paused(session)
    return [
        {**_name(row), "due_at": iso(row.due_at), "explanation": _awaited(row, paused, now)}
        for row in deliveries.list_of_lead(session, lead.id)
        if row.status is Status.planned
    ]


def show_decision(one: Decision) -> dict[str, Any]:
    """The same answer several times in a row is one entry, with how often and when last."""
    return {
        "delivery_id": str(one.delivery_id),
        "at": iso(one.at),
        "status": one.status.value,
        "happened": _HAPPENED[one.status],
        "reason": one.reason.value if one.reason else None,
        "explanation": sentence(one.reason),
        "facts": one.facts,
        "times": one.times,
        "last_at": iso(one.last_at),
    }


def show_task(session: Session, lead: Lead) -> dict[str, Any] | None:
    """Call this person: no message of ours got through."""
    task = alarms.find_task(session, lead.id, lead.episode)
    if task is None:
        return None
    return {
        "task": "call",
        "reason": task.reason.value,
        "explanation": sentence(task.reason),
        "created_at": iso(task.created_at),
        "told_at": iso(task.told_at),
    }


def sentence(reason: Reason | None) -> str | None:
    return SENTENCES[reason] if reason else None


def _name(row: Delivery) -> dict[str, Any]:
    return {
        "delivery_id": str(row.id),
        "step": row.step,
        "occurrence": row.occurrence,
        "audience": row.audience.value,
        "channel": row.channel.value,
        "recipient": row.recipient_name,
    }


def _awaited(row: Delivery, paused: dict[Any, Breaker], now: datetime) -> str | None:
    if row.channel in paused and row.due_at <= now:
        return _CHANNEL_PAUSED
    return sentence(row.reason)
