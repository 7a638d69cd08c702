"""Rows with readable defaults: Alice in New York, who wrote on a Tuesday at ten."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from followup.domain.cadence import Audience, Channel, Lane
from followup.domain.lead import Role
from followup.domain.submission import Kind
from followup.store import deliveries, leads
from followup.store.models import Delivery, Lead, Submission
from tests.schema import KEYRING

#: Ten in the morning in Los Angeles, on a Tuesday without any holiday near.
TUESDAY_TEN = datetime(2026, 10, 20, 17, 0, tzinfo=UTC)


def add_lead(session: Session, **changes: Any) -> Lead:
    values = {
        "kind": Kind.contact,
        "role": Role.patient,
        "cadence": "contact",
        "name": "Alice Ames",
        "email": "alice@example.com",
        "phone": "+12125550101",
        "language": "en",
        "site": "newport-beach",
        "created_at": TUESDAY_TEN,
        "arrived_at": TUESDAY_TEN,
        "promised_at": TUESDAY_TEN + timedelta(hours=1),
        **changes,
    }
    for field in ("email", "phone"):
        address = values[field]
        values.setdefault(f"{field}_hash", KEYRING.hash(address) if address else None)
    (reference,) = leads.find_free_references(session, 1)
    lead = Lead(reference=reference, **values)
    session.add(lead)
    session.flush()
    return lead


def row_for(lead: Lead, **changes: Any) -> dict[str, Any]:
    """What `deliveries.plan` takes: Alice's acknowledgement by text, due now."""
    values = {
        "lead_id": lead.id,
        "episode": 0,
        "step": "acknowledgement",
        "occurrence": 1,
        "audience": Audience.patient,
        "channel": Channel.sms,
        "lane": Lane.ack,
        "recipient": "+12125550101",
        "recipient_name": None,
        "arrived_at": TUESDAY_TEN,
        "due_at": TUESDAY_TEN,
        "expires_at": TUESDAY_TEN + timedelta(minutes=30),
        **changes,
    }
    return {"recipient_hash": KEYRING.hash(str(values["recipient"])), **values}


def add_delivery(session: Session, lead: Lead, **changes: Any) -> Delivery:
    """One delivery of the lead; one more of the same step gets the next occurrence."""
    taken = len(deliveries.list_of_lead(session, lead.id))
    deliveries.plan(session, [row_for(lead, **{"occurrence": taken + 1, **changes})])
    return max(deliveries.list_of_lead(session, lead.id), key=lambda one: one.id)


def add_submission(session: Session, **changes: Any) -> Submission:
    values: dict[str, Any] = {
        "kind": Kind.contact,
        "source": "api",
        "received_at": TUESDAY_TEN,
        "content_hash": uuid.uuid4().hex,
        "payload": {"name": "Alice Ames", "email": "alice@example.com"},
        "evidence": {},
        "due_at": TUESDAY_TEN,
        **changes,
    }
    submission = Submission(**values)
    session.add(submission)
    session.flush()
    return submission
