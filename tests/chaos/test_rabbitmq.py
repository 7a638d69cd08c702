"""RabbitMQ with quorum queues in place of Redis: the same doorbells, and the same recovery."""

from collections.abc import Iterator

import pytest
from kombu import Connection

from followup.celery_settings import QUEUES
from tests.chaos.black_hole import BlackHole
from tests.chaos.clinic import Clinic
from tests.crew import Crew
from tests.rabbitmq import RabbitMQ


@pytest.fixture(scope="module")
def node(rabbitmq: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    with RabbitMQ(tmp_path_factory.mktemp("rabbitmq")) as node:
        yield node


@pytest.fixture(scope="module")
def clinic(node: RabbitMQ, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    with BlackHole(node.port) as hole:
        url = f"amqp://guest:guest@127.0.0.1:{hole.port}//"
        with Crew(tmp_path_factory.mktemp("crew"), url) as crew:
            clinic = Clinic(crew, hole)
            clinic.assert_goes_on()
            yield clinic


def test_every_queue_is_one_that_is_kept_on_several_nodes(clinic: Clinic, node: RabbitMQ) -> None:
    classic = {"x-queue-type": "classic"}
    for name in QUEUES:
        with (
            Connection(node.url) as connection,
            pytest.raises(connection.channel_errors, match=r"'x-queue-type'.*'quorum'"),
        ):
            connection.channel().queue_declare(
                name, durable=True, auto_delete=False, arguments=classic
            )


def test_health_checks_are_answered(clinic: Clinic) -> None:
    clinic.assert_answers_health_checks()


def test_a_node_that_was_killed_is_used_again(clinic: Clinic, node: RabbitMQ) -> None:
    during = clinic.meet(3)
    node.kill()
    taken = clinic.takes_at_once(*during)
    state = clinic.crew.readiness()
    node.start()

    assert taken
    assert (state["status"], state["broker"]) == ("degraded", "degraded")
    clinic.assert_goes_on(*during)


def test_a_node_that_froze_is_used_again_when_it_thaws(clinic: Clinic, node: RabbitMQ) -> None:
    during = clinic.meet(3)
    with node.frozen():
        taken = clinic.takes_at_once(*during)
        assert clinic.crew.readiness()["broker"] == "degraded"

    assert taken
    clinic.assert_goes_on(*during)


@pytest.mark.long
def test_connections_that_went_dead_without_a_word_are_given_up(clinic: Clinic) -> None:
    assert clinic.hole.swallow() > 3

    clinic.assert_goes_on()
    clinic.hole.give_up()
