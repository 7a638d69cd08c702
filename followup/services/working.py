"""What staff do with a lead: contacted, attempt, snooze, close, reopen. Every door calls these, and
says which it is, for the audit trail."""

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from sqlalchemy.orm import Session

from followup.domain.audit import Door
from followup.domain.cadence import TO_PATIENTS, Channel
from followup.domain.consent import Act, MatchedBy, SuppressionReason
from followup.domain.delivery import Reason
from followup.domain.lead import ATTEMPT_SNOOZE, WAITING, Closing, LeadStatus, Outcome
from followup.errors import AlreadyContacted, Conflict, Fault, Invalid
from followup.services.planning import Planner
from followup.services.silencing import silence
from followup.services.uniting import part_again
from followup.store import consents, deliveries, leads, ledger, people
from followup.store.models import Lead

#: Put off for longer, a person is forgotten; and a year 9999 is past what the store can hold.
LONGEST_SNOOZE = timedelta(days=90)


@dataclass(frozen=True)
class Marked:
    """The lead as it is now, how many deliveries were cancelled, and those that were in `sending`
    when the mark committed: these may still arrive, and nothing else will."""

    lead: Lead
    cancelled: int
    in_flight: list[uuid.UUID]


def mark_contacted(
    session: Session,
    lead_id: uuid.UUID,
    *,
    by: str,
    now: datetime,
    door: Door = Door.service,
    outcome: Outcome = Outcome.reached,
    note: str | None = None,
) -> Marked:
    """Somebody reached the person: end everything that is planned. Of a lead that is a part of
    another, that one is marked.

    The same answer again for the same person. Raises AlreadyContacted naming who was first,
    NotFound, and Conflict for a lead that was closed.
    """
    was_first = leads.mark(
        session,
        lead_id,
        status=LeadStatus.contacted,
        contacted_at=now,
        contacted_by=by,
        outcome=outcome,
        snoozed_until=None,
    )
    if not was_first:
        whole = leads.find_whole(session, leads.get_lead(session, lead_id))
        if whole.id != lead_id:
            return mark_contacted(
                session, whole.id, by=by, now=now, door=door, outcome=outcome, note=note
            )
    lead = leads.get_lead(session, lead_id, lock=True)
    if not was_first:
        return _marked_before(session, lead, by)
    cancelled, in_flight = _end_planned(session, lead_id, Reason.contacted)
    ledger.add_action(
        session,
        lead_id=lead_id,
        verb="contacted",
        by=by,
        at=now,
        door=door,
        note=note,
        facts={
            "outcome": outcome.value,
            "cancelled": cancelled,
            "in_flight": [str(delivery_id) for delivery_id in in_flight],
        },
    )
    return Marked(lead, cancelled, in_flight)


def _marked_before(session: Session, lead: Lead, by: str) -> Marked:
    if lead.status is not LeadStatus.contacted or lead.contacted_at is None:
        raise Conflict("the lead is closed; reopen it first")
    if lead.contacted_by != by:
        raise AlreadyContacted(lead.contacted_by or "somebody", lead.contacted_at)
    action = ledger.find_last_action(session, lead.id, "contacted")
    facts: dict[str, Any] = action.facts if action else {}
    in_flight = [uuid.UUID(text) for text in facts.get("in_flight", ())]
    return Marked(lead, int(facts.get("cancelled", 0)), in_flight)


def _end_planned(
    session: Session, lead_id: uuid.UUID, reason: Reason
) -> tuple[int, list[uuid.UUID]]:
    """How many were cancelled, and those in flight."""
    # Once more, because a claim that we waited for may have planned the next reminder meanwhile.
    cancelled = sum(deliveries.cancel_planned(session, lead_id, reason) for _ in range(2))
    return cancelled, deliveries.list_in_flight(session, lead_id)


def record_attempt(
    session: Session,
    planner: Planner,
    lead_id: uuid.UUID,
    *,
    by: str,
    now: datetime,
    door: Door = Door.service,
    note: str | None = None,
) -> Lead:
    """Staff tried and did not reach the person: reminders rest for two business hours."""
    lead = _open_lead(session, lead_id)
    hours = planner.clinic.site(lead.site).business_hours
    rest_until = hours.add(now, ATTEMPT_SNOOZE)
    lead.snoozed_until = max(lead.snoozed_until or rest_until, rest_until)
    # Somebody has acted: an alarm about danger is not repeated.
    deliveries.cancel_notices(session, lead.id, Reason.snoozed)
    ledger.add_action(session, lead_id=lead.id, verb="attempt", by=by, at=now, door=door, note=note)
    return lead


def add_note(
    session: Session,
    lead_id: uuid.UUID,
    *,
    by: str,
    now: datetime,
    note: str,
    door: Door = Door.service,
) -> Lead:
    """Keep words with the lead, whatever its status; nothing else changes."""
    if not note.strip():
        raise Invalid(Fault("note", "must not be empty"))
    lead = leads.get_lead(session, lead_id)
    ledger.add_action(session, lead_id=lead_id, verb="note", by=by, at=now, door=door, note=note)
    return lead


def snooze(
    session: Session,
    lead_id: uuid.UUID,
    *,
    until: datetime,
    by: str,
    now: datetime,
    door: Door = Door.service,
) -> Lead:
    """Put the reminders off until the given instant. Raises Invalid unless it lies ahead, and
    no further than `LONGEST_SNOOZE`."""
    if not now < until <= now + LONGEST_SNOOZE:
        days = LONGEST_SNOOZE.days
        raise Invalid(Fault("until", f"must be in the future, at most {days} days ahead"))
    until = until.astimezone(UTC)
    lead = _open_lead(session, lead_id)
    lead.snoozed_until = until
    facts = {"until": until.isoformat()}
    ledger.add_action(
        session, lead_id=lead.id, verb="snooze", by=by, at=now, door=door, facts=facts
    )
    return lead


def assign(
    session: Session,
    lead_id: uuid.UUID,
    *,
    to: str | None,
    expected: str | None,
    by: str,
    now: datetime,
    door: Door = Door.service,
) -> Lead:
    """Somebody takes the lead, gives it to a colleague, or (None) back.

    `expected` is who had it when the caller looked, so that two never take one lead unknowingly.
    Raises Invalid for somebody who does not work here, Conflict naming who has it, and Conflict for
    a lead that no longer waits.
    """
    if to is not None:
        person = people.find_by_name(session, to)
        if person is None or person.disabled_at is not None:
            raise Invalid(Fault("to", "must be the name of somebody who works here"))
    swapped = leads.assign(session, lead_id, to=to, expected=expected)
    lead = leads.get_lead(session, lead_id, lock=True)
    if not swapped:
        if lead.status not in WAITING:
            raise Conflict(f"the lead is {lead.status}")
        if lead.assigned_to != to:
            raise Conflict(f"{lead.assigned_to or 'nobody'} has it now")
        return lead
    verb, facts = ("assigned", {"to": to}) if to else ("given back", {"from": expected})
    ledger.add_action(session, lead_id=lead_id, verb=verb, by=by, at=now, door=door, facts=facts)
    return lead


def close(
    session: Session,
    planner: Planner,
    lead_id: uuid.UUID,
    *,
    why: Closing,
    by: str,
    now: datetime,
    door: Door = Door.service,
    note: str | None = None,
) -> Marked:
    """Nobody is owed a call here: end everything that is planned.

    A wrong number is silent from now on, for every lead that has it, and stays so when the lead is
    reopened: only its owner's own word lifts that. Raises NotFound, AlreadyContacted naming who
    reached the person, and Conflict for a lead that is closed.
    """
    was_first = leads.mark(session, lead_id, status=LeadStatus.closed, snoozed_until=None)
    lead = leads.get_lead(session, lead_id, lock=True)
    if not was_first:
        _refuse(lead)
    cancelled, in_flight = _end_planned(session, lead_id, Reason.closed)
    if why is Closing.wrong_number and lead.phone:
        hashes = planner.hashes_of(Channel.sms, lead.phone)
        reason, staff = SuppressionReason.wrong_number, MatchedBy.staff
        silence(session, Channel.sms, hashes, reason, now, evidence=note, matched_by=staff)
    facts = {"why": why.value, "cancelled": cancelled, "in_flight": [str(one) for one in in_flight]}
    ledger.add_action(
        session, lead_id=lead_id, verb="closed", by=by, at=now, door=door, note=note, facts=facts
    )
    return Marked(lead, cancelled, in_flight)


def reopen(
    session: Session,
    planner: Planner,
    lead_id: uuid.UUID,
    *,
    by: str,
    now: datetime,
    door: Door = Door.service,
) -> Lead:
    """The person is owed a call again. Plans only what lies ahead: nothing is sent twice. What is
    a part of another lead stands alone again.

    Raises Conflict when the lead is open.
    """
    lead = leads.get_lead(session, lead_id)
    leads.lock_leads(session, {lead.id, leads.find_whole(session, lead).id})
    if lead.status in WAITING:
        raise Conflict("the lead is open")
    if lead.merged_into is not None:
        part_again(session, planner, lead, by=by, now=now, door=door)
    lead.status = LeadStatus.open
    lead.contacted_at = lead.contacted_by = lead.outcome = lead.snoozed_until = None
    lead.episode += 1
    session.flush()
    # A retry of what was in flight may wait; it would come beside what is planned now.
    deliveries.cancel_planned(session, lead_id, Reason.contacted)
    planner.plan_ahead(session, lead, now)
    ledger.add_action(session, lead_id=lead_id, verb="reopened", by=by, at=now, door=door)
    return lead


def record_opt_out(
    session: Session,
    planner: Planner,
    lead_id: uuid.UUID,
    *,
    by: str,
    now: datetime,
    door: Door = Door.service,
    note: str | None = None,
    channels: Collection[Channel] = TO_PATIENTS,
) -> Lead:
    """The person told staff to stop writing: the addresses are silent at once, for every lead.

    47 CFR 64.1200(a)(10): any reasonable way of saying so counts; `note` holds the words.
    """
    lead = leads.get_lead(session, lead_id, lock=True)
    for channel, address in _addresses(lead, channels):
        hashes = planner.hashes_of(channel, address)
        reason, staff = SuppressionReason.asked_staff, MatchedBy.staff
        silence(session, channel, hashes, reason, now, evidence=note, matched_by=staff)
    facts = {"channels": sorted(channel.value for channel in channels)}
    ledger.add_action(
        session, lead_id=lead_id, verb="opt-out", by=by, at=now, door=door, note=note, facts=facts
    )
    return lead


#: What a person's own fresh word ends: not that an address is unreachable, or called us spam.
_LIFTED_BY_WORD = (
    SuppressionReason.opted_out,
    SuppressionReason.unsubscribed,
    SuppressionReason.asked_staff,
    SuppressionReason.wrong_number,
    SuppressionReason.refused_elsewhere,
)


def record_opt_in(
    session: Session,
    planner: Planner,
    lead_id: uuid.UUID,
    *,
    by: str,
    now: datetime,
    note: str,
    channels: Collection[Channel],
    door: Door = Door.service,
) -> Lead:
    """The person told staff that we may write again; `note` is the evidence: when, where, in which
    words. A ticked box alone never does that."""
    if not note.strip():
        raise Invalid(Fault("note", "must say what the person agreed to, and how"))
    lead = leads.get_lead(session, lead_id, lock=True)
    for channel, address in _addresses(lead, channels):
        hashes = planner.hashes_of(channel, address)
        for reason in _LIFTED_BY_WORD:
            consents.lift(session, channel, hashes, reason, now)
        consents.add_consent(
            session,
            lead_id=lead.id,
            submission_id=None,
            channel=channel,
            address_hash=hashes[0],
            given=True,
            act=Act.told_staff,
            # The person's words are encrypted with the other evidence.
            text="",
            text_version="",
            language=lead.language,
            evidence={"by": by, "words": note},
            occurred_at=now,
            recorded_at=now,
        )
    facts = {"channels": sorted(channel.value for channel in channels)}
    ledger.add_action(
        session, lead_id=lead_id, verb="opt-in", by=by, at=now, door=door, note=note, facts=facts
    )
    return lead


def _addresses(lead: Lead, channels: Collection[Channel]) -> list[tuple[Channel, str]]:
    if not set(channels) <= set(TO_PATIENTS):
        raise Invalid(Fault("channels", f"must be of {', '.join(TO_PATIENTS)}"))
    known = ((Channel.email, lead.email), (Channel.sms, lead.phone))
    return [(channel, address) for channel, address in known if address and channel in channels]


def _open_lead(session: Session, lead_id: uuid.UUID) -> Lead:
    """Of a part, the lead that it is a part of."""
    whole = leads.find_whole(session, leads.get_lead(session, lead_id))
    lead = leads.get_lead(session, whole.id, lock=True)
    if lead.merged_into is not None:
        # While we waited for the lock.
        return _open_lead(session, lead.id)
    if lead.status not in WAITING:
        _refuse(lead)
    return lead


def _refuse(lead: Lead) -> NoReturn:
    """Of a lead that no longer waits."""
    if lead.status is LeadStatus.contacted and lead.contacted_at is not None:
        raise AlreadyContacted(lead.contacted_by or "somebody", lead.contacted_at)
    if lead.merged_into is not None:
        raise Conflict("the lead was merged into another one")
    raise Conflict("the lead is closed; reopen it first")
