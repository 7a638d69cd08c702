"""What Celery is told: rings that may be lost, and no wait without end."""

from datetime import timedelta
from typing import Any

import pytest

from followup.celery_settings import BEAT_QUEUE, QUEUES, RING_EXPIRES_SECONDS, celery_settings
from followup.config import Settings
from followup.domain.cadence import Lane
from followup.services.sending import LEASE, RUN
from followup.transports.base import CALL_LIMIT

REDIS = ("redis://127.0.0.1/0", "rediss://127.0.0.1/0", "redis+socket:///s?virtual_host=0")
AMQP = ("amqp://127.0.0.1//", "amqps://127.0.0.1//")


def told(broker_url: str, *, rings_only: bool = False) -> dict[str, Any]:
    settings = Settings.model_validate({"broker_url": broker_url})
    return celery_settings(settings, rings_only=rings_only)


@pytest.mark.parametrize("broker_url", [*REDIS, *AMQP])
def test_a_message_is_a_doorbell_whatever_the_broker(broker_url: str) -> None:
    settings = told(broker_url)

    assert {name: settings[name] for name in DOORBELLS} == DOORBELLS


DOORBELLS: dict[str, object] = {
    "result_backend": None,
    "task_ignore_result": True,
    "task_store_errors_even_if_ignored": False,
    "accept_content": ["json"],
    "task_serializer": "json",
    "enable_utc": True,
    "timezone": "UTC",
    "task_acks_late": False,
    "task_reject_on_worker_lost": False,
    "task_create_missing_queues": False,
    "worker_prefetch_multiplier": 1,
    "worker_cancel_long_running_tasks_on_connection_loss": False,
    "broker_connection_retry_on_startup": True,
    "broker_connection_max_retries": None,
    "beat_scheduler": "celery.beat:Scheduler",
    "beat_max_loop_interval": 1,
}


@pytest.mark.parametrize("broker_url", [*REDIS, *AMQP])
def test_each_queue_has_a_routing_key_of_its_own(broker_url: str) -> None:
    queues = told(broker_url)["task_queues"]

    assert [(queue.name, queue.routing_key) for queue in queues] == [
        (q, q) for q in (*QUEUES, BEAT_QUEUE)
    ]
    assert told(broker_url)["task_default_queue"] in QUEUES


def test_there_is_a_queue_for_each_lane_and_for_what_is_no_lane() -> None:
    assert set(QUEUES) == {*Lane, "intake", "upkeep"}


@pytest.mark.parametrize("broker_url", REDIS)
def test_no_wait_for_a_redis_is_without_end(broker_url: str) -> None:
    settings = told(broker_url)
    options = settings["broker_transport_options"]

    assert (options["socket_timeout"], options["socket_connect_timeout"]) == (5, 3)
    assert options["health_check_interval"] == 5
    assert options["socket_keepalive"] is True
    assert sum(options["socket_keepalive_options"].values()) < 30
    assert options["global_keyprefix"] == "followup:"
    assert options["ack_emulation"] is False
    assert "retry_on_timeout" not in options
    assert settings["broker_pool_acquire_timeout"] == 5
    assert settings["worker_disable_prefetch"] is True
    assert "broker_heartbeat" not in settings


@pytest.mark.parametrize("broker_url", AMQP)
def test_rabbitmq_confirms_what_it_took_and_keeps_it_on_several_nodes(broker_url: str) -> None:
    settings = told(broker_url)

    assert settings["broker_transport_options"]["confirm_publish"] is True
    assert settings["broker_heartbeat"] == 6
    assert settings["worker_disable_prefetch"] is False
    assert {str(queue.queue_arguments) for queue in settings["task_queues"]} == {
        str({"x-queue-type": "quorum"})
    }


def test_the_bell_of_the_api_gives_up_at_once() -> None:
    settings = told(REDIS[0], rings_only=True)
    options = settings["broker_transport_options"]

    assert set(settings["task_publish_retry_policy"].values()) == {0}
    assert (options["socket_timeout"], options["socket_connect_timeout"]) == (1, 1)
    assert settings["broker_pool_acquire_timeout"] == 1


def test_the_times_of_a_run_fit_into_each_other() -> None:
    limit = timedelta(seconds=told(REDIS[0])["task_time_limit"])

    assert CALL_LIMIT < LEASE
    assert limit > RUN + CALL_LIMIT
    # Whoever held a row is dead when the provider is first asked, 60 s after the lease ran out.
    assert limit < LEASE + timedelta(seconds=60)
    assert RUN.total_seconds() > RING_EXPIRES_SECONDS
