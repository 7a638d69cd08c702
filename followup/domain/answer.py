"""The fixed answers to texts: which there are, which one a text gets, and what each may pass by.

An answer is a delivery like any other; its name is that of its step in `templates/replies/`.
"""

from datetime import timedelta
from enum import StrEnum

from followup.domain.consent import Meaning


class Answer(StrEnum):
    #: The one confirmation of an opt-out.
    opted_out = "opted-out"
    #: The confirmation that texts go on.
    opted_in = "opted-in"
    help = "help"
    #: Somebody may be in danger: 988 and 911.
    crisis = "crisis"
    #: A human will read it.
    received = "received"


class StaffAnswer(StrEnum):
    """What a text of the staff's own is answered with: what happened to the lead."""

    contacted = "staff-contacted"
    #: Somebody else had marked it contacted before.
    was_first = "staff-was-first"
    attempt = "staff-attempt"
    snoozed = "staff-snoozed"
    closed = "staff-closed"
    #: Nothing was changed, and how to say it; the same whether or not there is such a lead.
    how = "staff-how"


#: To one number, one of a kind in that time.
ANSWER_EVERY = timedelta(days=1)

#: To a text of staff that is no command: a phone that answers by itself must not be answered on.
HOW_EVERY = timedelta(minutes=10)

#: 47 CFR 64.1200(a)(12): one text that confirms the opt-out is within the consent that it ends.
#: HELP is answered whatever the subscription (CTIA Messaging Principles, May 2023, 5.1.2).
DESPITE_SUPPRESSION = frozenset({Answer.opted_out, Answer.help})

#: It goes once a day as it is, and whoever had too many others needs it none the less.
DESPITE_CAPS = frozenset({Answer.crisis})


def choose_answer(
    meaning: Meaning, *, in_danger: bool, is_known: bool, is_command: bool = False
) -> Answer | None:
    """The one answer to a text: after an opt-out nothing but its confirmation, whatever it says.

    Somebody whom we do not know is not thanked for a text that may be meant for others; who texts
    what only staff would hears where we are to be reached, so that nobody takes it for done.
    """
    if meaning is Meaning.opt_out:
        return Answer.opted_out
    if in_danger:
        return Answer.crisis
    if meaning is Meaning.opt_in:
        return Answer.opted_in
    if meaning is Meaning.help or (is_command and not is_known):
        return Answer.help
    return Answer.received if is_known else None
