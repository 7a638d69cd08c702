"""Acknowledgements while a storm of reminders is due, against none."""

from collections.abc import Sequence
from functools import partial

from bench.acks import bring, milliseconds, take_turns
from bench.figures import Line, Row
from bench.seed import Crowd
from bench.stage import Stage, Worker

ROW = Row(
    "storm",
    "acknowledgement p95 while 50,000 reminders are due, providers 100 ms over TLS",
    "10 a second, from POST to both accepted; reminders have a worker of their own, as in"
    " docker-compose.yml; whoever is not measured stands still",
)

#: Two reminders to staff each: more than 50,000, for those that go while it is measured.
CROWD = Crowd(open=32_000, closed=5_000)
WORKERS = (Worker("ack,staff,intake,upkeep"), Worker("reminder", concurrency=1))
PER_SECOND, SIZE = 10, 100

p95 = partial(milliseconds, share=0.95)


def measure(stage: Stage) -> Sequence[Line]:
    stormy = stage.make_database("postgresql", CROWD)
    stage.databases.make_due(stormy)
    sides = {
        "without": bring(stage, stage.make_database("postgresql"), WORKERS),
        "in the storm": bring(stage, stormy, WORKERS),
    }
    rounds = take_turns(sides, SIZE, per_second=PER_SECOND, rounds=stage.rounds)
    lines = [
        Line(f"{name}, p95", [p95(one) for one in rounds.of(name)], "ms", note=rounds.note)
        for name in sides
    ]
    left = stage.databases.count_due(stormy)
    ratios = rounds.ratios("in the storm", "without", p95)
    note = f"{left} reminders were still due at the end"
    return [*lines, Line("in the storm against without, p95", ratios, "×", at_most=1.5, note=note)]
