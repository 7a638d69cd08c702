"""The whole service in processes of its own, each of which is killed and frozen again and again
while people write to it, staff mark leads, and the providers' answers are lost.

By hand: `python -m tests.chaos.soak --leads 2000 --database postgresql --broker redis`.
"""

import argparse
import json
import shutil
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from http.client import HTTPException
from itertools import count
from pathlib import Path
from random import Random
from threading import Event
from typing import Any

from sqlalchemy import and_, func, or_, select

from followup.domain.delivery import Status
from followup.services import staffing
from followup.store.crypto import keyring_of
from followup.store.db import reading, transaction
from followup.store.models import Delivery, Submission
from followup.store.words import SubmissionStatus
from tests import bytecode, loopback
from tests.chaos.oracle import (
    not_in_the_books,
    note_changes,
    read_record,
    sent_twice,
    status_changes,
    steps_back,
    still_owed,
    unexplained,
)
from tests.crew import Crew, Program
from tests.rabbitmq import RabbitMQ
from tests.sandbox.calling import call
from tests.servers import NativeRedis, PostgreSQL, Server, Valkey, find_free_port
from tests.waiting import eventually

#: Each has a hundred numbers that are nobody's: 555-0100 to 555-0199.
AREAS = "201 202 203 205 206 207 208 209 210 212 213 214 215 216 217 218 219 224 225 228 229 231"

FRONT_DESK = {"email": "frontdesk@example.com", "phone": "+19495550111"}

#: Real seconds from one fault of a process to its next.
LIVES = (4.0, 9.0)
#: Shorter than a lease: longer ones are another test's, with a clock that is told.
FREEZES = (0.3, 3.0)
#: As many texts are taken from a worker that dies before it hears so, and how long each may take.
AMBUSHED, AMBUSH_SECONDS = 3, 20
START_SECONDS = 90
#: So many people write at the same time.
VISITORS = 4
#: More than there are processes to keep and people who act.
THREADS = 16

TEXT_SCRIPTS: tuple[dict[str, Any], ...] = (
    {"script": "accept_then_drop"},
    {"script": "accept_then_500"},
    {"script": "garbled"},
    {"script": "hang", "stored": True},
    {"script": "hang", "stored": False},
    {"script": "504", "stored": True},
    {"script": "drop_before"},
    {"script": "throttle"},
    {"script": "unavailable"},
)
MAIL_SCRIPTS = ("drop_after_dot", "drop_before_dot", "hang_after_dot", "data_451", "rcpt_450")
LIFE_FAULTS: tuple[dict[str, Any], ...] = (
    {"life": "delivered"},
    {"life": "lose_callbacks"},
    {"life": "duplicate"},
    {"life": "reorder"},
    {"life": "undelivered", "duplicate": 2},
    {"life": "delivered", "before_response": True},
)


@dataclass(frozen=True)
class Plan:
    """What happens, but for what the machine adds of its own."""

    leads: int
    #: How long the faults last.
    seconds: float
    #: How many seconds of the service's clock pass in a real one.
    rate: float
    #: How long all that is due may take afterwards.
    calm_seconds: float = 60.0
    seed: int = 988
    #: Faults of `controls` that the service has.
    controls: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mark:
    lead_id: uuid.UUID
    answered_at: datetime
    in_flight: frozenset[uuid.UUID]


@dataclass
class Tally:
    """What became of it all; `faults` by role and kind."""

    leads: int = 0
    accepted: int = 0
    marked: int = 0
    lost: list[str] = field(default_factory=list)
    twice: list[uuid.UUID] = field(default_factory=list)
    late: list[uuid.UUID] = field(default_factory=list)
    unsettled: int = 0
    #: Nobody can tell whether these went: they are shown to staff.
    held: int = 0
    asked: int = 0
    #: What a row, the ledger and the provider tell differently.
    untrue: list[str] = field(default_factory=list)
    ended_alone: list[str] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        counts = {
            "leads": self.leads,
            "accepted": self.accepted,
            "lost": len(self.lost),
            "twice": len(self.twice),
            "after a mark": len(self.late),
            "unsettled": self.unsettled,
            "asked": self.asked,
            "held": self.held,
            "marked": self.marked,
            "untrue": len(self.untrue),
        }
        faults = ", ".join(f"{name} {number}" for name, number in sorted(self.faults.items()))
        told = ", ".join(f"{name} {number}" for name, number in counts.items())
        return f"{told}; faults: {faults}"


def person(number: int) -> dict[str, Any]:
    """Each number is another person."""
    area = AREAS.split()[number // 100]
    return {
        "name": f"Alice Number{number}",
        "email": f"alice{number}@example.com",
        "phone": f"+1{area}55501{number % 100:02}",
        "consent_sms": True,
    }


class Soak:
    """One run. Every process has a thread that keeps it: it would end with its parent thread."""

    def __init__(self, crew: Crew, servers: dict[str, Server], plan: Plan) -> None:
        self._crew, self._servers, self._plan = crew, servers, plan
        self._ports = [crew.port, find_free_port()]
        self._token = _hire(crew)
        self._tally = Tally()
        self._up: dict[str, Program] = {}
        self._felled: set[Program] = set()
        #: The 202s: whose, and which submission.
        self._taken: dict[int, uuid.UUID] = {}
        self._marks: list[Mark] = []
        self._begun, self._calm, self._over = Event(), Event(), Event()

    def run(self) -> Tally:
        with ThreadPoolExecutor(THREADS) as threads:
            keepers: list[Future[None]] = []
            try:
                roles = {
                    **{f"api {i}": partial(self._start_api, i) for i in range(2)},
                    **{f"worker {i}": partial(self._start_worker, i) for i in range(2)},
                    **{
                        f"beat {i}": partial(self._start, "beat", says="maxinterval")
                        for i in (0, 1)
                    },
                }
                keepers += [
                    *(threads.submit(self._keep, *role) for role in roles.items()),
                    *(threads.submit(self._disturb, *one) for one in self._servers.items()),
                ]
                eventually(lambda: len(self._up) == len(roles), within=START_SECONDS)
                self._begun.set()
                visits = [partial(self._visit, first) for first in range(VISITORS)]
                jobs: list[Callable[[], None]] = [*visits, self._mark, self._spoil, self._ambush]
                running = [threads.submit(job) for job in jobs]
                self._over.wait(self._plan.seconds)
                self._calm.set()
                for job in running:
                    job.result()
                with suppress(AssertionError):
                    eventually(self._is_quiet, within=self._plan.calm_seconds)
                return self._judge()
            finally:
                for event in (self._begun, self._calm, self._over):
                    event.set()
                for keeper in keepers:
                    keeper.result()

    # The processes

    def _start(self, *arguments: str, says: str = "", port: int = 0) -> Program:
        words = (",".join(self._plan.controls), *arguments)
        return self._crew.start(*words, module="tests.chaos.swift", says=says, port=port)

    def _start_api(self, number: int) -> Program:
        return self._start("api", port=self._ports[number])

    def _start_worker(self, number: int) -> Program:
        options = (f"--name=worker{number}", "--concurrency=2")
        return self._start("worker", *options, says=" ready.")

    def _keep(self, name: str, start: Callable[[], Program]) -> None:
        """Start it again whenever it has ended, and see to it that it does."""
        chance = Random(f"{self._plan.seed} {name}")
        while not self._over.is_set():
            program = start()
            self._up[name] = program
            self._live(name.split()[0], program, chance)
            if program.has_ended and program not in self._felled:
                self._tally.ended_alone.append(f"{name}: {program.output[-2000:]}")

    def _live(self, role: str, program: Program, chance: Random) -> None:
        self._begun.wait()
        ends_at = time.monotonic() + chance.uniform(*LIVES)
        while not program.has_ended and not self._over.wait(0.05):
            if self._calm.is_set() or time.monotonic() < ends_at:
                continue
            fault = chance.choice(("killed", "killed", "frozen", "child killed"))
            if fault == "frozen":
                self._tally.faults[f"{role} frozen"] += 1
                with program.frozen():
                    self._calm.wait(chance.uniform(*FREEZES))
            elif fault == "child killed" and program.kill_child(chance):
                self._tally.faults[f"{role}'s child killed"] += 1
            else:
                self._kill(role, program)
            ends_at = time.monotonic() + chance.uniform(*LIVES)

    def _kill(self, role: str, program: Program) -> None:
        if not program.has_ended:
            self._felled.add(program)
            self._tally.faults[f"{role} killed"] += 1
            program.kill_all()

    def _disturb(self, name: str, server: Server) -> None:
        """Kill a broker, which forgets its queue, or a database, which recovers; or freeze it."""
        chance = Random(f"{self._plan.seed} {name}")
        self._begun.wait()
        while not self._calm.wait(chance.uniform(*LIVES)):
            if name == "broker" and chance.random() < 0.3:
                self._tally.faults["broker frozen"] += 1
                with server.frozen():
                    self._calm.wait(chance.uniform(*FREEZES))
            else:
                self._tally.faults[f"{name} killed"] += 1
                server.kill()
                self._calm.wait(chance.uniform(*FREEZES))
                server.start()
        self._over.wait()

    # The people

    def _visit(self, first: int) -> None:
        """Most of the time somebody writes; the rest is for what follows."""
        pause = 0.6 * self._plan.seconds / self._plan.leads * VISITORS
        next_at = time.monotonic()
        for number in range(first, self._plan.leads, VISITORS):
            self._submit(number)
            next_at += pause
            self._over.wait(max(0.0, next_at - time.monotonic()))

    def _submit(self, number: int) -> None:
        kind = "screening" if number % 3 == 0 else "contact"
        key = {"Idempotency-Key": f"person-{number}"}
        answer = self._insist("POST", f"/submissions/{kind}", person(number), key)
        self._taken[number] = uuid.UUID(answer["submission_id"])

    def _mark(self) -> None:
        """Staff reach some of the people, at any moment."""
        chance = Random(f"{self._plan.seed} staff")
        mine = {"Authorization": f"Bearer {self._token}"}
        unmarked: set[int] = set()
        seen: set[int] = set()
        while not self._calm.wait(chance.uniform(0.5, 1.5) * self._plan.seconds / self._plan.leads):
            unmarked |= self._taken.keys() - seen
            seen |= unmarked
            if not unmarked:
                continue
            number = chance.choice(sorted(unmarked))
            found = self._insist(
                "GET", f"/admin/leads?submission={self._taken[number]}", None, mine
            )
            if not found["items"]:
                continue
            unmarked.discard(number)
            lead_id = found["items"][0]["id"]
            answer = self._insist("POST", f"/admin/leads/{lead_id}/contacted", {}, mine)
            in_flight = frozenset(map(uuid.UUID, answer["in_flight"]))
            now = self._crew.service.now()
            self._marks.append(Mark(uuid.UUID(lead_id), now, in_flight))

    def _insist(
        self, method: str, path: str, fields: object, headers: dict[str, str]
    ) -> dict[str, Any]:
        """Ask one API after the other until one takes it, as websites do."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            for port in self._ports:
                with suppress(OSError, HTTPException):
                    url = f"http://127.0.0.1:{port}{path}"
                    status, text, _ = call(method, url, data=fields, headers=headers)
                    assert status in (200, 202) or status >= 500, text
                    if status < 300:
                        answer: dict[str, Any] = json.loads(text)
                        return answer
            self._over.wait(0.1)
        raise AssertionError(f"no API took {method} {path}")

    # The providers

    def _spoil(self) -> None:
        """Lose an answer to somebody who writes next, or to staff.

        By address: rules for everybody would pile up while a channel is paused, and then keep it
        paused, because each probe would meet the next of them.
        """
        chance = Random(f"{self._plan.seed} providers")
        sandbox = self._crew.sandbox
        while not self._calm.wait(chance.uniform(0.1, 0.7)):
            sandbox.life(**chance.choice(LIFE_FAULTS))
            number = min(len(self._taken) + chance.randrange(9), self._plan.leads)
            next_one = person(number) if number % 9 else FRONT_DESK
            if chance.random() < 0.5:
                script = chance.choice(TEXT_SCRIPTS)
                sandbox.script(**script, to=next_one["phone"], seconds=5)
            else:
                sandbox.mail_script(chance.choice(MAIL_SCRIPTS), to=next_one["email"], seconds=5)
        sandbox.life("delivered")

    def _ambush(self) -> None:
        """Kill the workers right after a text was taken, before they have heard so."""
        sandbox = self._crew.sandbox
        numbers = count(self._plan.leads)
        ambushed = 0
        while ambushed < AMBUSHED:
            number = next(numbers)
            phone = person(number)["phone"]
            sandbox.life("lose_callbacks", to=phone)
            sandbox.script("hang", to=phone, stored=True)
            self._submit(number)
            # Another fault may be first: then its text waits, and somebody else's is taken.
            with suppress(AssertionError):
                eventually(partial(sandbox.messages, to=phone), within=AMBUSH_SECONDS)
                ambushed += 1
                for name, program in list(self._up.items()):
                    if name.startswith("worker"):
                        self._kill("worker", program)

    # The verdict

    def _is_quiet(self) -> bool:
        """Nothing that is due, asked about or not consumed: cheap to ask again and again."""
        owed = select(Delivery.id).where(
            or_(
                Delivery.status == Status.sending,
                and_(
                    Delivery.status == Status.planned,
                    Delivery.due_at <= self._crew.service.now(),
                ),
                and_(Delivery.status == Status.unknown, Delivery.ask_at.is_not(None)),
            )
        )
        waiting = select(Submission.id).where(Submission.status != SubmissionStatus.consumed)
        with reading(self._crew.service.engine) as session:
            return not any(session.scalar(one.limit(1)) for one in (owed, waiting))

    def _judge(self) -> Tally:
        engine, tally = self._crew.service.engine, self._tally
        tally.lost += still_owed(engine, self._crew.service.now())
        messages = self._crew.sandbox.messages()
        taken = read_record(messages)
        with reading(engine) as session:
            lead_of = dict(session.execute(select(Submission.id, Submission.lead_id)).all())
            rows = {row.id: row for row in session.scalars(select(Delivery))}
            acknowledged = dict(
                session.execute(
                    select(Delivery.lead_id, func.count())
                    .where(Delivery.step == "acknowledgement")
                    .group_by(Delivery.lead_id)
                ).all()
            )
        leads = {lead_of.get(one) for one in self._taken.values()}
        tally.accepted, tally.leads = len(self._taken), len(leads - {None})
        tally.lost += [str(one) for one in self._taken.values() if lead_of.get(one) is None]
        tally.lost += [
            f"lead {lead} has {acknowledged.get(lead, 0)} acknowledgements"
            for lead in leads
            if lead is not None and acknowledged.get(lead, 0) < 2
        ]
        tally.twice = sent_twice(engine, taken)
        tally.marked = len(self._marks)
        marks = {mark.lead_id: mark for mark in self._marks}
        for message, one in zip(messages, taken, strict=True):
            lead_id = rows[one.delivery_id].lead_id
            mark = marks.get(lead_id) if lead_id else None
            if mark and message.at > mark.answered_at and one.delivery_id not in mark.in_flight:
                tally.late.append(one.delivery_id)
        unknown = [row for row in rows.values() if row.status is Status.unknown]
        tally.unsettled = sum(row.ask_at is not None for row in unknown)
        tally.held = len(unknown) - tally.unsettled
        changes = status_changes(engine)
        tally.asked = sum(changes[change] for change in changes if change[1] is Status.unknown)
        tally.untrue = [
            *not_in_the_books(engine, taken),
            *steps_back(engine),
            *unexplained(engine),
        ]
        return tally


def _hire(crew: Crew) -> str:
    """The token of a person of the staff."""
    service = crew.service
    with transaction(service.engine) as session:
        keyring = keyring_of(service.engine)
        role, now = staffing.StaffRole.staff, service.now()
        return staffing.add_person(session, keyring, name="Ann", role=role, now=now).token


@contextmanager
def crewed(folder: Path, database: str, broker: str, plan: Plan) -> Iterator[Soak]:
    """A soak on servers of its own; `folder` has a short path and is open to other accounts."""
    with ExitStack() as stack:
        servers: dict[str, Server] = {"broker": stack.enter_context(_broker(folder, broker))}
        if database == "postgresql":
            (folder / "postgresql").mkdir()
            servers["database"] = stack.enter_context(PostgreSQL(folder / "postgresql", "18"))
        crew = stack.enter_context(
            Crew(
                folder,
                servers["broker"].url,
                database_url=servers["database"].url if "database" in servers else None,
                rate=plan.rate,
            )
        )
        note_changes(crew.service.engine)
        yield Soak(crew, servers, plan)


def _broker(folder: Path, name: str) -> Server:
    home = folder / "broker"
    home.mkdir()
    if name == "rabbitmq":
        return RabbitMQ(home)
    kind = NativeRedis if name == "redis" else Valkey
    return kind(home, port=find_free_port(), forgetful=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.soak")
    parser.add_argument("--leads", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=150, help="of faults")
    parser.add_argument("--calm", type=float, default=120, help="seconds for what is due then")
    parser.add_argument("--rate", type=float, default=4, help="of the service's clock")
    parser.add_argument("--seed", type=int, default=988)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="postgresql")
    parser.add_argument("--broker", choices=("valkey", "redis", "rabbitmq"), default="redis")
    parser.add_argument("--control", action="append", default=[], help="of tests/chaos/controls.py")
    given = parser.parse_args()
    loopback.guard()
    controls = tuple(given.control)
    plan = Plan(given.leads, given.seconds, given.rate, given.calm, given.seed, controls)
    folder = Path(tempfile.mkdtemp(prefix="fu-"))
    folder.chmod(0o755)
    bytecode.keep(folder / "bytecode")
    try:
        with crewed(folder, given.database, given.broker, plan) as soak:
            tally = soak.run()
    finally:
        shutil.rmtree(folder)
    print(f"{given.database} and {given.broker}: {tally}")
    for one in (*tally.lost, *tally.twice, *tally.late, *tally.untrue, *tally.ended_alone):
        print(f"  {one}")


if __name__ == "__main__":
    main()
