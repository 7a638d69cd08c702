"""Submissions a second with providers that answer at once, without TLS: what the design costs."""

from collections.abc import Sequence
from functools import partial

from bench.contest import bring_ours, bring_peer
from bench.figures import Line, Row
from bench.rounds import interleave
from bench.stage import Stage

ROW = Row(
    "plain",
    "the same, providers that answer at once, without TLS",
    "as throughput; the peer has the best of its pools",
)

BURST = 400

POOLS = (("prefork", 2), ("prefork", 4), ("threads", 32))


def measure(stage: Stage) -> Sequence[Line]:
    providers = stage.start_providers(latency_ms=0, tls=False)
    contestants = {"ours": bring_ours(stage, providers)} | {
        f"peer, {pool} {concurrency}": bring_peer(
            stage, providers, pool=pool, concurrency=concurrency
        )
        for pool, concurrency in POOLS
    }
    rounds = interleave(
        {name: partial(one.burst, BURST) for name, one in contestants.items()},
        count=stage.rounds,
    )
    lines = [
        Line(name, [one.per_second for one in rounds.of(name)], "/s", note=rounds.note)
        for name in contestants
    ]
    best = max(lines[1:], key=lambda line: line.figure)
    ratios = rounds.ratios("ours", best.what, lambda one: one.per_second)
    return [*lines, Line(f"ours against the best, {best.what}", ratios, "×", at_least=1.3)]
