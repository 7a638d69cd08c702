"""The shallow tasks behind what beat and the API ring. A task is a doorbell: no payload."""

import time
from functools import partial
from typing import Any

import structlog
from celery import Celery, Task, signals
from kombu.transport import redis as redis_broker

from followup.beat import log_as_we_do
from followup.bootstrap import make_mailbox, worker_announcer, worker_sender, worker_service
from followup.celery_settings import RING_EXPIRES_SECONDS, celery_settings
from followup.config import ENV_FILE, read_settings
from followup.domain.cadence import Lane
from followup.errors import TransportError
from followup.gate import Gate
from followup.services import (
    announcing,
    auditing,
    bouncing,
    erasing,
    heeding,
    intake,
    pruning,
    sending,
    settling,
    summarising,
    watching,
)
from followup.store.db import UNUSABLE, cause_of

log = structlog.get_logger()

#: Where the run of a lane hears that somebody rang meanwhile.
_RINGS = {lane: sending.Events() for lane in Lane}
#: In a worker with threads, a slow lane must not take up every one of them.
_GATES = {lane: Gate(partial(_RINGS[lane].put, None)) for lane in Lane}
#: Nor are two better than one at making leads of the same queue, or at telling other systems.
_INTAKE, _ANNOUNCING = Gate(), Gate()

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
    return celery_settings(read_settings(ENV_FILE).checked("broker_url"))


app.add_defaults(_configuration)
signals.setup_logging.connect(log_as_we_do)


@app.task(name="followup.ring_due")
def ring_due() -> None:
    """Ring each lane in which something is due or falls due before beat's next ring, and the intake
    and the announcements when something waits there."""
    service = worker_service()
    is_waiting, lanes = sending.find_due(
        service.engine, service.now(), rate=service.settings.clock_rate
    )
    if is_waiting:
        consume.apply_async(queue="intake", expires=RING_EXPIRES_SECONDS)
    for lane in lanes:
        ring(lane)
    if announcing.is_due(worker_announcer()):
        announce_due.apply_async(queue="upkeep", expires=RING_EXPIRES_SECONDS)


@app.task(name="followup.consume")
def consume() -> None:
    """Make leads of what came in, then ring the lanes in which something is due at once."""
    _INTAKE.enter(_consume)


def _consume() -> None:
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


@app.task(name="followup.summarise")
def summarise() -> None:
    service = worker_service()
    summarising.summarise(service.engine, service.planner, service.now())


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


@app.task(name="followup.announce_due")
def announce_due() -> None:
    """Tell other systems what happened."""
    _ANNOUNCING.enter(_announce)


def _announce() -> None:
    announcing.announce_due(worker_announcer())


@app.task(name="followup.prune")
def prune() -> None:
    """What one run leaves, the next one takes."""
    service = worker_service()
    given = (service.engine, service.clinic.retention, service.now())
    # What is too old for both need not move first.
    if not (pruning.prune(*given) and pruning.move_to_history(*given)):
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


def warm_up() -> None:
    """Open everything before the first task: a patient should not wait for our imports."""
    service = worker_service()
    worker_sender()
    worker_announcer()
    for site in service.clinic.sites:
        site.business_hours.next_open(service.now())


@signals.worker_process_init.connect
def part_from_parent(**_: Any) -> None:
    """A child of a pool shares what its parent has read, but no connection."""
    worker_service().engine.dispose(close=False)


@signals.worker_ready.connect
def look_at_once(sender: Any, **_: Any) -> None:
    """What fell due while no worker was there does not wait for beat's next ring."""
    heard = sender.app.amqp.queues.consume_from
    for lane in Lane:
        if lane in heard:
            ring(lane)
    if "intake" in heard:
        consume.apply_async(queue="intake", expires=RING_EXPIRES_SECONDS)
