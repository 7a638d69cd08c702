"""What staff text back to an alert: `DONE K7Q4`, `TRIED K7Q4`, `SNOOZE K7Q4 2h`.

The whole text counts, or its first line alone (phones add signatures). Whatever else stands beside
the word and the reference makes it no command: a guess here would silence the reminders of somebody
whom nobody has called.
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from followup.domain.plain import plain_words


class Verb(StrEnum):
    contacted = "contacted"
    attempt = "attempt"
    snooze = "snooze"


@dataclass(frozen=True)
class Command:
    """Without a verb it changes nothing; whoever wrote hears which there are."""

    reference: str
    verb: Verb | None = None
    #: Of a snooze, when it was said.
    length: timedelta | None = None


#: That one called is not that one reached: there is no such word here.
_VERBS = {
    Verb.contacted: "done|contacted|reached|listo|lista|hecho|contactado|contactada",
    Verb.attempt: "tried|attempt|attempted|voicemail|intento|intente|lo intente|intentado",
    Verb.snooze: "snooze|snoozed|later|posponer|pospon|posponga|pospuesto|aplazar",
}
_UNITS = {
    "minutes": "m|min|mins|minutes?|minutos?",
    "hours": "h|hr|hrs|hours?|horas?",
    "days": "d|days?|dias?",
}
_ANY_VERB = "|".join(_VERBS.values())
_COMMAND = re.compile(
    rf"(?:(?P<verb>{_ANY_VERB}) )?"
    r"(?P<reference>[a-z][0-9](?: ?[a-z][0-9]){1,6})"
    rf"(?: (?P<verb_after>{_ANY_VERB}))?"
    rf"(?: (?:for |por )?(?P<count>[0-9]{{1,4}}) ?(?P<unit>{'|'.join(_UNITS.values())}))?"
    r"(?: (?:please|thanks|thank you|por favor|gracias))?"
)


def read_command(text: str) -> Command | None:
    """None for a text that is no command."""
    lines = text.strip().splitlines() or [""]
    return _read(text) or _read(lines[0])


def _read(text: str) -> Command | None:
    # Longer than any command, so that nobody can make the reading slow.
    found = _COMMAND.fullmatch(plain_words(text[:200]))
    if found is None or (found["verb"] and found["verb_after"]):
        return None
    said = found["verb"] or found["verb_after"]
    verb = next((one for one, words in _VERBS.items() if said in words.split("|")), None)
    length = None
    if found["count"]:
        if verb is not Verb.snooze:
            return None
        name = next(one for one, words in _UNITS.items() if re.fullmatch(words, found["unit"]))
        length = timedelta(**{name: int(found["count"])})
    return Command(found["reference"].replace(" ", "").upper(), verb, length)
