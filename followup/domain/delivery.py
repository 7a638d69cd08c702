"""The life of one delivery: statuses, which may follow which, reasons, and when to try again."""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum


class Status(StrEnum):
    #: Owed; will be assessed when due.
    planned = "planned"
    #: Leased by a worker; from here it may have reached the provider.
    sending = "sending"
    #: The provider took it.
    accepted = "accepted"
    #: The provider handed it on.
    sent = "sent"
    #: The provider has a receipt of the recipient's side.
    delivered = "delivered"
    #: The provider could not bring it.
    undelivered = "undelivered"
    #: Refused; nothing was sent.
    failed = "failed"
    #: It may have been sent; being asked about.
    unknown = "unknown"
    #: Assessed when due, and not sent; the reason says why.
    skipped = "skipped"
    #: No longer owed: contacted, opted out, closed, replaced.
    cancelled = "cancelled"
    #: Its usefulness ran out before it could be sent.
    expired = "expired"


TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    Status.planned: frozenset(
        {
            Status.sending,
            Status.skipped,
            Status.cancelled,
            Status.expired,
            # A receipt proves that an attempt which we took for lost did arrive.
            Status.accepted,
            Status.sent,
            Status.delivered,
            Status.undelivered,
            Status.failed,
        }
    ),
    Status.sending: frozenset(
        {
            Status.planned,
            Status.accepted,
            Status.sent,
            Status.delivered,
            Status.undelivered,
            Status.failed,
            Status.expired,
            Status.unknown,
        }
    ),
    Status.unknown: frozenset(
        {
            Status.planned,
            Status.accepted,
            Status.sent,
            Status.delivered,
            Status.undelivered,
            Status.failed,
        }
    ),
    Status.accepted: frozenset({Status.sent, Status.delivered, Status.undelivered, Status.failed}),
    Status.sent: frozenset({Status.delivered, Status.undelivered, Status.failed}),
    #: A bounce may come after the receipt.
    Status.delivered: frozenset({Status.undelivered}),
    Status.undelivered: frozenset(),
    Status.failed: frozenset(),
    Status.skipped: frozenset(),
    Status.cancelled: frozenset(),
    Status.expired: frozenset(),
}

#: Statuses in which the recipient has, or may have, got the message.
REACHED_PROVIDER = frozenset(
    {
        Status.sending,
        Status.unknown,
        Status.accepted,
        Status.sent,
        Status.delivered,
        Status.undelivered,
    }
)


#: Statuses in which the recipient has the message, or may still get it.
HOPEFUL = (REACHED_PROVIDER | {Status.planned}) - {Status.undelivered}


def may_become(status: Status, following: Status) -> bool:
    return following in TRANSITIONS[status]


class Reason(StrEnum):
    """Why a delivery is not, or not yet, sent. Each has its sentence for staff below."""

    contacted = "contacted"
    closed = "closed"
    held = "held"
    snoozed = "snoozed"
    superseded = "superseded"
    expired = "expired"
    not_listed = "not_listed"
    no_consent = "no_consent"
    opted_out = "opted_out"
    unsubscribed = "unsubscribed"
    complained = "complained"
    unreachable = "unreachable"
    asked_staff = "asked_staff"
    wrong_number = "wrong_number"
    refused_elsewhere = "refused_elsewhere"
    replied = "replied"
    not_textable = "not_textable"
    already_texted = "already_texted"
    quiet_hours = "quiet_hours"
    window_too_late = "window_too_late"
    outside_opening = "outside_opening"
    no_wording = "no_wording"
    unfit = "unfit"
    will_retry = "will_retry"
    refused = "refused"
    channel_broken = "channel_broken"
    answer_lost = "answer_lost"
    worker_lost = "worker_lost"
    returned = "returned"
    not_found = "not_found"
    undeliverable = "undeliverable"
    our_fault = "our_fault"
    capped = "capped"
    staff_left = "staff_left"
    off_duty = "off_duty"
    outdated = "outdated"


SENTENCES: Mapping[Reason, str] = {
    Reason.contacted: "The lead was marked contacted.",
    Reason.closed: "The lead was closed.",
    Reason.held: "The lead is held for review.",
    Reason.snoozed: "Reminders of this lead are snoozed.",
    Reason.superseded: "The person gave a newer address.",
    Reason.expired: "It could not be sent in time, and late is not sent.",
    Reason.not_listed: "This service is being tried out and writes to a few addresses alone.",
    Reason.no_consent: "The person has not agreed to text messages.",
    Reason.opted_out: "This number has opted out of text messages.",
    Reason.unsubscribed: "This address has unsubscribed.",
    Reason.complained: "This person reported a mail of ours as spam.",
    Reason.unreachable: "The provider says that this address cannot be reached.",
    Reason.asked_staff: "The person asked staff not to be written to.",
    Reason.wrong_number: "Whoever has this number is not the person who gave it.",
    Reason.refused_elsewhere: "The person refused at another address of theirs.",
    Reason.replied: "The person wrote back; a human answers from here.",
    Reason.not_textable: "This number cannot or must not be texted.",
    Reason.already_texted: "This number had its one automated first text within 30 days.",
    Reason.quiet_hours: "It is outside the hours in which this person may be texted.",
    Reason.window_too_late: "Once this person may be texted, it would be of no use any more.",
    Reason.outside_opening: "It waits for the site to open.",
    Reason.no_wording: "The cadence or its wording no longer has this step.",
    Reason.unfit: "What it says breaks a rule of what may be said; it was not sent.",
    Reason.will_retry: "The provider could not take it; it is tried again.",
    Reason.refused: "The provider refused it for good.",
    Reason.channel_broken: "The channel's account or sender is wrong; the operator must mend it.",
    Reason.answer_lost: "The provider's answer was lost; it may have been sent.",
    Reason.worker_lost: "The worker was lost while sending; it may have been sent.",
    Reason.returned: "It was claimed, but not begun, and goes back to be sent.",
    Reason.not_found: "The provider has no trace of it; it was not sent.",
    Reason.our_fault: "We stumbled over it; the log says how, and it is tried again in an hour.",
    Reason.capped: "This address or lead has had as many messages as one may get in that time.",
    Reason.staff_left: "This person no longer works here.",
    Reason.off_duty: "This person was off duty, and a colleague on duty hears of it.",
    Reason.outdated: "What it says is no longer true.",
    Reason.undeliverable: "The provider took it, but could not deliver it.",
}

#: Why a message may be skipped although the person is owed it and still waits for word of us.
MISSED = frozenset({Reason.quiet_hours, Reason.unfit})

#: Our own choice: quick at first, for a blip; then so slow that an outage is not hammered.
RETRY_DELAYS = (
    timedelta(seconds=10),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(hours=1),
    timedelta(hours=3),
)
#: Spreads the retries of many deliveries that failed together.
RETRY_JITTER = 0.2


def retry_delay(failures: int, chance: float, asked: timedelta | None = None) -> timedelta:
    """The wait after the given number of failures (from 1); `chance` is in [0, 1).

    A longer wait that the provider asked for holds.
    """
    delay = RETRY_DELAYS[min(failures, len(RETRY_DELAYS)) - 1]
    jittered = delay * (1 + RETRY_JITTER * (2 * chance - 1))
    return max(jittered, asked) if asked else jittered
