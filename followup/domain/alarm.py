"""What the operator and staff are told of the service itself, and after how long."""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any

from followup.domain.cadence import Lane


class AlarmKind(StrEnum):
    """One thing that is wrong. Its subject says with which channel, lane or person."""

    paused = "paused"
    overdue = "overdue"
    unconsumed = "unconsumed"
    problem = "problem"
    silent = "silent"
    no_submission = "no_submission"
    capped = "capped"
    staff_unreached = "staff_unreached"
    refused = "refused"
    unfit = "unfit"
    #: Of a webhook: what it was to be told and did not receive.
    unheard = "unheard"
    #: Submissions that staff have to look at before anybody is written to; one a day, by its date.
    held = "held"
    #: Not a state, but a list: people whom no message of ours reached.
    unreached = "unreached"
    #: Nor is anything wrong with these: who waits at a site when it opens, and how its week went.
    morning = "morning"
    weekly = "weekly"


#: Told to the staff of the default site, who can act on it, rather than to the operators.
FOR_STAFF = frozenset({AlarmKind.held})
#: Its end is no news: what is held, or dead, is so until somebody has looked.
WITHOUT_END = frozenset({AlarmKind.held, AlarmKind.unheard})

#: A burst is over when nothing more was held for that long.
HELD_FOR = timedelta(hours=1)

#: Only what has been well for that long is told to be over; until then it is the same alarm.
CALM = timedelta(minutes=10)

#: How long a due delivery may wait before that is an alarm; a retry has a due time of its own.
OVERDUE_AFTER: Mapping[Lane, timedelta] = {
    Lane.ack: timedelta(minutes=2),
    Lane.staff: timedelta(minutes=5),
    Lane.reminder: timedelta(minutes=15),
}
UNCONSUMED_AFTER = timedelta(minutes=2)
#: A channel that is paused no longer than that is a blip; a wrong account is told at once.
PAUSED_AFTER = timedelta(minutes=1)
#: Real time. Upkeep runs every 15 seconds.
SILENT_AFTER = timedelta(seconds=60)
#: An address of the staff is taken for mended when nothing has come back for that long; wording,
#: when nothing of it was held back.
UNREACHED_FOR = timedelta(days=1)

#: Real time. What a webhook did not receive is an alarm for that long after it was given up.
UNHEARD_FOR = timedelta(days=1)

#: A refusal for what we write is told once in that time.
REFUSED_FOR = timedelta(days=1)

#: During an outage people become unreachable one by one; staff hear of them no more often.
SUMMARY_EVERY = timedelta(minutes=10)

#: So many references are named in one message; staff see the others on the board.
MOST_NAMED = 20

_CHANNELS = {"email": "mail", "sms": "text messages"}


def describe(kind: AlarmKind, subject: str, facts: Mapping[str, Any]) -> str:
    """One sentence or two for staff: references and numbers, nothing about a person."""
    match kind:
        case AlarmKind.paused:
            return _paused(subject, facts)
        case AlarmKind.overdue:
            return f"Messages of the lane {subject} are due and not sent."
        case AlarmKind.unconsumed:
            return "Submissions came in and are not worked on; nobody was acknowledged or alerted."
        case AlarmKind.problem:
            return "A submission could not be read and waits for somebody to look at it."
        case AlarmKind.silent:
            return "Nothing runs by the clock: beat, the broker or the upkeep worker is down."
        case AlarmKind.no_submission:
            return (
                f"No form has come in for {facts.get('hours', 0):g} business hours. "
                "Please try the forms on your website."
            )
        case AlarmKind.capped:
            return "The hourly limit of messages is reached; further messages wait for the next."
        case AlarmKind.staff_unreached:
            return f"A message to {subject} of the staff came back. Please check the address."
        case AlarmKind.refused:
            return (
                f"The provider for {_CHANNELS.get(subject, subject)} refused a message for what "
                f"it says or for what we may not do (code {facts.get('code')}). Others may follow."
            )
        case AlarmKind.unfit:
            return (
                f"Messages of {subject} are not sent, because of what they say. "
                "The log names the rule that they break."
            )
        case AlarmKind.unheard:
            return _unheard(subject, int(facts.get("count", 0)))
        case AlarmKind.held:
            return _held(int(facts.get("count", 0)))
        case AlarmKind.unreached:
            return _unreached(facts)
        case AlarmKind.morning:
            return f"Who waits for a call this morning: {subject}."
        case AlarmKind.weekly:
            return f"How the week went: {subject}."


def _paused(subject: str, facts: Mapping[str, Any]) -> str:
    channel = _CHANNELS.get(subject, subject)
    code = f" (code {facts['code']})" if facts.get("code") else ""
    if facts.get("misconfigured"):
        return f"The account or sender for {channel} is refused{code}; nothing is sent there."
    return f"The provider for {channel} does not answer{code}; messages wait and are tried again."


def _unheard(webhook: str, count: int) -> str:
    what = "1 announcement" if count == 1 else f"{count} announcements"
    return (
        f"The webhook {webhook} did not receive {what}; no further attempt is made. "
        "An admin sees more at /staff/webhooks."
    )


def _held(count: int) -> str:
    what = "1 submission is" if count == 1 else f"{count} submissions are"
    return (
        f"{what} held for review, and nobody was written to. "
        "Please look at the held leads: release who is a person, reject what is spam."
    )


def _unreached(facts: Mapping[str, Any]) -> str:
    references = list(facts.get("references", ()))
    count = int(facts.get("count", len(references)))
    more = f" and {count - len(references)} more" if count > len(references) else ""
    people = "1 person" if count == 1 else f"{count} people"
    return f"We could not write to {people}. Please call {', '.join(references)}{more}."
