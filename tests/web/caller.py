"""Whoever calls the API in these tests: a patient, staff with tokens, Twilio; and a still clock."""

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from httpx2 import Response
from twilio.request_validator import RequestValidator

from followup.bootstrap import Service
from followup.clinic_limits import Limits
from followup.clock import Clock
from followup.config import Settings
from followup.domain.cadence import Channel, Lane
from followup.services import intake, sending, staffing
from followup.services.composing import Composer
from followup.store.db import transaction
from followup.transports.base import Finding, Lost, Outgoing, Report
from tests.schema import ENCRYPTION_KEYS, KEYRING

ROOT = Path(__file__).parents[2]
#: Five past nine on a Monday morning in California.
NOW = datetime(2026, 11, 23, 17, 5, tzinfo=UTC)
PUBLIC_URL = "https://followup.example.com"
TOKENS = ("twilio-token-now", "twilio-token-before")

ALICE: Mapping[str, Any] = {
    "name": "Alice Ng",
    "email": "alice@example.com",
    "phone": "(415) 555-0101",
    "message": "Please call me.",
    "consent_sms": True,
}

SETTINGS = Settings.model_validate(
    {
        "public_url": PUBLIC_URL,
        "clinic_file": ROOT / "clinic.toml",
        "templates_dir": ROOT / "templates",
        "secret_keys": "tests-only-" * 4,
        "encryption_keys": ",".join(ENCRYPTION_KEYS),
        "twilio_auth_tokens": ",".join(TOKENS),
    }
)


class StillClock(Clock):
    """Stands at `at` until a test moves it."""

    def __init__(self, at: datetime) -> None:
        super().__init__()
        self.at = at

    def now(self) -> datetime:
        return self.at

    def pass_by(self, time: timedelta) -> None:
        self.at += time


@dataclass
class Taken:
    """A provider that takes everything and remembers it."""

    messages: list[Outgoing] = field(default_factory=list)

    def send(self, message: Outgoing) -> str:
        self.messages.append(message)
        return f"SM{message.delivery_id.hex}"

    def find(self, lost: Sequence[Lost], known: Collection[str] = ()) -> Sequence[Finding]:
        return [None] * len(lost)

    def look_up(self, provider_id: str) -> Report | None:
        return None

    def delete(self, provider_id: str) -> None: ...

    def close(self) -> None: ...


@dataclass
class Caller:
    """The API with everything behind it but the workers, whose work the test asks for."""

    http: TestClient
    service: Service
    clock: StillClock
    rings: list[str]
    sent: Taken = field(default_factory=Taken)

    def submit(self, kind: str = "contact", **fields: Any) -> str:
        answer = self.http.post(f"/submissions/{kind}", json={**ALICE, **fields})
        assert answer.status_code == 202, answer.text
        submission_id: str = answer.json()["submission_id"]
        return submission_id

    def consume(self, limits: Limits | None = None) -> None:
        engine, planner = self.service.engine, self.service.planner
        while intake.consume(engine, planner, self.clock.now(), limits=limits):
            pass

    def send_due(self, *lanes: Lane) -> list[Outgoing]:
        """What goes out now."""
        before = len(self.sent.messages)
        with ThreadPoolExecutor(1) as thread:
            sender = sending.Sender(
                engine=self.service.engine,
                planner=self.service.planner,
                composer=Composer(
                    self.service.planner,
                    self.service.templates,
                    self.service.links,
                    "hello@example.com",
                ),
                transports=dict.fromkeys(Channel, self.sent),
                threads=dict.fromkeys(Lane, thread),
                reserved_allowed=True,
            )
            for lane in lanes or Lane:
                sending.send_due(sender, lane, self.clock.now)
        return self.sent.messages[before:]

    def staff(
        self, name: str = "Dana", role: staffing.StaffRole = staffing.StaffRole.staff
    ) -> dict[str, str]:
        """The headers of a new person of the staff."""
        with transaction(self.service.engine) as session:
            credential = staffing.add_person(session, KEYRING, name=name, role=role, now=NOW)
        return {"Authorization": f"Bearer {credential.token}"}

    def lead(
        self, staff: Mapping[str, str], kind: str = "contact", **fields: Any
    ) -> dict[str, Any]:
        """A lead that came in and was consumed, as its own page shows it."""
        submission_id = self.submit(kind, **fields)
        self.consume()
        found = self.http.get(f"/admin/leads?submission={submission_id}", headers=dict(staff))
        return self.whole(staff, found.json()["items"][0]["id"])

    def find(self, staff: Mapping[str, str]) -> dict[str, Any]:
        """The lead that stands first in the list."""
        found = self.http.get("/admin/leads", headers=dict(staff)).json()["items"]
        first: dict[str, Any] = found[0]
        return first

    def whole(self, staff: Mapping[str, str], lead_id: str) -> dict[str, Any]:
        answer = self.http.get(f"/admin/leads/{lead_id}", headers=dict(staff))
        assert answer.status_code == 200, answer.text
        lead: dict[str, Any] = answer.json()
        return lead

    def act(
        self, staff: Mapping[str, str], lead: Mapping[str, Any], verb: str, body: Any = None
    ) -> Response:
        """What one of the staff does with a lead."""
        return self.http.post(f"/admin/leads/{lead['id']}/{verb}", headers=dict(staff), json=body)

    def twilio(
        self, path: str, fields: Mapping[str, Any], *, token: str = TOKENS[0], **headers: str
    ) -> Response:
        """A post as Twilio signs it, for the public address."""
        signature = RequestValidator(token).compute_signature(PUBLIC_URL + path, fields)
        return self.http.post(
            path, data=dict(fields), headers={"X-Twilio-Signature": signature, **headers}
        )


Open = Callable[[str], Caller]


def faults(answer: Response) -> dict[str, str]:
    """What a problem says of each field; fails for an answer that is no problem."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["title"]
    assert body["detail"]
    return {fault["field"]: fault["problem"] for fault in body.get("errors", ())}
