"""Scores of screening questionnaires by their published tables, and the one answer that is urgent.

A score is for staff alone, is made whenever it is read, and is kept nowhere: not in a message, an
alert, an address or a log. It decides nothing about what is sent.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: Said wherever a score is shown.
DISCLAIMER = "screening, not a diagnosis"

#: Not at all, several days, more than half the days, nearly every day; over the last two weeks.
HIGHEST_ANSWER = 3


@dataclass(frozen=True)
class Instrument:
    """`bands` are (lowest total, name), ascending; a screen is positive from `positive_from` on."""

    title: str
    items: int
    positive_from: int
    bands: tuple[tuple[int, str], ...] = ()

    @property
    def highest(self) -> int:
        return self.items * HIGHEST_ANSWER


_PHQ_BANDS = (
    (0, "minimal"),
    (5, "mild"),
    (10, "moderate"),
    (15, "moderately severe"),
    (20, "severe"),
)
_GAD_BANDS = ((0, "minimal"), (5, "mild"), (10, "moderate"), (15, "severe"))

#: By the field of the answers. PHQ-2 and PHQ-9 with their cut-offs: Arroll et al., Ann Fam Med
#: 2010, PMC2906530; PHQ-8: Kroenke et al., J Affect Disord 2009; GAD-2 and GAD-7: Kroenke et al.,
#: Ann Intern Med 2007, and the instruction manual at phqscreeners.com.
INSTRUMENTS: Mapping[str, Instrument] = {
    "phq2": Instrument("PHQ-2", 2, positive_from=3),
    "phq8": Instrument("PHQ-8", 8, positive_from=10, bands=_PHQ_BANDS),
    "phq9": Instrument("PHQ-9", 9, positive_from=10, bands=_PHQ_BANDS),
    "gad2": Instrument("GAD-2", 2, positive_from=3),
    "gad7": Instrument("GAD-7", 7, positive_from=10, bands=_GAD_BANDS),
}


@dataclass(frozen=True)
class Score:
    """Of one instrument. With an answer `missing` (numbers from 1) there is no total: filling it
    in from the others is a convention that nobody has validated for a public form."""

    instrument: Instrument
    missing: tuple[int, ...] = ()
    total: int | None = None

    @property
    def band(self) -> str | None:
        """None for an instrument without bands, and without a total."""
        if self.total is None:
            return None
        reached = [name for lowest, name in self.instrument.bands if lowest <= self.total]
        return reached[-1] if reached else None

    @property
    def is_positive(self) -> bool | None:
        return None if self.total is None else self.total >= self.instrument.positive_from


def score(name: str, answers: Sequence[int | None]) -> Score:
    """By the published table of the instrument, None being no answer.

    Raises ValueError for another number of answers, and for one that is no whole number of 0 to 3.
    """
    instrument = INSTRUMENTS[name]
    if len(answers) != instrument.items:
        raise ValueError(f"expected {instrument.items} answers, got {len(answers)}")
    for number, answer in enumerate(answers, start=1):
        if answer is not None and not _is_answer(answer):
            raise ValueError(f"expected whole numbers of 0 to {HIGHEST_ANSWER} at answer {number}")
    missing = tuple(number for number, one in enumerate(answers, start=1) if one is None)
    total = sum(one for one in answers if one is not None)
    return Score(instrument, missing, None if missing else total)


def _is_answer(answer: object) -> bool:
    is_whole = isinstance(answer, int) and not isinstance(answer, bool)
    return is_whole and answer in range(HIGHEST_ANSWER + 1)


def list_scores(answers: Mapping[str, Any]) -> Iterator[Score]:
    """Of every instrument that was filled in; what cannot be read as one has no score."""
    for name in INSTRUMENTS:
        given = answers.get(name)
        if isinstance(given, list) and given:
            try:
                yield score(name, given)
            except ValueError:
                continue


#: "Thoughts that you would be better off dead or of hurting yourself in some way", LOINC 44260-8.
_SELF_HARM_ITEM = 9


def is_urgent(fields: Mapping[str, Any]) -> bool:
    """Whether the fields of a form answer item 9 of PHQ-9 with anything but "not at all".

    The total plays no part, nor whether other answers are missing, nor which form it was: nothing
    that can be read as such an answer is passed over, and nothing raises.
    """
    answers = fields.get("answers")
    answer = _ninth(answers.get("phq9") if isinstance(answers, Mapping) else None)
    if answer is None:
        # Another's form may have words of its own, which nobody here could read as a score.
        sent = _ninth(fields.get("answers.phq9 (as sent)"))
        answer = "" if sent is None else str(sent)
    if isinstance(answer, str):
        return answer.strip() not in ("", "0")
    return isinstance(answer, int | float) and answer > 0


def _ninth(given: object) -> Any:
    if not isinstance(given, list) or len(given) < _SELF_HARM_ITEM:
        return None
    return given[_SELF_HARM_ITEM - 1]
