"""How late reminders go, of which many are due each second, with a million planned."""

import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from bench.asking import Acceptance, Providers
from bench.contest import OURS
from bench.figures import Line, Row, percentile
from bench.rounds import interleave
from bench.stage import Stage

ROW = Row(
    "lateness",
    "lateness of reminders, 200 due a second with 1,000,000 planned",
    "from the instant at which each is due until the provider, which answers at once, accepts it",
)

PER_SECOND, SECONDS = 200, 5
#: Until those of a round are planned.
AHEAD = timedelta(seconds=4)
PATIENCE_SECONDS = 120
#: As the wording names a lead, in a mail's subject and in a text.
REFERENCE = re.compile(r"Lead (\w+) has waited")


def measure(stage: Stage) -> Sequence[Line]:
    url = stage.make_database("postgresql", stage.crowd)
    providers = stage.start_providers(latency_ms=0, tls=True)
    stage.start_ours(url, providers, api=False, workers=(OURS,))
    turn = partial(_turn, stage, url, providers)
    # Warms up.
    turn()
    rounds = interleave({"ours": turn}, count=stage.rounds)
    late = rounds.of("ours")
    return [
        Line("p50", [percentile(one, 0.5) for one in late], "ms", note=rounds.note),
        Line("p99", [percentile(one, 0.99) for one in late], "ms", at_most=150),
    ]


def _turn(stage: Stage, url: str, providers: Providers) -> list[float]:
    """How late each was, in milliseconds."""
    ahead = AHEAD
    while True:
        providers.forget()
        first = datetime.now(UTC) + ahead
        due = [first + timedelta(seconds=n / PER_SECOND) for n in range(PER_SECOND * SECONDS)]
        references = stage.databases.owe(url, due)
        is_ahead = datetime.now(UTC) < first
        instants = dict(zip(references, due, strict=True))
        others = 0
        # Staff may also be told that the service is slow.
        while True:
            providers.wait_for(len(due) + others, within=PATIENCE_SECONDS)
            taken = providers.accepted()
            theirs = [one for one in taken if _named(one) in instants]
            if len(theirs) >= len(due):
                break
            others = len(taken) - len(theirs)
        if is_ahead:
            return _lateness(theirs, instants)
        # Planned when they were due already: no fault of the service's.
        ahead *= 2


def _lateness(accepted: Sequence[Acceptance], due: dict[str, datetime]) -> list[float]:
    """Milliseconds between the instant at which each was due and its acceptance. Raises
    RuntimeError unless each was found once."""
    epoch = time.time() - time.monotonic()
    found = []
    for one in accepted:
        found.append(1000 * (epoch + one.at - due[_named(one)].timestamp()))
    if len(found) != len(due):
        raise RuntimeError(f"{len(found)} of {len(due)} acceptances could be told")
    return found


def _named(one: Acceptance) -> str:
    """The reference in a message; nothing in one about the service."""
    named = REFERENCE.search(one.text)
    return named[1] if named else ""
