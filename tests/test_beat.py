"""How beat ends. What it rings is in `test_tasks.py`."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.crew import Program
from tests.servers import Valkey, find_free_port
from tests.waiting import eventually

#: A ring that gets no answer takes 5 seconds, and beat sleeps for one.
ENOUGH_SECONDS = 20


@pytest.fixture
def broker(short_directory: Path) -> Iterator[redis.Redis]:
    with (
        Valkey(short_directory, port=find_free_port()) as server,
        redis.Redis.from_url(server.url, decode_responses=True) as client,
    ):
        yield client


@pytest.fixture
def beat(tmp_path: Path, broker: redis.Redis) -> Iterator[Program]:
    port = broker.connection_pool.connection_kwargs["port"]
    environment = {"FOLLOWUP_BROKER_URL": f"redis://127.0.0.1:{port}/0"}
    with Program(tmp_path / "beat", environment, ["beat"]) as program:
        # All of them: each queue is made known with its first ring, which is another write.
        rung = [f"followup:{queue}" for queue in ("ack", "staff", "reminder", "intake")]
        eventually(lambda: broker.exists(*rung) == len(rung), within=program.start_timeout_seconds)
        yield program


def test_beat_ends_when_told_to(beat: Program) -> None:
    beat.signal(signal.SIGTERM)

    assert beat.wait(ENOUGH_SECONDS) == 0


def test_beat_ends_when_told_to_in_the_middle_of_a_ring(broker: redis.Redis, beat: Program) -> None:
    # Writes wait, and only writes: so it can be seen who waits.
    broker.client_pause(timeout=60_000, all=False)
    eventually(lambda: _waits_for_an_answer(broker))

    beat.signal(signal.SIGTERM)
    broker.client_unpause()

    assert beat.wait(ENOUGH_SECONDS) == 0


def _waits_for_an_answer(broker: redis.Redis) -> bool:
    clients = broker.client_list()
    return any(client["cmd"] == "lpush" and "b" in client["flags"] for client in clients)
