"""What a clinic's other systems are told of, and when a webhook that failed is tried again."""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum


class Event(StrEnum):
    """As `[[webhooks]]` of clinic.toml names them."""

    lead_created = "lead.created"
    lead_contacted = "lead.contacted"
    lead_closed = "lead.closed"
    lead_reopened = "lead.reopened"
    message_failed = "message.failed"


#: What staff do with a lead that is announced, by the verb of the act.
OF_ACTS: Mapping[str, Event] = {
    "contacted": Event.lead_contacted,
    "closed": Event.lead_closed,
    # Whom the other lead's call reaches, too.
    "merged into": Event.lead_closed,
    # Or it would stay contacted or closed where it was announced as that.
    "reopened": Event.lead_reopened,
}

#: Before each further attempt: at once, then these, by the schedule of the specification
#: (github.com/standard-webhooks/standard-webhooks, "Deliverability and reliability").
WAITS = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
MOST_ATTEMPTS = len(WAITS) + 1
#: No receiver puts us off for longer.
LONGEST_WAIT = WAITS[-1]
#: So much longer by chance, so that what failed together does not come again together.
_JITTER = 0.1


def wait_after(attempts: int, chance: float, asked: timedelta | None = None) -> timedelta | None:
    """How long after so many attempts the next one is made; None when there is none.

    `asked` is what the receiver wants.
    """
    if attempts >= MOST_ATTEMPTS:
        return None
    wait = WAITS[attempts - 1] * (1 + _JITTER * chance)
    return max(wait, min(asked, LONGEST_WAIT)) if asked is not None else wait
