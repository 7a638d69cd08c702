"""A day of the service as one process lives it, up to the point at which it is killed.

Preloaded by the processes' fork server, so that a death costs a fork and no imports.
"""

import itertools
import json
import os
import urllib.request
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from sqlalchemy import update
from sqlalchemy.orm import configure_mappers

from followup.clinic_limits import Limits
from followup.clinic_webhooks import Webhook
from followup.domain.announcement import Event
from followup.domain.cadence import Channel, Lane
from followup.domain.delivery import Status
from followup.domain.lead import Closing
from followup.domain.submission import Kind
from followup.errors import Conflict
from followup.services import (
    announcing,
    auditing,
    bouncing,
    heeding,
    intake,
    receiving,
    reviewing,
    settling,
    uniting,
    watching,
    working,
)
from followup.services.announcing import Announcer, Receiver
from followup.services.sending import BATCH
from followup.services.uniting import Merged
from followup.services.working import Marked
from followup.store import announcements, ledger
from followup.store.db import make_engine, reading, real_now, transaction
from followup.store.models import Announcement, Lead
from followup.transports import webhook
from followup.transports.base import Finding, Lost, Outgoing, Report, Transport
from followup.transports.mail_events import MailEvent, MailHappening
from followup.transports.smtp import Server, SmtpTransport
from followup.transports.twilio import Account, TwilioTransport
from followup.transports.webhook import Answer
from tests.chaos.points import ACT, listening
from tests.schema import KEYRING
from tests.services.cast import (
    FRONT_DESK_PHONE,
    HOUR,
    LINKS,
    MANAGER_PHONE,
    Desk,
    clinic,
    planner,
    templates,
)
from tests.services.recording import Recording

SID, TOKEN = "ACsandbox0000000000000000000000001", "a-token-for-tests"
NUMBER = "+19495550100"
SENDER = "Clinic <hello@example.com>"
#: The webhook that is told everything.
OFFICE = "office"
#: As of a process that was killed.
KILLED = 137

Reached = Callable[[str], None]
T = TypeVar("T")

# Read before the fork, once for all processes.
planner()
templates()
configure_mappers()


@dataclass(frozen=True)
class Place:
    """Where a process finds its database and the providers, and what time it is."""

    database_url: str
    twilio_url: str
    smtp_url: str
    webhook_url: str
    now: datetime


@dataclass(frozen=True)
class Mark:
    """An answer after which a lead is silent."""

    lead_id: uuid.UUID
    in_flight: frozenset[uuid.UUID]
    #: The provider's ids of what it had taken when the answer was given.
    taken: frozenset[str]


class Watched:
    """A transport whose calls are points, too."""

    def __init__(self, transport: Transport, reached: Reached) -> None:
        self._transport, self._reached = transport, reached

    def send(self, message: Outgoing) -> str:
        self._reached("call before")
        provider_id = self._transport.send(message)
        self._reached("call after")
        return provider_id

    def find(self, lost: Sequence[Lost], known: Collection[str] = ()) -> Sequence[Finding]:
        self._reached("question before")
        findings = self._transport.find(lost, known)
        self._reached("question after")
        return findings

    def look_up(self, provider_id: str) -> Report | None:
        self._reached("question before")
        report = self._transport.look_up(provider_id)
        self._reached("question after")
        return report

    def delete(self, provider_id: str) -> None:
        self._transport.delete(provider_id)

    def close(self) -> None:
        self._transport.close()


@contextmanager
def open_desk(place: Place, reached: Reached) -> Iterator[Desk]:
    """A process's own desk, with the transports that speak to the real provider."""
    engine = make_engine(place.database_url, KEYRING)
    announcements.subscribe(engine, {OFFICE: frozenset(Event)})
    with ExitStack() as closing:
        closing.callback(engine.dispose)
        pool = closing.enter_context(ThreadPoolExecutor(BATCH))
        desk = Desk(engine, Recording(), dict.fromkeys(Lane, pool))
        desk.now = place.now
        account = Account(SID, TOKEN, NUMBER, place.twilio_url)
        server = Server.from_url(place.smtp_url, on_this_machine=True)
        transports: dict[Channel, Transport] = {
            Channel.sms: Watched(TwilioTransport(account, LINKS.status_url), reached),
            Channel.email: Watched(SmtpTransport(server, SENDER), reached),
        }
        for transport in transports.values():
            closing.callback(transport.close)
        desk.sender = replace(desk.sender, transports=transports)
        yield desk


#: Area codes of California; in each, the hundred numbers that are reserved for examples.
_AREAS = ("213", "310", "323", "408", "415", "510", "530", "559", "619", "626", "650", "661")

#: What will happen to each person of a day.
ROLES = (
    *("newcomer", "stumbled", "lost", "contacted", "silent", "withdrawn", "reopened"),
    *("held", "texted", "double", "closed"),
)


def person(day: int, role: str) -> dict[str, Any]:
    """The double gives the number of another, and is the same person, as staff will say."""
    index = ROLES.index("texted" if role == "double" else role)
    area, number = divmod(day * len(ROLES) + index, 100)
    return {
        "name": f"Alice {role.title()} {day}" if role != "held" else f"www.alice{day}.example",
        "email": f"{role}{day}@example.com",
        "phone": f"+1{_AREAS[area]}55501{number:02}",
    }


def receive(desk: Desk, day: int, role: str) -> str:
    """The client posts under a key, and may do so again when it hears no answer."""
    payload = {"consent_sms": True, **person(day, role)}
    key = f"{role}-{day}"
    received = intake.receive(
        desk.engine, clinic(), Kind.contact, payload, now=desk.now, idempotency_key=key
    )
    return str(received.submission_id)


def stumble(desk: Desk, day: int, role: str) -> None:
    """A submission that a fault of ours, since mended, keeps from being consumed."""
    receive(desk, day, role)
    intake.consume(desk.engine, replace(desk.planner, cadences={}), desk.now)


def hold(desk: Desk, day: int) -> None:
    """Somebody whom the door keeps back until staff have looked."""
    receive(desk, day, "held")
    intake.consume(desk.engine, desk.planner, desk.now, limits=Limits())


def release(desk: Desk) -> None:
    reviewing.release_all(desk.engine, desk.planner, by="Ann", now=desk.now)


def act(desk: Desk, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
    """As the doors do it: one act of the staff, one transaction."""
    with transaction(desk.engine) as session:
        module = function.__module__.rpartition(".")[2]
        session.info[ACT] = f"{module}.{function.__name__}"
        return function(session, *arguments, by="Ann", now=desk.now, **named)


def find_lead(desk: Desk, day: int, role: str) -> Lead:
    email = person(day, role)["email"]
    return next(lead for lead in desk.leads() if lead.email == email)


def mark(desk: Desk, place: Place, lead: Lead) -> Mark:
    """What was answered, and which messages the providers had taken by then."""
    marked = act(desk, working.mark_contacted, lead.id)
    return _note_answer(place, lead, marked.in_flight)


def _note_answer(place: Place, lead: Lead, in_flight: Collection[uuid.UUID]) -> Mark:
    with urllib.request.urlopen(f"{place.twilio_url}/messages") as answer:  # noqa: S310
        taken = {message["id"] for message in json.load(answer)}
    return Mark(lead.id, frozenset(in_flight), frozenset(taken))


def merge(desk: Desk, place: Place, day: int) -> Mark:
    return _end(desk, place, find_lead(desk, day, "double"), uniting.merge_duplicate)


def close(desk: Desk, place: Place, day: int) -> Mark:
    lead = find_lead(desk, day, "closed")
    return _end(desk, place, lead, working.close, why=Closing.wrong_number)


def _end(
    desk: Desk, place: Place, lead: Lead, ending: Callable[..., Marked | Merged], **named: Any
) -> Mark:
    """Whoever heard no answer is told that it is done."""
    try:
        in_flight = act(desk, ending, desk.planner, lead.id, **named).in_flight
    except Conflict:
        in_flight = [row.id for row in desk.rows(lead, status=Status.sending)]
    return _note_answer(place, lead, in_flight)


def text_done(desk: Desk, place: Place, day: int) -> Mark:
    """A colleague has reached whom the double is a part of, and knows the double's reference."""
    reference = find_lead(desk, day, "double").reference
    desk.reply(FRONT_DESK_PHONE, f"DONE {reference}", provider_id=f"SMdone{day}")
    lead = find_lead(desk, day, "texted")
    with reading(desk.engine) as session:
        action = ledger.find_last_action(session, lead.id, "contacted")
    in_flight = action.facts["in_flight"] if action else ()
    return _note_answer(place, lead, [uuid.UUID(one) for one in in_flight])


def say_stop(desk: Desk, day: int) -> None:
    desk.reply(person(day, "silent")["phone"], "STOP", provider_id=f"SMstop{day}")


def withdraw(desk: Desk, lead: Lead) -> None:
    """The person asks staff, after a voicemail and a promise to call later; and clicks, too."""
    act(desk, working.record_attempt, desk.planner, lead.id)
    desk.reply(MANAGER_PHONE, f"TRIED {lead.reference}", provider_id=f"SMtried{lead.id.hex}")
    act(desk, working.snooze, lead.id, until=desk.now + HOUR)
    told = {"note": "yes, she said, and then no", "channels": [Channel.sms]}
    act(desk, working.record_opt_in, desk.planner, lead.id, **told)
    act(desk, working.record_opt_out, desk.planner, lead.id)
    mail = desk.row(lead, "acknowledgement", Channel.email)
    receiving.unsubscribe(desk.engine, mail.id, desk.now)
    event = MailEvent("delivered", MailHappening.delivered, f"event {mail.id}", "", mail.id)
    bouncing.record_mail_event(desk.engine, desk.planner, event, desk.now)


def look_around(desk: Desk) -> None:
    """What is done once in a while: ask for receipts that never came, heed texts that were left
    over, and see what is wrong."""
    desk.let_asking_come()
    heeding.heed_left(desk.engine, desk.planner, desk.now)
    settling.reconcile(desk.sender, desk.now)
    watching.watch(desk.engine, desk.planner, desk.now, caps=None)
    auditing.seal(desk.engine, desk.now)


def announce(desk: Desk, place: Place, reached: Reached) -> None:
    """The clinic's other system is told whatever it is owed: its time has come."""

    def post(*given: Any) -> Answer:
        reached("post before")
        answer = webhook.post(*given)
        reached("post after")
        return answer

    office = Receiver(Webhook(name=OFFICE, url=place.webhook_url), (b"k" * 32,))
    with transaction(desk.engine) as session:
        over = real_now(session) - timedelta(seconds=1)
        session.execute(update(Announcement).values(due_at=over))
    announcing.announce_due(Announcer(engine=desk.engine, receivers={OFFICE: office}, post=post))


def reopen(desk: Desk, lead: Lead) -> None:
    with suppress(Conflict):
        act(desk, working.reopen, desk.planner, lead.id)


def report_all(desk: Desk, said: str = "delivered") -> None:
    """The provider reports every text that we know it has."""
    for row in desk.rows(channel=Channel.sms):
        if row.provider_id and row.status in (Status.accepted, Status.sent):
            desk.report(row, said, Status(said))


def live(place: Place, day: int, told: Connection, point: str, time: int) -> None:
    """Everything that a service does, up to the given time that the point is reached."""
    times = itertools.count(1)

    def reached(name: str) -> None:
        if name == point and next(times) == time:
            os._exit(KILLED)

    with listening(reached), open_desk(place, reached) as desk:
        stumble(desk, day, "newcomer")
        intake.replay(desk.engine, desk.now)
        desk.consume()
        # Their reminders are due, and must not go any more.
        told.send(merge(desk, place, day))
        told.send(text_done(desk, place, day))
        told.send(close(desk, place, day))
        desk.send()
        release(desk)
        desk.rescue()
        desk.let_asking_come()
        desk.settle()
        report_all(desk, "sent")
        look_around(desk)
        say_stop(desk, day)
        withdraw(desk, find_lead(desk, day, "withdrawn"))
        reopen(desk, find_lead(desk, day, "reopened"))
        told.send(mark(desk, place, find_lead(desk, day, "contacted")))
        desk.send()
        announce(desk, place, reached)
