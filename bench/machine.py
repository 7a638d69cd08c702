"""What the kernel says: of the machine, and of the processes that were started. Linux only.

CPU time is user and system, of a process, of all that it started, and of those that have ended.
"""

import os
import platform
import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")


def busy_seconds() -> float:
    """CPU time that all processors have spent on anything since the machine started."""
    fields = (PROC / "stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _idle, _iowait, irq, softirq, *_ = map(int, fields)
    return (user + nice + system + irq + softirq) / TICKS


def our_cpu_seconds() -> float:
    """CPU time of this process, of all that it started, and of those of them that have ended."""
    return cpu_seconds(os.getpid())


def cpu_seconds(*pids: int) -> float:
    """CPU time of these processes and all that they started, alive or not."""
    return sum(ticks for _, ticks in _stats(tree(*pids)).values()) / TICKS


def pss_bytes(*pids: int) -> int:
    """Memory of these processes and all that they started; what they share is counted once."""
    return sum(map(_pss_of, tree(*pids)))


def tree(*pids: int) -> list[int]:
    """These processes that are alive, and all that they started."""
    stats = _stats(int(entry.name) for entry in PROC.iterdir() if entry.name.isdecimal())
    children: dict[int, list[int]] = {}
    for pid, (parent, _) in stats.items():
        children.setdefault(parent, []).append(pid)
    found: list[int] = []
    waiting = [pid for pid in pids if pid in stats]
    while waiting:
        found.append(waiting.pop())
        waiting += children.get(found[-1], [])
    return found


def _stats(pids: Iterable[int]) -> Mapping[int, tuple[int, int]]:
    """Parent and CPU time in ticks of each process that is there."""
    found = {}
    for pid in pids:
        try:
            stat = (PROC / str(pid) / "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        # The name, in parentheses, may hold anything.
        fields = stat.rpartition(")")[2].split()
        found[pid] = int(fields[1]), sum(map(int, fields[11:15]))
    return found


def _pss_of(pid: int) -> int:
    try:
        rollup = (PROC / str(pid) / "smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    found = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def describe() -> str:
    """Processor, cores, memory, system and Python, in one line."""
    cpu = re.search(r"^model name\s*:\s*(.+)$", (PROC / "cpuinfo").read_text(), re.MULTILINE)
    memory = re.search(r"^MemTotal:\s+(\d+) kB", (PROC / "meminfo").read_text(), re.MULTILINE)
    return ", ".join(
        (
            cpu[1] if cpu else platform.machine(),
            f"{os.cpu_count()} cores",
            f"{int(memory[1]) / 1024**2:.0f} GB" if memory else "memory unknown",
            platform.freedesktop_os_release().get("PRETTY_NAME", platform.system()),
            f"kernel {platform.release()}",
            f"Python {platform.python_version()}",
        )
    )


def commit() -> str:
    done = subprocess.run(
        ("git", "describe", "--always", "--dirty"), capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"
