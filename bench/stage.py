"""Starts what a row needs, on loopback and free ports, and ends all of it, also after Ctrl-C.

with Stage(folder, rounds=5) as stage:
    providers = stage.start_providers(latency_ms=100, tls=True)
    ours = stage.start_ours(stage.make_database("postgresql"), providers)
    load.post_all(ours.url, range(100))
    providers.wait_for(200)
    ours.cpu_seconds()
"""

import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

DatabaseKind = Literal["postgresql", "sqlite"]


@dataclass(frozen=True)
class Acceptance:
    """A message that the provider took: when it said so (`time.monotonic()`), and to whom."""

    at: float
    channel: str
    to: str
    text: str


class Program:
    """One process that was started, with all that it starts itself."""

    pid: int

    def cpu_seconds(self) -> float:
        """Of it and its children, alive or ended."""
        raise NotImplementedError

    def pss_bytes(self) -> int:
        raise NotImplementedError

    def stop(self) -> None:
        """SIGTERM, and wait; killed if it does not heed it."""
        raise NotImplementedError

    def kill(self) -> None:
        """SIGKILL for it and its children."""
        raise NotImplementedError


class Providers(Program):
    """The stand-ins for Twilio and a mail server; a process of their own."""

    environment: Mapping[str, str]

    def accepted(self) -> list[Acceptance]:
        """All that was taken since the last `forget`, oldest first."""
        raise NotImplementedError

    def count(self) -> int:
        raise NotImplementedError

    def wait_for(self, count: int, *, within: float = 60.0) -> float:
        """When the provider had taken so many since the last `forget`; raises TimeoutError."""
        raise NotImplementedError

    def forget(self) -> None:
        raise NotImplementedError

    def set_latency(self, latency_ms: float) -> None:
        raise NotImplementedError


@dataclass
class Service:
    """Ours or the peer's: the programs by name, and where forms are submitted."""

    url: str
    programs: dict[str, Program] = field(default_factory=dict)

    def cpu_seconds(self, *names: str) -> float:
        """Of the programs of these names, or of all."""
        raise NotImplementedError

    def pss_bytes(self, *names: str) -> int:
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError


@dataclass(frozen=True)
class Worker:
    """One `followup worker`: its pool, and how many processes or threads it has."""

    queues: str = ""
    pool: str = "prefork"
    concurrency: int = 2


class Stage:
    def __init__(self, directory: Path, *, rounds: int) -> None:
        self.directory = directory
        self.rounds = rounds
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()

    def make_database(self, kind: DatabaseKind) -> str:
        """The URL of an empty one with our schema. PostgreSQL is started on first use, durable."""
        raise NotImplementedError

    def database_cpu_seconds(self) -> float:
        """Of PostgreSQL, with all its backends; 0 while it was not needed."""
        raise NotImplementedError

    def start_broker(self) -> str:
        """The URL of a Valkey of its own; each call starts another."""
        raise NotImplementedError

    def start_providers(self, *, latency_ms: float, tls: bool) -> Providers:
        raise NotImplementedError

    def our_environment(self, database_url: str, providers: Providers) -> dict[str, str]:
        """Every setting of ours, with a broker of its own: for a program started by hand, or for
        `open_service` in this process."""
        raise NotImplementedError

    def start_ours(
        self,
        database_url: str,
        providers: Providers,
        *,
        api: bool = True,
        workers: Sequence[Worker] = (Worker(),),
        beat: bool = True,
        environment: Mapping[str, str] | None = None,
    ) -> Service:
        """`followup api`, the workers and beat; returns when all are ready. The programs are named
        api, worker1, worker2 …, beat. `environment`: that of `our_environment`, to start more on
        the same broker."""
        raise NotImplementedError

    def start_peer(
        self,
        providers: Providers,
        *,
        pool: str = "threads",
        concurrency: int = 32,
        reuses_client: bool = False,
    ) -> Service:
        """The peer's API (`api`), worker (`worker`) and broker; returns when all are ready."""
        raise NotImplementedError

    def start(
        self, name: str, command: Sequence[str], environment: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        """Any other program, ended with the stage."""
        raise NotImplementedError
