"""What a lead would be sent if nobody ever called: the cadence on a clock that is only imagined."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from followup.clinic import Clinic, Site
from followup.domain.address import may_be_texted, parse_phone
from followup.domain.cadence import Audience, Cadence, Channel, Step
from followup.domain.delivery import SENTENCES, Reason
from followup.domain.eligibility import Facts, Skip, Wait, assess
from followup.domain.lead import LeadStatus
from followup.domain.submission import Kind

#: A wait leads to another look; nothing waits more often than that.
LOOKS = 10


@dataclass(frozen=True)
class Event:
    """One message that would be sent, or not and why."""

    at: datetime
    step: str
    occurrence: int
    audience: Audience
    channel: Channel
    reason: Reason | None

    def shown(self) -> dict[str, Any]:
        return {
            "at": self.at.isoformat(),
            "step": self.step,
            "occurrence": self.occurrence,
            "audience": self.audience.value,
            "channel": self.channel.value,
            "sent": self.reason is None,
            "reason": self.reason.value if self.reason else None,
        }

    def line(self, zone: ZoneInfo) -> str:
        at = self.at.astimezone(zone).strftime("%a %Y-%m-%d %H:%M")
        words = f"not sent: {SENTENCES[self.reason]}" if self.reason else "sent"
        return f"{at}  {self.audience:<8}{self.channel:<6}{self.step} {self.occurrence:<3} {words}"


def simulate(
    clinic: Clinic,
    cadences: Mapping[str, Cadence],
    kind: Kind,
    *,
    site: Site,
    phone: str,
    arrived_at: datetime,
    until: datetime,
) -> list[Event]:
    """Everything up to `until`, in order of time; the patient has agreed to texts."""
    number = parse_phone(phone)
    cadence = cadences[clinic.get_form(kind).cadence]
    events = [
        _outcome(clinic, site, number.e164, step, occurrence, due_at, channel, arrived_at)
        for step in cadence.steps
        for occurrence, due_at in _occurrences(step, site, arrived_at, until)
        for channel in step.channels
        if channel is not Channel.chat or any(one.chat for one in clinic.escalation)
    ]
    return sorted((event for event in events if event.at <= until), key=lambda event: event.at)


def _occurrences(
    step: Step, site: Site, arrived_at: datetime, until: datetime
) -> Iterator[tuple[int, datetime]]:
    occurrence = 1
    while True:
        due_at = step.due_at(occurrence, arrived_at, site.business_hours)
        if due_at is None or due_at > until:
            return
        yield occurrence, due_at
        occurrence += 1


def _outcome(
    clinic: Clinic,
    site: Site,
    number: str,
    step: Step,
    occurrence: int,
    at: datetime,
    channel: Channel,
    arrived_at: datetime,
) -> Event:
    """The end of one delivery, by the same rules as the real thing."""
    hours = site.business_hours
    expires_at = step.expires_at(occurrence, channel, arrived_at, hours)
    allowance = clinic.text_hours.rules.allowance(number, site.zone)
    promised_at = hours.add(arrived_at, clinic.callback_promise)
    reason: Reason | None = None
    for _ in range(LOOKS):
        facts = Facts(
            audience=step.audience,
            channel=channel,
            lane=step.lane,
            acknowledges=step.acknowledges,
            expires_at=expires_at,
            lead_status=LeadStatus.open,
            snoozed_until=None,
            arrived_at=arrived_at,
            hours=hours,
            waits_for_opening=channel in step.waits_for_opening,
            has_consent=True,
            not_textable=_not_textable(clinic, number, step, channel),
            zones=allowance.zones,
            states=allowance.states,
            window=allowance.window,
            useless_at=step.useless_at(occurrence, promised_at, arrived_at, hours),
            ack_sms_in_quiet_hours=clinic.ack_sms_in_quiet_hours,
        )
        verdict = assess(facts, at)
        if isinstance(verdict, Wait):
            if verdict.extends_expiry and expires_at is not None:
                expires_at += verdict.until - at
            at = verdict.until
            continue
        reason = verdict.reason if isinstance(verdict, Skip) else None
        break
    return Event(at, step.name, occurrence, step.audience, channel, reason)


def _not_textable(clinic: Clinic, number: str, step: Step, channel: Channel) -> str | None:
    if channel is not Channel.sms or step.audience is Audience.staff:
        return None
    return may_be_texted(number, countries=clinic.countries, reserved_allowed=True)
