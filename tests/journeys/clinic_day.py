"""A clinic's days on a clock that the test moves: the service as it runs, worked by hand.

Real are the API, the store, the wording, the transports and the sandbox. What beat would ring is
called here, at each instant at which something is due.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socket import create_server

import uvicorn
from pydantic import SecretStr

from followup.bell import Bell
from followup.bootstrap import Service, make_sender
from followup.clock import Clock
from followup.config import Settings
from followup.domain.cadence import Lane
from followup.sandbox.server import Sandbox
from followup.services import intake, sending, settling, staffing
from followup.services.links import Links
from followup.store import counts
from followup.store.crypto import keyring_of
from followup.store.db import make_engine, reading, transaction
from followup.web.app import create_app
from tests.journeys.doors import CLINICS_ZONE, Answer, Doors, Person
from tests.parallel import together
from tests.schema import ENCRYPTION_KEYS, KEYRING

ROOT = Path(__file__).parents[2]
TWILIO_ACCOUNT = "ACsandbox0000000000000000000000001"
TWILIO_TOKEN = "a-token-for-tests"

SECOND = timedelta(seconds=1)


class HandClock(Clock):
    """Stands still until it is moved."""

    def __init__(self) -> None:
        super().__init__()
        self.at = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at


class ClinicDay(Doors):
    """A clinic with its service, on the given database, and all of the time in the world."""

    def __init__(self, service: Service, clock: HandClock, sandbox: Sandbox) -> None:
        super().__init__(service.settings.public_url, sandbox.url)
        self.sandbox = sandbox
        self._service = service
        self._clock = clock
        self._sender = make_sender(service)
        self.token = self.hires("Dana")

    def it_is(self, when: str) -> None:
        """The clock jumps to the clinic's local time, and nobody works meanwhile."""
        self._clock.at = _instant(when)

    def goes_on_until(self, when: str) -> None:
        """Time passes, and what falls due is worked off at its instant."""
        end = _instant(when)
        self.works()
        while due_at := self._next_due(end):
            self._clock.at = max(due_at, self._clock.at + SECOND)
            self.works()
        self._clock.at = end
        self.works()

    def works(self) -> None:
        """Everything that beat rings, once."""
        service, now = self._service, self._clock.at
        while intake.consume(service.engine, service.planner, now):
            pass
        for lane in Lane:
            assert sending.send_due(self._sender, lane, self._clock.now)
        settling.rescue(service.engine, now)
        settling.settle(self._sender, now)
        assert self.sandbox.settle()

    def contact_from(self, person: Person, **changes: object) -> str:
        """Somebody gets in touch, and the service is at work; returns the submission's id."""
        return self._works_on(self.takes("contact", person.but(**changes)))

    def screening_from(self, person: Person, **changes: object) -> str:
        """Somebody fills in the screening, and the service is at work."""
        return self._works_on(self.takes("screening", person.but(**changes)))

    def _works_on(self, submission: str) -> str:
        self.works()
        return submission

    def hires(self, name: str) -> str:
        """A new member of staff; returns their token."""
        service = self._service
        with transaction(service.engine) as session:
            keyring = keyring_of(service.engine)
            role = staffing.StaffRole.staff
            made = staffing.add_person(session, keyring, name=name, role=role, now=self._clock.at)
        return made.token

    def mark_at_the_same_moment(self, submission: str, *tokens: str) -> list[Answer]:
        path = f"/admin/leads/{self.lead_of(submission)['id']}/contacted"
        return together(*(lambda token=token: self.post(path, token=token) for token in tokens))

    def close(self) -> None:
        for transport in self._sender.transports.values():
            transport.close()
        for threads in self._sender.threads.values():
            threads.shutdown()
        self._service.engine.dispose()

    def _next_due(self, end: datetime) -> datetime | None:
        with reading(self._service.engine) as session:
            return min(counts.oldest_due(session, end).values(), default=None)


def _instant(when: str) -> datetime:
    return datetime.fromisoformat(when).replace(tzinfo=CLINICS_ZONE).astimezone(UTC)


#: What every day has in common. Nobody listens on port 1: a day puts its own addresses there.
SETTINGS = Settings.model_validate(
    {
        "clinic_file": ROOT / "clinic.toml",
        "templates_dir": ROOT / "templates",
        "secret_keys": "tests-only-" * 4,
        "encryption_keys": ",".join(ENCRYPTION_KEYS),
        "email_from": "Harbor Light Wellness <hello@example.com>",
        "twilio_account_sid": TWILIO_ACCOUNT,
        "twilio_auth_tokens": TWILIO_TOKEN,
        "twilio_from": "+19495550100",
        "broker_url": "redis://127.0.0.1:1/0",
        "smtp_url": "smtp://127.0.0.1:1",
        "twilio_api_url": "http://127.0.0.1:1",
        "limits": "off",
    }
)


@contextmanager
def clinic_day(read: Service, database_url: str) -> Iterator[ClinicDay]:
    """The service on that database, with its API on a free port and a sandbox of its own.

    `read` has the clinic's files, which are read once for all days.
    """
    clock = HandClock()
    sandbox = Sandbox(
        account_sid=TWILIO_ACCOUNT,
        auth_token=TWILIO_TOKEN,
        port=0,
        smtp_port=0,
        now=clock.now,
        pace=0,
    )
    with sandbox, create_server(("127.0.0.1", 0)) as listening:
        sandbox.public_url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        service = _at_these_addresses(read, database_url, sandbox, clock)
        day = ClinicDay(service, clock, sandbox)
        server = uvicorn.Server(uvicorn.Config(create_app(service, Bell(_nobody)), log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield day
        finally:
            server.should_exit = True
            thread.join()
            day.close()


def _at_these_addresses(
    read: Service, database_url: str, sandbox: Sandbox, clock: Clock
) -> Service:
    addresses = {
        "database_url": database_url,
        "public_url": sandbox.public_url,
        "smtp_url": SecretStr(sandbox.smtp_url),
        "twilio_api_url": sandbox.url,
    }
    return replace(
        read,
        settings=SETTINGS.model_copy(update=addresses),
        links=Links(["tests-only-" * 4], sandbox.public_url),
        clock=clock,
        engine=make_engine(database_url, KEYRING),
    )


def _nobody(_lane: str) -> None:
    """Rings are not heard: the test calls the work itself."""
