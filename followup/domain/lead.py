"""The lead: its status, its reference, and when two submissions are one person."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class LeadStatus(StrEnum):
    #: We owe this person a call.
    open = "open"
    #: Staff reached the person; ends all reminders.
    contacted = "contacted"
    #: Came in a burst; nothing is sent until staff release it.
    held = "held"
    #: Staff closed it without reaching anybody (spam, wrong number).
    closed = "closed"


#: Somebody is still owed a call.
WAITING = frozenset({LeadStatus.open, LeadStatus.held})


class Priority(StrEnum):
    normal = "normal"
    #: Somebody may be in danger: first in every list until staff reach the person.
    urgent = "urgent"


class Role(StrEnum):
    patient = "patient"
    #: A clinician who wrote on behalf of a patient.
    referrer = "referrer"


class Outcome(StrEnum):
    """What came of reaching the person."""

    reached = "reached"
    booked = "booked"
    not_interested = "not_interested"
    wrong_person = "wrong_person"
    other = "other"


class Closing(StrEnum):
    """Why staff closed a lead without reaching anybody."""

    spam = "spam"
    #: Whoever has the number is not the person who gave it.
    wrong_number = "wrong_number"


class Match(StrEnum):
    same = "same"
    #: Alike, but families share phones: noted for staff, never merged by us.
    possible = "possible"
    new = "new"


#: An attempt quiets the reminders for that much business time.
ATTEMPT_SNOOZE = timedelta(hours=2)

#: Letters and digits that are not mistaken for one another when read aloud or on paper.
REFERENCE_LETTERS = "ABCDEFGHJKMNPQRTUVWXY"
REFERENCE_DIGITS = "2346789"


@dataclass(frozen=True)
class Identity:
    """What tells people apart; addresses in normal form or as equal hashes of it."""

    name: str
    email: str | None
    phone: str | None


def compare(one: Identity, other: Identity) -> Match:
    """Same email, or same phone with the same name, is one person; a phone alone is not."""
    if one.email and one.email == other.email:
        return Match.same
    if one.phone and one.phone == other.phone:
        return Match.same if name_key(one.name) == name_key(other.name) else Match.possible
    return Match.new


def name_key(name: str) -> str:
    """The name for comparison: blind to case, accents, punctuation and spacing."""
    decomposed = unicodedata.normalize("NFKD", name).casefold()
    letters = "".join(char for char in decomposed if not unicodedata.combining(char))
    # A name of signs alone has no words, and two such are not one name.
    return " ".join(re.findall(r"\w+", letters)) or letters.strip()


def new_reference(choose: Callable[[Sequence[str]], str], pairs: int = 2) -> str:
    """A random code such as `K7Q4`: a letter and a digit, `pairs` times over."""
    return "".join(choose(REFERENCE_LETTERS) + choose(REFERENCE_DIGITS) for _ in range(pairs))


def is_urgent(priority: Priority, status: LeadStatus) -> bool:
    """Whether somebody may be in danger, and staff have not reached the person since."""
    return priority is Priority.urgent and status in WAITING


def is_overdue(
    status: LeadStatus, promised_at: datetime, snoozed_until: datetime | None, now: datetime
) -> bool:
    """Whether the call that was promised is late, and nobody has put it off."""
    is_waiting = status is LeadStatus.open and now > promised_at
    is_put_off = snoozed_until is not None and now < snoozed_until
    return is_waiting and not is_put_off
