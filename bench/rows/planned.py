"""What a million planned reminders cost while nothing is due, against none."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from bench.figures import Line, Row
from bench.rounds import interleave
from bench.seed import EMPTY, Crowd
from bench.stage import Stage, Worker

ROW = Row(
    "planned",
    "1,000,000 planned reminders against none: idle cost, worker memory, start to first send",
    "worker, beat, api and PostgreSQL started anew each time, the worker last, with one reminder"
    " due; then left alone",
)

#: Until what is done once after a start is done.
SETTLING_SECONDS = 3
IDLE_SECONDS = 6
MEGABYTE = 1024**2


@dataclass(frozen=True)
class Idle:
    #: From the start of the worker's process until the provider accepted the one that was due.
    first_send_seconds: float
    #: Share of a core, in percent: of the programs and of PostgreSQL whole.
    cpu_percent: float
    worker_bytes: int


def measure(stage: Stage) -> Sequence[Line]:
    turns = {
        "none": _contestant(stage, EMPTY),
        "planned": _contestant(stage, stage.crowd),
    }
    rounds = interleave(turns, count=stage.rounds)
    none, planned = rounds.of("none"), rounds.of("planned")

    def line(what: str, figure: Callable[[Idle], float], unit: str, *, at_most: float) -> Line:
        more = [figure(one) - figure(other) for one, other in zip(planned, none, strict=True)]
        return Line(f"{what}, more than with none", more, unit, at_most=at_most)

    return [
        Line("idle, none planned", [one.cpu_percent for one in none], "% of a core"),
        Line(
            "idle, all of it",
            [one.cpu_percent for one in planned],
            "% of a core",
            at_most=2,
            note=rounds.note,
        ),
        Line("worker, none planned", [one.worker_bytes / MEGABYTE for one in none], "MB"),
        line("worker's memory", lambda one: one.worker_bytes / MEGABYTE, "MB", at_most=5),
        Line("start to first send, none planned", [one.first_send_seconds for one in none], "s"),
        line("start to first send", lambda one: one.first_send_seconds, "s", at_most=0.5),
    ]


def _contestant(stage: Stage, crowd: Crowd) -> Callable[[], Idle]:
    providers = stage.start_providers(latency_ms=0, tls=False)
    url = stage.make_database("postgresql", crowd)
    environment = stage.our_environment(url, providers)
    start = partial(stage.start_ours, url, providers, environment=environment)

    def turn() -> Idle:
        stage.databases.owe(url, [datetime.now(UTC)])
        providers.forget()
        others = start(workers=())
        began = time.monotonic()
        worker = start(workers=(Worker(),), api=False, beat=False)
        first_sent_at = providers.wait_for(1)
        time.sleep(SETTLING_SECONDS)

        def cpu_seconds() -> float:
            return sum((others.cpu_seconds(), worker.cpu_seconds(), stage.database_cpu_seconds()))

        spent, since = cpu_seconds(), time.monotonic()
        time.sleep(IDLE_SECONDS)
        cpu = (cpu_seconds() - spent) / (time.monotonic() - since)
        found = Idle(first_sent_at - began, 100 * cpu, worker.pss_bytes())
        worker.stop()
        others.stop()
        return found

    return turn
