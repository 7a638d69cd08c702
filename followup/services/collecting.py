"""Takes what form vendors post, through the same door as our own forms.

What is a submission of ours in their words becomes one; what is not is kept whole with its problem,
for staff and for `followup replay`, which reads it again by the mapping of that day.
"""

import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Engine

from followup.clinic import Clinic
from followup.clinic_limits import Limits
from followup.clinic_sources import Source
from followup.domain.foreign import RECEIVED, cleaned
from followup.domain.spoken import iso
from followup.errors import Invalid, KeyReused
from followup.services import intake
from followup.services.arriving import SENDER, SUBMITTED_AT, UNSIGNED
from followup.services.translating import translate_document
from followup.transports import form_bodies

log = structlog.get_logger()

#: Whoever repeats a post without an id does so within hours; whoever sends the same form a year
#: later wants to be called again.
SAME_WITHIN = timedelta(days=1)

_CONFLICT = (
    "came before under the same id with other content, which was taken; this is the later one"
)


@dataclass(frozen=True)
class Collected:
    """What the vendor is told; the same for the same submission."""

    submission_id: uuid.UUID
    is_new: bool
    #: Why it waits for staff, if it does.
    problem: str | None = None


def collect(
    engine: Engine,
    clinic: Clinic,
    source: Source,
    document: Any,
    *,
    now: datetime,
    key: str | None = None,
    sender: str | None = None,
    limits: Limits | None = None,
) -> Collected:
    """Keep one submission of a vendor's; it is committed when this returns.

    `key` is the post's own id, which goes before that of the vendor's form. Raises KeyReused when
    other content came under it before: what came now is kept, too, for staff. Raises TooMany, with
    `limits`, for a source that signs nothing.
    """
    document = cleaned(document)
    payload, problem = _read(clinic, source, document)
    evidence = _evidence(source, document, sender)
    content = form_bodies.same_again(source, document)
    key = key or form_bodies.key_of(source, document)
    keys = [key] if key else _keys_of_content(content, now)
    # A line break, which no header can hold: nobody takes a key from here by posting to our API.
    keys = [f"{source.name}\n{one}" for one in keys]
    limits = limits if source.is_unsigned else None

    def receive(payload: Any, problem: str | None, keys: Sequence[str]) -> intake.Received:
        return intake.receive(
            engine,
            clinic,
            source.form,
            payload,
            now=now,
            source=source.name,
            idempotency_key=keys[0],
            seen_as=keys[1:],
            content=content,
            evidence=evidence,
            problem=problem,
            limits=limits,
        )

    try:
        received = receive(payload, problem, keys)
    except KeyReused:
        # Once, however often it is repeated.
        receive({RECEIVED: document}, _CONFLICT, [f"{keys[0]}\n{_digest(content)}"])
        log.warning("a submission came again with other content", source=source.name)
        raise
    if problem is not None and received.is_new:
        log.warning(
            "a submission waits for staff",
            source=source.name,
            submission_id=str(received.submission_id),
            problem=problem,
        )
    return Collected(received.submission_id, received.is_new, problem)


def _read(clinic: Clinic, source: Source, document: Any) -> tuple[Any, str | None]:
    try:
        return translate_document(clinic, source, document).payload, None
    except Invalid as error:
        return {RECEIVED: document}, str(error)


def _evidence(source: Source, document: Any, sender: str | None) -> dict[str, Any]:
    evidence: dict[str, Any] = {SENDER: sender, "address": None, "vendor": source.vendor.value}
    try:
        delivered = form_bodies.read(source, document)
    except form_bodies.Unreadable:
        delivered = form_bodies.Delivered(document)
    evidence["address"] = delivered.address
    if delivered.submitted_at is not None:
        evidence[SUBMITTED_AT] = iso(delivered.submitted_at)
    if source.is_unsigned:
        evidence[UNSIGNED] = True
    return evidence


def _keys_of_content(content: Any, now: datetime) -> list[str]:
    """The first is this day's; the other would be yesterday's."""
    digest = _digest(content)
    return [f"{at.date()}\n{digest}" for at in (now, now - SAME_WITHIN)]


def _digest(content: Any) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
