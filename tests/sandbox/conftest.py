"""A running sandbox, and a stand-in for the service that its webhooks go to."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any

import pytest
from twilio.request_validator import RequestValidator
from twilio.rest import Client

from followup.sandbox.listener import HttpListener, Request, Response, Silence
from followup.sandbox.server import Sandbox

SID = "AC00000000000000000000000000000001"
TOKEN = "a-token-for-tests"
PREVIOUS_TOKEN = "the-token-before"
SERVICE = "MG00000000000000000000000000000001"
CLINIC = "+19495550100"
ALICE = "+14155550101"
BOB = "+14155550102"
NOW = datetime(2026, 11, 23, 17, 5, tzinfo=UTC)


@dataclass(frozen=True)
class Received:
    """One webhook as the service would see it."""

    url: str
    fields: dict[str, str]
    signature: str
    idempotency_token: str | None

    @property
    def status(self) -> str:
        return self.fields["MessageStatus"]

    def is_signed_with(self, token: str) -> bool:
        validator = RequestValidator(token)
        return bool(validator.validate(self.url, self.fields, self.signature))


class Service:
    """Records webhooks and answers 204, or what `answers` still holds."""

    def __init__(self) -> None:
        self._listener = HttpListener("127.0.0.1", 0, self._answer, "PORT")
        self._lock = Lock()
        self.received: list[Received] = []
        self.answers: list[Response | Silence] = []
        self.url = f"http://127.0.0.1:{self._listener.port}"
        self.status_url = f"{self.url}/webhooks/twilio/status/0192f0c1"
        self.start, self.stop = self._listener.start, self._listener.stop

    @property
    def statuses(self) -> list[str]:
        return [webhook.status for webhook in self.received]

    def _answer(self, request: Request) -> Response | Silence:
        fields = {name: values[0] for name, values in request.form().items()}
        query = f"?{request.query}" if request.query else ""
        webhook = Received(
            url=f"{self.url}{request.path}{query}",
            fields=fields,
            signature=request.headers.get("x-twilio-signature", ""),
            idempotency_token=request.headers.get("i-twilio-idempotency-token"),
        )
        with self._lock:
            self.received.append(webhook)
            return self.answers.pop(0) if self.answers else Response(204)


@dataclass
class Clock:
    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def pass_time(self, passed: timedelta) -> None:
        self.now += passed


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    service.start()
    yield service
    service.stop()


OpenSandbox = Callable[..., Sandbox]


@pytest.fixture
def open_sandbox(service: Service, clock: Clock) -> Iterator[OpenSandbox]:
    """Starts a sandbox with those settings; it ends with the test."""
    opened: list[Sandbox] = []

    def open_one(**settings: Any) -> Sandbox:
        defaults: dict[str, Any] = {
            "account_sid": SID,
            "auth_token": TOKEN,
            "previous_auth_token": PREVIOUS_TOKEN,
            "port": 0,
            "smtp_port": 0,
            "public_url": service.url,
            "now": clock,
            "pace": 0,
        }
        sandbox = Sandbox(**{**defaults, **settings})
        sandbox.start()
        opened.append(sandbox)
        return sandbox

    yield open_one
    for sandbox in opened:
        sandbox.stop()


@pytest.fixture
def sandbox(open_sandbox: OpenSandbox) -> Sandbox:
    return open_sandbox()


def client_of(sandbox: Sandbox, sid: str = SID, token: str = TOKEN) -> Client:
    client = Client(sid, token)
    client.api.base_url = sandbox.url
    client.http_client.timeout = 10
    return client


@pytest.fixture
def client(sandbox: Sandbox) -> Client:
    return client_of(sandbox)
