"""Brings every encrypted field under the first encryption key, while the service runs.

Hashes need no rotation: their keys are the store's own, and are fields like any other
(`store/crypto.py`).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Engine

from followup.store import cells
from followup.store.cells import CellRow, Place
from followup.store.crypto import Keyring, keyring_of
from followup.store.db import reading, transaction

#: Rows renewed in one transaction: tens of milliseconds, in which SQLite lets nobody else write.
BATCH = 100
#: Rows that another held, or wrote with an old key meanwhile, are left for the next pass.
PASSES = 5


@dataclass(frozen=True)
class KeyUse:
    """How many fields each key of the list wrote, from 0; None wrote what none of them reads."""

    fields: Mapping[int | None, int]
    #: The number of keys in the list.
    keys: int

    @property
    def old(self) -> int:
        """Fields that need a key which is not the first."""
        return sum(count for place, count in self.fields.items() if place)

    @property
    def unreadable(self) -> int:
        return self.fields.get(None, 0)

    @property
    def needed(self) -> list[int]:
        """Old keys that must stay in the list, by their number in it, the first one being 1."""
        return sorted(place + 1 for place, count in self.fields.items() if place and count)

    @property
    def is_done(self) -> bool:
        """Whether the first key alone reads everything."""
        return self.old == self.unreadable == 0


def count_by_key(engine: Engine) -> KeyUse:
    """Look at every encrypted field of the store."""
    keyring, fields = keyring_of(engine), Counter[int | None]()
    for place in cells.encrypted_places():
        # A reader of its own for each table, so that no snapshot is held for long.
        with reading(engine) as session:
            for row in cells.walk_cells(session, place, BATCH):
                fields.update(keyring.place_of_key(token) for token in row.cells.values())
    return KeyUse(fields, keyring.size)


def is_rotation_pending(engine: Engine) -> bool:
    """Whether any field needs a key that is not the first. Ends at the first one it finds."""
    keyring = keyring_of(engine)
    if keyring.size < 2:
        return False
    for place in cells.encrypted_places():
        with reading(engine) as session:
            for row in cells.walk_cells(session, place, BATCH):
                if any(keyring.place_of_key(token) for token in row.cells.values()):
                    return True
    return False


def rotate(engine: Engine) -> int:
    """Write anew what an old key wrote. Returns how many fields that were.

    Each batch is a transaction of its own and what is done needs nothing more, so that it may be
    killed and run again at any time, and beside anybody who writes. A field that no key reads
    stays as it is.
    """
    renewed = 0
    for _ in range(PASSES):
        in_pass = sum(_rotate_table(engine, place) for place in cells.encrypted_places())
        renewed += in_pass
        if not in_pass and not is_rotation_pending(engine):
            break
    return renewed


def _rotate_table(engine: Engine, place: Place) -> int:
    keyring, renewed, after = keyring_of(engine), 0, None
    while True:
        with transaction(engine) as session:
            rows = cells.read_cells(session, place, after, BATCH, lock=True)
            for row in rows:
                fresh = _renewed(keyring, row)
                if fresh:
                    cells.write_cells(session, place, row.key, fresh)
                renewed += len(fresh)
        if not rows:
            return renewed
        after = rows[-1].key


def _renewed(keyring: Keyring, row: CellRow) -> dict[str, bytes]:
    """The row's fields that an old key wrote, under the first one."""
    return {
        name: keyring.encrypt(keyring.decrypt(token))
        for name, token in row.cells.items()
        if keyring.place_of_key(token)
    }
