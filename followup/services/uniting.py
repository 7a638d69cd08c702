"""Makes one lead of two that staff say are one person, and takes them apart again.

No row moves: the duplicate closes and says which lead it is a part of, whose page shows both
histories. So evidence stays as it was written, and taking apart is reopening. `merging.py` is about
submissions, which the service itself knows to be of one person.
"""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from followup.domain.audit import Door
from followup.domain.cadence import Channel
from followup.domain.consent import REFUSALS, Act, SuppressionReason
from followup.domain.delivery import Reason
from followup.domain.lead import LeadStatus, Priority
from followup.errors import Conflict
from followup.services.planning import Planner
from followup.services.silencing import lock_refusals, refuse_elsewhere
from followup.services.telling import hand_over
from followup.store import consents, deliveries, leads, ledger
from followup.store.models import Lead


@dataclass(frozen=True)
class Merged:
    """The lead that goes on, the one that is a part of it now, and what became of what that one
    was owed."""

    lead: Lead
    part: Lead
    cancelled: int
    in_flight: list[uuid.UUID]


def merge_duplicate(
    session: Session,
    planner: Planner,
    lead_id: uuid.UUID,
    *,
    by: str,
    now: datetime,
    door: Door = Door.service,
) -> Merged:
    """The lead is of the same person as the one that it was noted to be like: a part of that one
    from now on. Nothing more goes out for it; the other one keeps its promise, its reminders and
    the stricter of the two's consents and refusals.

    Raises NotFound, and Conflict unless both are open.
    """
    part = leads.get_lead(session, lead_id)
    lead = leads.find_by_reference(session, part.possible_duplicate or "")
    if lead is None:
        raise Conflict("no lead is noted that may be the same person")
    leads.lock_leads(session, (part.id, lead.id))
    for one in (part, lead):
        if one.status is not LeadStatus.open:
            raise Conflict(f"{one.reference} is {one.status}, and only open leads are merged")
    _lock_refusals(session, planner, part, lead)
    part.status, part.snoozed_until = LeadStatus.closed, None
    part.merged_into, part.merged_at = lead.id, now
    session.flush()
    # Once more, because a claim that we waited for may have planned the next reminder meanwhile.
    cancelled = sum(deliveries.cancel_cadence(session, part.id, Reason.closed) for _ in range(2))
    in_flight = deliveries.list_in_flight(session, part.id)
    if part.priority is Priority.urgent:
        lead.priority = Priority.urgent
        session.flush()
    hand_over(session, planner, part, lead, now)
    _take_stricter(session, planner, lead, now)
    facts = {"into": lead.reference, "cancelled": cancelled}
    told: dict[str, Any] = {"by": by, "at": now, "door": door}
    ledger.add_action(session, lead_id=part.id, verb="merged into", facts=facts, **told)
    part_of = {"part": part.reference}
    ledger.add_action(session, lead_id=lead.id, verb="merged", facts=part_of, **told)
    return Merged(lead, part, cancelled, in_flight)


def part_again(
    session: Session, planner: Planner, part: Lead, *, by: str, now: datetime, door: Door
) -> None:
    """The two are not one person after all. What the merging alone forbade is allowed again."""
    wholes = list(_wholes(session, part))
    _lock_refusals(session, planner, part, *wholes)
    part.merged_into = part.merged_at = None
    session.flush()
    for lead in wholes:
        alike = _lift(session, planner, lead, now)
        # An address may be forbidden for another merging's sake as well.
        for one in alike:
            _take_stricter(session, planner, one, now)
    if wholes:
        facts = {"part": part.reference}
        ledger.add_action(
            session, lead_id=wholes[0].id, verb="parted", by=by, at=now, door=door, facts=facts
        )


def _wholes(session: Session, part: Lead) -> Iterator[Lead]:
    """The lead that it is a part of, and what that one is a part of."""
    while part.merged_into is not None:
        lead = leads.find_lead(session, part.merged_into)
        if lead is None:
            return
        yield lead
        part = lead


def _lift(session: Session, planner: Planner, lead: Lead, now: datetime) -> Sequence[Lead]:
    """Returns the leads with these addresses, this one among them."""
    found = {lead.id: lead}
    for channel, hashes in _addresses(planner, lead):
        consents.lift(session, channel, hashes, SuppressionReason.refused_elsewhere, now)
        found |= {one.id: one for one in leads.list_by_address(session, hashes, limit=None)}
    return list(found.values())


def _take_stricter(session: Session, planner: Planner, lead: Lead, now: datetime) -> None:
    """Whatever one of the lead's parts, or the lead itself, has not agreed to or has refused."""
    parts = leads.list_merged(session, lead.id)
    has_agreed = _has_agreed(session, lead)
    withheld = [one for one in parts if not (has_agreed and _has_agreed(session, one))]
    lead.consent_from = max((one.merged_at for one in withheld if one.merged_at), default=None)
    session.flush()
    for channel, hashes in _addresses(planner, lead):
        others = [
            text
            for one in parts
            for same, theirs in _addresses(planner, one)
            if same is channel
            for text in theirs
            if text not in hashes
        ]
        said_since = _last_word(session, lead, channel)
        if any(
            one.channel is channel
            and one.reason in REFUSALS
            and one.lifted_at is None
            and (said_since is None or one.created_at > said_since)
            for one in consents.list_history(session, others)
        ):
            refuse_elsewhere(session, channel, hashes, now)


def _last_word(session: Session, lead: Lead, channel: Channel) -> datetime | None:
    """When the person last said, at the lead itself, that they may be written to again."""
    own = (Act.told_staff, Act.texted_start)
    return max(
        (
            one.occurred_at
            for one in consents.list_consents(session, lead.id)
            if one.channel is channel and one.given and one.act in own
        ),
        default=None,
    )


def _has_agreed(session: Session, lead: Lead) -> bool:
    """To texts; who gave no number was not asked."""
    texts = (one for one in consents.list_consents(session, lead.id) if one.channel is Channel.sms)
    return lead.phone is None or (not lead.is_unproven and any(one.given for one in texts))


def _lock_refusals(session: Session, planner: Planner, *of: Lead) -> None:
    """By mail first, as whoever refuses both ways does."""
    for channel in (Channel.email, Channel.sms):
        addresses = (each for lead in of for each in _addresses(planner, lead))
        hashes = [text for one, texts in addresses if one is channel for text in texts]
        lock_refusals(session, hashes)


def _addresses(planner: Planner, lead: Lead) -> list[tuple[Channel, list[str]]]:
    """Under every key, as they may be known."""
    known = ((Channel.email, lead.email), (Channel.sms, lead.phone))
    return [(channel, planner.hashes_of(channel, address)) for channel, address in known if address]
