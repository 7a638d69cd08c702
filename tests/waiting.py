"""Waiting for what other processes do, with a deadline instead of a guess."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import TypeVar

T = TypeVar("T")

ASKING_SECONDS = 0.02


def eventually(condition: Callable[[], T], within: float = 10.0) -> T:
    """The first true answer of `condition`; fails when there is none in `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        answer = condition()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {within:g} s: {_describe(condition)}"
        Event().wait(ASKING_SECONDS)


def _describe(condition: Callable[[], object]) -> str:
    code = getattr(condition, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else repr(condition)


def is_running(pid: int) -> bool:
    """Whether a process runs; one that has ended and awaits its parent's notice does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return not Path("/proc/self").exists()
    return state not in ("Z", "X")
