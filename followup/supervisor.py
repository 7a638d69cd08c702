"""Keeps child processes alive until it is told to stop, and leaves none behind.

What the children are is `local.py`'s to say. One thread does everything: see `processes.launch`.
"""

import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from followup.errors import Misconfigured
from followup.processes import (
    LineReader,
    describe_end,
    kill_group,
    launch,
    record_processes,
)

#: A dead child is started again after this long, and after twice as long each time that it dies
#: soon again.
FIRST_DELAY_SECONDS = 0.2
LONGEST_DELAY_SECONDS = 5.0
#: A child that lived so long is not in a crash loop: its next delay is the first one again.
HEALTHY_LIFE_SECONDS = 10.0

#: How often a condition is asked for.
ASKING_SECONDS = 0.05
#: How long nothing may happen before a turn ends by itself.
IDLE_SECONDS = 5.0


@dataclass(frozen=True)
class Child:
    """A process that is kept alive."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    #: Stages stop in ascending order, each when the one before has ended.
    stop_stage: int = 0
    stop_signal: signal.Signals = signal.SIGTERM
    #: What comes next in the plan is not started before this says yes.
    is_ready: Callable[[], bool] | None = None
    ready_within: timedelta = timedelta(seconds=15)


@dataclass(frozen=True)
class Errand:
    """A process that runs to its end before what comes next in the plan is started.

    `when_done` is given its exit status and standard output, and may raise to end it all.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    when_done: Callable[[int, str], None]


def next_delay(last_delay: float | None, lived_seconds: float) -> float:
    """Seconds until a child that died after `lived_seconds` is started again."""
    if last_delay is None or lived_seconds >= HEALTHY_LIFE_SECONDS:
        return FIRST_DELAY_SECONDS
    return min(last_delay * 2, LONGEST_DELAY_SECONDS)


class Supervisor:
    """Starts a plan in its order, starts again what dies, and stops all of it when told to.

    Every process has a session of its own, so that a Ctrl-C at the terminal reaches the
    supervisor alone. On Linux none outlives it, even when it is killed; elsewhere `pid_file`
    names those that `processes.end_leftovers` ends before the next start.
    """

    def __init__(
        self,
        plan: Sequence[Child | Errand],
        *,
        say: Callable[[str], None],
        grace: timedelta = timedelta(seconds=30),
        pid_file: Path | None = None,
    ) -> None:
        self._plan = plan
        self._say = say
        self._grace = grace
        self._pid_file = pid_file
        self._selector = selectors.DefaultSelector()
        self._running: list[_Process] = []
        self._delays: dict[str, float] = {}
        self._waiting: list[_Restart] = []
        self._requests: list[signal.Signals] = []
        self._is_stopping = False

    def run(self, *, is_up: Callable[[], bool], when_up: Callable[[], None]) -> None:
        """Return after a requested stop (SIGTERM, SIGINT, SIGHUP), when every process has ended.

        When all is started, `is_up` is asked until it says yes; then `when_up` is called once.
        Raises Misconfigured when the plan cannot be started. To be called in the main thread.
        """
        with self._listening_to_signals():
            try:
                self._start_plan()
                self._turn_until(is_up)
                when_up()
                while True:
                    self._turn(IDLE_SECONDS)
            except _StopRequested:
                self._stop_warmly()
            finally:
                self._kill_all()
                self._selector.close()

    def _start_plan(self) -> None:
        for item in self._plan:
            if isinstance(item, Errand):
                self._run_errand(item)
            else:
                self._start(item)
                self._await_readiness(item)

    def _run_errand(self, errand: Errand) -> None:
        lines: list[str] = []
        try:
            process = self._launch(errand, lines.append)
        except OSError as error:
            raise Misconfigured(f"{errand.name} cannot be started: {error}") from error
        self._turn_until(lambda: process not in self._running)
        errand.when_done(process.popen.returncode, "\n".join(lines))

    def _await_readiness(self, child: Child) -> None:
        if child.is_ready and not self._turn_until(child.is_ready, child.ready_within):
            seconds = child.ready_within.total_seconds()
            raise Misconfigured(f"{child.name} was not ready after {seconds:g} s")

    def _start(self, child: Child) -> None:
        try:
            self._launch(child, self._prefixing(child.name))
        except OSError as error:
            self._start_later(child, f"cannot be started ({error})", lived_seconds=0)

    def _launch(self, item: Child | Errand, take_line: Callable[[str], None]) -> "_Process":
        popen = launch(item.command, item.environment)
        process = _Process(item, popen, started=time.monotonic())
        for stream, taker in (
            (popen.stdout, take_line),
            (popen.stderr, self._prefixing(item.name)),
        ):
            if stream is not None:
                reader = LineReader(stream, taker)
                process.readers.append(reader)
                self._selector.register(stream, selectors.EVENT_READ, reader.read)
        self._running.append(process)
        self._record_running()
        return process

    def _turn_until(self, condition: Callable[[], bool], within: timedelta | None = None) -> bool:
        """Whether the condition came true in time."""
        deadline = None if within is None else time.monotonic() + within.total_seconds()
        while not condition():
            if deadline is not None and time.monotonic() > deadline:
                return False
            self._turn(ASKING_SECONDS)
        return True

    def _turn(self, wait_seconds: float) -> None:
        """Pass on what was written, notice who died, start again what is due.

        Raises _StopRequested when told to stop, once.
        """
        now = time.monotonic()
        waits = [wait_seconds, *(restart.due - now for restart in self._waiting)]
        for key, _ in self._selector.select(max(0.0, min(waits))):
            if not key.data():
                self._selector.unregister(key.fileobj)
        for process in [process for process in self._running if process.popen.poll() is not None]:
            self._bury(process)
        if self._is_stopping:
            return
        if self._requests:
            raise _StopRequested
        self._start_due()

    def _bury(self, process: "_Process") -> None:
        self._running.remove(process)
        self._close_readers(process)
        self._record_running()
        if self._is_stopping or isinstance(process.item, Errand):
            return
        lived_seconds = time.monotonic() - process.started
        self._start_later(process.item, describe_end(process.popen.returncode), lived_seconds)

    def _close_readers(self, process: "_Process") -> None:
        """Pass on what a dead process still had to say. Never waits: something that it started
        may hold the pipe open."""
        for reader in process.readers:
            reader.read_rest()
            with suppress(KeyError):
                self._selector.unregister(reader.stream)
            reader.stream.close()

    def _start_later(self, child: Child, what_happened: str, lived_seconds: float) -> None:
        delay = next_delay(self._delays.get(child.name), lived_seconds)
        self._delays[child.name] = delay
        self._waiting.append(_Restart(time.monotonic() + delay, child))
        self._tell(f"{child.name} {what_happened}; starting it again in {delay:g} s")

    def _start_due(self) -> None:
        now = time.monotonic()
        due = [restart for restart in self._waiting if restart.due <= now]
        self._waiting = [restart for restart in self._waiting if restart.due > now]
        for restart in due:
            self._start(restart.child)

    def _stop_warmly(self) -> None:
        """Stage by stage, until all have ended, the grace is over, or a second Ctrl-C comes."""
        self._is_stopping = True
        deadline = time.monotonic() + self._grace.total_seconds()
        self._tell("stopping; Ctrl-C again stops at once")
        for stage in sorted({process.stop_stage for process in self._running}):
            leaving = [process for process in self._running if process.stop_stage == stage]
            for process in leaving:
                process.popen.send_signal(process.stop_signal)
            while any(process in self._running for process in leaving):
                if time.monotonic() > deadline or signal.SIGINT in self._requests[1:]:
                    return
                self._turn(ASKING_SECONDS)
        self._tell("stopped")

    def _kill_all(self) -> None:
        for process in self._running:
            kill_group(process.popen)
            self._close_readers(process)
        if self._is_stopping and self._running:
            self._tell(f"ended by force: {', '.join(p.item.name for p in self._running)}")
        self._running.clear()
        self._record_running()

    def _record_running(self) -> None:
        if self._pid_file is not None:
            record_processes(self._pid_file, [process.popen.pid for process in self._running])

    def _prefixing(self, name: str) -> Callable[[str], None]:
        width = max(len(item.name) for item in self._plan)
        return lambda line: self._tell(f"{name:<{width}} │ {line}")

    def _tell(self, line: str) -> None:
        """A closed terminal or pipe is no reason to leave the clinic without its service."""
        with suppress(OSError):
            self._say(line)

    @contextmanager
    def _listening_to_signals(self) -> Iterator[None]:
        """A signal wakes the loop at once; those ignored before (nohup) stay ignored."""
        hears, wakes = socket.socketpair()
        hears.setblocking(False)
        wakes.setblocking(False)
        self._selector.register(hears, selectors.EVENT_READ, lambda: bool(hears.recv(4096)))
        handlers: dict[signal.Signals, Callable[[int, object], None]] = {
            signal.SIGCHLD: lambda *_: None,
            **dict.fromkeys((signal.SIGTERM, signal.SIGINT, signal.SIGHUP), self._request_stop),
        }
        before = {
            number: signal.signal(number, handler)
            for number, handler in handlers.items()
            if number is signal.SIGCHLD or signal.getsignal(number) is not signal.SIG_IGN
        }
        fd_before = signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(fd_before)
            for number, handler in before.items():
                signal.signal(number, handler)
            hears.close()
            wakes.close()

    def _request_stop(self, number: int, _frame: object) -> None:
        self._requests.append(signal.Signals(number))


class _StopRequested(Exception):
    pass


@dataclass(eq=False)
class _Process:
    item: Child | Errand
    popen: subprocess.Popen[bytes]
    started: float
    readers: list[LineReader] = field(default_factory=list)

    @property
    def stop_stage(self) -> int:
        return self.item.stop_stage if isinstance(self.item, Child) else 0

    @property
    def stop_signal(self) -> signal.Signals:
        return self.item.stop_signal if isinstance(self.item, Child) else signal.SIGTERM


@dataclass(frozen=True)
class _Restart:
    due: float
    child: Child
