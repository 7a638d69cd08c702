"""Reads, in a few queries a batch, the facts from which due deliveries are assessed."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from followup.clinic import Recipient, Site
from followup.clinic_limits import Caps
from followup.domain.address import email_key, may_be_texted
from followup.domain.answer import Answer
from followup.domain.cadence import Audience, Channel
from followup.domain.consent import permits
from followup.domain.delivery import Reason
from followup.domain.eligibility import FIRST_TEXT_EVERY, Facts
from followup.domain.lead import LeadStatus
from followup.services.braking import Brake
from followup.services.planning import Planner
from followup.services.rostering import answers_staff, is_off_duty
from followup.store import consents, deliveries, people
from followup.store.claims import Row
from followup.store.models import Alarm, Consent, Lead, Person, Reply
from followup.templates import REPLIES


class Gathering:
    """The facts of one batch, read under whatever key an address was written."""

    def __init__(
        self,
        session: Session,
        planner: Planner,
        rows: Sequence[Row],
        now: datetime,
        *,
        reserved_allowed: bool,
        caps: Caps | None = None,
        only_to: Collection[str] = (),
    ) -> None:
        self._planner = planner
        self._only_to = only_to
        self._now = now
        self._known = _Known(session, planner, rows, now)
        self._brake = Brake(session, rows, caps, now) if caps is not None else None
        self._reserved_allowed = reserved_allowed

    def facts(self, row: Row, about: Lead | Alarm | Reply) -> Facts:
        further: dict[str, Any] = {
            "is_listed": not self._only_to
            or address_key(row.channel, row.recipient) in self._only_to,
            "has_left": self._known.has_left(row),
        }
        if isinstance(about, Alarm):
            facts = _facts_of_alarm(self._planner, row, about, self._reserved_allowed)
            return replace(facts, **further)
        if row.audience is Audience.staff:
            further["is_off_duty"] = is_off_duty(self._planner.clinic, row, about, self._now)
        most = None
        if row.channel is Channel.sms and row.audience is Audience.patient:
            site = self._planner.clinic.site(about.site if isinstance(about, Lead) else None)
            allowance = self._planner.clinic.text_hours.rules.allowance(row.recipient, site.zone)
            most = allowance.most_per_day
            further |= {
                "zones": allowance.zones,
                "states": allowance.states,
                "window": allowance.window,
                "useless_at": _useless_at(self._planner, row, about, site),
            }
        # Staff who text are answered: the same phone's alerts are what may be too many.
        if self._brake is not None and not answers_staff(row):
            further["capped_until"] = self._brake.capped_until(row, most)
        facts = _facts(self._planner, self._known, row, about, self._reserved_allowed)
        return replace(facts, **further)

    def evidence(self, row: Row, facts: Facts) -> dict[str, Any]:
        """What is kept with a text that goes to a patient, beside the decision: why it might."""
        if row.channel is not Channel.sms or row.audience is not Audience.patient:
            return {"wording": row.wording}
        consent = self._known.consent(row)
        return {
            "consent_id": str(consent.id) if consent else None,
            "suppression_checked_at": self._now.isoformat(),
            "local_time": {
                zone.key: self._now.astimezone(zone).isoformat(timespec="minutes")
                for zone in sorted(facts.zones, key=lambda zone: zone.key)
            },
            "wording": row.wording,
        }

    def note_going(self, row: Row) -> None:
        """Of one batch, the first text that goes to a number is the only one."""
        if row.channel is Channel.sms and row.audience is Audience.patient:
            self._known.add_texted(row)
        if self._brake is not None:
            self._brake.note_going(row)


class _Known:
    """What the store knows of the batch's addresses."""

    def __init__(
        self, session: Session, planner: Planner, rows: Sequence[Row], now: datetime
    ) -> None:
        self._hashes = {row.id: planner.hashes_of(row.channel, row.recipient) for row in rows}
        patients = [row for row in rows if row.audience is Audience.patient]
        hashes = [text for row in patients for text in self._hashes[row.id]]
        self._forbidden = consents.list_forbidden(session, hashes) if hashes else {}
        texts = [row for row in patients if row.channel is Channel.sms]
        numbers = [text for row in texts for text in self._hashes[row.id]]
        self._consents: Mapping[str, Sequence[Consent]] = (
            consents.list_consented(session, Channel.sms, numbers) if numbers else {}
        )
        self._texted = (
            deliveries.list_texted(session, numbers, now - FIRST_TEXT_EVERY) if numbers else set()
        )
        self._left: Collection[str] = (
            _addresses_of_left(session, planner)
            if any(row.audience is Audience.staff for row in rows)
            else ()
        )

    def has_left(self, row: Row) -> bool:
        is_of_staff = row.audience is Audience.staff
        return is_of_staff and any(text in self._left for text in self._hashes[row.id])

    def suppressed(self, row: Row) -> Reason | None:
        keys = [(row.channel, text) for text in self._hashes[row.id]]
        found = next((self._forbidden[key] for key in keys if key in self._forbidden), None)
        return Reason(found.value) if found else None

    def consent(
        self, row: Row, *, informational: bool = True, since: datetime | None = None
    ) -> Consent | None:
        """The latest that permits a text of that kind; with `since`, of those given after that."""
        found = (one for text in self._hashes[row.id] for one in self._consents.get(text, ()))
        enough = (one for one in found if permits(one.act, informational=informational))
        latest = max(enough, key=lambda one: one.occurred_at, default=None)
        is_late = latest is not None and (since is None or latest.occurred_at > since)
        return latest if is_late else None

    def was_texted(self, row: Row) -> bool:
        return any(text in self._texted for text in self._hashes[row.id])

    def add_texted(self, row: Row) -> None:
        self._texted.update(self._hashes[row.id])


def _addresses_of_left(session: Session, planner: Planner) -> set[str]:
    """Hashes of the addresses of those who left, unless somebody who is here has the same."""
    everybody = people.list_people(session)
    here = [one for one in everybody if one.disabled_at is None]
    left = [one for one in everybody if one.disabled_at is not None]
    return _addresses(planner, left) - _addresses(planner, [*here, *planner.clinic.escalation])


def _addresses(planner: Planner, those: Sequence[Recipient | Person]) -> set[str]:
    given = [(channel, one.address(channel)) for one in those for channel in Channel]
    return {planner.hash_address(channel, address) for channel, address in given if address}


def address_key(channel: Channel, address: str) -> str:
    """What addresses are compared by."""
    return email_key(address) if channel is Channel.email else address


def _facts(
    planner: Planner, known: _Known, row: Row, about: Lead | Reply, reserved_allowed: bool
) -> Facts:
    lead = about if isinstance(about, Lead) else None
    site = planner.clinic.site(lead.site if lead else None)
    step = planner.step_of(row, about)
    is_text = row.channel is Channel.sms
    to_patient = row.audience is Audience.patient
    is_ours = row.cadence == REPLIES
    informational = step is None or step.informational
    return Facts(
        audience=row.audience,
        channel=row.channel,
        lane=row.lane,
        acknowledges=step is not None and step.acknowledges,
        expires_at=row.expires_at,
        lead_status=lead.status if lead else LeadStatus.open,
        snoozed_until=lead.snoozed_until if lead else None,
        is_of_old=lead is not None and row.episode != lead.episode,
        arrived_at=row.arrived_at,
        hours=site.business_hours,
        waits_for_opening=step is not None and row.channel in step.waits_for_opening,
        answer=Answer(row.step) if is_ours and to_patient else None,
        invited=row.reply_id is not None,
        whatever_status=is_ours and (row.reply_id is not None or not to_patient),
        suppressed=known.suppressed(row) if to_patient else None,
        has_consent=known.consent(
            row, informational=informational, since=lead.consent_from if lead else None
        )
        is not None,
        not_textable=_not_textable(planner, row, lead, reserved_allowed) if is_text else None,
        was_texted=known.was_texted(row),
        ack_sms_in_quiet_hours=planner.clinic.ack_sms_in_quiet_hours,
    )


def _facts_of_alarm(planner: Planner, row: Row, alarm: Alarm, reserved_allowed: bool) -> Facts:
    """Staff hear of an alarm as of a lead that is open: whatever the caps, for it may say why."""
    step = planner.step_of(row, alarm)
    is_text = row.channel is Channel.sms
    return Facts(
        audience=row.audience,
        channel=row.channel,
        lane=row.lane,
        acknowledges=False,
        expires_at=row.expires_at,
        lead_status=LeadStatus.open,
        snoozed_until=None,
        arrived_at=alarm.raised_at,
        hours=planner.clinic.site(alarm.subject).business_hours,
        waits_for_opening=step is not None and row.channel in step.waits_for_opening,
        not_textable=_not_textable(planner, row, None, reserved_allowed) if is_text else None,
    )


def _not_textable(
    planner: Planner, row: Row, lead: Lead | None, reserved_allowed: bool
) -> str | None:
    if lead is not None and row.audience is Audience.patient and lead.phone_extension:
        return "extension"
    if lead is not None and row.audience is Audience.patient and lead.is_unproven:
        return "unproven"
    return may_be_texted(
        row.recipient, countries=planner.clinic.countries, reserved_allowed=reserved_allowed
    )


def _useless_at(planner: Planner, row: Row, about: Lead | Reply, site: Site) -> datetime | None:
    step = planner.step_of(row, about)
    hours = site.business_hours
    promised_at = hours.add(row.arrived_at, planner.clinic.callback_promise)
    return step.useless_at(row.occurrence, promised_at, row.arrived_at, hours) if step else None


def noted(facts: Facts) -> dict[str, Any]:
    """What of the facts the ledger keeps: nothing personal."""
    kept: dict[str, Any] = {"lead": facts.lead_status.value, "channel": facts.channel.value}
    if facts.channel is Channel.sms and facts.audience is Audience.patient:
        kept["consent"] = facts.has_consent
        kept["zones"] = sorted(zone.key for zone in facts.zones)
        kept["zones_from"] = "the number's prefix, and the site"
        kept["states"] = sorted(facts.states)
        kept["window"] = str(facts.window)
    if facts.answer:
        kept["answer"] = facts.answer.value
    if facts.suppressed:
        kept["suppressed"] = facts.suppressed.value
    if facts.not_textable:
        kept["not_textable"] = facts.not_textable
    return kept
