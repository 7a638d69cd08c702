"""Who appears in these tests, and the clinic's desk at which their submissions are worked on."""

import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, select, update

from followup.clinic import Clinic, read_clinic
from followup.clinic_limits import Limits
from followup.domain.alarm import AlarmKind
from followup.domain.cadence import Channel, Lane
from followup.domain.delivery import Reason, Status
from followup.domain.submission import Kind
from followup.domain.suspicion import Suspicion
from followup.services import intake, receiving, sending, settling, watching, working
from followup.services.composing import Composer
from followup.services.links import Links
from followup.services.planning import Planner
from followup.services.receiving import Text
from followup.services.sending import Sender
from followup.store import alarms, breakers, deliveries, leads, ledger
from followup.store.db import reading, real_now, transaction
from followup.store.models import Breaker, Decision, Delivery, Lead, Task
from followup.templates import Templates
from followup.transports.base import Report
from tests.schema import KEYRING
from tests.services.recording import Recording

ROOT = Path(__file__).parents[2]

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

#: Alice lives in New York, Bob in Phoenix.
ALICE = {"name": "Alice Ames", "email": "alice@example.com", "phone": "+12125550101"}
BOB = {"name": "Bob Bell", "email": "bob@example.com", "phone": "+16025550102"}
FRONT_DESK, MANAGER = "frontdesk@example.com", "manager@example.com"
FRONT_DESK_PHONE, MANAGER_PHONE = "+19495550111", "+19495550112"


def at(local: str) -> datetime:
    """An instant by the clinic's wall clock, in UTC."""
    zone = ZoneInfo("America/Los_Angeles")
    return datetime.fromisoformat(local).replace(tzinfo=zone).astimezone(UTC)


#: A Tuesday without any holiday near.
TUESDAY_TEN = at("2026-10-20 10:00")


@cache
def clinic() -> Clinic:
    return read_clinic(ROOT / "clinic.toml")


@cache
def templates() -> Templates:
    return Templates.read(ROOT / "templates", clinic())


@cache
def planner() -> Planner:
    return Planner(clinic(), templates().cadences, KEYRING)


LINKS = Links(["a-secret-for-tests-that-is-long-enough"], "https://followup.example.com")


class Desk:
    """One service: what comes in, what is sent, what staff and providers say. `now` stands still
    until a test moves it."""

    def __init__(
        self, engine: Engine, provider: Recording, threads: Mapping[Lane, ThreadPoolExecutor]
    ) -> None:
        self.engine = engine
        self.provider = provider
        self.now = TUESDAY_TEN
        #: Of what comes in; a test of them sets them.
        self.limits: Limits | None = None
        #: How many messages a test has looked at.
        self.told_before = 0
        self.planner = planner()
        self.sender = Sender(
            engine=engine,
            planner=self.planner,
            composer=Composer(self.planner, templates(), LINKS, "Clinic <hello@example.com>"),
            transports=dict.fromkeys(Channel, provider),
            threads=threads,
            reserved_allowed=True,
            chance=lambda: 0.5,
        )

    def with_planner(self, planner: Planner) -> None:
        composer = Composer(planner, templates(), LINKS, "Clinic <hello@example.com>")
        self.planner = planner
        self.sender = replace(self.sender, planner=planner, composer=composer)

    def receive(
        self,
        person: Mapping[str, Any],
        *,
        kind: Kind = Kind.contact,
        evidence: Mapping[str, Any] | None = None,
        caught: Suspicion | None = None,
        **fields: Any,
    ) -> uuid.UUID:
        """Someone submits a form, who ticks the box unless `consent_sms` says otherwise."""
        payload = {"consent_sms": True, **person, **fields}
        received = intake.receive(
            self.engine,
            clinic(),
            kind,
            payload,
            now=self.now,
            evidence={"address": "203.0.113.9", **(evidence or {})},
            caught=caught,
            limits=self.limits,
        )
        return received.submission_id

    def consume(self) -> int:
        return intake.consume(self.engine, self.planner, self.now, limits=self.limits)

    def submit(self, person: Mapping[str, Any], **fields: Any) -> Lead:
        """Someone submits a form, and it is consumed."""
        submission_id = self.receive(person, **fields)
        self.consume()
        return self.lead_of(submission_id)

    def lead_of(self, submission_id: uuid.UUID) -> Lead:
        with reading(self.engine) as session:
            (lead,) = leads.list_leads(session, self.now, submission=submission_id)
        return lead

    def lead(self, lead: Lead) -> Lead:
        with reading(self.engine) as session:
            return leads.get_lead(session, lead.id)

    def leads(self) -> list[Lead]:
        with reading(self.engine) as session:
            return list(reversed(leads.list_leads(session, self.now)))

    def send(self, *lanes: Lane) -> None:
        for lane in lanes or tuple(Lane):
            assert sending.send_due(self.sender, lane, lambda: self.now)

    def rescue(self) -> int:
        return settling.rescue(self.engine, self.now)

    def settle(self) -> int:
        return settling.settle(self.sender, self.now)

    def rows(self, lead: Lead | None = None, **wanted: Any) -> list[Delivery]:
        """Deliveries in the order of their planning, of one lead or of all."""
        with reading(self.engine) as session:
            statement = select(Delivery).order_by(Delivery.id)
            found = session.scalars(statement).all()
        return [
            row
            for row in found
            if (lead is None or row.lead_id == lead.id)
            and all(getattr(row, name) == value for name, value in wanted.items())
        ]

    def row(self, lead: Lead, step: str, channel: Channel, **wanted: Any) -> Delivery:
        (row,) = self.rows(lead, step=step, channel=channel, **wanted)
        return row

    def decisions(self, row: Delivery) -> list[Decision]:
        with reading(self.engine) as session:
            found = ledger.list_decisions(session, row.lead_id)
        return [one for one in found if one.delivery_id == row.id]

    def change(self, row: Delivery, **values: Any) -> None:
        """Set columns of a row, as time or a crash would have left them."""
        with transaction(self.engine) as session:
            session.execute(update(Delivery).where(Delivery.id == row.id).values(**values))

    def watch(self, *, by_clock: bool = True) -> int:
        """Watch over the service; how many alarms are open."""
        caps = self.sender.caps
        return watching.watch(self.engine, self.planner, self.now, caps=caps, by_clock=by_clock)

    def alarms(self) -> list[tuple[AlarmKind, str]]:
        """What is wrong now: each kind with its subject."""
        with reading(self.engine) as session:
            return [(one.kind, one.subject) for one in alarms.list_open(session)]

    def tasks(self) -> list[Task]:
        """Whom staff must call because no message got through."""
        with reading(self.engine) as session:
            return list(session.scalars(select(Task).order_by(Task.id)))

    def breaker(self, channel: Channel) -> Breaker | None:
        """The channel's circuit breaker; None until the channel first fails."""
        with reading(self.engine) as session:
            return session.get(Breaker, channel)

    def pause(self, channel: Channel, **values: Any) -> None:
        """Pause a channel as an outage would have, with the next probe a real hour away."""
        with transaction(self.engine) as session:
            row = breakers.lock_breaker(session, channel)
            real = real_now(session)
            usual = {"failures": 5, "reason": Reason.will_retry, "code": "503"}
            times = {"paused_at": real, "probe_at": real + HOUR}
            for name, value in (usual | times | values).items():
                setattr(row, name, value)

    def let_probe_come(self) -> None:
        """The real seconds are over after which a paused channel is tried."""
        with transaction(self.engine) as session:
            over = real_now(session) - timedelta(seconds=1)
            statement = update(Breaker).where(Breaker.paused_at.is_not(None))
            session.execute(statement.values(probe_at=over))

    def let_leases_run_out(self) -> None:
        """The real minute after which a silent worker counts as lost is over."""
        with transaction(self.engine) as session:
            over = real_now(session) - timedelta(seconds=1)
            session.execute(
                update(Delivery).where(Delivery.status == Status.sending).values(lease_until=over)
            )

    def let_asking_come(self) -> None:
        """The real minutes are over after which the provider is asked."""
        with transaction(self.engine) as session:
            over = real_now(session) - timedelta(seconds=1)
            statement = update(Delivery).where(Delivery.ask_at.is_not(None))
            session.execute(statement.values(ask_at=over))

    def mark(self, lead: Lead, by: str = "Ann") -> working.Marked:
        with transaction(self.engine) as session:
            return working.mark_contacted(session, lead.id, by=by, now=self.now)

    def attempt(self, lead: Lead, by: str = "Ann") -> Lead:
        with transaction(self.engine) as session:
            return working.record_attempt(session, self.planner, lead.id, by=by, now=self.now)

    def reopen(self, lead: Lead) -> Lead:
        with transaction(self.engine) as session:
            return working.reopen(session, self.planner, lead.id, by="Ann", now=self.now)

    def reply(self, sender: str, body: str, provider_id: str = "") -> None:
        text = Text(provider_id or f"SM{uuid.uuid4().hex}", sender, body)
        receiving.receive_reply(self.engine, self.planner, text, self.now)

    def report(self, row: Delivery, said: str, status: Status | None, code: str = "") -> bool:
        return self.take_report(row.id, Report(row.provider_id or "SM1", said, status, code))

    def take_report(self, delivery_id: uuid.UUID, report: Report) -> bool:
        return receiving.record_receipt(self.engine, self.planner, delivery_id, report, self.now)

    def owed(self, lead: Lead) -> int:
        """How many deliveries of the lead are planned."""
        with reading(self.engine) as session:
            rows = deliveries.list_of_lead(session, lead.id)
            return sum(row.status is Status.planned for row in rows)
