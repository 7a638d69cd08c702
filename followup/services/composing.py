"""Makes the message of a delivery: the facts that its wording may use, its links and headers."""

from datetime import date, datetime, timedelta
from email.utils import parseaddr
from typing import Any

from followup.domain.alarm import AlarmKind, describe
from followup.domain.cadence import Audience, Channel
from followup.domain.lead import Role
from followup.domain.spoken import day_in_words, duration_in_words, promise_in_words
from followup.services.links import Links
from followup.services.planning import Planner
from followup.store.claims import Row
from followup.store.models import Alarm, Lead, Reply
from followup.templates import SUMMARIES, Templates, clinic_facts
from followup.transports.base import Outgoing


class Composer:
    """Renders deliveries. `sender` is the mails' From, whose domain Message-IDs end with, and
    `unsubscribe_to` the mailbox that is read for mails that unsubscribe, if there is one."""

    def __init__(
        self,
        planner: Planner,
        templates: Templates,
        links: Links,
        sender: str,
        unsubscribe_to: str | None = None,
    ) -> None:
        self._planner = planner
        self._templates = templates
        self._links = links
        self._unsubscribe_to = unsubscribe_to
        # The clinic's own facts by site, which are the same in each message.
        self._public: dict[str | None, dict[str, object]] = {}
        self._mail_domain = parseaddr(sender)[1].rpartition("@")[2] or "localhost"

    def compose(self, row: Row, about: Lead | Alarm | Reply, now: datetime) -> Outgoing:
        """The message, which is kept on the row as well. Raises Misconfigured without wording."""
        is_mail = row.channel is Channel.email
        to_patient = row.audience is Audience.patient
        facts = self._facts(row, about, now)
        way_out = self._links.unsubscribe_url(row.id) if is_mail and to_patient else None
        message = self._templates.render(
            cadence=self._planner.cadence_of(row, about),
            step=row.step,
            channel=row.channel,
            language=self._language(row, about),
            role=about.role.value if isinstance(about, Lead) else "",
            facts=facts | {"unsubscribe_url": way_out} if way_out else facts,
        )
        row.subject, row.body, row.wording = message.subject, message.text, message.wording
        if is_mail:
            row.provider_id = self._message_id(row)
        return Outgoing(
            delivery_id=row.id,
            to=row.recipient,
            text=message.text,
            subject=message.subject or "",
            html=message.html,
            message_id=row.provider_id or "" if is_mail else "",
            date=now if is_mail else None,
            headers=self._headers(row, about, way_out) if is_mail else {},
            valid_for=row.expires_at - now if row.expires_at else None,
        )

    def again(self, row: Row) -> Outgoing:
        """What was handed over, as far as it is needed to ask the provider about it."""
        return Outgoing(
            delivery_id=row.id,
            to=row.recipient,
            text=row.body or "",
            subject=row.subject or "",
            message_id=self._message_id(row),
        )

    def _message_id(self, row: Row) -> str:
        """Fixed with the delivery's id, so that a second attempt carries the same."""
        return f"<{row.id}@{self._mail_domain}>"

    def _headers(
        self, row: Row, about: Lead | Alarm | Reply, way_out: str | None
    ) -> dict[str, str]:
        """RFC 3834 §5 for automatic mail; RFC 8058 for the one-click way out."""
        step = self._planner.step_of(row, about)
        replied = step is not None and step.acknowledges
        headers = {
            "Auto-Submitted": "auto-replied" if replied else "auto-generated",
            "X-Auto-Response-Suppress": "All",
        }
        if way_out is not None:
            ways = [way_out]
            if self._unsubscribe_to is not None:
                ways.insert(0, self._links.unsubscribe_mail(row.id, self._unsubscribe_to))
            headers["List-Unsubscribe"] = ", ".join(f"<{way}>" for way in ways)
            headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        return headers

    def _language(self, row: Row, about: Lead | Alarm | Reply) -> str:
        clinic = self._planner.clinic
        if isinstance(about, Lead) and row.audience is Audience.patient:
            return clinic.language(about.language)
        return clinic.default_language

    def _facts(self, row: Row, about: Lead | Alarm | Reply, now: datetime) -> dict[str, Any]:
        if isinstance(about, Alarm) and row.cadence == SUMMARIES:
            return self._facts_of_summary(about)
        if isinstance(about, Alarm):
            return self._of_clinic(None) | {
                "alarm": describe(about.kind, about.subject, about.facts)
            }
        if isinstance(about, Reply):
            return self._of_clinic(None) | {"reference": "", "link": "", **(about.told or {})}
        return self._facts_of_lead(row, about, now)

    def _facts_of_lead(self, row: Row, lead: Lead, now: datetime) -> dict[str, Any]:
        clinic = self._planner.clinic
        site = clinic.site(lead.site)
        language = self._language(row, lead)
        public = self._of_clinic(site.id) | {"language": language}
        if row.audience is Audience.staff:
            return public | {
                "reference": lead.reference,
                "waiting": duration_in_words(now - lead.created_at),
                "occurrence": row.occurrence,
                "link": self._links.act_url(row.id, row.due_at),
            }
        promised_at = site.business_hours.add(row.arrived_at, clinic.callback_promise)
        return public | {
            "first_name": lead.name if lead.role is Role.patient else "",
            "when": promise_in_words(promised_at, now, site.zone, language),
        }

    def _facts_of_summary(self, summary: Alarm) -> dict[str, Any]:
        facts, language = summary.facts, self._planner.clinic.default_language
        named = facts.get("references", [])
        told = {
            "waiting_leads": facts["waiting"],
            "overdue_leads": facts["overdue"],
            "references": ", ".join(named),
            "more_leads": facts["waiting"] - len(named),
            "board": self._links.board_url(facts["site"]),
            "day": day_in_words(date.fromisoformat(facts["day"]), language),
        }
        if summary.kind is AlarmKind.weekly:
            wait = timedelta(seconds=facts["median_seconds"] or 0)
            told |= {
                "new_leads": facts["new"],
                "contacted_leads": facts["contacted"],
                "kept_promises": facts["kept"],
                "median_wait": duration_in_words(wait, language),
            }
        return self._of_clinic(facts["site"]) | told

    def _of_clinic(self, site_id: str | None) -> dict[str, object]:
        known = self._public.get(site_id)
        if known is None:
            clinic = self._planner.clinic
            known = self._public[site_id] = clinic_facts(clinic, clinic.site(site_id))
        return known
