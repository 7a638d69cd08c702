"""The doors through which the journeys reach the service: HTTP, and the sandbox's record of what
it sent. Times are written as the clinic's wall clock reads."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from tests.sandbox.calling import call, get_json

CLINICS_ZONE = ZoneInfo("America/Los_Angeles")

FRONT_DESK = "frontdesk@example.com"
FRONT_DESKS_PHONE = "+19495550111"
MANAGER = "manager@example.com"
MANAGERS_PHONE = "+19495550112"

_LINK = re.compile(r"http://\S+/act/[\w.-]+")


@dataclass(frozen=True)
class Person:
    """Somebody who writes to the clinic, with the fields of their form."""

    fields: Mapping[str, Any]
    #: As the sandbox shows it.
    phone: str

    @property
    def email(self) -> str:
        return str(self.fields["email"])

    def but(self, **changes: Any) -> "Person":
        return Person({**self.fields, **changes}, self.phone)


ALICE = Person(
    {
        "name": "Alice Example",
        "email": "alice@example.com",
        "phone": "(415) 555-0101",
        "message": "Please call me back.",
        "consent_sms": True,
    },
    phone="+14155550101",
)
BOB = Person(
    {
        "name": "Bob Example",
        "email": "bob@example.com",
        "phone": "(415) 555-0102",
        "consent_sms": True,
        "answers": {"struggles": ["depression"], "tried_medication": "yes"},
    },
    phone="+14155550102",
)


@dataclass(frozen=True)
class Message:
    """One message that the sandbox took."""

    channel: str
    to: str
    subject: str
    text: str
    at: datetime
    message_id: str

    @property
    def when(self) -> str:
        return self.at.astimezone(CLINICS_ZONE).strftime("%a %H:%M")

    @property
    def words(self) -> str:
        """What a person reads: links are left out, whose tokens may spell anything."""
        return re.sub(r"http\S+", "", f"{self.subject} {self.text}")

    @property
    def link(self) -> str:
        """The link with which staff mark the lead."""
        found = _LINK.search(self.text)
        assert found, f"no link in {self.text!r}"
        return found[0]


@dataclass(frozen=True)
class Answer:
    """What a door answered."""

    status: int
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Doors:
    """The service at `url`, the sandbox at `sandbox_url`, and a member of staff with a token."""

    def __init__(self, url: str, sandbox_url: str, token: str = "") -> None:
        self.url = url
        self.sandbox_url = sandbox_url
        self.token = token

    def post(self, path: str, fields: Any = None, *, token: str = "", key: str = "") -> Answer:
        headers = {"Authorization": f"Bearer {token or self.token}"}
        if key:
            headers["Idempotency-Key"] = key
        status, text, _ = call("POST", self.url + path, data=fields or {}, headers=headers)
        return Answer(status, text)

    def get(self, path: str) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"}
        status, text, _ = call("GET", self.url + path, headers=headers)
        assert status == 200, text
        return json.loads(text)

    def takes(self, kind: str, person: Person, *, key: str = "") -> str:
        """One form comes in; returns the submission's id."""
        answer = self.post(f"/submissions/{kind}", dict(person.fields), key=key)
        assert answer.status == 202, answer.text
        assert answer.json["status"] == "accepted"
        return str(answer.json["submission_id"])

    def lead_of(self, submission: str) -> dict[str, Any]:
        """The whole lead that a submission belongs to."""
        (lead,) = self.leads(submission=submission)
        whole: dict[str, Any] = self.get(f"/admin/leads/{lead['id']}")
        return whole

    def leads(self, **filters: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.get(f"/admin/leads?{urlencode(filters)}")["items"]
        return items

    def staff_does(self, what: str, submission: str, **fields: Any) -> None:
        """`contacted`, `attempts`, `reopen` or `snooze`, by the API."""
        self.staff_does_to_lead(what, self.lead_of(submission)["id"], **fields)

    def staff_does_to_lead(self, what: str, lead_id: str, **fields: Any) -> None:
        answer = self.post(f"/admin/leads/{lead_id}/{what}", fields)
        assert answer.status == 200, answer.text

    def why_not(self, submission: str) -> dict[tuple[str, str], str]:
        """The reason of everything that was not sent to the patient, by step and channel."""
        return {
            (row["step"], row["channel"]): row["reason"]
            for row in self.lead_of(submission)["deliveries"]
            if row["audience"] == "patient" and row["reason"]
        }

    def sent(self, to: str | None = None) -> list[Message]:
        """What reached the sandbox, oldest first."""
        query = f"?{urlencode({'to': to})}" if to else ""
        return [
            Message(
                channel=one["channel"],
                to=one["to"],
                subject=one["subject"] or "",
                text=one["text"],
                at=datetime.fromisoformat(one["at"]),
                message_id=one["message_id"],
            )
            for one in get_json(f"{self.sandbox_url}/messages{query}")
        ]

    def mails(self, to: str) -> list[str]:
        """When each mail came to that inbox, and its subject."""
        return [f"{mail.when} {mail.subject}" for mail in self.sent(to)]

    def texts(self, to: str) -> list[str]:
        """When each text came to that phone."""
        return [text.when for text in self.sent(to)]

    def texts_back(self, person: Person, body: str) -> None:
        """The patient answers from their phone."""
        fields = {"from": person.phone, "body": body}
        status, text, _ = call("POST", f"{self.sandbox_url}/replies", data=fields)
        assert status == 200, text

    def opens(self, link: str) -> str:
        """What the page behind a link shows."""
        status, text, _ = call("GET", link)
        assert status == 200, text
        return text

    def presses_the_button(self, link: str) -> Answer:
        """On the page behind a link, as a browser without scripts does."""
        page = self.opens(link)
        action = re.search(r'<form method="post" action="([^"]+)"', page)
        assert action, "the page has no button"
        status, text, _ = call("POST", self.url + action[1], form={"outcome": "reached"})
        return Answer(status, text)
