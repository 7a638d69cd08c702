"""From POST to both accepted, while submissions come at a rate that everybody can bear."""

from collections.abc import Sequence
from functools import partial

from bench.contest import Measured, bring_ours, bring_peer
from bench.figures import Line, Row, percentile
from bench.rounds import interleave
from bench.stage import Stage

PER_SECOND, SIZE = 20, 120

ROW = Row(
    "latency",
    f"POST to both accepted at {PER_SECOND} a second, providers 100 ms over TLS",
    "an open loop: each goes out when it is due, whatever the others take; peer with 32 threads",
)


def measure(stage: Stage) -> Sequence[Line]:
    providers = stage.start_providers(latency_ms=100, tls=True)
    contestants = {"ours": bring_ours(stage, providers), "peer": bring_peer(stage, providers)}
    rounds = interleave(
        {
            name: partial(one.steadily, SIZE, per_second=PER_SECOND)
            for name, one in contestants.items()
        },
        count=stage.rounds,
    )

    def line(name: str, share: float) -> Line:
        samples = [1000 * percentile(one.waits, share) for one in rounds.of(name)]
        return Line(f"{name}, p{share * 100:g}", samples, "ms", note=rounds.note)

    def ratio(share: float) -> Line:
        def figure(one: Measured) -> float:
            return percentile(one.waits, share)

        ratios = rounds.ratios("ours", "peer", figure)
        return Line(f"ours against the peer, p{share * 100:g}", ratios, "×", at_most=0.9)

    shown = [line(name, share) for share in (0.5, 0.99) for name in contestants]
    return [*shown, ratio(0.5), ratio(0.99)]
