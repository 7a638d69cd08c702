"""Whatever the broker does, workers, beat and the bell go on by themselves, and nothing is lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.black_hole import BlackHole
from tests.chaos.clinic import PATIENCE, Clinic
from tests.crew import Crew
from tests.servers import Valkey, find_free_port, stopped
from tests.waiting import eventually


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """It has forgotten everything when it starts."""
    folder = tmp_path_factory.mktemp("broker")
    with Valkey(folder, port=find_free_port(), forgetful=True) as broker:
        yield broker


@pytest.fixture(scope="module")
def clinic(broker: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    with (
        BlackHole(broker.port or 0) as hole,
        Crew(tmp_path_factory.mktemp("crew"), f"redis://127.0.0.1:{hole.port}/0") as crew,
    ):
        clinic = Clinic(crew, hole)
        clinic.assert_goes_on()
        yield clinic


def test_a_broker_that_is_emptied_is_filled_again(clinic: Clinic, broker: Valkey) -> None:
    assert broker.ask("FLUSHALL") == "+OK"

    clinic.assert_goes_on()
    clinic.assert_answers_health_checks()


def test_a_broker_that_forgot_everything_when_it_was_killed_is_enough(
    clinic: Clinic, broker: Valkey
) -> None:
    during = clinic.meet(3)
    broker.kill()
    taken = clinic.takes_at_once(*during)
    broker.start()

    assert taken
    clinic.assert_goes_on(*during)


def test_a_broker_that_froze_is_used_again_when_it_thaws(clinic: Clinic, broker: Valkey) -> None:
    during = clinic.meet(3)
    with broker.frozen():
        taken = clinic.takes_at_once(*during)
        eventually(lambda: "does not hear the bell" in clinic.api.output)

    assert taken
    clinic.assert_goes_on(*during)


def test_connections_that_went_dead_without_a_word_are_given_up(clinic: Clinic) -> None:
    assert clinic.hole.swallow() > 3

    clinic.assert_goes_on()
    clinic.hole.give_up()


def test_a_worker_that_loses_the_broker_with_a_ring_in_hand_goes_on(
    tmp_path: Path, short_directory: Path
) -> None:
    with Valkey(short_directory) as broker, Crew(tmp_path, broker.url) as crew:
        # One process has something to do, and the four rings of the start may keep four more: so
        # the worker also waits for more. Only then did it end by what it held.
        worker = crew.start_worker(processes=6)
        with stopped(*worker.children()):
            crew.ring("followup.rescue", queue="upkeep")
            eventually(lambda: broker.ask("LLEN followup:upkeep") == ":0")
            broker.kill()
            eventually(lambda: "Connection to broker lost" in worker.output)
        broker.start()
        crew.receive(1)

        eventually(lambda: crew.rings_until_acknowledged(1), within=PATIENCE)
        assert not worker.has_ended
        # kombu would write what it cannot put back to a file that nobody clears away.
        assert "DUMP STATE" not in worker.output
