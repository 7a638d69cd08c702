"""Finds leads by what staff know of a person: reference, email, phone or part of the name."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from followup.domain.address import email_key, normal_email, parse_phone
from followup.domain.lead import name_key
from followup.errors import Invalid
from followup.services.planning import Planner
from followup.store import leads
from followup.store.models import Lead


def search(session: Session, planner: Planner, query: str) -> Sequence[Lead]:
    """Leads that match, newest first. Addresses are found by hash; names, being ciphertext at
    rest, by reading the open leads alone."""
    by_reference = leads.find_by_reference(session, query)
    if by_reference is not None:
        return [by_reference]
    hashes = _address_hashes(planner, query)
    if hashes:
        return leads.list_by_address(session, hashes)
    wanted = name_key(query)
    if not wanted:
        return []
    return [lead for lead in leads.list_open(session) if wanted in name_key(lead.name)]


def _address_hashes(planner: Planner, query: str) -> list[str]:
    try:
        if "@" in query:
            return planner.keyring.hashes(email_key(normal_email(query)))
        return planner.keyring.hashes(parse_phone(query).e164)
    except Invalid:
        return []
