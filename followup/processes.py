"""One child process: launched so that it dies with us, read line by line, ended for good.

Whether it is started again is `supervisor.py`'s to say.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from followup.private_file import write_private

#: A line without end is passed on in pieces of this size.
LONGEST_LINE_BYTES = 65_536

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def launch(command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, which on Linux is killed when we die.

    Killed rather than told to stop: a worker may take most of a minute to stop, and whoever
    killed us expects to find nothing running. To be called in the main thread, because the
    kernel watches the *thread* that forked (PR_SET_PDEATHSIG, prctl(2)). Raises OSError.
    """
    parent = os.getpid()

    def die_with_parent() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # The parent may have died between the fork and the call above.
        if os.getppid() != parent:
            os._exit(1)

    return subprocess.Popen(  # noqa: S603 - commands are our own, never a user's text
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        start_new_session=True,
        preexec_fn=die_with_parent,
    )


def kill_group(popen: subprocess.Popen[bytes]) -> None:
    """End a process that has not been waited for, and what it may have started, at once."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(popen.pid, signal.SIGKILL)
    popen.kill()
    popen.wait()


def describe_end(status: int) -> str:
    """An exit status as `subprocess` gives it, in words."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"


class LineReader:
    """Reads a pipe without ever waiting, and hands on whole lines without their ends."""

    def __init__(self, stream: IO[bytes], take_line: Callable[[str], None]) -> None:
        os.set_blocking(stream.fileno(), False)
        self.stream = stream
        self._take_line = take_line
        self._rest = b""

    def read(self) -> bool:
        """Take some of what is there; False when there is nothing more to come."""
        try:
            chunk = os.read(self.stream.fileno(), LONGEST_LINE_BYTES)
        except BlockingIOError:
            return True
        self._take(chunk, is_end=not chunk)
        return bool(chunk)

    def read_rest(self) -> None:
        """Take all that is there, also a last line without end; not to be read again."""
        with suppress(BlockingIOError):
            while chunk := os.read(self.stream.fileno(), LONGEST_LINE_BYTES):
                self._take(chunk, is_end=False)
        self._take(b"", is_end=True)

    def _take(self, chunk: bytes, *, is_end: bool) -> None:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if self._rest and (is_end or len(self._rest) >= LONGEST_LINE_BYTES):
            lines.append(self._rest)
            self._rest = b""
        for line in lines:
            self._take_line(line.decode(errors="replace").rstrip("\r"))


def record_processes(path: Path, pids: Sequence[int]) -> None:
    """Note which processes would be left over if we were killed now."""
    write_private(path, json.dumps({pid: _start_of(pid) for pid in pids}))


def end_leftovers(path: Path) -> list[int]:
    """Kill the processes that an earlier run recorded and did not end; returns their ids.

    An id that now belongs to another process is left alone: its time of start differs.
    """
    try:
        recorded = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return []
    leftovers = [int(pid) for pid, start in recorded.items() if start and _start_of(pid) == start]
    for pid in leftovers:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    path.unlink(missing_ok=True)
    return leftovers


def _start_of(pid: int | str) -> str:
    """When a process started, in the system's words; empty when there is none."""
    found = subprocess.run(  # noqa: S603
        ("ps", "-o", "lstart=", "-p", str(pid)),  # noqa: S607 - its place differs by system
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip()
