"""How long we wait for a request's head, which uvicorn by itself does for ever: connections that
say nothing, or a byte a minute, would in the end be all that there are ("slowloris")."""

import asyncio
from asyncio.events import TimerHandle
from datetime import timedelta

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: From the connection, or from the first byte of a further request, to the end of its head.
HEAD_WITHIN = timedelta(seconds=10)


class PatientProtocol(HttpToolsProtocol):
    """HTTP as uvicorn speaks it, with an end to waiting."""

    _head_timer: TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._wait_for_head()

    def on_headers_complete(self) -> None:
        self._stop_waiting()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(
                HEAD_WITHIN.total_seconds(), self.transport.close
            )

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
