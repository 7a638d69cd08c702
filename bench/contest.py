"""Ours and the peer before the same providers, measured in the same way: a burst, or a steady rate.

A contestant's people never come twice, for whoever comes again is not acknowledged again.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, islice

from bench import load, people
from bench.asking import Providers
from bench.databases import DatabaseKind
from bench.programs import Service
from bench.stage import Stage, Worker

#: Ours as it is measured unless a row says otherwise: the default pool, with four processes, since
#: one that waits for a provider leaves its core to another.
OURS = Worker(pool="prefork", concurrency=4)

#: Each is acknowledged by mail and by text.
MESSAGES = 2

#: Submissions before anything is measured: what keeps its connections has opened them all.
WARM_UP, WARM_UP_UNCONNECTED = 256, 32


#: A machine that does much else takes its time; a message that was lost never comes.
PATIENCE_SECONDS = 180


@dataclass(frozen=True)
class Measured:
    """What became of some submissions."""

    #: From the first POST until the last message was accepted.
    seconds: float
    #: From each POST until both of its messages were accepted.
    waits: list[float]
    #: CPU time per submission of the programs, in milliseconds; and with database.
    cpu_ms: float
    cpu_with_database_ms: float

    @property
    def per_second(self) -> float:
        return len(self.waits) / self.seconds


@dataclass
class Contestant:
    service: Service
    providers: Providers
    #: Of whatever works for this contestant besides its programs.
    database_cpu_seconds: Callable[[], float]
    numbers: Iterator[int]

    def burst(self, size: int) -> Measured:
        """So many submissions as fast as they are taken."""
        return self._measure(size, lambda numbers: load.post_all(self.service.url, numbers))

    def steadily(self, size: int, *, per_second: float) -> Measured:
        """So many submissions at that rate."""
        return self._measure(
            size,
            lambda numbers: load.post_steadily(self.service.url, numbers, per_second=per_second),
        )

    def _measure(self, size: int, post: Callable[[list[int]], list[load.Posted]]) -> Measured:
        self.providers.forget()
        cpu, database_cpu = self.service.cpu_seconds(), self.database_cpu_seconds()
        posted = post(list(islice(self.numbers, size)))
        ended_at = self.providers.wait_for(MESSAGES * size, within=PATIENCE_SECONDS)
        cpu = self.service.cpu_seconds() - cpu
        database_cpu = self.database_cpu_seconds() - database_cpu
        return Measured(
            seconds=ended_at - posted[0].due_at,
            waits=_waits(posted, self.providers),
            cpu_ms=1000 * cpu / size,
            cpu_with_database_ms=1000 * (cpu + database_cpu) / size,
        )


def bring_ours(
    stage: Stage, providers: Providers, *workers: Worker, kind: DatabaseKind = "postgresql"
) -> Contestant:
    """Ours, warm, on a database of its own."""
    service = stage.start_ours(stage.make_database(kind), providers, workers=workers or (OURS,))
    return _warm(Contestant(service, providers, stage.database_cpu_seconds, count()), WARM_UP)


def bring_peer(
    stage: Stage,
    providers: Providers,
    *,
    pool: str = "threads",
    concurrency: int = 32,
    reuses_client: bool = False,
) -> Contestant:
    """The peer, warm."""
    service = stage.start_peer(
        providers, pool=pool, concurrency=concurrency, reuses_client=reuses_client
    )
    warm_up = WARM_UP if reuses_client else WARM_UP_UNCONNECTED
    return _warm(Contestant(service, providers, lambda: 0.0, count()), warm_up)


def _warm(contestant: Contestant, size: int) -> Contestant:
    contestant.burst(size)
    return contestant


def _waits(posted: list[load.Posted], providers: Providers) -> list[float]:
    """A recipient tells whose message it was. Raises RuntimeError when one got more than one."""
    accepted = {one.to: one.at for one in providers.accepted()}
    if len(accepted) != MESSAGES * len(posted):
        raise RuntimeError(
            f"{len(accepted)} recipients for {len(posted)} submissions: one was sent too much"
        )
    return [
        max(accepted[people.email_of(one.number)], accepted[people.phone_of(one.number)])
        - one.due_at
        for one in posted
    ]
