"""`followup` whose real minutes are seconds, in the same order, so that what a killed worker held
is settled while a test waits. `python -m tests.chaos.swift CONTROL,CONTROL worker …`"""

import sys
from datetime import timedelta
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any

from followup import beat, bootstrap, cli
from followup.domain import breaker
from followup.services import concluding, pausing, sending, settling
from followup.transports.smtp import Limits, SmtpTransport
from followup.transports.twilio import TwilioTransport

#: A call is over before its lease, and whoever held a lease is dead before anybody asks.
CALL_TIMEOUT = timedelta(seconds=1.5)
MAIL_LIMITS = Limits(until_dot=CALL_TIMEOUT, after_dot=timedelta(seconds=2.5))
CALL_LIMIT = timedelta(seconds=4)
LEASE = timedelta(seconds=6)
FIRST_ASKED_AFTER = ASKED_AGAIN_AFTER = timedelta(seconds=6)
PROBE_DELAYS = tuple(timedelta(seconds=seconds) for seconds in (1, 2, 4))
#: Of beat: for a lane as in production, whatever the clock's rate.
LANE_SECONDS, UPKEEP_SECONDS = 1.0, 1.5


def hurry() -> None:
    """From now on these times hold in this process, and in those that it forks."""
    _set(sending, LEASE=LEASE, CALL_LIMIT=CALL_LIMIT)
    _set(concluding, FIRST_ASKED_AFTER=FIRST_ASKED_AFTER)
    _set(settling, FIRST_ASKED_AFTER=FIRST_ASKED_AFTER, ASKED_AGAIN_AFTER=ASKED_AGAIN_AFTER)
    _set(breaker, PROBE_DELAYS=PROBE_DELAYS)
    _set(pausing, PROBE_DELAYS=PROBE_DELAYS)
    _set(bootstrap, SmtpTransport=partial(SmtpTransport, limits=MAIL_LIMITS))
    _set(bootstrap, TwilioTransport=partial(TwilioTransport, call_timeout=CALL_TIMEOUT))
    _set(beat, beat_table=partial(_table, beat.beat_table))


def _set(module: ModuleType, **values: object) -> None:
    for name, value in values.items():
        assert hasattr(module, name), f"{module.__name__} no longer has {name}"
        setattr(module, name, value)


def _table(usual: Any, _rhythm: float) -> dict[str, dict[str, Any]]:
    table: dict[str, dict[str, Any]] = usual(LANE_SECONDS)
    for entry in table.values():
        if entry["schedule"] == 15.0:
            entry["schedule"] = UPKEEP_SECONDS
    return table


def main() -> None:
    hurry()
    program, controls, *words = sys.argv
    if controls:
        # Imported here, because a start has no time for what only a control needs.
        patch = import_module("pytest").MonkeyPatch()
        for name in controls.split(","):
            getattr(import_module("tests.chaos.controls"), name)(patch)
    sys.argv = [program, *words]
    cli.main()


if __name__ == "__main__":
    main()
