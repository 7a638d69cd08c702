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
    name: str
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
        accepted = self._wait_until_accepted(posted)
        cpu = self.service.cpu_seconds() - cpu
        database_cpu = self.database_cpu_seconds() - database_cpu
        return Measured(
            seconds=max(accepted.values()) - posted[0].due_at,
            waits=[
                max(accepted[people.email_of(one.number)], accepted[people.phone_of(one.number)])
                - one.due_at
                for one in posted
            ],
            cpu_ms=1000 * cpu / size,
            cpu_with_database_ms=1000 * (cpu + database_cpu) / size,
        )

    def _wait_until_accepted(self, posted: list[load.Posted]) -> dict[str, float]:
        """When the provider took the message to each of their addresses.

        Others may be written to meanwhile, such as staff who are told that the service is slow.
        Raises RuntimeError when somebody got a message twice, and TimeoutError, with whose they
        are, when some did not come.
        """
        addresses = {people.email_of(one.number) for one in posted}
        addresses |= {people.phone_of(one.number) for one in posted}
        others = 0
        while True:
            try:
                self.providers.wait_for(len(addresses) + others, within=PATIENCE_SECONDS)
            except TimeoutError as error:
                came = {one.to for one in self.providers.accepted()}
                missing = ", ".join(sorted(addresses - came)[:5])
                raise TimeoutError(f"{self.name}: {error}; among the missing: {missing}") from error
            taken = self.providers.accepted()
            theirs = [one for one in taken if one.to in addresses]
            if len({one.to for one in theirs}) < len(theirs):
                raise RuntimeError(f"{self.name}: somebody was sent the same message twice")
            if len(theirs) == len(addresses):
                return {one.to: one.at for one in theirs}
            others = len(taken) - len(theirs)


def bring_ours(
    stage: Stage, providers: Providers, *workers: Worker, kind: DatabaseKind = "postgresql"
) -> Contestant:
    """Ours, warm, on a database of its own."""
    service = stage.start_ours(stage.make_database(kind), providers, workers=workers or (OURS,))
    return _warm(
        Contestant("ours", service, providers, stage.database_cpu_seconds, count()), WARM_UP
    )


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
    name = f"peer, {pool} {concurrency}{', kept clients' if reuses_client else ''}"
    return _warm(Contestant(name, service, providers, lambda: 0.0, count()), warm_up)


def _warm(contestant: Contestant, size: int) -> Contestant:
    contestant.burst(size)
    return contestant
