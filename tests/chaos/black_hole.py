"""A TCP proxy that can swallow: connections that are open stay open and carry nothing any more, as
when a firewall has forgotten them or the machine at the other end lost its power."""

import socket
import threading
from contextlib import ExitStack, suppress
from typing import Self


class _Line:
    """One client's connection, there and back."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.carries = True
        self._client, self._server = client, server
        for source, target in ((client, server), (server, client)):
            threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while chunk := source.recv(65_536):
                if self.carries:
                    target.sendall(chunk)
        if self.carries:
            self.close()

    def close(self) -> None:
        for end in (self._client, self._server):
            # A close alone would not wake the thread that reads.
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class BlackHole:
    """A proxy before a port of this machine; to be used in a `with` block."""

    def __init__(self, target_port: int) -> None:
        self._target = ("127.0.0.1", target_port)
        self._lines: list[_Line] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._listener = self._stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_exception: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._stack.close()
        for line in self._lines:
            line.close()

    def swallow(self) -> int:
        """Connections that are open carry nothing from now on; new ones do. Returns how many."""
        swallowed = [line for line in self._lines if line.carries]
        for line in swallowed:
            line.carries = False
        return len(swallowed)

    def give_up(self) -> None:
        """Whoever holds a swallowed connection is told at last, as keepalive tells in the end."""
        for line in self._lines:
            if not line.carries:
                line.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(self._target)
                except OSError:
                    client.close()
                else:
                    self._lines.append(_Line(client, server))
