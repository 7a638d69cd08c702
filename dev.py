"""Makes the environment on first use and runs what a developer runs; `python3 dev.py` lists it.

Standard library only, and it parses on Python 3.8, to say there that 3.11 is needed.
"""

from __future__ import annotations

import contextlib
import filecmp
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

if sys.platform != "win32":
    import fcntl

OLDEST_PYTHON = (3, 11)

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / "bin"
STAMP = VENV / "followup-stamp"

LINT = (
    ("ruff", "format", "--check", "."),
    ("ruff", "check", "."),
    ("mypy",),
    ("lint-imports",),
)

#: What makes `requirements/NAME.txt`: no addresses in it, and the hashes of every platform's files.
COMPILE = (
    *("pip", "compile", "pyproject.toml", "--universal", "--generate-hashes", "--quiet"),
    *("--no-emit-index-url", "--python-version", "3.11", "--no-header"),
)
LOCKS = {"run": (), "dev": ("--group", "dev")}


class Refused(Exception):
    """The answer is one line for the user; `status` is the exit status."""

    def __init__(self, message: str, status: int = 2) -> None:
        super().__init__(message)
        self.status = status


def setup(arguments: Sequence[str]) -> int:
    """make the environment in .venv, for running and for developing"""
    _take_no(arguments)
    make_environment("dev")
    return 0


def run(arguments: Sequence[str]) -> int:
    """start everything on this machine; arguments go to `followup up`, such as --fast"""
    make_environment("run")
    os.chdir(ROOT)
    os.execv(BIN / "followup", [str(BIN / "followup"), "up", *arguments])


def test(arguments: Sequence[str]) -> int:
    """run the tests; arguments go to pytest, such as tests/domain or -k quiet"""
    make_environment("dev")
    return _call("pytest", *side_by_side(arguments), *arguments)


def check(arguments: Sequence[str]) -> int:
    """what CI demands: format, lint, types, layers, locks and tests (--no-tests leaves them out)"""
    if set(arguments) - {"--no-tests"}:
        raise Refused(f"check: expected nothing or --no-tests, got {shlex.join(arguments)}")
    make_environment("dev")
    failed = [shlex.join(command) for command in LINT if _call(*command)]
    if _compare_locks():
        failed.append("dev.py lock --check")
    if "--no-tests" not in arguments and test(()):
        failed.append("dev.py test")
    print("check: all good" if not failed else f"check: failed: {'; '.join(failed)}", flush=True)
    return 1 if failed else 0


def bench(arguments: Sequence[str]) -> int:
    """measure; `bench NAME` runs one of them"""
    if not (ROOT / "bench").is_dir():
        raise Refused("bench: there are no benchmarks yet", status=1)
    make_environment("dev")
    return _call("python", "-m", "bench", *arguments)


def lock(arguments: Sequence[str]) -> int:
    """compile requirements/ from pyproject.toml with uv; --check compares, --upgrade renews"""
    if set(arguments) - {"--check", "--upgrade"}:
        raise Refused(f"lock: expected --check or --upgrade, got {shlex.join(arguments)}")
    uv = shutil.which("uv")
    if uv is None:
        raise Refused("lock: uv is needed on PATH (https://docs.astral.sh/uv/)")
    if "--check" in arguments:
        return _compare_locks()
    for name in LOCKS:
        _compile(uv, name, ROOT / "requirements", "--upgrade" in arguments)
    return 0


VERBS: dict[str, Callable[[Sequence[str]], int]] = {
    "setup": setup,
    "run": run,
    "test": test,
    "check": check,
    "bench": bench,
    "lock": lock,
}


def main(arguments: Sequence[str]) -> int:
    if sys.version_info < OLDEST_PYTHON:
        found = ".".join(map(str, sys.version_info[:3]))
        raise Refused(f"Python 3.11 or newer is needed; this is {found}")
    if sys.platform == "win32":
        raise Refused("Linux or macOS is needed; on Windows, use WSL")
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        print("usage: python3 dev.py VERB [ARGUMENT…]\n")
        print("\n".join(f"  {name:<6} {verb.__doc__}" for name, verb in VERBS.items()))
        return 0
    verb = VERBS.get(arguments[0])
    if verb is None:
        raise Refused(f"expected one of {', '.join(VERBS)}; got {arguments[0]!r}")
    return verb(arguments[1:])


def make_environment(name: str) -> None:
    """Have `.venv` hold what `requirements/NAME.txt` says; `dev` includes `run`.

    Commands that start at the same time wait for the first. What was begun and not finished, or
    made for another Python, lock or place, is made anew.
    """
    if _is_stamped(name):
        return
    with _alone():
        if _is_stamped(name):
            return
        keep = _is_stamped("run")
        uv = shutil.which("uv")
        if uv is None and not keep:
            _demand_venv_module()
        print(f"making .venv from requirements/{name}.txt, once …", file=sys.stderr, flush=True)
        if not keep and VENV.exists():
            shutil.rmtree(VENV)
        # Without a stamp from here on: killed in between, the next command starts afresh.
        STAMP.unlink(missing_ok=True)
        _install_with_uv(uv, name) if uv else _install_with_pip(name)
        _link_checkout()
        _write_stamp(name)


def _is_stamped(name: str) -> bool:
    try:
        found = STAMP.read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    # A Python that was uninstalled leaves a link that leads nowhere.
    return _describe(name) in found and (BIN / "python").exists()


def _describe(name: str) -> str:
    locked = hashlib.sha256((ROOT / "requirements" / f"{name}.txt").read_bytes()).hexdigest()
    return f"{name} {locked} Python {sys.version_info[0]}.{sys.version_info[1]} {ROOT}"


def _write_stamp(name: str) -> None:
    names = ("run", "dev") if name == "dev" else ("run",)
    new = STAMP.with_suffix(".new")
    new.write_text("\n".join(map(_describe, names)), encoding="utf-8")
    new.replace(STAMP)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Wait until no other dev.py of this checkout makes the environment."""
    # This file is locked, because it is there before anything is made, and stays.
    with Path(__file__).open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _install_with_uv(uv: str, name: str) -> None:
    if not BIN.exists():
        _must(uv, "venv", "--quiet", "--no-project", "--python", _python(), str(VENV))
    _must(uv, "pip", "install", "--quiet", "--python", str(BIN / "python"), *_hashed(name))


def _install_with_pip(name: str) -> None:
    if not (BIN / "pip").exists():
        _must(_python(), "-m", "venv", str(VENV))
    quiet = ("-qq", "--disable-pip-version-check", "--no-input")
    # Compiling thousands of modules that are never imported would double the time.
    _must(str(BIN / "python"), "-m", "pip", "install", "--no-compile", *quiet, *_hashed(name))


def _hashed(name: str) -> Sequence[str]:
    requirements = str(ROOT / "requirements" / f"{name}.txt")
    return ("--require-hashes", "--only-binary", ":all:", "-r", requirements)


def _python() -> str:
    """Not sys.executable, which may be of the very environment that is made anew."""
    return str(getattr(sys, "_base_executable", sys.executable))


def _demand_venv_module() -> None:
    """Debian has `venv` without what it needs: asking for `ensurepip` tells before it is tried."""
    asked = subprocess.run([_python(), "-m", "ensurepip", "--version"], capture_output=True)
    if asked.returncode:
        raise Refused("Python's venv module is missing: apt install python3-venv (or install uv)")


def _link_checkout() -> None:
    """`import followup` and the command `followup`, both from this checkout, without a build."""
    (packages,) = VENV.glob("lib/python3.*/site-packages")
    (packages / "followup.pth").write_text(f"{ROOT}\n", encoding="utf-8")
    command = BIN / "followup"
    # -P: a folder that happens to be called like one of our libraries must not be imported.
    python = shlex.quote(str(BIN / "python"))
    command.write_text(f'#!/bin/sh\nexec {python} -P -m followup "$@"\n', encoding="utf-8")
    command.chmod(0o755)


def side_by_side(arguments: Sequence[str]) -> Sequence[str]:
    """As many workers as processors, unless the user says how many or wants to debug."""
    if {"--pdb", "--trace", "--collect-only", "--co"} & set(arguments):
        return ()
    if any(argument.startswith(("-n", "--numprocesses")) for argument in arguments):
        return ()
    return ("-n", str(os.cpu_count() or 1))


def _compare_locks() -> int:
    """1 when a lock differs from what pyproject.toml gives; without uv nobody can tell."""
    uv = shutil.which("uv")
    if uv is None:
        print("locks: not compared, because uv is not on PATH", flush=True)
        return 0
    differ = []
    with tempfile.TemporaryDirectory() as scratch:
        for name in LOCKS:
            # From a copy, because what is locked already is kept, as it is by `lock`.
            new = shutil.copy(ROOT / "requirements" / f"{name}.txt", scratch)
            _compile(uv, name, Path(scratch), upgrade=False)
            if not filecmp.cmp(new, ROOT / "requirements" / f"{name}.txt", shallow=False):
                differ.append(f"requirements/{name}.txt")
    if differ:
        print(f"locks: {', '.join(differ)} is stale: run `python3 dev.py lock`", flush=True)
    return 1 if differ else 0


def _compile(uv: str, name: str, folder: Path, upgrade: bool) -> None:
    output = ("-o", str(folder / f"{name}.txt"))
    _must(uv, *COMPILE, *LOCKS[name], *output, *(("--upgrade",) if upgrade else ()))


def _call(program: str, *arguments: str) -> int:
    """Run a program of the environment, showing the command; returns its exit status."""
    print(f"$ {shlex.join((program, *arguments))}", flush=True)
    return subprocess.run([str(BIN / program), *arguments], cwd=ROOT).returncode


def _must(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, env=_environment(), stdout=subprocess.DEVNULL)
    if done.returncode:
        raise Refused(f"failed: {shlex.join(command)}", status=1)


def _environment() -> dict[str, str]:
    """The user's own, with uv kept from fetching Pythons and from ignoring the system's
    certificates, without which it fails behind a company's proxy."""
    uv = {"UV_SYSTEM_CERTS": "1", "UV_PYTHON_DOWNLOADS": "never"}
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path(os.environ.get("HOME", "/")) / ".cache")
    existing = next(folder for folder in (cache, *cache.parents) if folder.exists())
    # uv refuses to work where it cannot keep its cache, as for a user without a home.
    if not os.access(existing, os.W_OK):
        uv["UV_NO_CACHE"] = "1"
    return {**uv, **os.environ}


def _take_no(arguments: Sequence[str]) -> None:
    if arguments:
        raise Refused(f"expected no arguments, got {shlex.join(arguments)}")


def leave() -> NoReturn:
    try:
        sys.exit(main(sys.argv[1:]))
    except Refused as refused:
        print(f"dev.py: {refused}", file=sys.stderr)
        sys.exit(refused.status)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    leave()
