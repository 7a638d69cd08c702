"""Of what examples are made: who writes, what is said, and what happens meanwhile."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from hypothesis import strategies as st

from followup.domain.cadence import Lane
from followup.transports.mail_events import MailHappening
from tests.chaos.provider import Ending
from tests.services.cast import ALICE, BOB

CLARA = {"name": "Clara Coe", "email": "clara@example.com", "phone": ALICE["phone"]}
#: Alice has a new number once, and shares the old one with Clara; Dora gives no number.
PEOPLE: Sequence[dict[str, str]] = (
    ALICE,
    BOB,
    {**ALICE, "phone": "+12125550103"},
    CLARA,
    {"name": "Dora Dee", "email": "dora@example.com"},
)
NUMBERS = (ALICE["phone"], BOB["phone"], "+12125550103")
SECOND = timedelta(seconds=1)
#: What a report may say of a text; its end is the provider's own affair, and stays the same.
WORDS = ("queued", "sending", "sent", "the end", "a word of next year")
#: What a mail's reader does who wants no more.
UNWELCOME = (MailHappening.complained, MailHappening.unsubscribed)
ENDS = ("delivered", "undelivered", "failed", "read")

people = st.sampled_from(PEOPLE)
mostly = st.sampled_from((True, True, False))
lanes = st.sampled_from(Lane)
numbers = st.sampled_from(NUMBERS)
some = st.integers(0, 7)
#: Deaths and lost answers more often, because most promises break there.
endings = st.lists(
    st.sampled_from((*Ending, Ending.lost_and_taken, Ending.dies_and_taken)), max_size=4
)
#: What happens while a worker stands still; mostly nothing.
meanwhile: st.SearchStrategy[list[str]] = st.just([]) | st.lists(
    st.sampled_from(
        (
            *("mark", "stop", "report", "lease runs out", "ask", "ask", "another worker", "tick"),
            *("die", "done", "close", "merge"),
        )
    ),
    max_size=4,
)


@dataclass
class Pauses:
    """What happens while a worker stands still: before its calls, and after them."""

    before: Sequence[str] = ()
    after: Sequence[str] = ()
