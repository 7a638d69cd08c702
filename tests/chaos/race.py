"""Workers and a person of the staff begin at the same moment, and whoever began late is found; two
of the staff mark one lead at the same moment, through two doors."""

import itertools
import threading
import uuid
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, select

from followup.domain.answer import StaffAnswer
from followup.domain.cadence import Channel, Lane
from followup.errors import AlreadyContacted, TemporaryFailure
from followup.services import heeding, receiving, sending
from followup.services.sending import BATCH, Sender
from followup.store import ledger, replies
from followup.store.db import make_engine, reading
from followup.store.models import Delivery, Lead
from followup.transports.base import Finding, Lost, Outgoing, Report
from tests.chaos.day import ROLES, person
from tests.parallel import PATIENCE_SECONDS, together
from tests.schema import KEYRING
from tests.services.cast import FRONT_DESK_PHONE, HOUR, MINUTE, Desk
from tests.services.recording import Recording

#: Whose phone it is, by clinic.toml.
FRONT_DESK = "Front desk"
#: So many people are marked while their reminders go out; then the next so many.
PEOPLE_AT_ONCE = 20


class Counting:
    """A provider that numbers the calls as they begin, is busy every third time, and holds every
    fourth until somebody else was marked, so that marks do meet calls."""

    def __init__(self) -> None:
        self.count = itertools.count(1)
        self.begun: list[tuple[int, uuid.UUID]] = []
        self._answers = 0
        self._answered = threading.Condition()

    def note_answer(self) -> int:
        """A mark was answered: which number the next call would have had."""
        with self._answered:
            self._answers += 1
            self._answered.notify_all()
            return next(self.count)

    def send(self, message: Outgoing) -> str:
        with self._answered:
            number, answers = next(self.count), self._answers
            self.begun.append((number, message.delivery_id))
            if number % 4 == 0:
                self._answered.wait_for(lambda: self._answers > answers, timeout=0.3)
        if number % 3 == 0:
            raise TemporaryFailure("busy", "20429")
        return message.message_id or f"SM{number:032}"

    def find(self, lost: Sequence[Lost], known: Collection[str] = ()) -> Sequence[Finding]:
        return [None] * len(lost)

    def look_up(self, provider_id: str) -> Report | None:
        return None

    def delete(self, provider_id: str) -> None:
        """Nobody is erased here."""

    def close(self) -> None:
        """Holds nothing open."""


class Mark:
    """An answer to mark-contacted, and how many calls had begun when it was given."""

    def __init__(self, desk: Desk, provider: Counting, lead: Lead) -> None:
        marked = desk.mark(lead)
        self.at = provider.note_answer()
        self.lead_id, self.in_flight = lead.id, set(marked.in_flight)
        self.cancelled = marked.cancelled


class Race:
    def __init__(self, engines: list[Engine], pool: ThreadPoolExecutor) -> None:
        self.provider = Counting()
        self.desk = Desk(engines[0], Recording(), dict.fromkeys(Lane, pool))
        transports = dict.fromkeys(Channel, self.provider)
        self.senders = [
            replace(self.desk.sender, engine=engine, transports=transports)
            for engine in engines[1:]
        ]
        self.marks: list[Mark] = []
        self._people = 0

    def run(self) -> None:
        """Twenty people are due to be reminded of; two workers and a person begin at once."""
        desk = self.desk
        leads = []
        for _ in range(PEOPLE_AT_ONCE):
            day, role = divmod(self._people, len(ROLES))
            leads.append(desk.receive(person(day, ROLES[role])))
            self._people += 1
        while desk.consume():
            pass
        desk.now += 6 * MINUTE
        found = [desk.lead_of(submission_id) for submission_id in leads]
        start = threading.Barrier(3)

        def work(sender: Sender) -> None:
            start.wait()
            sending.send_due(sender, Lane.reminder, lambda: desk.now)

        def answer_the_phone() -> None:
            start.wait()
            self.marks += [Mark(desk, self.provider, lead) for lead in found]

        together(*(lambda s=s: work(s) for s in self.senders), answer_the_phone)
        # What was busy is due again, and must not go.
        desk.now += HOUR
        for sender in self.senders:
            for lane in Lane:
                sending.send_due(sender, lane, lambda: desk.now)

    def late(self) -> list[uuid.UUID]:
        """Calls that began after the answer, of deliveries that it did not name; or once more."""
        lead_of = {row.id: row.lead_id for row in self.desk.rows() if row.lead_id is not None}
        marks = {mark.lead_id: mark for mark in self.marks}
        late, before = [], set()
        for number, delivery_id in sorted(self.provider.begun):
            mark = marks[lead_of[delivery_id]]
            is_named = delivery_id in mark.in_flight and delivery_id not in before
            before.add(delivery_id)
            if number > mark.at and not is_named:
                late.append(delivery_id)
        return late


@contextmanager
def open_race(database_url: str) -> Iterator[Race]:
    """Two workers and a web process, each with its own connections."""
    engines = [make_engine(database_url, KEYRING, pool_size=10) for _ in range(3)]
    with ThreadPoolExecutor(BATCH) as pool:
        yield Race(engines, pool)
    for engine in engines:
        engine.dispose()


class TwoDoors:
    """A click of Ann's and a text from the front desk's phone, each in a process of its own."""

    def __init__(self, engines: Sequence[Engine], pool: ThreadPoolExecutor) -> None:
        threads = dict.fromkeys(Lane, pool)
        self._phone, self._page = (Desk(engine, Recording(), threads) for engine in engines)
        self._people = 0

    def run(self) -> tuple[str, str, str]:
        """Who was first; who that was in the words of the page, and of the phone's answer."""
        phone, page = self._phone, self._page
        day, role = divmod(self._people, len(ROLES))
        self._people += 1
        lead = phone.submit(person(day, ROLES[role]))
        reply_id = self._keep(f"DONE {lead.reference}")

        def click() -> str:
            try:
                return page.mark(lead).lead.contacted_by or ""
            except AlreadyContacted as error:
                return error.contacted_by

        def text() -> str:
            assert heeding.heed_reply(phone.engine, phone.planner, reply_id, phone.now)
            return ""

        first = (phone.engine, page.engine, None)[self._people % 3]
        with _meeting(phone.engine, page.engine, first=first):
            told, _ = together(click, text)

        with reading(phone.engine) as session:
            answers = select(Delivery.step).where(Delivery.reply_id == reply_id)
            step = session.scalars(answers).one()
            verbs = [one.verb for one in ledger.list_actions(session, lead.id)]
            reply = replies.find_reply(session, reply_id)
        assert verbs == ["contacted"]
        assert reply is not None
        facts = reply.told or {}
        answered = FRONT_DESK if step == StaffAnswer.contacted else facts.get("who", "")
        return phone.lead(lead).contacted_by or "", told, answered

    def _keep(self, body: str) -> uuid.UUID:
        """A text that the process which took it did not come to heed."""
        phone, provider_id = self._phone, f"SM{self._people}"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(receiving, "try_to_heed", lambda *_: False)
            phone.reply(FRONT_DESK_PHONE, body, provider_id)
        with reading(phone.engine) as session:
            reply = replies.find_by_provider_id(session, provider_id)
        assert reply is not None
        return reply.id


@contextmanager
def _meeting(*engines: Engine, first: Engine | None) -> Iterator[None]:
    """Each stands before what only one of them can do until the other does, too: to begin to write
    on SQLite, to change the lead on PostgreSQL. Then `first` does it, and the other tries to before
    that one has committed; or whoever comes first does."""
    is_sqlite = engines[0].dialect.name == "sqlite"
    last_step = "BEGIN IMMEDIATE" if is_sqlite else "UPDATE leads SET status"
    both, is_done = threading.Barrier(len(engines)), threading.Event()

    def wait(connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(last_step):
            both.wait(PATIENCE_SECONDS)
            if first is not None and connection.engine is not first:
                assert is_done.wait(PATIENCE_SECONDS)

    def go_on(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(last_step):
            is_done.set()

    listeners = (("before_cursor_execute", wait), ("after_cursor_execute", go_on))
    for engine, listener in product(engines, listeners):
        event.listen(engine, *listener)
    try:
        yield
    finally:
        for engine, listener in product(engines, listeners):
            event.remove(engine, *listener)


@contextmanager
def open_doors(database_url: str) -> Iterator[TwoDoors]:
    engines = [make_engine(database_url, KEYRING) for _ in range(2)]
    with ThreadPoolExecutor(BATCH) as pool:
        yield TwoDoors(engines, pool)
    for engine in engines:
        engine.dispose()
