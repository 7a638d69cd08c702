"""The service's own processes, started as an operator starts them, and what they share."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from random import Random
from typing import Self
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from celery import Celery
from sqlalchemy import func, select, update

from followup.bootstrap import open_service
from followup.celery_settings import celery_settings
from followup.clock import Clock
from followup.config import PREFIX, Settings
from followup.domain.cadence import Channel, Lane
from followup.domain.delivery import Status
from followup.domain.submission import Kind
from followup.sandbox.server import Sandbox
from followup.services import intake
from followup.store.db import reading, transaction
from followup.store.models import Delivery
from tests import schema
from tests.servers import Server, find_free_port, stopped

ROOT = Path(__file__).parent.parent
SID = "ACsandbox0000000000000000000000001"
TOKEN = "a-token-for-tests"
#: A Monday, ten in the morning in California: the clinic is open and texts may go.
START = datetime(2026, 11, 23, 18, tzinfo=UTC)


class Program(Server):
    """`followup` with these arguments and this environment."""

    # Imports alone take seconds on a machine that runs several tests at once.
    start_timeout_seconds = 90.0

    def __init__(
        self,
        directory: Path,
        environment: Mapping[str, str],
        arguments: Sequence[str],
        *,
        module: str = "followup",
        says: str = "",
        port: int = 0,
    ) -> None:
        directory.mkdir()
        super().__init__(directory)
        self._module = module
        self._environment = environment
        self._arguments = arguments
        self._says = says
        self._port = port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def has_ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def children(self) -> list[int]:
        """The ids of the processes that it has started, such as a worker's pool."""
        assert self._process is not None
        listed = subprocess.run(
            ("ps", "-A", "-o", "pid=,ppid="), capture_output=True, text=True, check=True
        )
        pairs = (line.split() for line in listed.stdout.splitlines())
        return [int(pid) for pid, parent in pairs if int(parent) == self._process.pid]

    def pids(self) -> list[int]:
        """The id of its process, and those of its children."""
        assert self._process is not None
        return [self._process.pid, *self.children()]

    def kill_child(self, chance: Random) -> bool:
        """One of a worker's pool ends without goodbye; False when there is none."""
        children = self.children()
        if children:
            with suppress(ProcessLookupError):
                os.kill(chance.choice(children), signal.SIGKILL)
        return bool(children)

    def kill_all(self) -> None:
        """An end without goodbye for the process and its children, as of a lost machine."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It and its children are there and do nothing."""
        assert self._process is not None
        with stopped(self._process.pid, *self.children()):
            yield

    def wait(self, seconds: float) -> int:
        """The exit status."""
        assert self._process is not None
        return self._process.wait(seconds)

    def _command(self) -> Sequence[str]:
        settings = (f"{name}={value}" for name, value in self._environment.items())
        return ("/usr/bin/env", *settings, sys.executable, "-m", self._module, *self._arguments)

    def _answers(self) -> bool:
        if self._port:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1):
                return True
            return False
        return self._says in self.output


class Crew:
    """A database, a sandbox, and the programs that a test starts around a broker."""

    def __init__(
        self,
        directory: Path,
        broker_url: str,
        *,
        database_url: str | None = None,
        rate: float = 1.0,
        templates: Path = ROOT / "templates",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """`database_url`: an empty one; else a SQLite file of its own. `rate`: of the clock.
        `settings`: of the service's, more than usual."""
        self._directory = directory
        self._programs: list[Program] = []
        self._numbers = count()
        self.port = find_free_port()
        anchor = time.time()
        self.sandbox = Sandbox(
            account_sid=SID,
            auth_token=TOKEN,
            port=0,
            smtp_port=0,
            pace=0,
            now=Clock(START, anchor, rate).now,
        )
        self._environment = {
            # What a program says is what shows that it is ready.
            "PYTHONUNBUFFERED": "1",
            "FOLLOWUP_DATABASE_URL": database_url or f"sqlite:///{directory / 'followup.db'}",
            "FOLLOWUP_BROKER_URL": broker_url,
            "FOLLOWUP_PORT": str(self.port),
            "FOLLOWUP_PUBLIC_URL": f"http://127.0.0.1:{self.port}",
            "FOLLOWUP_CLINIC_FILE": str(ROOT / "clinic.toml"),
            "FOLLOWUP_TEMPLATES_DIR": str(templates),
            "FOLLOWUP_SECRET_KEYS": "tests-only-" * 4,
            "FOLLOWUP_ENCRYPTION_KEYS": ",".join(schema.ENCRYPTION_KEYS),
            "FOLLOWUP_SMTP_URL": self.sandbox.smtp_url,
            "FOLLOWUP_EMAIL_FROM": "Harbor Light Wellness <hello@example.com>",
            "FOLLOWUP_TWILIO_ACCOUNT_SID": SID,
            "FOLLOWUP_TWILIO_AUTH_TOKENS": TOKEN,
            "FOLLOWUP_TWILIO_API_URL": self.sandbox.url,
            "FOLLOWUP_TWILIO_FROM": "+19495550100",
            "FOLLOWUP_CLOCK_START": START.isoformat(),
            "FOLLOWUP_CLOCK_ANCHOR": str(anchor),
            "FOLLOWUP_CLOCK_RATE": str(rate),
            "FOLLOWUP_LIMITS": "off",
        }
        self._environment |= {PREFIX + name: value for name, value in (settings or {}).items()}
        self.service = open_service(_settings(self._environment))
        self._ringer = Celery("tests", set_as_current=False)
        self._ringer.conf.update(celery_settings(self.service.settings))

    def __enter__(self) -> Self:
        schema.create(self._environment["FOLLOWUP_DATABASE_URL"])
        self.sandbox.start()
        # Receipts are another story, and nobody may be there to hear them.
        self.sandbox.life("lose_callbacks")
        return self

    def __exit__(self, *_exception: object) -> None:
        for program in self._programs:
            program.kill_all()
        self._ringer.close()
        self.service.engine.dispose()
        self.sandbox.stop()

    def start(
        self, *arguments: str, module: str = "followup", says: str = "", port: int = 0
    ) -> Program:
        """Returns when it is ready; `port` is where it listens, if it does."""
        directory = self._directory / f"program-{next(self._numbers)}"
        environment = {**self._environment, **({"FOLLOWUP_PORT": str(port)} if port else {})}
        program = Program(directory, environment, arguments, module=module, says=says, port=port)
        self._programs.append(program)
        program.start()
        return program

    @property
    def ended(self) -> list[Program]:
        """What ended by itself."""
        return [program for program in self._programs if program.has_ended]

    def start_api(self) -> Program:
        return self.start("api", port=self.port)

    def start_worker(self, processes: int = 1, pool: str = "prefork") -> Program:
        name = f"--name=worker{len(self._programs)}"
        options = (f"--concurrency={processes}", f"--pool={pool}", name)
        return self.start("worker", *options, says=" ready.")

    def start_beat(self) -> Program:
        return self.start("beat", says="maxinterval")

    def ring(self, task: str, *arguments: str, queue: str) -> None:
        """What beat does, now."""
        self._ringer.send_task(task, args=arguments, queue=queue)

    def receive(self, number: int) -> None:
        """A submission of the person of that number is committed, as behind the 202."""
        intake.receive(
            self.service.engine,
            self.service.clinic,
            Kind.contact,
            contact_of(number),
            now=self.service.now(),
        )

    def post(self, number: int) -> tuple[int, float]:
        """The person submits the form: the API's status, and how many seconds it took."""
        body = json.dumps(contact_of(number)).encode()
        url = f"http://127.0.0.1:{self.port}/submissions/contact"
        request = Request(url, body, {"Content-Type": "application/json"})
        began = time.monotonic()
        try:
            with urlopen(request, timeout=30) as answer:  # noqa: S310
                return answer.status, time.monotonic() - began
        except HTTPError as refusal:
            with refusal:
                return refusal.code, time.monotonic() - began

    def probe(self, node: str) -> bool:
        """Whether a worker or beat answers to what a health check asks."""
        settings = (f"{name}={value}" for name, value in self._environment.items())
        command = ("/usr/bin/env", *settings, sys.executable, "-m", "followup.probe", node)
        return subprocess.run(command, cwd=self._directory, capture_output=True).returncode == 0

    def readiness(self) -> dict[str, str]:
        """What the API says of itself and of what it depends on."""
        with urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=30) as answer:
            state: dict[str, str] = json.load(answer)
            return state

    def acknowledgements(self, number: int) -> list[str]:
        """The channels on which the person got a message, in the provider's own record."""
        person = contact_of(number)
        addresses = (person["email"], person["phone"])
        taken = self.sandbox.messages()
        return sorted(message.channel for message in taken if message.to in addresses)

    def are_acknowledged(self, *numbers: int) -> bool:
        return all(len(self.acknowledgements(number)) >= 2 for number in numbers)

    def rings_until_acknowledged(self, *numbers: int) -> bool:
        """As beat does, to be asked again: a ring that met a fault is lost."""
        self.ring("followup.consume", queue="intake")
        for lane in Lane:
            self.ring("followup.send_due", lane, queue=lane)
        return self.are_acknowledged(*numbers)

    def first_text(self, number: int) -> Delivery | None:
        """The row of the person's acknowledgement by text, once it is planned."""
        with reading(self.service.engine) as session:
            statement = select(Delivery).where(
                Delivery.channel == Channel.sms, Delivery.lane == Lane.ack
            )
            rows = session.scalars(statement).all()
            session.expunge_all()
        return next((row for row in rows if row.recipient == contact_of(number)["phone"]), None)

    def status(self, delivery_id: uuid.UUID) -> Status:
        with reading(self.service.engine) as session:
            return session.get_one(Delivery, delivery_id).status

    def count(self, *statuses: Status, lane: Lane | None = None) -> int:
        """How many deliveries are in one of these states, of every lane or of one."""
        lanes = (lane,) if lane else tuple(Lane)
        with reading(self.service.engine) as session:
            statement = select(func.count()).where(
                Delivery.status.in_(statuses), Delivery.lane.in_(lanes)
            )
            return session.scalars(statement).one()

    def set_delivery(self, row: Delivery, **values: object) -> None:
        with transaction(self.service.engine) as session:
            session.execute(update(Delivery).where(Delivery.id == row.id).values(**values))

    def is_quiet(self) -> bool:
        """Whether nothing is due or on its way."""
        now = self.service.now()
        with reading(self.service.engine) as session:
            statement = select(Delivery.id).where(
                (Delivery.status == "sending")
                | ((Delivery.status == "planned") & (Delivery.due_at <= now))
            )
            return session.scalars(statement).first() is None


def _settings(environment: Mapping[str, str]) -> Settings:
    return Settings.model_validate(
        {
            name.removeprefix(PREFIX).lower(): value
            for name, value in environment.items()
            if name.startswith(PREFIX)
        }
    )


def contact_of(number: int) -> dict[str, object]:
    """A contact submission; each number is another person."""
    return {
        "name": f"Alice Number{number}",
        "email": f"alice{number}@example.com",
        "phone": f"+1415555{100 + number:04}",
        "message": "Please call me.",
        "consent_sms": True,
    }
