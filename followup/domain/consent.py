"""What permits texting, which words withdraw it, and why an address must not be written to.

Words are those of the reference tables: 47 CFR 64.1200(a)(10) names stop, quit, end, revoke,
opt out, cancel and unsubscribe as withdrawal per se (law.cornell.edu/cfr/text/47/64.1200); CTIA
5.1.3 asks for blindness to case and punctuation; Twilio's own list is at
twilio.com/docs/messaging/tutorials/advanced-opt-out.
"""

import re
import unicodedata
from enum import StrEnum


class Act(StrEnum):
    """How consent came about."""

    ticked_box = "ticked_box"
    texted_start = "texted_start"


class SuppressionReason(StrEnum):
    opted_out = "opted_out"
    unsubscribed = "unsubscribed"
    #: The provider says that the address does not exist or cannot take messages.
    unreachable = "unreachable"
    asked_staff = "asked_staff"
    #: The recipient called our mail spam.
    complained = "complained"


class Reading(StrEnum):
    """What a text from a patient means for consent, if anything."""

    opt_out = "opt_out"
    opt_in = "opt_in"
    help = "help"
    none = "none"


_OPT_OUT = frozenset(
    {
        *("stop", "quit", "end", "revoke", "opt out", "optout", "cancel", "unsubscribe"),
        *("stopall", "stop all", "remove", "stop texting"),
        *("alto", "parar", "cancelar", "basta", "baja", "no mas"),
    }
)
_OPT_IN = frozenset({"start", "unstop"})
_HELP = frozenset({"help", "info", "ayuda"})
_POLITENESS = re.compile(
    r"^(?:(?:please|pls|thanks|thank you) )+|(?: (?:please|pls|thanks|thank you))+$"
)
_APOSTROPHES = dict.fromkeys(map(ord, "'\u2019`\u00b4"))
_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff"))


def read_reply(text: str) -> Reading:
    """What the whole message says, or its first line alone (phones add signatures).

    A word inside a sentence never counts: "don't stop" is no opt-out.
    """
    lines = text.strip().splitlines() or [""]
    for candidate in (text, lines[0]):
        words = _normal(candidate)
        if words in _OPT_OUT:
            return Reading.opt_out
        if words in _OPT_IN:
            return Reading.opt_in
        if words in _HELP:
            return Reading.help
    return Reading.none


def _normal(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).translate(_INVISIBLE).casefold()
    decomposed = unicodedata.normalize("NFKD", text.translate(_APOSTROPHES))
    letters = "".join(char for char in decomposed if not unicodedata.combining(char))
    return _POLITENESS.sub("", " ".join(re.findall(r"[^\W_]+", letters)))
