"""Acknowledgements with a million reminders planned, against none."""

from collections.abc import Sequence
from functools import partial

from bench.acks import bring, milliseconds, take_turns
from bench.contest import OURS
from bench.figures import Line, Row
from bench.stage import Stage

ROW = Row(
    "ack_planned",
    "acknowledgement p99 with 1,000,000 planned, providers 100 ms over TLS",
    "20 a second, from POST to both accepted; whoever is not measured stands still",
)

PER_SECOND, SIZE = 20, 120

p99 = partial(milliseconds, share=0.99)


def measure(stage: Stage) -> Sequence[Line]:
    sides = {
        "none planned": bring(stage, stage.make_database("postgresql"), (OURS,)),
        "planned": bring(stage, stage.make_database("postgresql", stage.crowd), (OURS,)),
    }
    rounds = take_turns(sides, SIZE, per_second=PER_SECOND, rounds=stage.rounds)
    lines = [
        Line(f"{name}, p99", [p99(one) for one in rounds.of(name)], "ms", note=rounds.note)
        for name in sides
    ]
    ratios = rounds.ratios("planned", "none planned", p99)
    return [*lines, Line("with them planned against none, p99", ratios, "×", at_most=1.1)]
