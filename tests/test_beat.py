"""How beat ends. What it rings is in `test_tasks.py`."""

import signal
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
import redis
from celery.beat import Service

from followup.beat import ring_beside_worker
from followup.celery_settings import BEAT_QUEUE
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
        # A queue is made known with its first ring, which is another write.
        rung = f"followup:{BEAT_QUEUE}"
        eventually(lambda: broker.exists(rung), within=program.start_timeout_seconds)
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


def test_a_worker_whose_beat_failed_ends_to_be_started_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told, schedulers = Event(), list[str]()
    usual = signal.signal(signal.SIGTERM, lambda *_: told.set())
    monkeypatch.setenv("FOLLOWUP_BROKER_URL", "redis://127.0.0.1/0")
    monkeypatch.setattr(Service, "start", lambda self: schedulers.append(self.scheduler_cls))
    try:
        ring_beside_worker()
        assert told.wait(ENOUGH_SECONDS)
        assert schedulers == ["celery.beat:Scheduler"], "another keeps a file"
    finally:
        signal.signal(signal.SIGTERM, usual)


def _waits_for_an_answer(broker: redis.Redis) -> bool:
    clients = broker.client_list()
    return any(client["cmd"] == "lpush" and "b" in client["flags"] for client in clients)
