"""What runs by the clock. What a ring means is in `tasks.py`, which beat need not import."""

import logging
import os
import signal
from threading import Thread, current_thread, main_thread
from typing import Any

from celery import Celery, signals
from celery.beat import Service
from celery.schedules import crontab

from followup.celery_settings import BEAT_QUEUE, RING_EXPIRES_SECONDS, celery_settings
from followup.config import ENV_FILE, read_settings
from followup.logs import configure_logging

#: Seconds between two looks at every lane and at what came in.
RHYTHM = 1.0
#: In a demo whose day takes two minutes, a second is twelve minutes: too coarse for a reminder.
DEMO_RHYTHM = 0.2


def beat_table(rhythm: float) -> dict[str, dict[str, Any]]:
    """Everything that runs by the clock. Intervals begin anew with beat; the rows remember."""
    seldom = {"schedule": 15.0, "options": {"queue": "upkeep", "expires": 15}}
    return {
        "ring where something is due": {
            "task": "followup.ring_due",
            "schedule": rhythm,
            "options": {"queue": BEAT_QUEUE, "expires": RING_EXPIRES_SECONDS},
        },
        "rescue what lost workers held": {"task": "followup.rescue", **seldom},
        "ask about unknown outcomes": {"task": "followup.settle", **seldom},
        "watch over all of it": {"task": "followup.watch", **seldom},
        "heed texts that were left over": {"task": "followup.heed_left", **seldom},
        "tell of who waits, and of the week": {
            "task": "followup.summarise",
            "schedule": 60.0,
            "options": {"queue": "upkeep", "expires": 60},
        },
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


def _configuration() -> dict[str, Any]:
    settings = read_settings(ENV_FILE).checked("broker_url")
    rhythm = DEMO_RHYTHM if settings.has_demo_clock else RHYTHM
    return {**celery_settings(settings), "beat_schedule": beat_table(rhythm)}


app = Celery("followup", set_as_current=False)
app.add_defaults(_configuration)


@signals.beat_init.connect
def end_between_rings(sender: Any, **_: Any) -> None:
    """Have `followup beat` end after the ring that it is at.

    Celery's own handler closes the connection and raises SystemExit; amid a ring, the closed
    connection's error takes its place and beat goes on for ever.
    """

    if current_thread() is not main_thread():
        return

    def stop(*_: Any) -> None:
        # Not from within the handler, which may have interrupted the logging that this does.
        Thread(target=sender.stop).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)


def ring_beside_worker() -> None:
    """Ring from a thread of this worker, as `followup beat` would, for as long as it lives.

    Should the thread end, which only a fault makes it do, the process is told to end: whoever keeps
    it alive then starts both anew.
    """
    # Not its own default, which keeps a file: the rows remember.
    service = Service(app, scheduler_cls=app.conf.beat_scheduler, remote_control=False)

    def ring() -> None:
        try:
            service.start()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    Thread(target=ring, name="beat", daemon=True).start()


@signals.setup_logging.connect
def log_as_we_do(**_: Any) -> None:
    """Of a worker, too."""
    configure_logging(read_settings(ENV_FILE))
    logging.getLogger("celery").setLevel(logging.INFO)
