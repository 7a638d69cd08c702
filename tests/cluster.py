"""The services of docker-compose.yml on this machine: their commands, their checks, real stores."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psycopg
import redis
from psycopg import sql

from followup.sandbox.server import Sandbox
from tests import bytecode
from tests.composed import APP, ROOT, check_command, read_compose, seconds
from tests.servers import NativeRedis, PostgreSQL, Server, find_free_port, find_postgresql
from tests.waiting import eventually

#: How every worker and beat is checked; `NODE` finds whom.
PROBE = "python -m followup.probe"
NODE = re.compile(rf"^{re.escape(PROBE)} ([\w-]+)@\$HOSTNAME$")

#: What a shell and `env` say of a program that is not there.
PROGRAM_MISSING = 127


class ComposedRedis(NativeRedis):
    """The machine's Redis with the flags of the file, at a port of this machine."""

    def __init__(self, directory: Path, command: Sequence[str]) -> None:
        super().__init__(directory, port=find_free_port())
        self._flags = command[1:]

    def _command(self) -> Sequence[str]:
        return (
            *(str(self._binary()), *self._flags, "--port", str(self.port), "--bind", "127.0.0.1"),
            *("--unixsocket", str(self.socket_path), "--dir", str(self.directory)),
        )


class ComposedPostgreSQL(PostgreSQL):
    """PostgreSQL that listens on TCP as well."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, "18")
        self.port = find_free_port()

    def _command(self) -> Sequence[str]:
        return (*super()._command(), "-h", "127.0.0.1", "-p", str(self.port))

    def _answers(self) -> bool:
        program = find_postgresql(self.version) / "pg_isready"
        ready = (program, "-q", "-h", "127.0.0.1", "-p", str(self.port))
        return subprocess.run(ready, check=False).returncode == 0

    def make_database(self, environment: Mapping[str, str]) -> None:
        """As the image does from `POSTGRES_…`."""
        user = sql.Identifier(environment["POSTGRES_USER"])
        admin = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(
                sql.SQL("CREATE ROLE {} SUPERUSER LOGIN PASSWORD {}").format(
                    user, sql.Literal(environment["POSTGRES_PASSWORD"])
                )
            )
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(
                    sql.Identifier(environment["POSTGRES_DB"]), user
                )
            )


class ComposedService(Server):
    """One of our own services; its environment is what the file gives it and nothing else."""

    def __init__(
        self, app: Path, command: Sequence[str], environment: Mapping[str, str], grace: float
    ) -> None:
        super().__init__(app)
        self._words = command
        self._environment = environment
        self._grace = grace

    @property
    def url(self) -> str:
        raise NotImplementedError

    @property
    def _log(self) -> Path:
        return self.directory.parent / f"{'-'.join(self._words)}.log"

    def _command(self) -> Sequence[str]:
        given = (f"{name}={value}" for name, value in self._environment.items())
        return ("env", "-i", *given, *_entry_point(), *self._words)

    def _answers(self) -> bool:
        return True

    def demand_running(self) -> None:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text(errors="replace")[-3000:]

    def ask_to_stop(self) -> None:
        self.demand_running()
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    def wait_until_stopped(self) -> None:
        """Fails when it takes longer than Docker would wait, or leaves a process."""
        assert self._process is not None
        status = self._process.wait(self._grace)
        assert status in (0, -signal.SIGTERM), self._log.read_text(errors="replace")[-3000:]
        eventually(lambda: not _has_members(self._process), within=5)


class Cluster:
    """Database, broker and sandbox run at once; the services when `start` is called.

    Containers' addresses are replaced by addresses of this machine, mounts by links.
    """

    def __init__(self, directory: Path, values: Mapping[str, str], stack: ExitStack) -> None:
        self._stack = stack
        self._app = directory / "app"
        self._app.mkdir()
        self._sandbox = stack.enter_context(
            Sandbox(
                account_sid=values["FOLLOWUP_TWILIO_ACCOUNT_SID"],
                auth_token=values["FOLLOWUP_TWILIO_AUTH_TOKENS"],
                port=0,
                smtp_port=0,
            )
        )
        self._api_port = find_free_port()
        addresses = {
            "FOLLOWUP_PUBLIC_URL": f"http://127.0.0.1:{self._api_port}",
            "FOLLOWUP_SMTP_URL": self._sandbox.smtp_url,
            "FOLLOWUP_TWILIO_API_URL": self._sandbox.url,
        }
        self._definitions = read_compose({**values, **addresses})["services"]
        self._start_stores(directory, stack)
        self._services: dict[str, ComposedService] = {}

    def _start_stores(self, directory: Path, stack: ExitStack) -> None:
        for name in ("db", "redis"):
            (directory / name).mkdir()
        self._database = stack.enter_context(ComposedPostgreSQL(directory / "db"))
        self._database.make_database(self._definitions["db"]["environment"])
        self._redis = stack.enter_context(
            ComposedRedis(directory / "redis", self._definitions["redis"]["command"])
        )

    def migrate(self) -> None:
        definition = self._definitions["migrate"]
        self._mount(definition["volumes"])
        done = self._run([*_entry_point(), *definition["command"]], "migrate")
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        for name, definition in self._definitions.items():
            if "build" in definition and name != "migrate":
                self._mount(definition["volumes"])
                service = ComposedService(
                    self._app,
                    definition["command"],
                    self._environment(name),
                    seconds(definition["stop_grace_period"]),
                )
                self._services[name] = self._stack.enter_context(service)

    def wait_until_all_answer(self, within: float) -> None:
        """The API, and then every service by its own check."""
        eventually(self._api_listens, within)
        waiting = list(self._services)

        def is_none_left() -> bool:
            for service in self._services.values():
                service.demand_running()
            waiting[:] = [name for name in waiting if not self._is_healthy(name)]
            return not waiting

        eventually(is_none_left, within)

    def _api_listens(self) -> bool:
        self._services["api"].demand_running()
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self._api_port)) == 0

    def find_unhealthy(self, names: Sequence[str]) -> list[str]:
        """Those whose own check is not content, however long it takes here."""
        with ThreadPoolExecutor(len(names)) as threads:
            healthy = threads.map(self._is_healthy, names)
        return [name for name, is_healthy in zip(names, healthy, strict=True) if not is_healthy]

    def submit(self, fields: Mapping[str, Any]) -> None:
        connection = HTTPConnection("127.0.0.1", self._api_port, timeout=10)
        with closing(connection):
            headers = {"Content-Type": "application/json"}
            connection.request("POST", "/submissions/contact", json.dumps(fields), headers)
            assert connection.getresponse().status == 202

    def wait_for_message(self, *, to: str, within: float) -> None:
        eventually(lambda: self._sandbox.messages(to=to), within)

    def stop_services(self) -> None:
        """All at once, as `docker compose down` does, once Twilio has told what it had to."""
        assert self._sandbox.settle()
        for service in self._services.values():
            service.ask_to_stop()
        for service in self._services.values():
            service.wait_until_stopped()

    def stop_stores(self) -> None:
        self._database.stop()
        self._redis.stop()

    def ask_redis(self, *settings: str) -> list[str]:
        with redis.Redis(port=self._redis.port or 0, decode_responses=True) as client:
            return [client.config_get(name)[name] for name in settings]

    def list_files(self) -> list[str]:
        """What is in the services' working directory, which they may not write to."""
        return sorted(place.name for place in self._app.iterdir())

    def _mount(self, volumes: Sequence[str]) -> None:
        for volume in volumes:
            source, target, _ = volume.split(":")
            place = self._app / Path(target).relative_to(APP)
            if not place.is_symlink():
                place.symlink_to(ROOT / source)

    def _environment(self, name: str) -> dict[str, str]:
        """The file's, with addresses of this machine, and what an image or Docker itself adds."""
        given = self._definitions[name].get("environment", {})
        programs = (Path(sys.executable).parent, find_postgresql("18"), "/usr/bin", "/bin")
        added = {
            "PATH": os.pathsep.join(map(str, programs)),
            # The guard against outward connections, and compiled modules.
            **{key: os.environ.get(key, "") for key in ("PYTHONPATH", *bytecode.NAMES)},
            "HOSTNAME": socket.gethostname(),
            "PGPORT": str(self._database.port),
        }
        here = {key: self._localize(value) for key, value in given.items()}
        port = {"FOLLOWUP_PORT": str(self._api_port)} if "FOLLOWUP_PORT" in given else {}
        return {**here, **port, **added}

    def _is_healthy(self, name: str) -> bool:
        command = [self._localize(word) for word in check_command(self._definitions[name])]
        if command[0] == "redis-cli":
            command[1:1] = ["-p", str(self._redis.port)]
        done = self._run(command, name)
        assert done.returncode != PROGRAM_MISSING, done.stderr
        return done.returncode == 0

    def _run(self, command: Sequence[str], name: str) -> "subprocess.CompletedProcess[str]":
        """A program in a service's container; found by its PATH, not by ours."""
        given = (f"{key}={value}" for key, value in self._environment(name).items())
        return subprocess.run(
            ("env", "-i", *given, *command), cwd=self._app, capture_output=True, text=True
        )

    def _localize(self, text: str) -> str:
        return (
            text.replace("@db:5432/", f"@127.0.0.1:{self._database.port}/")
            .replace("//redis:6379/", f"//127.0.0.1:{self._redis.port}/")
            .replace("127.0.0.1:8000/", f"127.0.0.1:{self._api_port}/")
        )


def _entry_point() -> Sequence[str]:
    """What the image's `followup` does."""
    return (sys.executable, "-P", "-m", "followup")


def _has_members(leader: "subprocess.Popen[bytes] | None") -> bool:
    """Whether anything is left of the process group that a service was started as."""
    assert leader is not None
    try:
        os.killpg(leader.pid, 0)
    except ProcessLookupError:
        return False
    return True
