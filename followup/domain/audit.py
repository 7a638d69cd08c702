"""The audit trail's arithmetic: digests of evidence, seals that chain entries, where it breaks.

45 CFR 164.312(b) asks for a record of activity, 164.312(c)(2) for a mechanism that shows that it
was not altered. Everything is keyed: who can write to the database cannot make a valid entry, and
nobody can guess from a digest what was digested.
"""

import hmac
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, StrEnum
from hashlib import sha256
from typing import Any


class Door(StrEnum):
    """Where somebody came in who saw or changed something."""

    api = "api"
    #: The staff's pages, signed in.
    page = "page"
    #: A signed link, as in an alert to staff or at the foot of a mail.
    link = "link"
    #: A text from a phone of the staff.
    text = "text"
    command_line = "command line"
    #: The service by itself, such as for a text or a report that came in.
    service = "service"


#: The verb of an entry which says that the row is no longer there, and rightly so.
PRUNED = "pruned"
#: The verb of an entry which says that words about a person were taken out of the row.
STRIPPED = "stripped"


def digest(key: bytes, table: str, values: Mapping[str, Any]) -> str:
    """Of a row's plain values, whatever key encrypts them at rest.

    What is None is left out, so that a column which is added later changes no digest.
    """
    return _mac(key, "row", table, values)


def mac_of(key: bytes, entry: Mapping[str, Any]) -> str:
    """Shows that the service wrote the entry, before and after it is sealed."""
    return _mac(key, "entry", "", entry)


def seal_of(key: bytes, position: int, previous: str, mac: str) -> str:
    """Ties an entry to its place, and to all that stand before it."""
    return _mac(key, "seal", "", {"position": position, "previous": previous, "mac": mac})


def head_mac(key: bytes, position: int, seal: str) -> str:
    """Shows that the chain ends here: without it, the last entries could be cut off."""
    return _mac(key, "head", "", {"position": position, "seal": seal})


def is_same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _mac(key: bytes, kind: str, table: str, values: Mapping[str, Any]) -> str:
    known = {name: value for name, value in values.items() if value is not None}
    canonical = json.dumps(
        [kind, table, known], sort_keys=True, separators=(",", ":"), default=_plain
    )
    return hmac.new(key, canonical.encode(), sha256).hexdigest()


def _plain(value: object) -> str:
    """An instant reads the same from every database."""
    return (
        value.astimezone(UTC).isoformat(timespec="microseconds")
        if isinstance(value, datetime)
        else str(value)
    )


@dataclass(frozen=True)
class Flaw:
    """One thing that is not as it was written."""

    #: An entry by its position, a row by its table and id, or the head.
    where: str
    says: str

    def __str__(self) -> str:
        return f"{self.where}: {self.says}"


class _Known(Enum):
    """What is known of the entry before."""

    right = "right"
    #: It follows a flaw, so whether it was sealed in its place shows with the next.
    unsure = "unsure"
    wrong = "wrong"


class Walk:
    """Goes along the chain from its first entry, and tells what does not fit."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._next = 1
        self._before = _Known.right
        #: Of the entry before; None when that cannot be read.
        self._seal: str | None = ""

    def step(
        self, position: int, entry: Mapping[str, Any] | None, mac: str = "", seal: str = ""
    ) -> Iterator[Flaw]:
        """`entry`: what its mac was made of; None when it can no longer be read."""
        if position != self._next:
            yield Flaw(_missing(self._next, position - 1), "missing")
            self._seal = None
        self._next, previous = position + 1, self._seal
        if entry is None:
            yield Flaw(f"entry {position}", "cannot be read any more")
            self._before, self._seal = _Known.wrong, None
            return
        self._seal = seal
        if not is_same(mac, mac_of(self._key, entry)):
            yield Flaw(f"entry {position}", "was changed, or is not the service's")
        if previous is None:
            self._before = _Known.unsure
        elif is_same(seal, seal_of(self._key, position, previous, mac)):
            self._before = _Known.right
        else:
            yield from self._misplaced(position)

    def _misplaced(self, position: int) -> Iterator[Flaw]:
        """The entry was not sealed onto the one before: one of the two is not in its place."""
        before, self._before = self._before, _Known.unsure
        if before is _Known.right:
            self._before = _Known.wrong
            yield Flaw(f"entry {position}", _MISPLACED)
        elif before is _Known.unsure:
            yield Flaw(f"entry {position - 1}", _MISPLACED)

    def end(self, position: int, seal: str, mac: str) -> Iterator[Flaw]:
        """Whether the chain ends where the head says."""
        last = self._next - 1
        if not is_same(mac, head_mac(self._key, position, seal)):
            yield Flaw("head", "was changed, or is not the service's")
        elif position > last:
            yield Flaw(_missing(last + 1, position), "missing at the end")
        elif position < last or (self._before is _Known.right and self._seal != seal):
            yield Flaw("head", "names another end than the chain has")
        elif self._before is _Known.unsure and self._seal not in (None, seal):
            yield Flaw(f"entry {last}", _MISPLACED)


_MISPLACED = "is not what was sealed in this place"


def _missing(first: int, last: int) -> str:
    return f"entry {first}" if first == last else f"entries {first} to {last}"
