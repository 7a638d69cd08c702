"""Celery's configuration: queues, and a reason where a value is not the default."""

import socket
from typing import Any

from kombu import Queue

from followup.config import Settings
from followup.domain.cadence import Lane

#: Queues: one per lane, one for what came in, one for upkeep.
QUEUES = (*(lane.value for lane in Lane), "intake", "upkeep")

#: Where beat rings each second. Every worker of a lane or of the intake hears it, whatever its own
#: queues are, so that whoever is idle looks.
BEAT_QUEUE = "beat"

#: A ring that nobody took for that long is dropped; beat rings again anyway.
RING_EXPIRES_SECONDS = 5

#: Probes after 10 s of silence, and the end 15 s later; the system's own is two hours.
_KEEPALIVE = {
    getattr(socket, name): value
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
    if hasattr(socket, name)
}


def celery_settings(settings: Settings, *, rings_only: bool = False) -> dict[str, Any]:
    """Celery's configuration. `rings_only` is for the API's bell: give up at once.

    Reasons stand where a value is not the default. No result backend, no ETA, no acks to trust:
    a message is a doorbell, and what is owed is in the database.
    """
    is_redis = (settings.broker_url or "").startswith("redis")
    # All zero, and not `retry=False`, is what makes a publish fail at once: kombu hands this
    # policy to its connect loop only while retrying is on.
    policy = {
        "max_retries": 0 if rings_only else 2,
        "interval_start": 0,
        "interval_step": 0 if rings_only else 0.2,
        "interval_max": 0 if rings_only else 0.5,
    }
    return {
        "broker_url": settings.broker_url,
        "broker_connection_retry_on_startup": True,
        # The default gives up after 100 tries; a broker may be gone longer than that.
        "broker_connection_max_retries": None,
        "broker_pool_limit": 10,
        # The default waits for ever.
        "broker_pool_acquire_timeout": 1 if rings_only else 5,
        "broker_transport_options": (
            _redis_options(rings_only) if is_redis else _amqp_options(rings_only)
        ),
        # A worker gives up a connection that was silent for two or three of these.
        **({} if is_redis else {"broker_heartbeat": 6}),
        "result_backend": None,
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": False,
        "task_serializer": "json",
        "accept_content": ["json"],
        # Beat never sees a change of clocks.
        "enable_utc": True,
        "timezone": "UTC",
        "task_publish_retry_policy": policy,
        # Early acks: the row has a lease, and late acks would only run it twice.
        "task_acks_late": False,
        "task_reject_on_worker_lost": False,
        # More than a run (10 s) and its slowest batch (45 s); prefork only.
        "task_time_limit": 90,
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": is_redis,
        # True would cut sends in the middle.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_enable_prefetch_count_reduction": False,
        "worker_send_task_events": False,
        "worker_hijack_root_logger": False,
        # A typo in a queue's name is an error, not a queue that nobody reads.
        "task_create_missing_queues": False,
        "task_default_queue": "upkeep",
        # The routing key is given, because a bare Queue takes the default queue's.
        "task_queues": [_queue(name, is_redis) for name in (*QUEUES, BEAT_QUEUE)],
        # In memory: no file to corrupt or to find read-only.
        "beat_scheduler": "celery.beat:Scheduler",
        "beat_max_loop_interval": 1,
        "beat_enable_remote_control": True,
        "beat_remote_control_max_tick_age": 15,
    }


def _redis_options(rings_only: bool) -> dict[str, Any]:
    return {
        # Safe on a Redis that others use too.
        "global_keyprefix": "followup:",
        # Without a timeout, a half-open connection wedges beat for ever.
        "socket_timeout": 1 if rings_only else 5,
        "socket_connect_timeout": 1 if rings_only else 3,
        "socket_keepalive": True,
        # A connection that only listens sees by this that nobody is there any more.
        "socket_keepalive_options": _KEEPALIVE,
        "health_check_interval": 5,
        # Nothing is kept of a ring that was taken, and nothing put back later: beat rings again.
        "ack_emulation": False,
    }


def _amqp_options(rings_only: bool) -> dict[str, Any]:
    timeout = 1 if rings_only else 5
    # Who rings sees that nobody hears only by a confirmation that does not come.
    return {"confirm_publish": True, "read_timeout": timeout, "write_timeout": timeout}


def _queue(name: str, is_redis: bool) -> Queue:
    arguments = None if is_redis else {"x-queue-type": "quorum"}
    return Queue(name, routing_key=name, queue_arguments=arguments)
