"""Rings never wait, coalesce, and are carried again once the broker is back."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from kombu.exceptions import OperationalError
from structlog.testing import capture_logs

from followup.bell import Bell
from tests.waiting import eventually


@dataclass
class Broker:
    """What rings are carried to; it can freeze, and fail with an error."""

    heard: list[str] = field(default_factory=list)
    asked: int = 0
    error: Exception | None = None
    runs: threading.Event = field(default_factory=threading.Event)

    def publish(self, lane: str) -> None:
        error = self.error
        self.asked += 1
        assert self.runs.wait(10)
        if error is not None:
            raise error
        self.heard.append(lane)


@pytest.fixture
def broker() -> Broker:
    made = Broker()
    made.runs.set()
    return made


@pytest.fixture
def bell(broker: Broker) -> Iterator[Bell]:
    made = Bell(broker.publish)
    made.start()

    yield made

    broker.runs.set()
    made.stop()


def test_a_ring_reaches_the_broker(bell: Bell, broker: Broker) -> None:
    bell.ring("intake")

    eventually(lambda: broker.heard == ["intake"])


def test_each_lane_is_rung(bell: Bell, broker: Broker) -> None:
    for lane in ("ack", "staff", "reminder"):
        bell.ring(lane)

    eventually(lambda: set(broker.heard) == {"ack", "staff", "reminder"})


def test_a_frozen_broker_delays_nobody_who_rings(bell: Bell, broker: Broker) -> None:
    broker.runs.clear()
    bell.ring("ack")
    eventually(lambda: broker.asked)

    for _ in range(10_000):
        bell.ring("ack")

    # Had one of them waited for the broker, the rings would never have ended.
    assert broker.heard == []


def test_rings_while_the_broker_is_busy_are_one_ring(bell: Bell, broker: Broker) -> None:
    broker.runs.clear()
    bell.ring("ack")
    eventually(lambda: broker.asked)
    for _ in range(100):
        bell.ring("ack")
        bell.ring("staff")
    broker.runs.set()

    eventually(lambda: len(broker.heard) == 3)
    bell.stop()

    assert sorted(broker.heard) == ["ack", "ack", "staff"]


@pytest.mark.parametrize(
    "error", [OperationalError("gone"), ConnectionRefusedError(), RuntimeError("of another kind")]
)
def test_a_ring_that_fails_does_not_end_the_bell(
    bell: Bell, broker: Broker, error: Exception
) -> None:
    broker.error = error
    bell.ring("ack")
    eventually(lambda: broker.asked)

    broker.error = None
    bell.ring("staff")

    eventually(lambda: "staff" in broker.heard)


def test_an_outage_is_told_once_and_the_next_one_again(broker: Broker) -> None:
    bell = Bell(broker.publish)

    with capture_logs() as logs:
        bell.start()
        for error in (OSError(), OSError(), None, OSError()):
            broker.error = error
            _ring_until_asked(bell, broker)
        bell.stop()

    assert [entry["event"] for entry in logs] == ["the broker does not hear the bell"] * 2


def _ring_until_asked(bell: Bell, broker: Broker) -> None:
    before = broker.asked
    bell.ring("ack")
    eventually(lambda: broker.asked > before)


def test_a_bell_that_stops_ends_its_thread_although_it_was_rung(broker: Broker) -> None:
    before = set(threading.enumerate())
    bell = Bell(broker.publish)
    bell.start()
    bell.ring("ack")

    bell.stop()

    assert set(threading.enumerate()) <= before
