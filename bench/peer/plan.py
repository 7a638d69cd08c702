"""`python -m bench.peer.plan COUNT`: leaves so many reminders in the broker, and one mail behind
them, as the peer's own API would have, but in seconds."""

import json
import os
import sys
import uuid
from collections.abc import Iterator

import redis

from bench.peer import tasks

QUEUE = "celery"
AT_ONCE = 1000


def plan(count: int) -> None:
    broker = redis.Redis.from_url(os.environ["PEER_BROKER_URL"])
    tasks.plan_reminders(uuid.uuid4())
    template = broker.rpop(QUEUE)
    assert isinstance(template, bytes)
    broker.delete(QUEUE)
    for begin in range(0, count, AT_ONCE):
        broker.lpush(QUEUE, *_copies(template, min(AT_ONCE, count - begin)))
    tasks.send_email.delay(str(uuid.uuid4()), "Alice Example", "alice@example.com")


def _copies(template: bytes, count: int) -> Iterator[str]:
    """The same reminder under other ids; the broker tells messages apart by their tags."""
    message = json.loads(template)
    for _ in range(count):
        task_id = str(uuid.uuid4())
        message["headers"] |= {"id": task_id, "root_id": task_id}
        message["properties"] |= {"correlation_id": task_id, "delivery_tag": str(uuid.uuid4())}
        yield json.dumps(message)


if __name__ == "__main__":
    plan(int(sys.argv[1]))
    print("planned", flush=True)
