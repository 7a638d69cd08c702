"""Whatever happens, in whatever order, the promises hold."""

import pytest

from followup.store.db import make_engine
from tests.chaos import machine
from tests.chaos.oracle import note_changes
from tests.schema import KEYRING


@pytest.mark.briefly_on("sqlite")
@pytest.mark.timeout(3600)
def test_the_promises_hold_whatever_happens(database_url: str, is_long: bool) -> None:
    engine = make_engine(database_url, KEYRING)
    note_changes(engine)
    examples = (2000, 300) if is_long else (20, 5)
    try:
        machine.run(engine, examples[engine.dialect.name == "postgresql"], is_long=is_long)
    finally:
        engine.dispose()
