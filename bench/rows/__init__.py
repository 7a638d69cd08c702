"""One module per row of the table: `ROW` says what it is about, `measure(stage)` gives its lines.

The order of `NAMES` is the table's.
"""

import importlib
from types import ModuleType

NAMES = (
    *("throughput", "plain", "share", "latency", "cpu", "workers"),
    *("intake", "storm", "planned", "lateness", "mark", "up", "ack_planned", "restart", "board"),
)


def load(name: str) -> ModuleType:
    return importlib.import_module(f"bench.rows.{name}")
