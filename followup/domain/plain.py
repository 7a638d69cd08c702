"""A text as its bare words: what is left when case, accents, punctuation and signs are not said."""

import re
import unicodedata

_APOSTROPHES = dict.fromkeys(map(ord, "'\u2019\u2018`\u00b4"))
_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u2060\ufeff"))


def plain_words(text: str) -> str:
    """Small letters and digits, words apart by one space: `No más, PLEASE!` is `no mas please`."""
    text = unicodedata.normalize("NFKC", text).translate(_INVISIBLE).casefold()
    decomposed = unicodedata.normalize("NFKD", text.translate(_APOSTROPHES))
    if not decomposed.isascii():
        decomposed = "".join(char for char in decomposed if not unicodedata.combining(char))
    return " ".join(re.findall(r"[^\W_]+", decomposed))
