"""Keeps the shared servers of one test run: started on first request, the same for every worker.

A process of its own, which ends with the test run however that ends, and its servers with it.
"""

import os
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.servers import NativeRedis, PostgreSQL, Server, ServerMissing, Valkey

#: Where the running keeper listens; set by the process that pytest was started as.
ADDRESS = "FOLLOWUP_TEST_KEEPER"

ANSWER_TIMEOUT_SECONDS = 90.0

_KINDS: dict[str, Callable[[Path], Server]] = {
    "postgresql-18": lambda directory: PostgreSQL(directory, "18"),
    "postgresql-16": lambda directory: PostgreSQL(directory, "16"),
    "valkey": Valkey,
    "redis": NativeRedis,
}


class Keeper:
    """The keeper's process, as the process that pytest was started as holds it."""

    def __init__(self) -> None:
        # Short, because a unix socket's path is limited to about 100 bytes.
        directory = Path(tempfile.mkdtemp(prefix="fu-"))
        os.environ[ADDRESS] = str(directory / "keeper")
        with socket.socket(socket.AF_UNIX) as listener:
            # Listening before the keeper runs, so that nobody has to wait until it does.
            listener.bind(os.environ[ADDRESS])
            listener.listen(64)
            self._process = subprocess.Popen(
                (sys.executable, "-m", "tests.keeper", directory, str(listener.fileno())),
                stdin=subprocess.PIPE,
                cwd=Path(__file__).parent.parent,
                pass_fds=(listener.fileno(),),
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def close(self) -> None:
        """Returns when every server is stopped and nothing is left on the disk."""
        with suppress(BrokenPipeError):
            self._process.communicate(b"end")


def ask_for(kind: str, owner: str = "all") -> str:
    """The URL of a running server. Servers of other owners are other servers.

    Raises ServerMissing where this machine has none, RuntimeError when it does not start.
    """
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(ANSWER_TIMEOUT_SECONDS)
        client.connect(os.environ[ADDRESS])
        client.sendall(f"{kind} {owner}\n".encode())
        outcome, _, text = client.makefile().read().partition(" ")
    if outcome == "missing":
        raise ServerMissing(text)
    if outcome != "url":
        raise RuntimeError(text or "the keeper of the test servers ended")
    return text


def keep(directory: Path, listener: socket.socket) -> None:
    """Answer requests until standard input says something or ends."""
    servers: dict[str, Server] = {}
    try:
        with listener, selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            selector.register(sys.stdin, selectors.EVENT_READ)
            while all(key.fileobj is listener for key, _ in selector.select()):
                client, _ = listener.accept()
                with client, suppress(OSError):
                    request = client.makefile().readline()
                    client.sendall(_answer(request, servers, directory).encode())
    finally:
        for server in servers.values():
            server.stop()
        shutil.rmtree(directory, ignore_errors=True)


def _answer(request: str, servers: dict[str, Server], directory: Path) -> str:
    try:
        if request not in servers:
            servers[request] = _start(request.split()[0], directory)
    except ServerMissing as missing:
        return f"missing {missing}"
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        return f"failed {error}"
    return f"url {servers[request].url}"


def _start(kind: str, directory: Path) -> Server:
    # PostgreSQL may run as another account, which has to get this far.
    directory.chmod(0o755)
    own = Path(tempfile.mkdtemp(prefix=f"{kind[:2]}-", dir=directory))
    server = _KINDS[kind](own)
    server.start()
    return server


if __name__ == "__main__":
    keep(Path(sys.argv[1]), socket.socket(fileno=int(sys.argv[2])))
