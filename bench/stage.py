"""Starts what a row needs, on loopback and free ports, and ends all of it, also after Ctrl-C.

with Stage(folder, rounds=5) as stage:
    providers = stage.start_providers(latency_ms=100, tls=True)
    ours = stage.start_ours(stage.make_database("postgresql"), providers)
    load.post_all(ours.url, range(100))
    providers.wait_for(200)
    ours.cpu_seconds()
"""

import json
import os
import secrets
import shutil
import signal
import socket
import sys
import tomllib
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import count
from pathlib import Path
from typing import Any, Self

from bench import machine
from bench.certificates import HOST, make_certificate
from bench.databases import START_TIMEOUT_SECONDS, DatabaseKind, Databases
from bench.seed import EMPTY, Crowd
from followup.config import PREFIX
from tests.servers import Server, Valkey, find_free_port, stopped

ROOT = Path(__file__).resolve().parent.parent
PEER = ROOT / "bench" / "peer"
#: What a cadence of the bench owes: see the file.
CADENCE = ROOT / "bench" / "clinic" / "contact.toml"

#: Whom `bench.peer` and ours send as.
ACCOUNT, TOKEN = "ACbench0000000000000000000000000000", "bench-only"
SENDER, SENDING_NUMBER = "Harbor Light Wellness <hello@example.com>", "+19495550100"

#: Bytecode is kept whatever the user has set: who measures a start measures no compiler.
BYTECODE = {
    "PYTHONDONTWRITEBYTECODE": "",
    "PYTHONPYCACHEPREFIX": str(ROOT / ".venv" / "bench-bytecode"),
}

#: Bundles of authorities that the user has set must not hide ours.
BUNDLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class Program(Server):
    """One process that was started, with all that it starts itself."""

    start_timeout_seconds = START_TIMEOUT_SECONDS

    def __init__(
        self,
        directory: Path,
        command: Sequence[str],
        environment: Mapping[str, str],
        is_ready: Callable[["Program"], bool],
    ) -> None:
        super().__init__(directory)
        self._arguments = command
        self._environment = environment
        self._is_ready = is_ready

    @property
    def url(self) -> str:
        raise NotImplementedError("a program has no address by itself")

    @property
    def pid(self) -> int:
        assert self._process is not None, "it does not run"
        return self._process.pid

    @property
    def output(self) -> str:
        """What it has written."""
        return self._log.read_text(errors="replace")

    def cpu_seconds(self) -> float:
        """Of it and all that it started, alive or ended."""
        return machine.cpu_seconds(self.pid)

    def pss_bytes(self) -> int:
        """Of it and all that it started; what they share with others is counted by halves."""
        return machine.pss_bytes(self.pid)

    def kill(self) -> None:
        """An end without goodbye for it and its children, as of a lost machine."""
        _kill_group(self._process.pid if self._process else None)
        super().kill()

    def stop(self) -> None:
        """SIGTERM, and time to heed it; children that are left over are killed."""
        group = self._process.pid if self._process else None
        super().stop()
        _kill_group(group)

    def _command(self) -> Sequence[str]:
        unset = (word for name in _foreign_settings() for word in ("-u", name))
        values = {**BYTECODE, **self._environment}
        settings = (f"{name}={value}" for name, value in values.items())
        return ("/usr/bin/env", *unset, *settings, *self._arguments)

    def _answers(self) -> bool:
        return self._is_ready(self)


@dataclass(frozen=True)
class Acceptance:
    """A message that the provider took: when it said so (`time.monotonic()`), and to whom.

    `channel` is `email` or `sms`; `text` is its beginning.
    """

    at: float
    channel: str
    to: str
    text: str


class Providers:
    """The stand-ins for Twilio and a mail server: a process of their own."""

    def __init__(self, program: Program, bundle: Path | None) -> None:
        self.program = program
        self._ports = json.loads(program.output)
        self._bundle = bundle
        self._control = socket.create_connection((HOST, self._ports["control"]))
        self._lines = self._control.makefile("rwb")

    @property
    def environment(self) -> dict[str, str]:
        """What whoever sends to them is told, ours and the peer alike."""
        secure = "s" if self._bundle else ""
        login = "bench:bench-only@" if self._bundle else ""
        return {
            "FOLLOWUP_TWILIO_API_URL": f"http{secure}://{HOST}:{self._ports['twilio']}",
            "FOLLOWUP_TWILIO_ACCOUNT_SID": ACCOUNT,
            "FOLLOWUP_TWILIO_AUTH_TOKENS": TOKEN,
            "FOLLOWUP_TWILIO_FROM": SENDING_NUMBER,
            "FOLLOWUP_SMTP_URL": f"smtp{secure}://{login}{HOST}:{self._ports['smtp']}",
            "FOLLOWUP_EMAIL_FROM": SENDER,
            "NO_PROXY": HOST,
            **(
                {"SSL_CERT_FILE": str(self._bundle), "REQUESTS_CA_BUNDLE": str(self._bundle)}
                if self._bundle
                else {}
            ),
        }

    def accepted(self) -> list[Acceptance]:
        """All that was taken since the last `forget`, oldest first."""
        return [Acceptance(*one) for one in self._ask("list")]

    def count(self) -> int:
        """How much was taken since the last `forget`."""
        return int(self._ask("count"))

    def wait_for(self, count: int, *, within: float = 60.0) -> float:
        """When so many had been taken since the last `forget`. Raises TimeoutError."""
        # A connection of its own, because an answer that comes too late would be taken for another.
        with socket.create_connection((HOST, self._ports["control"]), timeout=within) as control:
            control.sendall(f"wait {count}\n".encode())
            try:
                return float(control.makefile("rb").readline())
            except TimeoutError:
                have = self.count()
                raise TimeoutError(f"{have} of {count} accepted after {within:g} s") from None

    def forget(self) -> None:
        self._ask("forget")

    def set_latency(self, latency_ms: float) -> None:
        self._ask(f"latency {latency_ms}")

    def cpu_seconds(self) -> float:
        return self.program.cpu_seconds()

    def stop(self) -> None:
        self._lines.close()
        self._control.close()
        self.program.stop()

    def _ask(self, command: str) -> Any:
        self._lines.write(f"{command}\n".encode())
        self._lines.flush()
        return json.loads(self._lines.readline())


@dataclass
class Service:
    """Ours or the peer's: where forms are submitted, and the programs by name."""

    url: str
    programs: dict[str, Program] = field(default_factory=dict)

    def cpu_seconds(self, *names: str) -> float:
        """Of the programs of these names, or of all."""
        return sum(self.programs[name].cpu_seconds() for name in names or self.programs)

    def pss_bytes(self, *names: str) -> int:
        """Of the programs of these names, or of all."""
        return sum(self.programs[name].pss_bytes() for name in names or self.programs)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It is there and does nothing, while its turn is another's."""
        with stopped(*machine.tree(*(program.pid for program in self.programs.values()))):
            yield

    def stop(self) -> None:
        for program in reversed(self.programs.values()):
            program.stop()


@dataclass(frozen=True)
class Worker:
    """One `followup worker`: its queues (all when not given), and its pool of so many."""

    queues: str = ""
    pool: str = "prefork"
    concurrency: int = 2


class Stage:
    """`rounds` is how many a row is to measure; `databases` are those of the whole run;
    `profile` is a folder for where ours spends its time."""

    def __init__(
        self, directory: Path, databases: Databases, *, rounds: int, profile: Path | None = None
    ) -> None:
        self.directory = directory
        self._profile = profile
        self.databases = databases
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
        """py-spy looks at it and its children a hundred times a second, until the stage ends."""
        py_spy = Path(sys.executable).with_name("py-spy")
        if not py_spy.exists():
            raise SystemExit("--profile: py-spy is missing; run `python3 dev.py setup`")
        folder.mkdir(parents=True, exist_ok=True)
        output = folder.resolve() / f"{program.directory.name}.txt"
        command = [str(py_spy), "record", "--subprocesses", "--nonblocking", "--format=raw"]
        command += [f"--pid={program.pid}", f"--output={output}"]
        self.start("py-spy", command, {}, is_ready=saying("Sampling")).stop_signal = signal.SIGINT

    def start_peer(
        self,
        providers: Providers,
        *,
        pool: str = "threads",
        concurrency: int = 32,
        reuses_client: bool = False,
    ) -> Service:
        """The peer's API (`api`), worker (`worker`) and broker; returns when all are ready."""
        port = find_free_port()
        environment = {
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "PEER_BROKER_URL": self.start_broker(),
            "PEER_REUSES_CLIENT": "1" if reuses_client else "",
            **providers.environment,
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
        steps = {step["name"] for step in tomllib.loads(CADENCE.read_text())["steps"]}
        for wording in contact.glob("*.*.*"):
            if wording.name.partition(".")[0] not in steps:
                wording.unlink()
        return folder


def serving(url: str) -> Callable[[Program], bool]:
    def is_ready(_program: Program) -> bool:
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:  # noqa: S310 - on loopback
                return bool(answer.status == HTTPStatus.OK)
        except OSError:
            return False

    return is_ready


def saying(words: str) -> Callable[[Program], bool]:
    return lambda program: words in program.output


def _kill_group(pid: int | None) -> None:
    """What a process in a session of its own has started, and itself."""
    if pid is not None:
        with suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def _foreign_settings() -> list[str]:
    """Of the user's environment: neither our settings nor other authorities may be theirs."""
    return [name for name in os.environ if name in BUNDLES or name.upper().startswith(PREFIX)]
