"""Words after which a human must look at once. They judge nobody, and nothing is decided by them.

A match raises the priority, alerts staff and sends one fixed text; it never sorts anybody out.
Words are poor in both directions: "not suicidal" matches, and despair in other words does not,
which is why every text is shown to a human.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from followup.domain.plain import plain_words

#: A start, which the clinic's own clinician edits in clinic.toml.
STARTER_WORDS = (
    *("kill myself", "suicide", "suicidal", "end my life", "end it all", "want to die"),
    *("better off dead", "no reason to live", "hurt myself", "self harm", "overdose"),
    *("can't go on", "suicidio", "suicidarme", "matarme", "quitarme la vida", "quiero morir"),
    *("no quiero vivir", "hacerme daño"),
)

#: What of a submission says who and whence, and is nobody's own words.
_NOT_FREE = frozenset({"name", "email", "phone", "source_url", "consent_text_version"})


def find_risk(texts: Iterable[str], words: Iterable[str]) -> list[str]:
    """Which of the words, or groups of words, the texts have; whole words, in any spelling."""
    said = [f" {plain_words(text)} " for text in texts]
    return [word for word in words if any(_whole(word) in one for one in said)]


@cache
def _whole(word: str) -> str:
    """Of the clinic's list, which is looked for in every text."""
    return f" {plain_words(word)} "


def list_version(words: Sequence[str]) -> str:
    """Changes with every word of the list, and with nothing else."""
    return hashlib.sha256("\0".join(map(plain_words, words)).encode()).hexdigest()[:8]


def free_texts(payload: Mapping[str, Any]) -> list[str]:
    """What somebody wrote in a form, also in fields that we do not know."""
    return [
        text for name, value in payload.items() if name not in _NOT_FREE for text in _texts(value)
    ]


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)
