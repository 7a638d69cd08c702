"""Programs that were started: ready when they say so, measured with all that they start, and ended
by the id that they were started with."""

import os
import signal
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

from bench import machine
from bench.databases import START_TIMEOUT_SECONDS
from followup.config import PREFIX
from tests.servers import Server, stopped

ROOT = Path(__file__).resolve().parent.parent

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
