"""What permits texting, what withdraws it, and why an address must not be written to.

Words are those of the reference tables: 47 CFR 64.1200(a)(10) names stop, quit, end, revoke,
opt out, cancel and unsubscribe as withdrawal per se (law.cornell.edu/cfr/text/47/64.1200); CTIA
5.1.3 asks for blindness to case and punctuation; Twilio's own list is at
twilio.com/docs/messaging/tutorials/advanced-opt-out. Free words are read in `refusal.py`.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from followup.domain.plain import plain_words
from followup.domain.refusal import is_refusal, is_wrong_number


class Act(StrEnum):
    """How consent came about."""

    ticked_box = "ticked_box"
    texted_start = "texted_start"
    #: Gave the number to a source for which the clinic takes that as consent: informational texts.
    gave_number = "gave_number"
    #: Told staff, who wrote down the words.
    told_staff = "told_staff"


class SuppressionReason(StrEnum):
    opted_out = "opted_out"
    unsubscribed = "unsubscribed"
    #: The provider says that the address does not exist or cannot take messages.
    unreachable = "unreachable"
    asked_staff = "asked_staff"
    #: The recipient called our mail spam.
    complained = "complained"
    #: Whoever has the number is not the person who gave it.
    wrong_number = "wrong_number"
    #: The person refused at another address of theirs, as a lead that was merged shows.
    refused_elsewhere = "refused_elsewhere"


#: What a person says for themselves, at whichever address; not what is wrong with an address.
REFUSALS = frozenset(
    {
        SuppressionReason.opted_out,
        SuppressionReason.unsubscribed,
        SuppressionReason.asked_staff,
        SuppressionReason.complained,
    }
)


class MatchedBy(StrEnum):
    """How we know that somebody said no."""

    #: A word that the law names.
    per_se = "per_se"
    #: Other words, which a reasonable person understands so.
    intent = "intent"
    #: The provider says so: its own filter, an error's code, a report.
    provider = "provider"
    #: Somebody of the staff was told.
    staff = "staff"
    #: The one-click link of a mail (RFC 8058), or its page.
    link = "link"
    #: A mail to the address for unsubscribing.
    mail = "mail"


class Meaning(StrEnum):
    """What a text from a patient means for consent, if anything."""

    opt_out = "opt_out"
    opt_in = "opt_in"
    help = "help"
    none = "none"


@dataclass(frozen=True)
class Reading:
    """What a text means, by which of our ways of reading, and whether a human is to see it."""

    meaning: Meaning
    matched_by: MatchedBy | None = None
    is_wrong_number: bool = False
    #: All but the words that say one thing only: "end" is an opt-out by law, and may mean more.
    is_for_staff: bool = True


_OPT_OUT = frozenset(
    {
        *("stop", "quit", "end", "revoke", "opt out", "optout", "cancel", "unsubscribe"),
        *("stopall", "stop all", "remove", "stop texting"),
        *("alto", "parar", "cancelar", "basta", "baja", "no mas"),
    }
)
_MAY_MEAN_MORE = frozenset({"end", "quit", "cancel", "cancelar", "basta"})
_OPT_IN = frozenset({"start", "unstop"})
_HELP = frozenset({"help", "info", "ayuda"})
_POLITENESS = re.compile(
    r"^(?:(?:please|pls|thanks|thank you|por favor|gracias) )+"
    r"|(?: (?:please|pls|thanks|thank you|por favor|gracias))+$"
)

#: What Twilio takes for START, and we do not: a "yes" answers some question.
_NO_OPT_IN = frozenset({"yes", "si"})


def read_reply(text: str) -> Reading:
    """What the whole message says, or its first line alone (phones add signatures); else whether
    its words refuse. A word inside a sentence never counts: "don't stop" is no opt-out.
    """
    lines = text.strip().splitlines() or [""]
    for candidate in (text, lines[0]):
        words = _POLITENESS.sub("", plain_words(candidate))
        if words in _OPT_OUT:
            is_for_staff = words in _MAY_MEAN_MORE
            return Reading(Meaning.opt_out, MatchedBy.per_se, is_for_staff=is_for_staff)
        if words in _OPT_IN:
            return Reading(Meaning.opt_in, is_for_staff=False)
        if words in _HELP:
            return Reading(Meaning.help)
    if is_refusal(text):
        return Reading(Meaning.opt_out, MatchedBy.intent, is_wrong_number(text))
    return Reading(Meaning.none)


def read_with_provider(text: str, provider_meaning: Meaning | None) -> Reading:
    """The same, where the provider's own filter has read the text too: the stricter counts."""
    ours = read_reply(text)
    if Meaning.opt_out in (ours.meaning, provider_meaning):
        said = Reading(Meaning.opt_out, MatchedBy.provider, is_for_staff=False)
        return ours if ours.meaning is Meaning.opt_out else said
    if provider_meaning is Meaning.opt_in and plain_words(text) not in _NO_OPT_IN:
        return Reading(Meaning.opt_in, is_for_staff=ours.is_for_staff)
    return Reading(Meaning.help) if provider_meaning is Meaning.help else ours


def permits(act: Act, *, informational: bool) -> bool:
    """Whether consent by that act is enough for a text.

    A number that was given, and nothing more, permits what informs of the request alone; what
    promotes needs words that were agreed to (47 CFR 64.1200(f)(9)).
    """
    return informational or act is not Act.gave_number
