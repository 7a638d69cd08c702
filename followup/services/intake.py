"""Takes submissions and makes leads of them: `receive` commits, `consume` does the rest."""

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from followup.clinic import Clinic
from followup.clinic_limits import Limits
from followup.domain.address import parse_phone
from followup.domain.cadence import Channel
from followup.domain.delivery import Reason
from followup.domain.lead import Identity, LeadStatus, Match, Role, compare
from followup.domain.submission import AnyForm, Kind, read_submission
from followup.domain.suspicion import Suspicion
from followup.errors import Fault, FollowupError, Invalid, KeyReused
from followup.services.agreeing import keep_consent
from followup.services.guarding import COUNTING, count_address, find_suspicion
from followup.services.heeding import find_danger, heed_submission
from followup.services.planning import Planner
from followup.services.reviewing import RELEASED_BY, open_lead
from followup.store import deliveries, leads, submissions
from followup.store.crypto import keyring_of
from followup.store.db import UNUSABLE, lock_addresses, reading, transaction
from followup.store.models import Lead, Submission
from followup.store.words import SubmissionStatus

log = structlog.get_logger()

#: Submissions consumed in one transaction.
BATCH = 16

#: A further submission to an open lead is acknowledged again once the last was that long ago.
ACKNOWLEDGE_AGAIN_AFTER = timedelta(hours=24)


@dataclass(frozen=True)
class Received:
    """What the caller is told; the same for the same Idempotency-Key."""

    submission_id: uuid.UUID
    #: False when the key was seen before, and nothing happened now.
    is_new: bool


def receive(
    engine: Engine,
    clinic: Clinic,
    kind: Kind,
    payload: Mapping[str, Any],
    *,
    now: datetime,
    source: str = "api",
    idempotency_key: str | None = None,
    evidence: Mapping[str, Any] | None = None,
    caught: Suspicion | None = None,
    limits: Limits | None = None,
) -> Received:
    """Keep one submission; it is committed when this returns.

    What was `caught` is kept as spam, with the same answer; unless somebody may be in danger: then
    it makes a lead, which is held. Raises Invalid naming every wrong
    field, KeyReused when the key came with other content, and TooMany, with `limits`, when the
    address in `evidence` has sent as many as it may; what was taken before is answered again.
    """
    _check(clinic, kind, payload)
    keyring = keyring_of(engine)
    keys = keyring.hashes(f"{kind}:{idempotency_key}") if idempotency_key else []
    content_hash = _content_hash(payload)
    is_spam = caught is not None and not find_danger(payload, clinic)
    submission = Submission(
        kind=kind,
        source=source,
        received_at=now,
        key_hash=keys[0] if keys else None,
        content_hash=keyring.hash(content_hash),
        payload=dict(payload),
        evidence=dict(evidence or {}),
        status=SubmissionStatus.spam if is_spam else SubmissionStatus.accepted,
        caught=caught,
        due_at=now,
    )
    try:
        with transaction(engine) as session:
            known = submissions.find_by_key(session, keys) if keys else None
            if known is None:
                if limits is not None:
                    count_address(session, keyring, limits, submission.evidence.get("address"), now)
                session.add(submission)
                session.flush()
                return Received(submission.id, is_new=True)
    except IntegrityError:
        # The same key was committed between our look and our insert.
        with reading(engine) as session:
            known = submissions.find_by_key(session, keys)
    if known is None or known.content_hash not in keyring.hashes(content_hash):
        raise KeyReused("this Idempotency-Key was used for another submission")
    return Received(known.id, is_new=False)


def _check(clinic: Clinic, kind: Kind, payload: Mapping[str, Any]) -> None:
    """Raises Invalid naming every wrong field, whoever of us finds it wrong."""
    faults: dict[str, Fault] = {}
    version = payload.get("consent_text_version")
    try:
        if isinstance(version, str):
            clinic.consent_text(kind, version.strip(), clinic.default_language)
    except Invalid as error:
        faults = {fault.field: fault for fault in error.faults}
    try:
        read_submission(kind, payload)
    except Invalid as error:
        faults |= {fault.field: fault for fault in error.faults}
    if faults:
        raise Invalid(*faults.values())


def _content_hash(payload: Mapping[str, Any]) -> str:
    canonical = json.dumps(payload, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()


def consume(
    engine: Engine, planner: Planner, now: datetime, *, limits: Limits | None = None
) -> int:
    """Make leads of one batch of what came in. Returns how many submissions were taken up.

    With `limits`, the lead of a suspicious one is held: nothing is planned until staff release it.
    A submission that cannot be consumed is marked with the problem and does not block the next.
    """
    with transaction(engine) as session:
        batch = submissions.claim_unconsumed(session, now, BATCH)
        # Of the whole batch at once: two batches with the same people would else wait in a ring.
        locks = [digits for one in batch for digits in _hashes(planner, one)]
        lock_addresses(session, [*locks, *([COUNTING] if limits else [])])
        for submission in batch:
            try:
                with session.begin_nested():
                    _consume_one(session, planner, submission, now, limits)
            except UNUSABLE:
                raise
            except Exception as error:  # one bad submission must not hold up the others
                _mark_problem(submission, error)
        return len(batch)


def _hashes(planner: Planner, submission: Submission) -> list[str]:
    """Of the submission's addresses; none for one that cannot be read, as will be noted."""
    try:
        form = read_submission(submission.kind, submission.payload)
    except Invalid:
        return []
    given = ((Channel.email, form.email), (Channel.sms, form.phone))
    return [planner.hash_address(channel, address) for channel, address in given if address]


def _mark_problem(submission: Submission, error: Exception) -> None:
    submission.status = SubmissionStatus.problem
    submission.failures += 1
    # Our own errors name fields, never values; another's text might hold what somebody wrote.
    own = isinstance(error, FollowupError)
    submission.problem = str(error) if own else f"unexpected {type(error).__name__}"
    log.error(
        "a submission could not be consumed",
        submission_id=str(submission.id),
        problem=submission.problem,
        exc_info=None if own else error,
    )


def _consume_one(
    session: Session, planner: Planner, submission: Submission, now: datetime, limits: Limits | None
) -> None:
    form = read_submission(submission.kind, submission.payload)
    # What staff have released is welcome.
    released_by = submission.evidence.get(RELEASED_BY)
    suspicion = submission.caught if released_by is None else None
    if limits is not None and submission.caught is None:
        suspicion = find_suspicion(session, planner, limits, submission, form)
    email_hashes = planner.hashes_of(Channel.email, form.email) if form.email else []
    phone_hashes = planner.hashes_of(Channel.sms, form.phone) if form.phone else []
    same, possible = _match(session, form, email_hashes, phone_hashes)
    if same is None:
        lead = _add_lead(session, planner, submission, form, possible, suspicion)
        if released_by is not None:
            open_lead(session, planner, lead, submission.received_at, by=released_by, now=now)
        elif suspicion is None:
            planner.plan_first(session, lead, submission.received_at)
    else:
        lead = same
        # A bot that knows somebody's address must not change what that person is owed, nor agree
        # to texts in their name.
        if suspicion is None:
            _merge(session, planner, lead, submission, form, now)
    submission.lead_id = lead.id
    submission.status = SubmissionStatus.consumed
    submission.consumed_at = now
    if same is None or suspicion is None:
        keep_consent(session, planner, lead, submission, form, now)
    heed_submission(session, planner, lead, submission, now)


def _match(
    session: Session, form: AnyForm, email_hashes: list[str], phone_hashes: list[str]
) -> tuple[Lead | None, Lead | None]:
    """(the open lead of the same person, an open lead that may be)."""
    possible = None
    identity = Identity(form.name, form.email, form.phone)
    for lead in leads.list_open_alike(session, email_hashes, phone_hashes):
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


def _add_lead(
    session: Session,
    planner: Planner,
    submission: Submission,
    form: AnyForm,
    possible: Lead | None,
    suspicion: Suspicion | None,
) -> Lead:
    clinic = planner.clinic
    site = clinic.site(form.location)
    arrived_at = submission.received_at
    return leads.add_lead(
        session,
        status=LeadStatus.held if suspicion else LeadStatus.open,
        held_for=suspicion,
        is_unproven=_is_unproven(submission),
        kind=submission.kind,
        role=form.role or Role.patient,
        cadence=clinic.get_form(submission.kind).cadence,
        name=form.name,
        email=form.email,
        email_hash=planner.hash_address(Channel.email, form.email) if form.email else None,
        phone=form.phone,
        phone_hash=planner.hash_address(Channel.sms, form.phone) if form.phone else None,
        phone_extension=_extension(submission),
        language=clinic.language(form.language),
        interest=form.interest,
        location=form.location,
        site=site.id,
        preferred_channel=form.preferred_channel,
        created_at=arrived_at,
        arrived_at=arrived_at,
        promised_at=site.business_hours.add(arrived_at, clinic.callback_promise),
        episode=0,
        possible_duplicate=possible.reference if possible else None,
    )


def _is_unproven(submission: Submission) -> bool:
    return submission.evidence.get("captcha") == "failed"


def _extension(submission: Submission) -> str | None:
    typed = submission.payload.get("phone")
    return parse_phone(typed).extension if isinstance(typed, str) and typed.strip() else None


def _merge(
    session: Session,
    planner: Planner,
    lead: Lead,
    submission: Submission,
    form: AnyForm,
    now: datetime,
) -> None:
    """A further submission of the same person: nothing restarts, newer addresses replace older.

    One that is welcome opens a lead that was held: by itself it would have been answered, too.
    """
    newest_at = submissions.last_received_at(session, lead.id)
    # One that failed and is replayed must not undo what the person corrected since.
    is_newer = newest_at is None or submission.received_at >= newest_at
    last_acknowledged_at = deliveries.last_acknowledged_at(session, lead.id)
    brought: set[Channel] = set()
    if is_newer:
        brought = _replace_addresses(session, planner, lead, form)
        if form.phone is not None:
            lead.phone_extension = _extension(submission)
        lead.interest = form.interest or lead.interest
        lead.preferred_channel = form.preferred_channel or lead.preferred_channel
        lead.is_unproven = lead.is_unproven and _is_unproven(submission)
    if lead.status is LeadStatus.held:
        by = submission.evidence.get(RELEASED_BY, "a further submission")
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


def replay(engine: Engine, now: datetime, submission_id: uuid.UUID | None = None) -> int:
    """Hand what could not be consumed to the consumer again. Returns how many."""
    with transaction(engine) as session:
        return submissions.retry_problems(session, now, submission_id)
