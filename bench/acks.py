"""From POST to both accepted, of some people among whatever else goes to the same providers.

Services take turns: who is not measured stands still, so that its work is not what is measured.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import count, islice

from bench import load, people
from bench.asking import Providers
from bench.figures import percentile
from bench.programs import Service
from bench.rounds import Rounds, interleave
from bench.stage import Stage, Worker

#: A machine that does much else takes its time; a message that was lost never comes.
PATIENCE_SECONDS = 180
ASKING_SECONDS = 0.2
WARM_UP = 20


@dataclass
class Side:
    """A service with providers of its own, and people who have not written to it yet."""

    service: Service
    providers: Providers
    numbers: Iterator[int] = field(default_factory=count)

    def acknowledge(self, size: int, *, per_second: float) -> list[float]:
        """Seconds from each POST until the mail and the text were both accepted."""
        numbers = list(islice(self.numbers, size))
        self.providers.forget()
        posted = load.post_steadily(self.service.url, numbers, per_second=per_second)
        accepted = _await(self.providers, numbers)
        return [max(accepted[one] for one in _of(each.number)) - each.due_at for each in posted]


def bring(stage: Stage, url: str, workers: Sequence[Worker]) -> Side:
    """Ours on that database, warm."""
    providers = stage.start_providers(latency_ms=100, tls=True)
    side = Side(stage.start_ours(url, providers, workers=workers), providers)
    side.acknowledge(WARM_UP, per_second=WARM_UP)
    return side


def take_turns(
    sides: Mapping[str, Side], size: int, *, per_second: float, rounds: int
) -> Rounds[list[float]]:
    def turn(name: str) -> list[float]:
        with ExitStack() as frozen:
            for other in sides.keys() - {name}:
                frozen.enter_context(sides[other].service.frozen())
            return sides[name].acknowledge(size, per_second=per_second)

    return interleave({name: partial(turn, name) for name in sides}, count=rounds)


def milliseconds(waits: Sequence[float], share: float) -> float:
    return 1000 * percentile(waits, share)


def _await(providers: Providers, numbers: Sequence[int]) -> dict[str, float]:
    """When what goes to these people was accepted, by address."""
    wanted = {address for number in numbers for address in _of(number)}
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        accepted = {one.to: one.at for one in providers.accepted() if one.to in wanted}
        if len(accepted) == len(wanted):
            return accepted
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(accepted)} of {len(wanted)} accepted")
        time.sleep(ASKING_SECONDS)


def _of(number: int) -> tuple[str, str]:
    return people.email_of(number), people.phone_of(number)
