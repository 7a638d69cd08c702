"""Removes a person everywhere, the provider's copies too, and keeps evidence that names nobody.

First the leads fall silent, then their rows go, then the provider is asked to delete its copies.
What cannot go yet, a message on its way, is left as rows that `finish_erasures` comes back for.
"""

import uuid
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from followup.domain.audit import STRIPPED, Door
from followup.domain.cadence import Channel
from followup.domain.delivery import Reason
from followup.domain.erasure import strip_evidence, strip_words
from followup.domain.lead import LeadStatus
from followup.errors import TransportError
from followup.services.identifying import Identified, identify_leads
from followup.services.insisting import insist
from followup.services.planning import Planner
from followup.store import consents, deliveries, entries, erasures, leads, ledger, removals
from followup.store.db import overwrite_deleted, reading, transaction
from followup.store.models import Erasure, ProviderCopy, Submission
from followup.transports.base import Transport

log = structlog.get_logger()

#: A provider that could not delete a message yet is asked again after that long.
ASKED_AGAIN_AFTER = timedelta(hours=1)
#: Where whoever erases comes in.
DOOR = Door.command_line
#: Messages that one look claims.
BATCH = 16
#: Real seconds for which a database that is away, or two who wait for each other, are tried again.
PATIENCE_SECONDS = 10.0


@dataclass(frozen=True)
class Eraser:
    """What erasing needs. A channel without a transport is left for who has one."""

    engine: Engine
    planner: Planner
    transports: Mapping[Channel, Transport]


def erase(eraser: Eraser, person: Identified, *, by: str, now: datetime) -> uuid.UUID:
    """Remove the person. Killed at any point, `finish_erasures` or the same once more completes it.

    Returns the erasure's id; `tracing.trace` then shows what is left.
    """
    with transaction(eraser.engine) as session:
        erasure_id = _begin(session, person, by, now)
    insist(lambda: _remove_person(eraser, erasure_id, person, now), within=PATIENCE_SECONDS)
    _delete_copies(eraser, now, erasure_id)
    _finish(eraser, erasure_id, now)
    overwrite_deleted(eraser.engine)
    return erasure_id


def _begin(session: Session, person: Identified, by: str, now: datetime) -> uuid.UUID:
    """From the commit on nothing is sent to the person."""
    lead_ids = [lead.id for lead in person.leads]
    for lead_id in lead_ids:
        lead = leads.get_lead(session, lead_id, lock=True)
        lead.status, lead.snoozed_until = LeadStatus.closed, None
        session.flush()
        # Twice, because a claim that we waited for may have planned the next reminder meanwhile.
        for _ in range(2):
            deliveries.cancel_planned(session, lead_id, Reason.closed)
        ledger.add_action(session, lead_id=lead_id, verb="erased", by=by, at=now, door=DOOR)
    erasure = erasures.add_erasure(
        session, by=by, now=now, lead_ids=lead_ids, references=person.references
    )
    return erasure.id


def _remove_person(
    eraser: Eraser, erasure_id: uuid.UUID, person: Identified, now: datetime
) -> None:
    planner, lead_ids = eraser.planner, [lead.id for lead in person.leads]
    with transaction(eraser.engine) as session:
        _strip_evidence(session, planner, lead_ids, person.hashes(planner), now)
        replies = removals.list_strangers_replies(session, person.phone_hashes(planner))
        copies = {reply.provider_id for reply in replies}
        unowned = [one for one in removals.walk_unowned_submissions(session) if _is_of(person, one)]
        hashes = person.phone_hashes(planner)
        sent = removals.list_strangers_deliveries(session, hashes, replies)
        copies |= erasures.list_provider_ids(session, sent)
        removals.remove_of_strangers(session, [*replies, *unowned], sent)
        removed = Counter(replies=len(replies), submissions=len(unowned), deliveries=len(sent))
        # Of a message on its way the provider's id is yet to come, so its row waits for that.
        settled, moving = removals.lock_deliveries(session, lead_ids)
        copies |= erasures.list_provider_ids(session, settled)
        copies |= removals.list_reply_ids(session, lead_ids)
        removed += removals.remove_leads(session, lead_ids, now, [row.id for row in moving])
        erasures.add_copies(session, erasure_id, copies, now)
        erasures.note_removed(session, erasure_id, now)
        _add_facts(erasures.lock_erasure(session, erasure_id), removed)


def _is_of(person: Identified, submission: Submission) -> bool:
    return person.traces.are_in(f"{submission.payload} {submission.evidence}")


def _strip_evidence(
    session: Session,
    planner: Planner,
    lead_ids: Collection[uuid.UUID],
    hashes: Collection[str],
    now: datetime,
) -> None:
    """Consents and suppressions stay, with the address as a keyed hash and nobody's words."""
    hash_text = planner.keyring.hash
    for consent in removals.list_evidence(session, lead_ids, hashes):
        consent.evidence = strip_evidence(consent.evidence, hash_text)
        lead_id = consent.lead_id
        entries.add_entry(session, row=consent, at=now, verb=STRIPPED, lead_id=lead_id)
    for suppression in consents.list_history(session, hashes):
        suppression.evidence = strip_words(suppression.evidence, hash_text)
        entries.add_entry(session, row=suppression, at=now, verb=STRIPPED)
    session.flush()


def _add_facts(erasure: Erasure, counts: Mapping[str, int]) -> None:
    facts = dict(erasure.facts)
    for name, count in counts.items():
        facts[name] = facts.get(name, 0) + count
    erasure.facts = facts


def finish_erasures(eraser: Eraser, now: datetime) -> int:
    """Do what could not be done yet: the rows of messages that have arrived meanwhile, and the
    provider's copies. Returns how many erasures are still not finished."""
    with transaction(eraser.engine) as session:
        pending = erasures.list_pending(session)
    for erasure_id in pending:
        _remove_rest(eraser, erasure_id, now)
    _delete_copies(eraser, now)
    left = [one for one in pending if not _finish(eraser, one, now)]
    if pending:
        overwrite_deleted(eraser.engine)
        log.info("erasures were taken up again", pending=len(pending), left=len(left))
    return len(left)


def _remove_rest(eraser: Eraser, erasure_id: uuid.UUID, now: datetime) -> None:
    with reading(eraser.engine) as session:
        person = identify_leads(session, erasures.list_unremoved(session, erasure_id))
    if person.leads:
        insist(lambda: _remove_person(eraser, erasure_id, person, now), within=PATIENCE_SECONDS)


def _delete_copies(eraser: Eraser, now: datetime, erasure_id: uuid.UUID | None = None) -> None:
    """Each is asked for once an hour at most, and never given up."""
    transport = eraser.transports.get(Channel.sms)
    while transport is not None:
        with transaction(eraser.engine) as session:
            again_at = now + ASKED_AGAIN_AFTER
            claimed = erasures.claim_copies(session, now, again_at, BATCH, erasure_id)
        for copy in claimed:
            _delete_copy(eraser.engine, transport, copy)
        if len(claimed) < BATCH:
            return


def _delete_copy(engine: Engine, transport: Transport, copy: ProviderCopy) -> None:
    try:
        transport.delete(copy.provider_id)
    except TransportError as error:
        with transaction(engine) as session:
            erasures.note_refusal(session, copy, error.code)
        return
    with transaction(engine) as session:
        erasures.drop_copy(session, copy)
        erasure = erasures.lock_erasure(session, copy.erasure_id)
        _add_facts(erasure, {"deleted_at_provider": 1})


def _finish(eraser: Eraser, erasure_id: uuid.UUID, now: datetime) -> bool:
    """Whether nothing is left to be done."""
    with transaction(eraser.engine) as session:
        left = erasures.list_unremoved(session, erasure_id)
        if left or erasures.count_copies(session, erasure_id):
            return False
        erasures.lock_erasure(session, erasure_id).finished_at = now
        return True
