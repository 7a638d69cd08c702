"""Takes submissions and makes leads of them: `receive` commits, `consume` does the rest."""

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from followup.clinic import Clinic
from followup.clinic_limits import Limits
from followup.domain.lead import LeadStatus, Role
from followup.domain.submission import Kind, read_submission
from followup.domain.suspicion import Suspicion
from followup.errors import Fault, FollowupError, Invalid, KeyReused
from followup.services.agreeing import keep_consent
from followup.services.arriving import SENDER, Arrival, Batch, is_unsigned
from followup.services.guarding import COUNTING, count_address, find_suspicions
from followup.services.heeding import find_danger, heed_submission
from followup.services.merging import find_match, merge
from followup.services.planning import Planner
from followup.services.reviewing import open_lead
from followup.store import people, submissions
from followup.store.crypto import Keyring, keyring_of
from followup.store.db import UNUSABLE, lock_addresses, new_id, reading, transaction
from followup.store.models import Lead, Submission
from followup.store.words import SubmissionStatus

log = structlog.get_logger()

#: The most submissions consumed in one transaction: what waits, up to so many. On SQLite those who
#: post wait for it.
BATCH = 32


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
    seen_as: Sequence[str] = (),
    content: Any = None,
    evidence: Mapping[str, Any] | None = None,
    caught: Suspicion | None = None,
    problem: str | None = None,
    limits: Limits | None = None,
) -> Received:
    """Keep one submission; it is committed when this returns.

    What was `caught` is kept as spam, with the same answer; unless somebody may be in danger: then
    it makes a lead, which is held. Raises Invalid naming every wrong
    field, KeyReused when the key came with other content, and TooMany, with `limits`, when the
    address in `evidence` has sent as many as it may; what was taken before is answered again.

    What another program sends has a `content` that its `payload` was read from, which is compared
    in its place; it may also have been `seen_as` other keys; and what could not be read of it at
    all has a `problem`, with which it is kept for staff.
    """
    if problem is None:
        _check(clinic, kind, payload)
    keyring = keyring_of(engine)
    named = [idempotency_key, *seen_as] if idempotency_key else []
    keys = [digits for key in named for digits in key_hashes(keyring, kind, key)]
    content_hash = _content_hash(payload if content is None else content)
    evidence = dict(evidence or {})
    is_spam = caught is not None and not find_danger(payload, clinic)
    try:
        with transaction(engine) as session:
            known = submissions.find_by_key(session, keys) if keys else None
            if known is None:
                if limits is not None:
                    address = evidence.get(SENDER, evidence.get("address"))
                    count_address(session, keyring, limits, address, now)
                submission_id = submissions.add_submission(
                    session,
                    kind=kind,
                    source=source,
                    received_at=now,
                    key_hash=keys[0] if keys else None,
                    content_hash=keyring.hash(content_hash),
                    payload=dict(payload),
                    evidence=evidence,
                    status=_first_status(problem, is_spam=is_spam),
                    caught=caught,
                    problem=problem,
                    due_at=now,
                )
                return Received(submission_id, is_new=True)
    except IntegrityError:
        # The same key was committed between our look and our insert.
        with reading(engine) as session:
            known = submissions.find_by_key(session, keys)
    if known is None or known.content_hash not in keyring.hashes(content_hash):
        raise KeyReused("this Idempotency-Key was used for another submission")
    return Received(known.id, is_new=False)


def key_hashes(keyring: Keyring, kind: Kind, key: str) -> list[str]:
    """By which a submission is known again, under each of our keys."""
    return keyring.hashes(f"{kind}:{key}")


def _first_status(problem: str | None, *, is_spam: bool) -> SubmissionStatus:
    if problem is not None:
        return SubmissionStatus.problem
    return SubmissionStatus.spam if is_spam else SubmissionStatus.accepted


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


def _content_hash(content: Any) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()


def consume(
    engine: Engine, planner: Planner, now: datetime, *, limits: Limits | None = None
) -> int:
    """Make leads of one batch of what came in. Returns how many submissions were taken up.

    With `limits`, the lead of a suspicious one is held: nothing is planned until staff release it.
    A submission that cannot be consumed is marked with the problem and does not block the next.
    """
    try:
        with transaction(engine) as session:
            return _consume_together(session, planner, now, limits)
    except UNUSABLE:
        raise
    except Exception:  # one bad submission must not hold up the others: which one is it?
        with transaction(engine) as session:
            return _consume_each(session, planner, now, limits)


def _consume_together(
    session: Session, planner: Planner, now: datetime, limits: Limits | None
) -> int:
    claimed = submissions.claim_unconsumed(session, now, BATCH)
    arrivals = [Arrival.read(planner, submission) for submission in claimed]
    _lock(session, arrivals, limits)
    if arrivals:
        _consume(session, planner, arrivals, now, limits)
    return len(claimed)


def _consume_each(session: Session, planner: Planner, now: datetime, limits: Limits | None) -> int:
    claimed = submissions.claim_unconsumed(session, now, BATCH)
    arrivals = []
    for submission in claimed:
        try:
            arrivals.append(Arrival.read(planner, submission))
        except Exception as error:
            _mark_problem(submission, error)
    _lock(session, arrivals, limits)
    for arrival in arrivals:
        try:
            with session.begin_nested():
                _consume(session, planner, [arrival], now, limits)
        except UNUSABLE:
            raise
        except Exception as error:
            _mark_problem(arrival.submission, error)
    return len(claimed)


def _lock(session: Session, arrivals: Sequence[Arrival], limits: Limits | None) -> None:
    """Of the whole batch at once: two batches with the same people would else wait in a ring."""
    addresses = [digits for arrival in arrivals for digits in arrival.addresses]
    lock_addresses(session, [*addresses, *([COUNTING] if limits else [])])


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


def _consume(
    session: Session,
    planner: Planner,
    arrivals: Sequence[Arrival],
    now: datetime,
    limits: Limits | None,
) -> None:
    planner = planner.with_staff(people.list_people(session, active=True))
    batch = Batch.open(session, planner, arrivals)
    for arrival, suspicion in zip(
        arrivals, _find_suspicions(session, planner, arrivals, limits), strict=True
    ):
        _consume_one(batch, arrival, suspicion, now)
    batch.write(now)


def _find_suspicions(
    session: Session, planner: Planner, arrivals: Sequence[Arrival], limits: Limits | None
) -> list[Suspicion | None]:
    """Why each is suspicious. What was caught at the door is not counted; what staff have released
    is welcome."""
    found = [
        None if arrival.released_by is not None else arrival.submission.caught
        for arrival in arrivals
    ]
    if limits is None:
        return found
    counted = [place for place, one in enumerate(arrivals) if one.submission.caught is None]
    batch = [(arrivals[place].submission, arrivals[place].form) for place in counted]
    for place, suspicion in zip(
        counted, find_suspicions(session, planner, limits, batch), strict=True
    ):
        found[place] = suspicion
    return found


def _consume_one(
    batch: Batch, arrival: Arrival, suspicion: Suspicion | None, now: datetime
) -> None:
    session, planner = batch.session, batch.planner
    submission, form = arrival.submission, arrival.form
    same, possible = find_match(batch.waiting, arrival)
    if same is not None and (arrival.is_unsigned or _came_unsigned(batch, same, now)):
        # Whoever has seen the address of such a source must not change what somebody is owed, nor
        # have a number of theirs called in somebody's name.
        same, possible = None, same
    if same is None:
        lead = _make_lead(planner, batch.next_reference(), arrival, possible, suspicion)
        batch.add_lead(lead)
        if arrival.released_by is not None:
            batch.write(now)
            by = arrival.released_by
            open_lead(session, planner, lead, submission.received_at, by=by, now=now)
        elif suspicion is None:
            rows = planner.first_rows(session, lead, submission.received_at)
            batch.plan(row for row in rows if row["audience"] in arrival.audiences)
    else:
        lead = same
        # A bot that knows somebody's address must not change what that person is owed, nor agree
        # to texts in their name.
        if suspicion is None:
            batch.write(now)
            merge(session, planner, lead, arrival, now)
    batch.consumed(submission, lead)
    if same is None or suspicion is None:
        keep_consent(session, planner, lead, submission, form, now)
    if words := find_danger(submission.payload, planner.clinic):
        batch.write(now)
        heed_submission(session, planner, lead, submission, words, now)


def _came_unsigned(batch: Batch, lead: Lead, now: datetime) -> bool:
    """Whether anything that the lead is made of came from a source that signs nothing."""
    if not any(source.is_unsigned for source in batch.planner.clinic.sources):
        return False
    batch.write(now)
    return any(map(is_unsigned, submissions.list_of_lead(batch.session, lead.id)))


def _make_lead(
    planner: Planner,
    reference: str,
    arrival: Arrival,
    possible: Lead | None,
    suspicion: Suspicion | None,
) -> Lead:
    clinic, submission, form = planner.clinic, arrival.submission, arrival.form
    site = clinic.site(form.location)
    arrived_at = submission.received_at
    return Lead(
        id=new_id(),
        reference=reference,
        status=LeadStatus.held if suspicion else LeadStatus.open,
        held_for=suspicion,
        is_unproven=arrival.is_unproven,
        kind=submission.kind,
        role=form.role or Role.patient,
        cadence=clinic.get_form(submission.kind).cadence,
        name=form.name,
        email=form.email,
        email_hash=next(iter(arrival.email_hashes), None),
        phone=form.phone,
        phone_hash=next(iter(arrival.phone_hashes), None),
        phone_extension=arrival.phone_extension,
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


def replay(engine: Engine, now: datetime, submission_id: uuid.UUID | None = None) -> int:
    """Hand what could not be consumed to the consumer again. Returns how many."""
    with transaction(engine) as session:
        return submissions.retry_problems(session, now, submission_id)
