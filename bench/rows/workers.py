"""What more worker processes bring on this machine; the figures of docs/scaling.md."""

from collections.abc import Sequence
from functools import partial

from bench.contest import bring_ours
from bench.figures import Line, Row
from bench.rounds import interleave
from bench.stage import Stage, Worker

ROW = Row(
    "workers",
    "submissions a second with 1, 2 and 4 worker processes, providers 100 ms over TLS",
    "as throughput, and the CPU time that a submission takes",
)

BURST = 200

PROCESSES = (1, 2, 4)


def measure(stage: Stage) -> Sequence[Line]:
    providers = stage.start_providers(latency_ms=100, tls=True)
    contestants = {
        f"{number} processes" if number > 1 else "1 process": bring_ours(
            stage, providers, Worker(pool="prefork", concurrency=number)
        )
        for number in PROCESSES
    }
    rounds = interleave(
        {name: partial(one.burst, BURST) for name, one in contestants.items()},
        count=stage.rounds,
    )
    return [
        *(
            Line(name, [one.per_second for one in rounds.of(name)], "/s", note=rounds.note)
            for name in contestants
        ),
        *(
            Line(f"CPU per submission, {name}", [one.cpu_ms for one in rounds.of(name)], "ms")
            for name in contestants
        ),
    ]
