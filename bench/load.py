"""Who submits the forms: as fast as answers come, or so many a second whatever the answers take.

Raw HTTP/1.1 over connections that are kept open, so that the client is not what is measured.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from bench.people import address_of, contact_of

#: A request that is not answered for that long ends the measurement.
PATIENCE_SECONDS = 60

#: Servers close a connection that was idle for 5 s.
MOST_IDLE_SECONDS = 3


@dataclass(frozen=True)
class Posted:
    """One request. Instants are `time.monotonic()`'s, the same in every process of the machine."""

    number: int
    #: When it was meant to go out, so that waiting for a free connection counts.
    due_at: float
    answered_at: float
    status: int

    @property
    def seconds(self) -> float:
        return self.answered_at - self.due_at


def post_all(url: str, numbers: Sequence[int], *, connections: int = 16) -> list[Posted]:
    """Submit for these people as fast as the answers come, over so many connections.

    Raises RuntimeError when one was not taken.
    """
    return asyncio.run(_post(url, [(None, number) for number in numbers], connections))


def post_steadily(
    url: str, numbers: Sequence[int], *, per_second: float, connections: int = 32
) -> list[Posted]:
    """Submit for these people at a fixed rate, however long the answers take.

    Raises RuntimeError when one was not taken.
    """
    # The connections are opened first, and none is idle for so long that the server closes it.
    begin = time.monotonic() + 0.2
    plan = [(begin + index / per_second, number) for index, number in enumerate(numbers)]
    width = max(1, min(connections, int(per_second * MOST_IDLE_SECONDS)))
    return asyncio.run(_post(url, plan, width))


async def _post(
    url: str, plan: Sequence[tuple[float | None, int]], connections: int
) -> list[Posted]:
    waiting = list(reversed(plan))
    posted: list[Posted] = []
    width = min(connections, len(plan))
    async with asyncio.TaskGroup() as group:
        for _ in range(width):
            group.create_task(_keep_posting(url, waiting, posted))
    if refused := [one for one in posted if one.status != 202]:
        raise RuntimeError(f"{len(refused)} submissions were not taken; one: {refused[0]}")
    return sorted(posted, key=lambda one: one.due_at)


async def _keep_posting(
    url: str, waiting: list[tuple[float | None, int]], posted: list[Posted]
) -> None:
    """One connection, until nothing is waiting. Whoever is free takes the next that is due."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        while waiting:
            due_at, number = waiting.pop()
            request = _request(parts.netloc, number)
            if due_at is not None:
                await asyncio.sleep(max(0.0, due_at - time.monotonic()))
            sent_at = time.monotonic()
            writer.write(request)
            status = await asyncio.wait_for(_answer(reader), PATIENCE_SECONDS)
            posted.append(Posted(number, due_at or sent_at, time.monotonic(), status))
    finally:
        writer.close()


def _request(host: str, number: int) -> bytes:
    body = json.dumps(contact_of(number)).encode()
    return (
        f"POST /submissions/contact HTTP/1.1\r\nHost: {host}\r\n"
        f"Content-Type: application/json\r\nX-Forwarded-For: {address_of(number)}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n".encode()
        + body
    )


async def _answer(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.partition(b":")[2])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    )
    await reader.readexactly(length)
    return int(head.split(b" ", 2)[1])
