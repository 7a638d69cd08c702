"""Finds all that is one person, by a lead's reference, an email or a phone."""

import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from followup.domain.address import normal_email, parse_phone
from followup.domain.cadence import Channel
from followup.domain.erasure import Traces
from followup.domain.lead import Identity, Match, compare
from followup.errors import NotFound
from followup.services.planning import Planner
from followup.store import leads
from followup.store.models import Lead


@dataclass(frozen=True)
class Identified:
    """The person's leads, the oldest first, and every address that these have or that was asked
    for. There may be no lead: of a person erased before, or who has only answered."""

    leads: Sequence[Lead]
    emails: frozenset[str]
    phones: frozenset[str]

    @property
    def references(self) -> list[str]:
        return [lead.reference for lead in self.leads]

    @property
    def traces(self) -> Traces:
        return Traces(self.emails, self.phones)

    def hashes(self, planner: Planner) -> list[str]:
        """Of every address under every key that ever hashed here."""
        addresses = [(Channel.email, one) for one in self.emails]
        addresses += [(Channel.sms, one) for one in self.phones]
        return [text for channel, one in addresses for text in planner.hashes_of(channel, one)]

    def phone_hashes(self, planner: Planner) -> list[str]:
        return [text for phone in self.phones for text in planner.hashes_of(Channel.sms, phone)]


def identify(
    session: Session,
    planner: Planner,
    *,
    reference: str | None = None,
    email: str | None = None,
    phone: str | None = None,
) -> Identified:
    """By exactly one of the three. Raises NotFound for a reference that no lead has, and Invalid.

    An address names every lead that has it. From there on one person is what `domain.lead.compare`
    calls the same: families share phones, so another name at the same number is somebody else;
    unless staff have merged the two.
    """
    asked = Identified(
        (),
        frozenset({normal_email(email)} if email else ()),
        frozenset({parse_phone(phone).e164} if phone else ()),
    )
    if reference is not None:
        lead = leads.find_by_reference(session, reference)
        if lead is None:
            raise NotFound(f"there is no lead {reference}")
        found = {lead.id: lead}
    else:
        found = {lead.id: lead for lead in _list_alike(session, planner, asked)}
    while True:
        person = _all_of(found.values(), asked)
        more = {
            lead.id: lead
            for lead in _list_alike(session, planner, person)
            if lead.id not in found and any(_is_same(lead, one) for one in found.values())
        }
        more |= {one.id: one for one in _list_united(session, found) if one.id not in found}
        if not more:
            return person
        found |= more


def identify_leads(session: Session, lead_ids: Collection[uuid.UUID]) -> Identified:
    """These leads and their addresses, and nobody else."""
    found = filter(None, (leads.find_lead(session, lead_id) for lead_id in lead_ids))
    return _all_of(found, Identified((), frozenset(), frozenset()))


def _list_alike(session: Session, planner: Planner, person: Identified) -> Sequence[Lead]:
    return leads.list_by_address(session, person.hashes(planner), limit=None)


def _list_united(session: Session, found: Mapping[uuid.UUID, Lead]) -> Iterator[Lead]:
    """What these leads are parts of, and their parts."""
    for lead in found.values():
        yield leads.find_whole(session, lead)
        yield from leads.list_merged(session, lead.id)


def _all_of(found: Iterable[Lead], asked: Identified) -> Identified:
    rows = tuple(sorted(found, key=lambda lead: lead.id))
    return Identified(
        rows,
        asked.emails | {lead.email for lead in rows if lead.email},
        asked.phones | {lead.phone for lead in rows if lead.phone},
    )


def _is_same(one: Lead, other: Lead) -> bool:
    return compare(_identity(one), _identity(other)) is Match.same


def _identity(lead: Lead) -> Identity:
    return Identity(lead.name, lead.email.casefold() if lead.email else None, lead.phone)
