"""Finds leads by what staff know of a person: reference, email, phone or part of the name."""

from collections.abc import Sequence
from itertools import islice

from sqlalchemy.orm import Session

from followup.domain.address import email_key, normal_email, parse_phone
from followup.domain.lead import name_key
from followup.errors import Invalid
from followup.services.planning import Planner
from followup.store import leads
from followup.store.models import Lead

#: Whoever finds more than that says more of the name.
MOST = 50


def search(session: Session, planner: Planner, query: str) -> Sequence[Lead]:
    """Leads that match, at most `MOST`. Addresses are found by hash, the newest first; names, being
    ciphertext at rest, by reading those of the open leads alone, in the board's order."""
    by_reference = leads.find_by_reference(session, query)
    if by_reference is not None:
        return [by_reference]
    hashes = _address_hashes(planner, query)
    if hashes:
        return leads.list_by_address(session, hashes)
    wanted = name_key(query)
    if not wanted:
        return []
    names = leads.list_open_names(session)
    found = islice((lead_id for lead_id, name in names if wanted in name_key(name)), MOST)
    return leads.list_leads_by_id(session, list(found))


def _address_hashes(planner: Planner, query: str) -> list[str]:
    try:
        if "@" in query:
            return planner.keyring.hashes(email_key(normal_email(query)))
        return planner.keyring.hashes(parse_phone(query).e164)
    except Invalid:
        return []
