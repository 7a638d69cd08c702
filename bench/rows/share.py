"""How much of the rate of a loop that only sends is left to a worker that claims, assesses and
records."""

import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from bench.asking import Providers
from bench.figures import Line, Row
from bench.programs import ROOT, saying
from bench.rounds import interleave
from bench.stage import Stage, Worker

ROW = Row(
    "share",
    "share of the bare sending loop's rate, reminders due by text, providers 100 ms over TLS",
    "one worker process, the same transport and number of threads; from one acceptance to the last",
)

TEXTS = 600
#: Until all connections are open, no rate is counted.
WARM_UP = 64


def measure(stage: Stage) -> Sequence[Line]:
    providers = stage.start_providers(latency_ms=100, tls=True)
    url = stage.make_database("postgresql")
    environment = stage.our_environment(url, providers)
    worker = Worker(queues="reminder", pool="prefork", concurrency=1)
    stage.start_ours(url, providers, api=False, workers=(worker,), environment=environment)
    ours = partial(_remind, stage, url, providers)
    bare = partial(_send_bare, stage, environment, providers)
    rounds = interleave({"ours": ours, "bare": bare}, count=stage.rounds)
    share = [100 * one for one in rounds.ratios("ours", "bare", float)]
    return [
        Line("ours", rounds.of("ours"), "/s", note=rounds.note),
        Line("bare loop", rounds.of("bare"), "/s"),
        Line("share", share, "%", at_least=80),
    ]


def _remind(stage: Stage, url: str, providers: Providers) -> float:
    """Texts a second, of reminders that all fall due at once."""
    providers.forget()
    stage.databases.owe(url, list(_due(datetime.now(UTC))))
    return _rate(providers)


def _due(now: datetime) -> Iterator[datetime]:
    """Mails and texts go by turns; only the texts fall due."""
    for _ in range(TEXTS):
        yield now + timedelta(days=1)
        yield now


def _send_bare(stage: Stage, environment: dict[str, str], providers: Providers) -> float:
    providers.forget()
    command = (sys.executable, "-m", "bench.bare", str(TEXTS))
    told = {**environment, "PYTHONPATH": str(ROOT)}
    program = stage.start("bare", command, told, is_ready=saying("ready"))
    rate = _rate(providers)
    program.stop()
    return rate


def _rate(providers: Providers) -> float:
    began, ended = (providers.wait_for(count, within=180) for count in (WARM_UP, TEXTS))
    return (TEXTS - WARM_UP) / (ended - began)
