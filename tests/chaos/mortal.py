"""The service between two deaths of its processes, and what the providers took meanwhile."""

import multiprocessing
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from multiprocessing.context import ForkServerProcess

import pytest

from followup.domain.announcement import Event
from followup.domain.answer import StaffAnswer
from followup.domain.cadence import Channel, Lane
from followup.sandbox.server import Sandbox
from followup.services import intake
from tests.chaos import day as days
from tests.chaos.day import (
    KILLED,
    NUMBER,
    OFFICE,
    ROLES,
    SID,
    TOKEN,
    Mark,
    Place,
    open_desk,
    person,
)
from tests.chaos.oracle import (
    Taken,
    not_in_the_books,
    note_changes,
    owed_in_silence,
    read_record,
    sent_twice,
    steps_back,
    still_owed,
    unexplained,
    wrongly_told,
)
from tests.chaos.provider import WorkerLost
from tests.ear import Ear, listening
from tests.services.cast import DAY, MINUTE, TUESDAY_TEN, Desk

#: A death takes about a second here, and a machine may be busy.
PATIENCE_SECONDS = 60.0
#: Whom somebody of the staff puts an end to, each in a way of its own.
ENDED = ("texted", "double", "closed")

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["tests.chaos.day"])


class Service:
    """The service between two deaths: what the days before left, and what the providers took."""

    def __init__(self, desk: Desk, place: Place, sandbox: Sandbox, ear: Ear) -> None:
        self.desk, self._place, self.sandbox, self._ear = desk, place, sandbox, ear
        self.loses_its_worker = False
        self._day = 0
        self._marks: list[Mark] = []

    def reached(self, point: str) -> None:
        if self.loses_its_worker and point == "call after":
            raise WorkerLost

    def prepare(self) -> None:
        """The state of things in which a process starts: someone in each of the roles."""
        desk, day = self.desk, self._day
        for role in ("contacted", "silent", "withdrawn", "reopened", *ENDED):
            days.receive(desk, day, role)
        desk.consume()
        desk.send(Lane.ack, Lane.staff)
        # Its receipt has not come for two days.
        silent = days.find_lead(desk, day, "silent")
        text = desk.row(silent, "acknowledgement", Channel.sms)
        desk.change(text, sent_at=desk.now - 2 * DAY)
        self._mark("reopened")
        days.receive(desk, day, "lost")
        desk.consume()
        self.loses_its_worker = True
        with pytest.raises(WorkerLost):
            desk.send(Lane.ack)
        self.loses_its_worker = False
        desk.let_leases_run_out()
        days.stumble(desk, day, "stumbled")
        days.hold(desk, day)
        # The reminders of those who were acknowledged are due by now.
        desk.now += 6 * MINUTE

    def live(self, point: str, time: int) -> bool:
        """Another process lives a day. Returns whether it died of the point."""
        place = replace(self._place, now=self.desk.now)
        hears, told = _processes.Pipe(duplex=False)
        process: ForkServerProcess = _processes.Process(
            target=days.live, args=(place, self._day, told, point, time)
        )
        process.start()
        told.close()
        # All before its end: a pipe that is full would hold it up.
        with hears, suppress(EOFError):
            while hears.poll(PATIENCE_SECONDS):
                self._marks.append(hears.recv())
        process.join(PATIENCE_SECONDS)
        assert process.exitcode in (0, KILLED), f"the process ended with {process.exitcode}"
        return process.exitcode == KILLED

    def finish(self) -> None:
        """Another process takes up the work, and whoever heard no answer asks again."""
        desk, day = self.desk, self._day
        days.receive(desk, day, "newcomer")
        intake.replay(desk.engine, desk.now)
        desk.consume()
        self._marks += [
            end(desk, self._place, day) for end in (days.merge, days.text_done, days.close)
        ]
        days.release(desk)
        days.say_stop(desk, day)
        days.withdraw(desk, days.find_lead(desk, day, "withdrawn"))
        days.reopen(desk, days.find_lead(desk, day, "reopened"))
        self._mark("contacted")
        desk.let_leases_run_out()
        desk.rescue()
        for _ in range(3):
            desk.now += MINUTE
            desk.let_asking_come()
            desk.settle()
            days.look_around(desk)
            desk.send()
        for said in ("delivered", "sent", "delivered"):
            days.report_all(desk, said)
        for role in ROLES:
            if role not in ENDED:
                self._mark(role)
        days.announce(desk, self._place, lambda _: None)
        desk.now += 3 * MINUTE
        self._day += 1

    def _mark(self, role: str) -> None:
        lead = days.find_lead(self.desk, self._day, role)
        mark = days.mark(self.desk, self._place, lead)
        if role != "reopened":
            self._marks.append(mark)

    def check(self) -> None:
        taken = read_record(self.sandbox.messages())
        engine, now = self.desk.engine, self.desk.now
        assert still_owed(engine, now) == []
        assert owed_in_silence(engine) == []
        assert sent_twice(engine, taken) == []
        assert not_in_the_books(engine, taken) == []
        assert unexplained(engine) == []
        assert steps_back(engine) == []
        assert self._sent_after_a_mark() == []
        assert self._not_acknowledged(taken) == []
        assert self._not_answered_once() == []
        assert wrongly_told(engine, {OFFICE: tuple(Event)}, self._told()) == []
        texts = self.desk.rows(channel=Channel.sms)
        assert {row.status for row in texts if row.provider_id} == {"delivered"}

    def _sent_after_a_mark(self) -> list[str]:
        """What reached a provider after a mark had been answered, without being named there."""
        lead_of = {row.id: row.lead_id for row in self.desk.rows()}
        messages = self.sandbox.messages()
        return [
            str(taken)
            for message, taken in zip(messages, read_record(messages), strict=True)
            for mark in self._marks
            if lead_of[taken.delivery_id] == mark.lead_id
            and message.id not in mark.taken
            and taken.delivery_id not in mark.in_flight
        ]

    def _not_answered_once(self) -> list[str]:
        """What a phone of the staff heard, each day, of the two texts that came from it."""
        wanted = {StaffAnswer.contacted: self._day, StaffAnswer.attempt: self._day}
        found = Counter(row.step for row in self.desk.rows() if row.step in set(StaffAnswer))
        return [] if found == wanted else [f"{found}, and not {wanted}"]

    def _told(self) -> list[tuple[str, Event, uuid.UUID]]:
        """What the clinic's other system heard, each thing once, however often it was posted."""
        told = {one.id: one.told for one in self._ear.heard}
        return [
            (
                OFFICE,
                Event(one["type"]),
                uuid.UUID(one["data"].get("delivery_id") or one["data"]["lead_id"]),
            )
            for one in told.values()
        ]

    def _not_acknowledged(self, taken: Sequence[Taken]) -> list[str]:
        """Whom no acknowledgement by text or by mail reached, although we said 202."""
        acks = {row.id for row in self.desk.rows(step="acknowledgement")}
        reached = {one.to for one in taken if one.delivery_id in acks}
        people = [person(day, role) for day in range(self._day) for role in ROLES]
        addresses = {someone[one] for someone in people for one in ("email", "phone")}
        return sorted(addresses - reached)


@contextmanager
def open_service(database_url: str) -> Iterator[Service]:
    service: list[Service] = []
    sandbox = Sandbox(
        account_sid=SID,
        auth_token=TOKEN,
        number=NUMBER,
        port=0,
        smtp_port=0,
        pace=0,
        now=lambda: service[0].desk.now,
    )
    with sandbox, listening() as ear:
        # The provider's reports are told by the story, at its points.
        sandbox.life("lose_callbacks")
        place = Place(database_url, sandbox.url, sandbox.smtp_url, ear.url, TUESDAY_TEN)
        with open_desk(place, lambda point: service[0].reached(point)) as desk:
            note_changes(desk.engine)
            service.append(Service(desk, place, sandbox, ear))
            yield service[0]
