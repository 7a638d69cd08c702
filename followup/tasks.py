"""What runs by the clock, and the shallow tasks behind it. A task is a doorbell: no payload."""

import logging
import signal
import time
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import structlog
from celery import Celery, Task, signals
from celery.schedules import crontab
from kombu.transport import redis as redis_broker

from followup.bootstrap import make_mailbox, worker_sender, worker_service
from followup.celery_settings import RING_EXPIRES_SECONDS, celery_settings
from followup.config import read_settings
from followup.domain.cadence import Lane
from followup.errors import TransportError
from followup.gate import Gate
from followup.logs import configure_logging
from followup.services import (
    auditing,
    bouncing,
    erasing,
    heeding,
    intake,
    pruning,
    sending,
    settling,
    watching,
)
from followup.store.db import UNUSABLE, cause_of

log = structlog.get_logger()

#: Seconds between two rings of a lane.
RHYTHM = 1.0
#: In a demo whose day takes two minutes, a second is twelve minutes: too coarse for a reminder.
DEMO_RHYTHM = 0.2


def beat_table(rhythm: float) -> dict[str, dict[str, Any]]:
    """Everything that runs by the clock. Intervals begin anew with beat; the rows remember."""
    often = {"schedule": rhythm}
    seldom = {"schedule": 15.0, "options": {"queue": "upkeep", "expires": 15}}
    return {
        **{
            f"send what is due in {lane}": {
                "task": "followup.send_due",
                "args": (lane.value,),
                "options": {"queue": lane.value, "expires": RING_EXPIRES_SECONDS},
                **often,
            }
            for lane in Lane
        },
        "consume what came in": {
            "task": "followup.consume",
            "options": {"queue": "intake", "expires": RING_EXPIRES_SECONDS},
            **often,
        },
        "rescue what lost workers held": {"task": "followup.rescue", **seldom},
        "ask about unknown outcomes": {"task": "followup.settle", **seldom},
        "watch over all of it": {"task": "followup.watch", **seldom},
        "heed texts that were left over": {"task": "followup.heed_left", **seldom},
        "seal the audit trail": {
            "task": "followup.seal",
            "schedule": 5.0,
            "options": {"queue": "upkeep", "expires": 5},
        },
        "tell where the audit trail ends": {
            "task": "followup.tell_head",
            "schedule": crontab(minute="47"),
            "options": {"queue": "upkeep", "expires": 3000},
        },
        "ask about receipts that never came": {
            "task": "followup.reconcile",
            # By the clock, and not by an interval, which would begin anew with each start of beat.
            "schedule": crontab(minute="17"),
            "options": {"queue": "upkeep", "expires": 3000},
        },
        "finish what erasures could not do yet": {
            "task": "followup.finish_erasures",
            "schedule": crontab(minute="37"),
            "options": {"queue": "upkeep", "expires": 3000},
        },
        "delete what was kept long enough": {
            "task": "followup.prune",
            # UTC: night in the Americas.
            "schedule": crontab(hour="9", minute="47"),
            "options": {"queue": "upkeep", "expires": 3000},
        },
        "read the bounces that arrived": {
            "task": "followup.read_bounces",
            "schedule": 60.0,
            "options": {"queue": "upkeep", "expires": 60},
        },
    }


#: Where the run of a lane hears that somebody rang meanwhile.
_RINGS = {lane: sending.Events() for lane in Lane}
#: In a worker with threads, a slow lane must not take up every one of them.
_GATES = {lane: Gate(partial(_RINGS[lane].put, None)) for lane in Lane}

# A worker that lost its Redis would put the rings that it holds back through the connection that it
# has just closed, and end by that (kombu 5.7). A ring needs no putting back: beat rings again.
redis_broker.Channel.do_restore = False


#: Rings that were last in vain.
_IN_VAIN: set[tuple[str, tuple[Any, ...]]] = set()


class Doorbell(Task):  # type: ignore[misc]
    """A task that without a database is done in vain: one line says so, and beat rings again."""

    def __call__(self, *args: Any) -> None:
        ring = (self.name, args)
        try:
            super().__call__(*args)
        except UNUSABLE as error:
            if ring not in _IN_VAIN:
                log.error("the database cannot be used", task=self.name, cause=cause_of(error))
            _IN_VAIN.add(ring)
        else:
            _IN_VAIN.discard(ring)


app = Celery("followup", task_cls=Doorbell)


def _configuration() -> dict[str, Any]:
    settings = read_settings(Path(".env")).checked("broker_url")
    rhythm = DEMO_RHYTHM if settings.has_demo_clock else RHYTHM
    return {**celery_settings(settings), "beat_schedule": beat_table(rhythm)}


app.add_defaults(_configuration)


@app.task(name="followup.consume")
def consume() -> None:
    """Make leads of what came in, then ring the lanes in which something is due at once."""
    service = worker_service()
    ends_at = time.monotonic() + sending.RUN.total_seconds()
    while taken := intake.consume(
        service.engine, service.planner, service.now(), limits=service.limits
    ):
        for lane in (Lane.ack, Lane.staff):
            ring(lane)
        # What is left is the next ring's: beat rings each second.
        if taken < intake.BATCH or time.monotonic() >= ends_at:
            break


@app.task(name="followup.send_due")
def send_due(lane: str) -> None:
    """Send what is due in a lane; a lane that is not empty when the time is up rings again."""
    _GATES[Lane(lane)].enter(lambda: _send_due(Lane(lane)))


def _send_due(lane: Lane) -> None:
    if not sending.send_due(worker_sender(), lane, worker_service().now, _RINGS[lane]):
        ring(lane)


@app.task(name="followup.rescue")
def rescue() -> None:
    service = worker_service()
    settling.rescue(service.engine, service.now())


@app.task(name="followup.settle")
def settle() -> None:
    settling.settle(worker_sender(), worker_service().now())


@app.task(name="followup.watch")
def watch() -> None:
    service = worker_service()
    watching.watch(
        service.engine,
        service.planner,
        service.now(),
        caps=service.caps,
        rate=service.settings.clock_rate,
    )


@app.task(name="followup.heed_left")
def heed_left() -> None:
    service = worker_service()
    heeding.heed_left(service.engine, service.planner, service.now())


@app.task(name="followup.seal")
def seal() -> None:
    service = worker_service()
    auditing.seal(service.engine, service.now())


@app.task(name="followup.tell_head")
def tell_head() -> None:
    auditing.tell_head(worker_service().engine)


@app.task(name="followup.reconcile")
def reconcile() -> None:
    settling.reconcile(worker_sender(), worker_service().now())


@app.task(name="followup.finish_erasures")
def finish_erasures() -> None:
    sender = worker_sender()
    eraser = erasing.Eraser(sender.engine, sender.planner, sender.transports)
    erasing.finish_erasures(eraser, worker_service().now())


@app.task(name="followup.prune")
def prune() -> None:
    """What one run leaves, the next one takes."""
    service = worker_service()
    if not pruning.prune(service.engine, service.clinic.retention, service.now()):
        prune.apply_async(queue="upkeep", expires=3000)


@app.task(name="followup.read_bounces")
def read_bounces() -> None:
    """Nothing without a mailbox. A mailbox that cannot be read is tried again by the next ring."""
    service = worker_service()
    mailbox = make_mailbox(service.settings)
    if mailbox is None:
        return
    try:
        bouncing.read_bounces(
            service.engine, service.planner, service.links, mailbox, service.now()
        )
    except TransportError as error:
        log.error("the bounces could not be read", problem=str(error))


def ring(lane: Lane) -> None:
    send_due.apply_async((lane.value,), queue=lane.value, expires=RING_EXPIRES_SECONDS)


@signals.worker_process_init.connect
def warm_up(**_: Any) -> None:
    """Open everything before the first task: a patient should not wait for our imports."""
    service = worker_service()
    worker_sender()
    for site in service.clinic.sites:
        site.business_hours.next_open(service.now())


@signals.beat_init.connect
def end_between_rings(sender: Any, **_: Any) -> None:
    """Have beat end after the ring that it is at.

    Celery's own handler closes the connection and raises SystemExit; amid a ring, the closed
    connection's error takes its place and beat goes on for ever.
    """

    def stop(*_: Any) -> None:
        # Not from within the handler, which may have interrupted the logging that this does.
        Thread(target=sender.stop).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)


@signals.setup_logging.connect
def _log(**_: Any) -> None:
    configure_logging(read_settings(Path(".env")))
    logging.getLogger("celery").setLevel(logging.INFO)
