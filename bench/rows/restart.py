"""How soon a worker sends again after it was lost, with all that is planned, against the peer."""

import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from bench.figures import Line, Row
from bench.stage import Stage, Worker

ROW = Row(
    "restart",
    "restart to first send: 1,000,000 planned, against the peer with 100,000",
    "ours is killed with -9 and has one reminder due; the peer, once, starts on a broker that holds"
    " its reminders, as after a stop that it heeded, and has one message to send",
)

#: The peer may take more than a minute, which is why it is measured once.
PATIENCE_SECONDS = 200


def measure(stage: Stage) -> Sequence[Line]:
    ours = _ours(stage)
    peers = _peers(stage, stage.crowd.planned // 10)
    note = "measured once"
    return [
        Line("ours", ours, "s"),
        Line("the peer", [peers], "s", note=note),
        Line("ours against the peer", [one / peers for one in ours], "×", at_most=1 / 40),
    ]


def _ours(stage: Stage) -> list[float]:
    url = stage.make_database("postgresql", stage.crowd)
    providers = stage.start_providers(latency_ms=0, tls=False)
    environment = stage.our_environment(url, providers)
    stage.start_ours(url, providers, api=False, workers=(), environment=environment)
    took = []
    for _ in range(stage.rounds + 1):
        providers.forget()
        stage.databases.owe(url, [datetime.now(UTC)])
        began = time.monotonic()
        worker = stage.start_ours(
            url, providers, api=False, workers=(Worker(),), beat=False, environment=environment
        )
        took.append(providers.wait_for(1) - began)
        worker.programs["worker1"].kill()
    # The first was no restart.
    return took[1:]


def _peers(stage: Stage, reminders: int) -> float:
    providers = stage.start_providers(latency_ms=0, tls=False)
    environment = stage.peers_environment(providers)
    plan = (sys.executable, "-m", "bench.peer.plan", str(reminders))
    stage.start("plan", plan, environment, is_ready=lambda program: "planned" in program.output)
    began = time.monotonic()
    stage.start_peer(providers, environment=environment)
    return providers.wait_for(1, within=PATIENCE_SECONDS) - began
