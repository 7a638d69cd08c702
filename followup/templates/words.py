"""Words that may not be said where others can read them, and how they are found in a text."""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache


def _words(listed: str) -> frozenset[str]:
    return frozenset(word.strip() for word in listed.split("·"))


#: A text about a prescription drug ends a carrier registration for good: Twilio error 30941
#: (twilio.com/docs/api/errors/30941). No clinic can allow these.
DRUGS = _words(
    "ketamine · ketamina · esketamine · esketamina · spravato · prescription · "
    "receta medica · sertraline · sertralina · zoloft · fluoxetine · fluoxetina · prozac · "
    "escitalopram · lexapro · bupropion · wellbutrin · xanax · adderall · medication · "
    "medicamento"
)
#: Reveal what the clinic is for, or what somebody asked, to whoever sees the screen.
CLINICAL = _words(
    "tms · depression · depressed · depressive · depresion · anxiety · anxious · ansiedad · ocd · "
    "toc · bipolar · ptsd · phq · gad · score · scored · puntaje · puntuacion · diagnosis · "
    "diagnoses · diagnosed · diagnostico · symptom · sintoma · therapy · therapies · terapia · "
    "therapist · treatment · tratamiento · infusion · mental · psychiatric · "
    "psychiatry · psychiatrist · psiquiatria · psiquiatrico · psiquiatra · suicide · suicidal · "
    "suicidio · antidepressant · antidepresivo"
)
#: Said by people who read and by people who cure; a machine has done neither.
PROMISES = _words(
    "immediately · instantly · guarantee · guaranteed · cure · inmediatamente · "
    "de inmediato · garantizamos · garantizado · curar"
)
#: Third-party lead generation is forbidden traffic (twilio.com/legal/messaging-policy).
TRADE = _words("lead generation · seo")
#: Carriers drop public shorteners: they hide whose the link is.
SHORTENERS = _words(
    "9qr.de · alturl.com · app.link · bc.vc · bit.do · bit.ly · bitly.com · bitly.ws · "
    "budurl.com · clicky.me · cutt.ly · is.gd · lc.chat · linki.la · lnkd.in · minm.xyz · "
    "ow.ly · rb.gy · rebrand.ly · s2r.co · serveirc.com · shrtco.de · soo.gd · t.co · t.ly · "
    "tiny.cc · tinyurl.com"
)
#: No greeting holds any of these, whatever was typed into the form as a name.
NO_NAMES = DRUGS | CLINICAL | PROMISES | TRADE


def find_words(words: frozenset[str], text: str) -> Iterator[tuple[int, str]]:
    """Each of the words that the text holds, with the number of its line.

    Case, accents, plurals and what cannot be seen make no other word; a word within another is
    none.
    """
    spelled = plain(text)
    for match in _any_of(words).finditer(spelled):
        yield spelled.count("\n", 0, match.start()) + 1, " ".join(match[1].split())


@cache
def _any_of(words: frozenset[str]) -> re.Pattern[str]:
    listed = (re.escape(word).replace(r"\ ", r"\s+") for word in sorted(words, key=_longest_first))
    return re.compile(rf"\b({'|'.join(listed)})(?:e?s)?\b")


def _longest_first(word: str) -> tuple[int, str]:
    return -len(word), word


def plain(text: str) -> str:
    """Without what makes no difference to a reader."""
    if text.isascii():
        return text.casefold()
    apart = unicodedata.normalize("NFKD", text.casefold())
    return "".join(sign for sign in apart if unicodedata.category(sign) not in ("Mn", "Cf"))
