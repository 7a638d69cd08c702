"""What Twilio's own STOP filter takes a text for, and whether it has answered it by itself.

Words of a long code's filter: twilio.com/docs/messaging/tutorials/advanced-opt-out. Only a whole
message counts there. With Message Redaction the filter is off, and everything is ours.
"""

from collections.abc import Mapping

from followup.domain.consent import Meaning

_OPT_OUT_TYPES: Mapping[str, Meaning] = {
    "STOP": Meaning.opt_out,
    "START": Meaning.opt_in,
    "HELP": Meaning.help,
}
_ANSWERED_WORDS = frozenset(
    {
        *("STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"),
        *("START", "YES", "UNSTOP", "HELP", "INFO"),
    }
)


def meaning_of(opt_out_type: str) -> Meaning | None:
    """Of the field `OptOutType`, which is there when Advanced Opt-Out has matched."""
    return _OPT_OUT_TYPES.get(opt_out_type.strip().upper())


def is_answered(body: str, opt_out_type: str, *, filter_on: bool) -> bool:
    """Whether the person has Twilio's answer already, so that one of ours would be a second."""
    if meaning_of(opt_out_type) is not None:
        return True
    return filter_on and body.strip().upper() in _ANSWERED_WORDS
