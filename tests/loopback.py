"""Refuses every connection that is not to this machine, so that no test reaches a provider.

Child processes are guarded as well: `guard/sitecustomize.py` is on their PYTHONPATH.
"""

import ipaddress
import os
import socket
import sys
from pathlib import Path
from typing import Any

#: What was refused in this process, for the test that runs now to fail even if it was swallowed.
refused: list[str] = []

_OWN_NAMES = frozenset({"", "localhost", "localhost.localdomain", "ip6-localhost"})


class Outward(RuntimeError):
    """A test tried to reach another machine."""


def is_local(host: object) -> bool:
    """Whether a host, as the socket module is given it, is this machine."""
    if isinstance(host, bytes | bytearray):
        host = host.decode(errors="replace")
    if host is None:
        return True
    if not isinstance(host, str):
        return False
    if host.lower() in _OWN_NAMES or host == socket.gethostname():
        return True
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def guard() -> None:
    """Guard this process and those that it starts. An audit hook stays until the process ends."""
    if os.environ.get("PYTHONPATH", "").split(os.pathsep)[0] != _GUARD:
        os.environ["PYTHONPATH"] = os.pathsep.join(
            (_GUARD, _ROOT, *filter(None, [os.environ.get("PYTHONPATH")]))
        )
    if not _installed:
        _installed.append(True)
        sys.addaudithook(_refuse_outward)


_ROOT = str(Path(__file__).resolve().parent.parent)
_GUARD = str(Path(__file__).resolve().parent / "guard")
_installed: list[bool] = []


def _refuse_outward(event: str, arguments: tuple[Any, ...]) -> None:
    if event in {"socket.connect", "socket.sendto"}:
        address = arguments[1]
        # Unix sockets have a path for an address, the internet's have a tuple.
        host = address[0] if isinstance(address, tuple) else None
    elif event in {"socket.getaddrinfo", "socket.gethostbyname"}:
        host = arguments[0]
    else:
        return
    if not is_local(host):
        refused.append(f"{event} to {host!r}")
        raise Outward(f"a test may not reach another machine: {refused[-1]}")
