"""Starts what a row needs, on loopback and free ports, and ends all of it, also after Ctrl-C.

with Stage(folder, rounds=5) as stage:
    providers = stage.start_providers(latency_ms=100, tls=True)
    ours = stage.start_ours(stage.make_database("postgresql"), providers)
    load.post_all(ours.url, range(100))
    providers.wait_for(200)
    ours.cpu_seconds()
"""

import secrets
import shutil
import signal
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Self

from bench.asking import Providers
from bench.certificates import HOST, make_certificate
from bench.databases import DatabaseKind, Databases
from bench.programs import ROOT, Program, Service, saying, serving
from bench.seed import EMPTY, MILLION, Crowd
from tests.servers import Valkey, find_free_port

#: What a cadence of the bench owes: see the file.
CADENCE = ROOT / "bench" / "clinic" / "contact.toml"


@dataclass(frozen=True)
class Worker:
    """One `followup worker`: its queues (all when not given), and its pool of so many."""

    queues: str = ""
    pool: str = "prefork"
    concurrency: int = 2


class Stage:
    """`rounds` is how many a row is to measure; `databases` are those of the whole run, and
    `crowd` is who stands in those of the rows that are about a million planned reminders;
    `profile` is a folder for where ours spends its time."""

    def __init__(
        self,
        directory: Path,
        databases: Databases,
        *,
        rounds: int,
        crowd: Crowd = MILLION,
        profile: Path | None = None,
    ) -> None:
        self.directory = directory
        self._profile = profile
        self.databases = databases
        self.crowd = crowd
        self.rounds = rounds
        self._stack = ExitStack()
        self._numbers = count(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()

    def make_database(self, kind: DatabaseKind, crowd: Crowd = EMPTY) -> str:
        """The URL of one with our schema and the crowd in it; gone after the row."""
        url = self.databases.make(kind, crowd)
        self._stack.callback(self.databases.drop, url)
        return url

    def database_cpu_seconds(self) -> float:
        """Of PostgreSQL, with all its backends; 0 while it was not needed."""
        return self.databases.cpu_seconds()

    def start_broker(self) -> str:
        """The URL of a Valkey of its own, as `followup up` runs it; each call starts another."""
        valkey = Valkey(self._folder("broker"), port=find_free_port())
        self._stack.enter_context(valkey)
        return valkey.url

    def start_providers(self, *, latency_ms: float, tls: bool) -> Providers:
        certificate, bundle = make_certificate(self._folder("tls")) if tls else (None, None)
        command = [sys.executable, "-m", "bench.providers", f"--latency-ms={latency_ms}"]
        command += [f"--certificate={certificate}"] if certificate else []
        program = self.start(
            "providers",
            command,
            {"PYTHONPATH": str(ROOT)},
            is_ready=lambda program: program.output.endswith("}\n"),
        )
        providers = Providers(program, bundle)
        self._stack.callback(providers.stop)
        return providers

    def our_environment(self, database_url: str, providers: Providers) -> dict[str, str]:
        """Every setting of ours, with a broker of its own: for a program started by hand, or for
        `open_service` in this process. The port of the API is a free one."""
        port = find_free_port()
        return {
            "FOLLOWUP_DATABASE_URL": database_url,
            "FOLLOWUP_BROKER_URL": self.start_broker(),
            "FOLLOWUP_PORT": str(port),
            "FOLLOWUP_PUBLIC_URL": f"http://{HOST}:{port}",
            "FOLLOWUP_CLINIC_FILE": str(ROOT / "clinic.toml"),
            "FOLLOWUP_TEMPLATES_DIR": str(self._make_templates()),
            "FOLLOWUP_DATA_DIR": str(self._folder("data")),
            "FOLLOWUP_SECRET_KEYS": secrets.token_urlsafe(32),
            "FOLLOWUP_ENCRYPTION_KEYS": self.databases.encryption_key,
            "FOLLOWUP_LIMITS": "off",
            # What a program says is what shows that it is ready.
            "PYTHONUNBUFFERED": "1",
            **providers.environment,
        }

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
        api, worker1, worker2 …, beat. `environment`: that of `our_environment`, when there is one
        already."""
        environment = environment or self.our_environment(database_url, providers)
        service = Service(environment["FOLLOWUP_PUBLIC_URL"])
        programs = service.programs
        if api:
            programs["api"] = self.start_followup(
                ("api",), environment, is_ready=serving(f"{service.url}/readyz")
            )
        for number, worker in enumerate(workers, 1):
            arguments = [
                "worker",
                f"--pool={worker.pool}",
                f"--concurrency={worker.concurrency}",
                f"--name=worker{number}",
                *([f"--queues={worker.queues}"] if worker.queues else []),
            ]
            programs[f"worker{number}"] = self.start_followup(
                arguments, environment, is_ready=saying(" ready.")
            )
        if beat:
            programs["beat"] = self.start_followup(
                ("beat",), environment, is_ready=saying("maxinterval")
            )
        return service

    def start_followup(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        is_ready: Callable[[Program], bool],
    ) -> Program:
        """One of our commands, such as `up`."""
        command = (sys.executable, "-P", "-m", "followup", *arguments)
        program = self.start(arguments[0], command, environment, is_ready=is_ready)
        if self._profile is not None:
            self._watch(program, self._profile)
        return program

    def _watch(self, program: Program, folder: Path) -> None:
        """py-spy looks who holds the interpreter, a hundred times a second until the stage ends:
        a thread that waits for the database is no cost."""
        py_spy = Path(sys.executable).with_name("py-spy")
        if not py_spy.exists():
            raise SystemExit("--profile: py-spy is missing; run `python3 dev.py setup`")
        folder.mkdir(parents=True, exist_ok=True)
        output = folder.resolve() / f"{program.directory.name}.txt"
        command = [
            str(py_spy),
            "record",
            "--subprocesses",
            "--nonblocking",
            "--gil",
            "--format=raw",
        ]
        command += [f"--pid={program.pid}", f"--output={output}"]
        self.start("py-spy", command, {}, is_ready=saying("Sampling")).stop_signal = signal.SIGINT

    def start_up(self, data_dir: Path) -> Program:
        """`followup up` with its own broker, database and sandbox; returns when it is ready."""
        port, sandbox, mail = (str(find_free_port()) for _ in range(3))
        environment = {
            "FOLLOWUP_CLINIC_FILE": str(ROOT / "clinic.toml"),
            "FOLLOWUP_TEMPLATES_DIR": str(ROOT / "templates"),
            "FOLLOWUP_DATA_DIR": str(data_dir),
            "FOLLOWUP_PORT": port,
            "FOLLOWUP_SANDBOX_PORT": sandbox,
            "FOLLOWUP_SANDBOX_SMTP_PORT": mail,
        }
        ready = serving(f"http://{HOST}:{port}/readyz")
        return self.start_followup(("up",), environment, is_ready=ready)

    def peers_environment(self, providers: Providers) -> dict[str, str]:
        """With a broker of its own."""
        return {
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "PEER_BROKER_URL": self.start_broker(),
            **providers.environment,
        }

    def start_peer(
        self,
        providers: Providers,
        *,
        pool: str = "threads",
        concurrency: int = 32,
        reuses_client: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> Service:
        """The peer's API (`api`), worker (`worker`) and broker; returns when all are ready.
        `environment`: that of `peers_environment`, when there is one already."""
        port = find_free_port()
        environment = {
            **(environment or self.peers_environment(providers)),
            "PEER_REUSES_CLIENT": "1" if reuses_client else "",
        }
        url = f"http://{HOST}:{port}"
        python = (sys.executable, "-m")
        api = (*python, "uvicorn", "bench.peer.app:app", "--port", str(port), "--no-access-log")
        worker = (
            *(*python, "celery", "--app=bench.peer.tasks", "worker", "--loglevel=INFO"),
            *(f"--pool={pool}", f"--concurrency={concurrency}"),
        )
        return Service(
            url,
            {
                "api": self.start("peer", api, environment, is_ready=serving(f"{url}/healthz")),
                "worker": self.start("peer", worker, environment, is_ready=saying(" ready.")),
            },
        )

    def start(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        is_ready: Callable[[Program], bool],
    ) -> Program:
        """Any program; returns when it is ready. It ends with the stage, if not before."""
        program = Program(self._folder(name), command, environment, is_ready)
        self._stack.callback(program.stop)
        program.start()
        return program

    def _folder(self, name: str) -> Path:
        folder = self.directory / f"{name}-{next(self._numbers)}"
        folder.mkdir()
        return folder

    def _make_templates(self) -> Path:
        """Our own wording, with a cadence that sends as many messages as the peer does."""
        folder = self._folder("templates") / "templates"
        shutil.copytree(ROOT / "templates", folder)
        contact = folder / "contact"
        shutil.copy(CADENCE, contact / "cadence.toml")
        steps = tomllib.loads(CADENCE.read_text())["steps"]
        told = {(step["name"], channel) for step in steps for channel in step["channels"]}
        for wording in contact.glob("*.*.*"):
            if tuple(wording.name.split(".")[:2]) not in told:
                wording.unlink()
        return folder
