"""Who of those that clinic.toml names is on duty, and so hears of leads in place of the others."""

from datetime import datetime

from followup.clinic import Clinic, Recipient, Site
from followup.domain.answer import StaffAnswer
from followup.domain.cadence import Channel
from followup.domain.delivery import Reason
from followup.domain.hours import BusinessHours
from followup.store.claims import Row
from followup.store.models import Lead, Reply
from followup.templates import DANGER, REPLIES

#: What all who are told of the same wait for alike.
_WAITED_TOGETHER = (None, Reason.outside_opening, Reason.snoozed)


def is_off_duty(clinic: Clinic, row: Row, about: Lead | Reply, now: datetime) -> bool:
    """Whether a colleague who is on duty is told in place of this one of the staff.

    Both when it was due and now, and only while all who are to be told have the same due time: so
    that at the change of a shift, or after a retry, two may hear of it, and never nobody. Of danger
    everybody hears, and an answer goes to whoever has just texted.
    """
    if row.step == DANGER or answers_staff(row) or row.reason not in _WAITED_TOGETHER:
        return False
    site = clinic.site(about.site if isinstance(about, Lead) else None)
    return all(
        has_stand_in(clinic, row.channel, row.recipient, site, at) for at in (row.due_at, now)
    )


def answers_staff(row: Row) -> bool:
    """Whether it answers a text of the staff's own."""
    return row.cadence == REPLIES and row.step in tuple(StaffAnswer)


def has_stand_in(clinic: Clinic, channel: Channel, address: str, site: Site, at: datetime) -> bool:
    """Whether nobody with that address is on duty, and a colleague is: one of the same role and
    site, with an address for the same channel. Outside everybody's hours nobody has one, nor has
    who is not in clinic.toml."""
    peers = [one for one in clinic.escalation if one.serves(site) and one.address(channel)]
    named = [one for one in peers if one.address(channel) == address]
    at_work = [one for one in peers if _is_on_duty(one, site, at)]
    roles = {one.role for one in at_work}
    is_here = any(one in at_work for one in named)
    return bool(named) and not is_here and all(one.role in roles for one in named)


def _is_on_duty(one: Recipient, site: Site, at: datetime) -> bool:
    return one.hours is None or BusinessHours(site.zone, one.hours.days).is_open(at)
