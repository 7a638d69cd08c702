"""Whether the broker answers: `/readyz` and `followup doctor` ask."""

from typing import Any

import redis
from celery import Celery
from kombu.exceptions import OperationalError
from redis.backoff import NoBackoff
from redis.retry import Retry

from followup.config import Settings


def broker_answers(settings: Settings) -> bool:
    """Whether the broker answers within about a second."""
    url = settings.broker_url
    if url is None:
        return False
    # The client's own retries would make a second four.
    once: Any = Retry(NoBackoff(), 0)
    try:
        if url.startswith("redis+socket://"):
            path = url.removeprefix("redis+socket://").partition("?")[0]
            client: Any = redis.Redis(unix_socket_path=path, socket_timeout=1, retry=once)
        elif url.startswith("redis"):
            client = redis.Redis.from_url(
                url, socket_timeout=1, socket_connect_timeout=1, retry=once
            )
        else:
            with Celery(set_as_current=False, broker=url).connection_for_write() as connection:
                connection.ensure_connection(max_retries=1, interval_start=0, timeout=1)
                return True
        with client:
            return bool(client.ping())
    except (redis.RedisError, OperationalError, OSError, ValueError):
        return False
