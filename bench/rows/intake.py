"""Intake alone: how soon a submission is kept, and how many a second, against a bare route."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count, islice

from bench import load
from bench.asking import Providers
from bench.certificates import HOST
from bench.databases import DatabaseKind
from bench.figures import Line, Row, percentile
from bench.programs import ROOT, serving
from bench.rounds import interleave
from bench.stage import Stage
from tests.servers import find_free_port

ROW = Row(
    "intake",
    "intake alone, against a bare FastAPI route with one durable insert",
    "one process each, with the same settings of uvicorn; ours as behind a proxy, with its limits"
    " on and an address for each visitor; first 50 a second, then as fast as answers come",
)

KINDS: tuple[DatabaseKind, ...] = ("postgresql", "sqlite")
PER_SECOND, SIZE = 50, 200
BURST, CONNECTIONS = 300, 32

#: One contestant's turn: milliseconds of each answer, or submissions a second.
Turn = Callable[[], list[float]]


def measure(stage: Stage) -> Sequence[Line]:
    providers = stage.start_providers(latency_ms=0, tls=False)
    steady: dict[str, Turn] = {}
    bursts: dict[str, Turn] = {}
    for kind in KINDS:
        for name, url in (
            (f"ours, {kind}", _start_ours(stage, providers, kind)),
            (f"bare, {kind}", _start_bare(stage, kind)),
        ):
            numbers = count()
            steady[name] = partial(_steadily, url, numbers)
            bursts[name] = partial(_burst, url, numbers)
            bursts[name]()
    answered = interleave(steady, count=stage.rounds)
    taken = interleave(bursts, count=stage.rounds)
    return [
        *_answers({name: answered.of(name) for name in steady}, answered.note),
        *(line for kind in KINDS for line in _rates(kind, taken.of, taken.note)),
    ]


def _answers(rounds: Mapping[str, Sequence[Sequence[float]]], note: str) -> Iterator[Line]:
    for name, milliseconds in rounds.items():
        p99 = [percentile(one, 0.99) for one in milliseconds]
        goal = 25 if name.startswith("ours") else None
        yield Line(f"{name}, p99 at {PER_SECOND} a second", p99, "ms", at_most=goal, note=note)


def _rates(
    kind: DatabaseKind, taken: Callable[[str], Sequence[Sequence[float]]], note: str
) -> Iterator[Line]:
    ours, bare = ([one[0] for one in taken(f"{name}, {kind}")] for name in ("ours", "bare"))
    yield Line(f"ours, {kind}, most", ours, "/s", note=note)
    yield Line(f"bare, {kind}, most", bare, "/s")
    share = [100 * one / other for one, other in zip(ours, bare, strict=True)]
    yield Line(f"ours against bare, {kind}", share, "%", at_least=70)


def _steadily(url: str, numbers: Iterator[int]) -> list[float]:
    posted = load.post_steadily(url, list(islice(numbers, SIZE)), per_second=PER_SECOND)
    return [1000 * one.seconds for one in posted]


def _burst(url: str, numbers: Iterator[int]) -> list[float]:
    posted = load.post_all(url, list(islice(numbers, BURST)), connections=CONNECTIONS)
    return [BURST / (max(one.answered_at for one in posted) - posted[0].due_at)]


def _start_ours(stage: Stage, providers: Providers, kind: DatabaseKind) -> str:
    url = stage.make_database(kind)
    environment = {
        **stage.our_environment(url, providers),
        "FOLLOWUP_LIMITS": "on",
        "FOLLOWUP_TRUSTED_PROXIES": HOST,
    }
    service = stage.start_ours(url, providers, workers=(), beat=False, environment=environment)
    return service.url


def _start_bare(stage: Stage, kind: DatabaseKind) -> str:
    port = find_free_port()
    url = f"http://{HOST}:{port}"
    command = (
        *(sys.executable, "-m", "uvicorn", "bench.bare_route:app", "--port", str(port)),
        *("--no-access-log", "--no-server-header", "--no-proxy-headers", "--ws", "none"),
        *("--limit-concurrency", "800", "--timeout-keep-alive", "5"),
    )
    environment = {"PYTHONPATH": str(ROOT), "BARE_DATABASE_URL": stage.make_database(kind)}
    stage.start("bare", command, environment, is_ready=serving(f"{url}/healthz"))
    return url
