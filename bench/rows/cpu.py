"""What a submission costs in CPU time, from the request to both messages recorded."""

from collections.abc import Sequence
from functools import partial

from bench.contest import bring_ours, bring_peer
from bench.figures import Line, Row
from bench.rounds import interleave
from bench.stage import Stage

ROW = Row(
    "cpu",
    "CPU per submission of api, worker and beat, providers 100 ms over TLS",
    "user and system time of all processes over a burst; the peer has 32 threads",
)

OURS, PEER = 400, 160


def measure(stage: Stage) -> Sequence[Line]:
    providers = stage.start_providers(latency_ms=100, tls=True)
    contestants = {
        "ours": partial(bring_ours(stage, providers).burst, OURS),
        "peer": partial(bring_peer(stage, providers).burst, PEER),
    }
    rounds = interleave(contestants, count=stage.rounds)
    ours, peer = rounds.of("ours"), rounds.of("peer")
    ratios = rounds.ratios("ours", "peer", lambda one: one.cpu_ms)
    with_database = rounds.ratios("ours", "peer", lambda one: one.cpu_with_database_ms)
    return [
        Line("ours", [one.cpu_ms for one in ours], "ms", note=rounds.note),
        Line("ours, PostgreSQL with it", [one.cpu_with_database_ms for one in ours], "ms"),
        Line("peer", [one.cpu_ms for one in peer], "ms"),
        Line("ours against the peer", ratios, "×", at_most=0.4),
        Line("ours against the peer, PostgreSQL with it", with_database, "×"),
    ]
