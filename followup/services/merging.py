"""When a submission is of somebody whom we wait to call already: one lead, with what is newer."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from followup.domain.cadence import Audience, Channel
from followup.domain.delivery import Reason
from followup.domain.lead import Identity, LeadStatus, Match, compare
from followup.domain.submission import AnyForm
from followup.services.arriving import SUBMITTED_AT, Arrival, written_at
from followup.services.planning import Planner
from followup.services.reviewing import open_lead
from followup.store import deliveries, submissions
from followup.store.models import Lead, Submission

#: A further submission to an open lead is acknowledged again once the last was that long ago.
ACKNOWLEDGE_AGAIN_AFTER = timedelta(hours=24)


def find_match(waiting: Iterable[Lead], arrival: Arrival) -> tuple[Lead | None, Lead | None]:
    """(the open lead of the same person, an open lead that may be), of those that wait, the oldest
    first."""
    possible, form = None, arrival.form
    identity = Identity(form.name, form.email, form.phone)
    for lead in waiting:
        if not arrival.shares_address(lead):
            continue
        match compare(identity, Identity(lead.name, _folded(lead.email, form.email), lead.phone)):
            case Match.same:
                return lead, None
            case Match.possible:
                possible = possible or lead
    return None, possible


def _folded(email: str | None, like: str | None) -> str | None:
    """Addresses that differ in case alone are one."""
    is_alike = email is not None and like is not None and email.casefold() == like.casefold()
    return like if is_alike else email


def merge(session: Session, planner: Planner, lead: Lead, arrival: Arrival, now: datetime) -> None:
    """A further submission of the same person: nothing restarts, newer addresses replace older.

    One that is welcome opens a lead that was held: by itself it would have been answered, too.
    """
    submission, form = arrival.submission, arrival.form
    # One that failed and is replayed, or was held up, must not undo what was corrected since.
    newest_at = _newest_at(session, lead, submission)
    is_newer = newest_at is None or written_at(submission) >= newest_at
    last_acknowledged_at = deliveries.last_acknowledged_at(session, lead.id)
    brought: set[Channel] = set()
    if is_newer:
        brought = _replace_addresses(session, planner, lead, form)
        if form.phone is not None:
            lead.phone_extension = arrival.phone_extension
        lead.interest = form.interest or lead.interest
        lead.preferred_channel = form.preferred_channel or lead.preferred_channel
        lead.is_unproven = lead.is_unproven and arrival.is_unproven
    if Audience.patient not in arrival.audiences:
        return
    if lead.status is LeadStatus.held:
        by = arrival.released_by or "a further submission"
        open_lead(session, planner, lead, submission.received_at, by=by, now=now)
        return
    is_long_ago = (
        last_acknowledged_at is None
        or submission.received_at - last_acknowledged_at >= ACKNOWLEDGE_AGAIN_AFTER
    )
    if is_long_ago:
        occurrence = submissions.count_of_lead(session, lead.id) + 1
        planner.plan_acknowledgement(session, lead, submission.received_at, occurrence)
    planner.plan_patient(
        session, lead, submission.received_at, brought, acknowledge=not is_long_ago
    )


def _newest_at(session: Session, lead: Lead, submission: Submission) -> datetime | None:
    if SUBMITTED_AT not in submission.evidence:
        return submissions.last_received_at(session, lead.id)
    return max(map(written_at, submissions.list_of_lead(session, lead.id)), default=None)


def _replace_addresses(
    session: Session, planner: Planner, lead: Lead, form: AnyForm
) -> set[Channel]:
    """Returns the channels on which the lead has an address that it had not before."""
    given = {Channel.email: form.email, Channel.sms: form.phone}
    return {
        channel
        for channel, address in given.items()
        if address is not None and _replace(session, planner, lead, channel, address)
    }


def _replace(
    session: Session, planner: Planner, lead: Lead, channel: Channel, address: str
) -> bool:
    """Whether it is another address; one that differs in case alone is the same."""
    old = lead.email if channel is Channel.email else lead.phone
    new_hash = planner.hash_address(channel, address)
    is_other = old is None or planner.hash_address(channel, old) != new_hash
    if is_other and old is not None:
        hashes = planner.hashes_of(channel, old)
        deliveries.cancel_addressed(session, channel, hashes, Reason.superseded, lead.id)
    if channel is Channel.email:
        lead.email, lead.email_hash = address, new_hash
    else:
        lead.phone, lead.phone_hash = address, new_hash
    session.flush()
    return is_other
