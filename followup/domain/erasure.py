"""What of the evidence outlives the person it is about, and how a person is recognised in text.

47 CFR 64.1200 and 45 CFR 164.316(b)(2)(i) want proof of consent and of its withdrawal kept for
years; nothing in that proof has to name the person, whose number stays as a keyed hash.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from followup.domain.consent import MatchedBy, Meaning, read_reply

#: Of the evidence beside a consent, what says where it was given; all else says by whom.
_ADDRESSES_OF_PAGES = frozenset({"source_url", "referrer"})
#: A provider's code, such as 21610 or 5.1.1; shorter than any number somebody could be called at.
_CODE = re.compile(r"[0-9.]{1,6}", re.ASCII)
_BETWEEN_DIGITS = re.compile(r"[\s().+/-]+")
#: Digits of a number without its country's prefix, as people write it.
_NATIONAL = 10

Hash = Callable[[str], str]


def strip_evidence(evidence: Mapping[str, Any], hash_text: Hash) -> dict[str, Any]:
    """What was noted beside a consent, with network address, browser and the like as keyed hashes:
    still to be compared with what somebody claims, and telling nothing by themselves."""
    return {name: _strip(name, value, hash_text) for name, value in evidence.items()}


def _strip(name: str, value: Any, hash_text: Hash) -> Any:
    if value is None or value == "" or isinstance(value, bool) or _is_hashed(value):
        return value
    if name in _ADDRESSES_OF_PAGES:
        return _page(str(value))
    return f"hash:{hash_text(str(value))}"


def _page(url: str) -> str:
    """A query may hold what somebody typed."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.hostname or ''}{parts.path}" if parts.scheme else parts.path


def strip_words(words: str | None, hash_text: Hash) -> str | None:
    """The words of a withdrawal or of a new consent, unless they say more than that."""
    if not words or _is_hashed(words) or _CODE.fullmatch(words):
        return words
    is_signed = len(words.strip().splitlines()) > 1
    reading = read_reply(words)
    says_no_more = reading.matched_by is MatchedBy.per_se or reading.meaning is Meaning.opt_in
    if says_no_more and not is_signed:
        return words
    return f"hash:{hash_text(words)}"


def _is_hashed(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"hash:[0-9a-f]{64}", value) is not None


@dataclass(frozen=True)
class Traces:
    """What gives a person away in text: addresses, in whatever way they are written."""

    emails: frozenset[str]
    phones: frozenset[str]

    def are_in(self, text: str) -> bool:
        folded = text.casefold()
        if any(email.casefold() in folded for email in self.emails):
            return True
        if not self.phones:
            return False
        digits = _BETWEEN_DIGITS.sub("", folded)
        return any(_as_written(phone) in digits for phone in self.phones)


def _as_written(phone: str) -> str:
    return phone[-_NATIONAL:] if phone.startswith("+1") else phone.lstrip("+")
