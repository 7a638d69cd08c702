"""Whether a due delivery may be sent now: Send, Wait until, or Skip, always with the reason.

Everything is judged at the moment of sending (promise P4), from facts that were just read.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from followup.domain.answer import DESPITE_CAPS, DESPITE_SUPPRESSION, Answer
from followup.domain.cadence import Audience, Channel, Lane
from followup.domain.delivery import Reason, Status
from followup.domain.hours import BusinessHours, TextWindow, next_allowed
from followup.domain.lead import LeadStatus
from followup.domain.text_hours import DEFAULT_WINDOW

#: The first acknowledgement of someone who has just agreed and pressed the button may go at any
#: hour, that long after the submission: 47 CFR 64.1200(f)(15) excludes a message sent by the
#: person's own invitation from the hours of (c)(1).
AT_ONCE = timedelta(minutes=5)

#: What is due when the site closes still goes.
CLOSING = timedelta(minutes=1)

#: One automated first text per number in that time, whatever the forms say.
FIRST_TEXT_EVERY = timedelta(days=30)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of one due delivery at the moment of sending."""

    audience: Audience
    channel: Channel
    lane: Lane
    acknowledges: bool
    expires_at: datetime | None
    lead_status: LeadStatus
    snoozed_until: datetime | None
    #: Whether it was planned before the lead was contacted and then reopened.
    is_of_old: bool = False
    #: Whether it goes to somebody who no longer works here.
    has_left: bool = False
    #: Whether a colleague, who is on duty, is told in place of this one.
    is_off_duty: bool = False
    #: When the submission that this answers came in.
    arrived_at: datetime
    hours: BusinessHours
    waits_for_opening: bool = False
    #: False where only some recipients may be written to, and this is none of them.
    is_listed: bool = True
    #: Which fixed answer it is; None for the messages of a lead's own cadence.
    answer: Answer | None = None
    #: It answers a text of the person's own, which is the invitation to do so.
    invited: bool = False
    #: It is owed although the lead was contacted, closed or held: somebody wrote, or is in danger.
    whatever_status: bool = False
    #: Reason why the address is suppressed on this channel.
    suppressed: Reason | None = None
    has_consent: bool = False
    #: Why the number must not be texted (country, toll_free …), None when it may.
    not_textable: str | None = None
    #: Whether this number already had its first text.
    was_texted: bool = False
    #: When the address, or the lead, may have another message after the most that it may get.
    capped_until: datetime | None = None
    #: Every zone the recipient may be in, and the site's.
    zones: Collection[ZoneInfo] = ()
    #: The states that the recipient may be in, and what all of them allow; None: no text ever.
    states: Collection[str] = ()
    window: TextWindow | None = DEFAULT_WINDOW
    #: From when on a text is of no use, however long its window was closed: what it promises is
    #: past, or the next of its kind is due.
    useless_at: datetime | None = None
    ack_sms_in_quiet_hours: bool = True


@dataclass(frozen=True)
class Send:
    """It may go now."""


@dataclass(frozen=True)
class Wait:
    """Not now; look again at `until`. A wait for a window does not count towards expiry."""

    until: datetime
    reason: Reason
    extends_expiry: bool = False


@dataclass(frozen=True)
class Skip:
    """Not at all; `status` is the terminal state that says how."""

    reason: Reason
    status: Status = Status.skipped


Verdict = Send | Wait | Skip

_SEND = Send()


def assess(facts: Facts, now: datetime) -> Verdict:
    """The rules in order of weight: owed, in time, welcome, not too many, at a proper hour, and
    last, because a wait may bring another shift: to who is on duty."""
    return (
        _no_longer_owed(facts)
        or _put_off(facts, now)
        or _too_late(facts, now)
        or _unwelcome(facts)
        or _too_many(facts)
        or _wrong_hour(facts, now)
        or _off_duty(facts)
        or _SEND
    )


def _no_longer_owed(facts: Facts) -> Skip | None:
    if facts.has_left:
        return Skip(Reason.staff_left, Status.cancelled)
    if facts.whatever_status:
        return None
    if facts.lead_status is LeadStatus.contacted or facts.is_of_old:
        return Skip(Reason.contacted, Status.cancelled)
    if facts.lead_status is LeadStatus.closed:
        return Skip(Reason.closed, Status.cancelled)
    return None


def _put_off(facts: Facts, now: datetime) -> Wait | None:
    if facts.lead_status is LeadStatus.held and not facts.whatever_status:
        return Wait(now + timedelta(minutes=5), Reason.held)
    is_reminder = facts.audience is Audience.staff and facts.lane is Lane.reminder
    if is_reminder and facts.snoozed_until is not None and facts.snoozed_until > now:
        return Wait(facts.snoozed_until, Reason.snoozed)
    return None


def _too_late(facts: Facts, now: datetime) -> Skip | None:
    if facts.expires_at is not None and now >= facts.expires_at:
        return Skip(Reason.expired, Status.expired)
    return None


def _unwelcome(facts: Facts) -> Skip | None:
    if not facts.is_listed:
        return Skip(Reason.not_listed)
    if facts.suppressed is not None and facts.answer not in DESPITE_SUPPRESSION:
        return Skip(facts.suppressed)
    if facts.channel is not Channel.sms:
        return None
    if facts.not_textable is not None:
        return Skip(Reason.not_textable)
    if facts.audience is Audience.staff:
        return None
    if not facts.has_consent and not facts.invited:
        return Skip(Reason.no_consent)
    if facts.acknowledges and facts.was_texted:
        return Skip(Reason.already_texted)
    return None


def _too_many(facts: Facts) -> Wait | None:
    """A loop of ours, or somebody who submits a form a hundred times, must not fill a phone."""
    if facts.capped_until is None or facts.answer in DESPITE_CAPS:
        return None
    return Wait(facts.capped_until, Reason.capped)


def _wrong_hour(facts: Facts, now: datetime) -> Wait | Skip | None:
    if facts.audience is Audience.staff:
        closed = not facts.hours.is_open(now) and not facts.hours.is_open(now - CLOSING)
        if facts.waits_for_opening and closed:
            return _wait_for_opening(facts, now)
        return None
    if facts.channel is not Channel.sms or _goes_at_once(facts, now):
        return None
    allowed_at = _next_window(facts, now)
    if allowed_at is None:
        return Skip(Reason.quiet_hours)
    if allowed_at <= now:
        return None
    if facts.useless_at is not None and allowed_at >= facts.useless_at:
        return Skip(Reason.window_too_late, Status.expired)
    return Wait(allowed_at, Reason.quiet_hours, extends_expiry=True)


def _off_duty(facts: Facts) -> Skip | None:
    return Skip(Reason.off_duty) if facts.is_off_duty else None


def _next_window(facts: Facts, now: datetime) -> datetime | None:
    """None when no zone is known, or no hour suits wherever the person may be."""
    try:
        return next_allowed(now, facts.zones, facts.window) if facts.window else None
    except ValueError:
        return None


def _wait_for_opening(facts: Facts, now: datetime) -> Wait:
    """A life that was planned to begin with this opening is not made longer once more."""
    opens_at = facts.hours.next_open(now)
    is_counted = facts.expires_at is not None and facts.expires_at > opens_at
    return Wait(opens_at, Reason.outside_opening, extends_expiry=not is_counted)


def _goes_at_once(facts: Facts, now: datetime) -> bool:
    """An answer follows what the person has just sent, and lives for minutes only."""
    if facts.answer is not None:
        return True
    is_fresh = now - facts.arrived_at <= AT_ONCE
    return facts.acknowledges and facts.ack_sms_in_quiet_hours and is_fresh
