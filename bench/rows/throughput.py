"""Submissions a second until both messages of each were accepted, providers 100 ms over TLS."""

from collections.abc import Sequence
from functools import partial

from bench.contest import bring_ours, bring_peer
from bench.figures import Line, Row
from bench.rounds import interleave
from bench.stage import Stage

ROW = Row(
    "throughput",
    "submissions a second to both accepted, providers 100 ms over TLS",
    "a burst of submissions, until the last of their messages was accepted",
)

#: Bursts of a few seconds each.
OURS, THREADS, DEFAULT, REUSED = 600, 100, 32, 240


def measure(stage: Stage) -> Sequence[Line]:
    providers = stage.start_providers(latency_ms=100, tls=True)
    default = bring_peer(stage, providers, pool="prefork", concurrency=2)
    reused = bring_peer(stage, providers, reuses_client=True)
    rounds = interleave(
        {
            "ours": partial(bring_ours(stage, providers).burst, OURS),
            "threads": partial(bring_peer(stage, providers).burst, THREADS),
            "default": partial(default.burst, DEFAULT),
            "reused": partial(reused.burst, REUSED),
        },
        count=stage.rounds,
    )
    per_second = {
        name: [one.per_second for one in rounds.of(name)]
        for name in ("ours", "threads", "default", "reused")
    }

    def ratios(other: str) -> list[float]:
        return rounds.ratios("ours", other, lambda one: one.per_second)

    return [
        Line("ours", per_second["ours"], "/s", note=rounds.note),
        Line("peer, 32 threads", per_second["threads"], "/s"),
        Line("peer, default prefork of 2", per_second["default"], "/s"),
        Line("peer, 32 threads that keep their clients", per_second["reused"], "/s"),
        Line("ours against the peer with 32 threads", ratios("threads"), "×", at_least=3.5),
        Line("ours against the peer's default", ratios("default"), "×", at_least=10),
        Line("ours against the peer with kept clients", ratios("reused"), "×", at_least=2),
    ]
