"""Workers and a person of the staff begin at the same moment, and whoever began late is found."""

import itertools
import threading
import uuid
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

from sqlalchemy import Engine

from followup.domain.cadence import Channel, Lane
from followup.errors import TemporaryFailure
from followup.services import sending
from followup.services.sending import BATCH, Sender
from followup.store.db import make_engine
from followup.store.models import Lead
from followup.transports.base import Finding, Lost, Outgoing, Report
from tests.chaos.day import ROLES, person
from tests.parallel import together
from tests.schema import KEYRING
from tests.services.cast import HOUR, MINUTE, Desk
from tests.services.recording import Recording

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
