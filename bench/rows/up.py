"""`followup up`, with nothing to do."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.figures import Line, Row
from bench.programs import Program
from bench.stage import Stage

ROW = Row(
    "up",
    "followup up: memory, idle cost, and how soon it is ready",
    "broker, sandbox, database, api, worker and beat, all as it starts them; ready is when /readyz"
    " says so; the goal is the first start's, in an empty data directory",
)

SETTLING_SECONDS = 5
IDLE_SECONDS = 8
#: Of a start that is not compared by more than its time.
STARTS = 3


@dataclass(frozen=True)
class Up:
    ready_seconds: float
    #: All processes, what they share counted once.
    megabytes: float = 0.0
    cpu_percent: float = 0.0


def measure(stage: Stage) -> Sequence[Line]:
    first, second = [], []
    for number in range(min(stage.rounds, STARTS)):
        data_dir = stage.directory / f"up-data-{number}"
        first.append(_start(stage, data_dir, is_watched=True))
        second.append(_start(stage, data_dir, is_watched=False))
    return [
        Line("memory in all", [one.megabytes for one in first], "MB", at_most=350),
        Line("idle", [one.cpu_percent for one in first], "% of a core", at_most=3),
        Line("ready, first start", [one.ready_seconds for one in first], "s", at_most=4),
        Line("ready, second start", [one.ready_seconds for one in second], "s"),
    ]


def _start(stage: Stage, data_dir: Path, *, is_watched: bool) -> Up:
    began = time.monotonic()
    program = stage.start_up(data_dir)
    ready_seconds = time.monotonic() - began
    found = _watch(program, ready_seconds) if is_watched else Up(ready_seconds)
    program.stop()
    return found


def _watch(program: Program, ready_seconds: float) -> Up:
    time.sleep(SETTLING_SECONDS)
    spent, since = program.cpu_seconds(), time.monotonic()
    time.sleep(IDLE_SECONDS)
    cpu = (program.cpu_seconds() - spent) / (time.monotonic() - since)
    return Up(ready_seconds, program.pss_bytes() / 1024**2, 100 * cpu)
