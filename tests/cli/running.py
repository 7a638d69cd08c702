"""What a command printed and how it ended, and the people whom the tests name."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

ROOT = Path(__file__).parents[2]
ALICE = {"name": "Alice Ng", "email": "alice@example.com", "phone": "(415) 555-0101"}
TUESDAY = "2026-12-01T10:00"
LOS_ANGELES = ZoneInfo("America/Los_Angeles")
NOBODY = "01900000-0000-7000-8000-000000000000"


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]


def one_line(ran: Ran) -> str:
    """What a command said that ended badly: one line on standard error, and nothing else."""
    lines = ran.err.splitlines()
    assert len(lines) == 1, ran.err
    assert lines[0].startswith("followup: ")
    assert not ran.out
    return lines[0]
