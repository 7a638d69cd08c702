"""RabbitMQ for the tests: a node of one's own, beside any that the machine runs."""

import shutil
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.servers import Server, ServerMissing, find_free_port

#: Debian's program of that name on PATH runs as one account only; this is what it calls.
_DEBIAN = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


class PortMapper(Server):
    """Erlang's register of nodes; a node without one would start one that stays."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.port = find_free_port()

    @property
    def url(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def _command(self) -> Sequence[str]:
        return ("epmd", "-port", str(self.port), "-address", "127.0.0.1")

    def _answers(self) -> bool:
        return _listens(self.port)


class RabbitMQ(Server):
    """One node, for clients of this machine only."""

    start_timeout_seconds = 60.0

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._program = find_rabbitmq()
        (directory / "mapper").mkdir()
        self._mapper = PortMapper(directory / "mapper")
        self.port = find_free_port()

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def __enter__(self) -> Self:
        self._mapper.start()
        return super().__enter__()

    def __exit__(self, *exception: object) -> None:
        super().__exit__(*exception)
        self._mapper.stop()

    def _command(self) -> Sequence[str]:
        settings = {
            # Then the script becomes the node, and a signal to it reaches the node.
            "RUNNING_UNDER_SYSTEMD": "1",
            "HOME": self.directory,
            "ERL_EPMD_PORT": self._mapper.port,
            "RABBITMQ_CONF_ENV_FILE": self.directory / "none",
            "RABBITMQ_CONFIG_FILE": self.directory / "none",
            "RABBITMQ_ENABLED_PLUGINS_FILE": self.directory / "none",
            "RABBITMQ_NODENAME": f"followup-{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": self.port,
            "RABBITMQ_DIST_PORT": find_free_port(),
            "RABBITMQ_MNESIA_BASE": self.directory / "mnesia",
            "RABBITMQ_LOG_BASE": self.directory / "log",
            "RABBITMQ_PID_FILE": self.directory / "pid",
            # Schedulers that wait busily would take the machine from the tests.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none",
        }
        given = (f"{name}={value}" for name, value in settings.items())
        return ("/usr/bin/env", *given, str(self._program))

    def _answers(self) -> bool:
        # A node listens when everything else of it is there.
        return _listens(self.port)


def find_rabbitmq() -> Path:
    if _DEBIAN.exists():
        return _DEBIAN.resolve()
    if found := shutil.which("rabbitmq-server"):
        return Path(found).resolve()
    raise ServerMissing("install rabbitmq-server")


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
