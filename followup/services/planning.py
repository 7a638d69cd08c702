"""Turns a cadence's steps into deliveries: who is owed what, where, and when."""

import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self

from sqlalchemy.orm import Session

from followup.clinic import Clinic, Recipient, Site, StaffRole
from followup.domain.address import email_key
from followup.domain.answer import Answer, StaffAnswer
from followup.domain.cadence import Audience, Cadence, Channel, Step
from followup.store import deliveries, people
from followup.store.claims import Row
from followup.store.crypto import Keyring
from followup.store.models import Alarm, Delivery, Lead, Person, Reply
from followup.templates import ALARMS, REPLIES, SUMMARIES


@dataclass(frozen=True)
class Planner:
    """What planning needs to know besides the lead."""

    clinic: Clinic
    cadences: Mapping[str, Cadence]
    keyring: Keyring
    #: Those who work here, where they were read for many leads at once; None: read for each.
    staff: Sequence[Person] | None = None

    def with_staff(self, staff: Sequence[Person]) -> Self:
        return replace(self, staff=staff)

    def first_rows(
        self, session: Session, lead: Lead, arrived_at: datetime
    ) -> list[dict[str, Any]]:
        """The first occurrence of every step, to be planned."""
        return [
            row
            for step in self.cadences[lead.cadence].steps
            for row in self._rows(session, lead, step, 1, arrived_at)
        ]

    def plan_released(
        self, session: Session, lead: Lead, arrived_at: datetime, now: datetime
    ) -> int:
        """Plan the first occurrence of every step of a lead that was held.

        What the patient is owed has its life from the arrival, for late is not sent; what staff
        are told begins now.
        """
        rows = [
            row
            for step in self.cadences[lead.cadence].steps
            for row in self._rows(
                session, lead, step, 1, arrived_at if step.audience is Audience.patient else now
            )
        ]
        return deliveries.plan(session, rows)

    def plan_patient(
        self,
        session: Session,
        lead: Lead,
        arrived_at: datetime,
        channels: Collection[Channel],
        *,
        acknowledge: bool,
    ) -> int:
        """Plan what the patient is owed at addresses that a further submission brought.

        What the addresses known before are owed is planned already, and stays as it is.
        """
        rows = [
            row
            for step in self._steps(lead)
            if step.audience is Audience.patient and (acknowledge or not step.acknowledges)
            for row in self._rows(session, lead, step, 1, arrived_at)
            if row["channel"] in channels
        ]
        return deliveries.plan(session, rows)

    def plan_acknowledgement(
        self, session: Session, lead: Lead, arrived_at: datetime, occurrence: int
    ) -> int:
        """Plan once more what says that a submission arrived, for a further one."""
        rows = [
            row
            for step in self._steps(lead)
            if step.acknowledges
            for row in self._rows(session, lead, step, occurrence, arrived_at, first=True)
        ]
        return deliveries.plan(session, rows)

    def next_rows(
        self, session: Session, lead: Lead, step_name: str, last: int, now: datetime
    ) -> list[dict[str, Any]]:
        """The next occurrence of a repeating step that still lies ahead, to be planned."""
        step = self.find_step(lead.cadence, step_name)
        if step is None or not step.repeats:
            return []
        following = step.next_after(last, now, lead.arrived_at, self._hours(lead))
        if following is None:
            return []
        return list(self._rows(session, lead, step, following[0], lead.arrived_at))

    def plan_ahead(self, session: Session, lead: Lead, now: datetime) -> int:
        """Of every step that does not acknowledge, plan the first occurrence after `now`."""
        planned = 0
        for step in self._steps(lead):
            following = step.next_after(0, now, lead.arrived_at, self._hours(lead))
            if following is not None and not step.acknowledges:
                rows = self._rows(session, lead, step, following[0], lead.arrived_at)
                planned += deliveries.plan(session, list(rows))
        return planned

    def fallback_rows(
        self, session: Session, lead: Lead, row: Delivery, now: datetime
    ) -> list[dict[str, Any]]:
        """The step's other ways to the patient, to be tried at once: nothing else got through."""
        step = self.step_of(row, lead)
        if step is None or not step.fallback:
            return []
        other = replace(step, channels=step.fallback)
        rows = self._rows(session, lead, other, row.occurrence, row.arrived_at)
        return [{**one, "due_at": now} for one in rows]

    def alarm_rows(
        self, session: Session, alarm: Alarm, step_name: str, now: datetime, site: Site | None
    ) -> list[dict[str, Any]]:
        """What staff are told of an alarm: the site's staff, or the operators without a site."""
        step = self.find_step(ALARMS, step_name)
        hours = self.clinic.site(site.id if site else None).business_hours
        if step is None:
            return []
        return [
            self._row(step, channel, address, name)
            | {
                "alarm_id": alarm.id,
                "episode": 0,
                "occurrence": 1,
                "arrived_at": now,
                "due_at": now,
                "expires_at": step.expires_at(1, channel, now, hours),
            }
            for channel in step.channels
            for address, name in self._hearers(session, site, channel).items()
        ]

    def answer_rows(
        self,
        lead: Lead | None,
        answer: Answer | StaffAnswer,
        number: str,
        arrived_at: datetime,
        now: datetime,
        *,
        occurrence: int = 1,
        reply_id: uuid.UUID | None = None,
        name: str | None = None,
    ) -> list[dict[str, Any]]:
        """The fixed answer to what came from a number, by text, at once; `name` is the staff's."""
        step = self.find_step(REPLIES, answer)
        hours = self.clinic.site(lead.site if lead else None).business_hours
        if step is None:
            return []
        return [
            self._row(step, Channel.sms, number, name)
            | _about(lead, reply_id)
            | {
                "occurrence": occurrence,
                "arrived_at": arrived_at,
                "due_at": now,
                "expires_at": step.expires_at(1, Channel.sms, arrived_at, hours),
            }
        ]

    def notice_rows(
        self,
        session: Session,
        lead: Lead | None,
        step_name: str,
        now: datetime,
        *,
        told: int = 0,
        reply_id: uuid.UUID | None = None,
        again: bool = False,
    ) -> list[dict[str, Any]]:
        """What staff are told at once of a text or of danger, the numbers of its occurrences being
        those after `told`; with `again` the step's later occurrences too, as far as nobody acts."""
        step = self.find_step(REPLIES, step_name)
        site = self.clinic.site(lead.site if lead else None)
        if step is None:
            return []
        slots = range(1, len(step.after) + 1 if again else 2)
        return [
            self._row(step, channel, address, name)
            | _about(lead, reply_id)
            | {
                "occurrence": told + slot,
                "arrived_at": now,
                "due_at": step.due_at(slot, now, site.business_hours),
                "expires_at": step.expires_at(slot, channel, now, site.business_hours),
            }
            for slot in slots
            for channel in step.channels
            for address, name in self._staff(
                session, site, channel, escalated=step.escalates(slot)
            ).items()
        ]

    def summary_rows(
        self,
        session: Session,
        summary: Alarm,
        step: Step,
        roles: Collection[str],
        opens_at: datetime,
        site: Site,
    ) -> list[dict[str, Any]]:
        """What the site's people of those roles are told at its opening."""
        return [
            self._row(step, channel, address, name)
            | {
                "alarm_id": summary.id,
                "cadence": SUMMARIES,
                "episode": 0,
                "occurrence": 1,
                "arrived_at": opens_at,
                "due_at": opens_at,
                "expires_at": step.expires_at(1, channel, opens_at, site.business_hours),
            }
            for channel in step.channels
            for address, name in self._of_roles(session, site, channel, roles).items()
        ]

    def _hearers(self, session: Session, site: Site | None, channel: Channel) -> dict[str, str]:
        if site is not None:
            return self._staff(session, site, channel, escalated=False)
        return _by_address(self.clinic.operators, channel)

    def step_of(self, row: Row, about: Lead | Alarm | Reply) -> Step | None:
        """The step that the delivery is an occurrence of; None when the folder no longer has it."""
        return self.find_step(self.cadence_of(row, about), row.step)

    def cadence_of(self, row: Row, about: Lead | Alarm | Reply) -> str:
        """By name."""
        if row.cadence is not None:
            return row.cadence
        return about.cadence if isinstance(about, Lead) else ALARMS

    def find_step(self, cadence_name: str, step_name: str) -> Step | None:
        """None when the folder no longer has the cadence or the step."""
        cadence = self.cadences.get(cadence_name)
        return cadence.find_step(step_name) if cadence else None

    def _steps(self, lead: Lead) -> tuple[Step, ...]:
        """A lead whose cadence is no longer there is owed nothing more by it."""
        cadence = self.cadences.get(lead.cadence)
        return cadence.steps if cadence else ()

    def _hours(self, lead: Lead) -> Any:
        return self.clinic.site(lead.site).business_hours

    def _rows(
        self,
        session: Session,
        lead: Lead,
        step: Step,
        occurrence: int,
        arrived_at: datetime,
        *,
        first: bool = False,
    ) -> Iterator[dict[str, Any]]:
        """The deliveries of one occurrence; `first` times a later one like the first."""
        hours = self._hours(lead)
        slot = 1 if first else occurrence
        due_at = step.due_at(slot, arrived_at, hours)
        for channel in step.channels:
            for address, name in self._recipients(session, lead, step, occurrence, channel):
                yield self._row(step, channel, address, name) | {
                    "lead_id": lead.id,
                    "episode": lead.episode,
                    "occurrence": occurrence,
                    "arrived_at": arrived_at,
                    "due_at": due_at,
                    "expires_at": step.expires_at(slot, channel, arrived_at, hours),
                }

    def _row(self, step: Step, channel: Channel, address: str, name: str | None) -> dict[str, Any]:
        """What each delivery of a step to a recipient has, whatever it is about and whenever."""
        return {
            "step": step.name,
            "audience": step.audience,
            "channel": channel,
            "lane": step.lane,
            "recipient": address,
            "recipient_hash": self.hash_address(channel, address),
            "recipient_name": name,
        }

    def _recipients(
        self, session: Session, lead: Lead, step: Step, occurrence: int, channel: Channel
    ) -> dict[tuple[str, str | None], None]:
        """(address, name) pairs, each once; the patient has no name here, because staff do."""
        if step.audience is Audience.patient:
            address = lead.email if channel is Channel.email else lead.phone
            return {(address, None): None} if address else {}
        escalated = step.escalates(occurrence)
        found = self._staff(session, self.clinic.site(lead.site), channel, escalated=escalated)
        return dict.fromkeys(found.items())

    def _staff(
        self, session: Session, site: Site, channel: Channel, *, escalated: bool
    ) -> dict[str, str]:
        """Names by address: whom clinic.toml names, and the people of the staff with an address."""
        roles = ("staff", "manager") if escalated else ("staff",)
        return self._of_roles(session, site, channel, roles)

    def _of_roles(
        self, session: Session, site: Site, channel: Channel, roles: Collection[str]
    ) -> dict[str, str]:
        named = self.clinic.recipients(site, escalated=True)
        everybody: list[Recipient | Person] = [*named, *self._people(session)]
        return _by_address((one for one in everybody if one.role in roles), channel)

    def _people(self, session: Session) -> Sequence[Person]:
        return people.list_people(session, active=True) if self.staff is None else self.staff

    def is_of_staff(self, session: Session, number: str) -> bool:
        """Whether texts of ours go to that number because somebody works here."""
        named = {one.phone for one in self.clinic.escalation}
        working = (one.phone for one in people.list_people(session, active=True))
        return number in named.union(working)

    def find_colleague(self, session: Session, number: str) -> str | None:
        """By name, who of those that hear of leads texts from that number: a person of the staff,
        else whom clinic.toml names. Operators hear nothing of leads, and say nothing of them."""
        alerted = [one for one in self.clinic.escalation if one.role is not StaffRole.operator]
        everybody: list[Recipient | Person] = [*people.list_people(session, active=True), *alerted]
        return next((one.name for one in everybody if one.phone == number), None)

    def hash_address(self, channel: Channel, address: str) -> str:
        return self.keyring.hash(email_key(address) if channel is Channel.email else address)

    def hashes_of(self, channel: Channel, address: str) -> list[str]:
        """Under every key, to find what an older key wrote."""
        return self.keyring.hashes(email_key(address) if channel is Channel.email else address)


def _about(lead: Lead | None, reply_id: uuid.UUID | None) -> dict[str, Any]:
    return {
        "lead_id": lead.id if lead else None,
        "episode": lead.episode if lead else 0,
        "reply_id": reply_id,
        "cadence": REPLIES,
    }


def _by_address(everybody: Iterable[Recipient | Person], channel: Channel) -> dict[str, str]:
    """Names by address, each address once."""
    named: dict[str, str] = {}
    for one in everybody:
        address = one.address(channel)
        if address:
            named.setdefault(address, one.name)
    return named
