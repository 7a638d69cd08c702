"""What staff do with leads, by clicks and by texts, and what the promises are to hear of it: who is
silent, which lead is a part of which, and what then holds for both."""

import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from sqlalchemy import select

from followup.domain.answer import StaffAnswer
from followup.domain.cadence import Channel
from followup.domain.consent import REFUSALS
from followup.domain.delivery import Status
from followup.domain.lead import Closing, LeadStatus
from followup.errors import Conflict
from followup.services import uniting, working
from followup.store.db import reading, transaction
from followup.store.models import Lead, Reply
from tests.chaos.promises import Promises
from tests.services.cast import FRONT_DESK_PHONE, MANAGER_PHONE, Desk

COLLEAGUES = (FRONT_DESK_PHONE, MANAGER_PHONE)
COMMANDS = ("DONE {}", "TRIED {}", "SNOOZE {} 2h")
ELSEWHERE = "refused elsewhere"


@dataclass
class Staff:
    desk: Desk
    promises: Promises
    #: Whether the box for texts was ticked in one of the lead's submissions.
    has_ticked: Callable[[Lead], bool]
    #: Numbers that have ever texted START.
    started: set[str] = field(default_factory=set)
    #: Which lead each that was merged is a part of.
    _wholes: dict[uuid.UUID, uuid.UUID] = field(default_factory=dict)
    #: What was texted, by the provider's id: from which phone, what, and about which lead.
    _texts: dict[str, tuple[str, str, uuid.UUID]] = field(default_factory=dict)
    #: Answers that say that a lead is contacted, and that the promises have heard of.
    _answers: set[uuid.UUID] = field(default_factory=set)

    def mark(self, lead_id: uuid.UUID) -> None:
        with suppress(Conflict):
            marked = self.desk.mark(self._of(lead_id))
            self.promises.marked(self._whole(lead_id), marked.in_flight)

    def close(self, lead_id: uuid.UUID, why: Closing) -> None:
        desk = self.desk
        with suppress(Conflict):
            with transaction(desk.engine) as session:
                closed = working.close(
                    session, desk.planner, lead_id, why=why, by="Ann", now=desk.now
                )
            self.promises.marked(lead_id, closed.in_flight)
            if why is Closing.wrong_number and closed.lead.phone:
                self.promises.refused(Channel.sms, closed.lead.phone, why)

    def duplicates(self) -> list[Lead]:
        return [
            one
            for one in self.desk.leads()
            if one.status is LeadStatus.open and one.possible_duplicate
        ]

    def merge(self, lead_id: uuid.UUID) -> None:
        desk = self.desk
        with suppress(Conflict):
            with transaction(desk.engine) as session:
                merged = uniting.merge_duplicate(
                    session, desk.planner, lead_id, by="Ann", now=desk.now
                )
            self.promises.marked(merged.part.id, merged.in_flight)
            self._wholes[merged.part.id] = merged.lead.id
            self._take_stricter(merged.part, merged.lead)

    def _take_stricter(self, part: Lead, lead: Lead) -> None:
        """Of what the one and the other agreed to, and refused."""
        if lead.phone and not (self._has_agreed(part) and self._has_agreed(lead)):
            self.promises.withheld(lead.id, lead.phone)
        for channel in Channel:
            # What the person said since at the lead's own number is newer.
            is_taken_back = channel is Channel.sms and lead.phone in self.started
            reasons = self.promises.reasons(channel, _address(part, channel) or "")
            if REFUSALS & reasons and not is_taken_back:
                self._refused_elsewhere(part, channel)

    def _has_agreed(self, lead: Lead) -> bool:
        """To texts; who gave no number was not asked."""
        return lead.phone is None or lead.phone in self.started or self.has_ticked(lead)

    def part(self, lead_id: uuid.UUID) -> None:
        """The lead was reopened. What the merging alone forbade may be allowed again."""
        whole = self._wholes.pop(lead_id, None)
        while whole is not None:
            self.promises.parted(whole)
            for channel in Channel:
                if address := _address(self._of(whole), channel):
                    self.promises.lifted(channel, address, ELSEWHERE)
            whole = self._wholes.get(whole)

    def refused(self, channel: Channel, address: str, why: str) -> None:
        """What a person says for themselves holds for the lead that theirs is a part of, too."""
        self.promises.refused(channel, address, why)
        for lead_id in self._wholes if why in REFUSALS else ():
            part = self._of(lead_id)
            if _address(part, channel) == address:
                self._refused_elsewhere(part, channel)

    def _refused_elsewhere(self, part: Lead, channel: Channel) -> None:
        address = _address(self._of(self._whole(part.id)), channel)
        if address and address != _address(part, channel):
            self.promises.refused(channel, address, ELSEWHERE)

    def text(self, phone: str, said: str, lead_id: uuid.UUID) -> None:
        provider_id = f"SM{uuid.uuid4().hex}"
        self._texts[provider_id] = (phone, said.format(self._of(lead_id).reference), lead_id)
        self._bring(provider_id)

    def bring_all_again(self) -> None:
        """The provider heard no answer."""
        for provider_id in self._texts:
            self._bring(provider_id)

    def _bring(self, provider_id: str) -> None:
        phone, body, _ = self._texts[provider_id]
        self.desk.reply(phone, body, provider_id)
        self.hear_answers()

    def hear_answers(self) -> None:
        """That a lead is contacted is promised as soon as it is to be answered."""
        provider_ids = {reply_id: provider_id for provider_id, reply_id in self._kept().items()}
        for row in self.desk.rows(step=StaffAnswer.contacted):
            if row.id not in self._answers and row.reply_id is not None:
                self._answers.add(row.id)
                _, _, lead_id = self._texts[provider_ids[row.reply_id]]
                lead = self._of(self._whole(lead_id))
                if not self.promises.is_silent(lead.id):
                    in_flight = self.desk.rows(lead, status=Status.sending)
                    self.promises.marked(lead.id, [one.id for one in in_flight])

    def not_answered_once(self) -> list[str]:
        """What was texted and not answered, or more than once."""
        kept = self._kept()
        answers = Counter(row.reply_id for row in self.desk.rows())
        return [
            f"{body}: {answers[kept[provider_id]]} answers"
            for provider_id, (_, body, _) in self._texts.items()
            if answers[kept[provider_id]] != 1
        ]

    def _kept(self) -> dict[str, uuid.UUID]:
        """The texts that we have, by the provider's id."""
        with reading(self.desk.engine) as session:
            return {one.provider_id: one.id for one in session.scalars(select(Reply))}

    def _of(self, lead_id: uuid.UUID) -> Lead:
        with reading(self.desk.engine) as session:
            return session.get_one(Lead, lead_id)

    def _whole(self, lead_id: uuid.UUID) -> uuid.UUID:
        while lead_id in self._wholes:
            lead_id = self._wholes[lead_id]
        return lead_id


def _address(lead: Lead, channel: Channel) -> str | None:
    return lead.email if channel is Channel.email else lead.phone
