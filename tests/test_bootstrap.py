"""The wiring: the clock, and which concrete thing serves which channel."""

import shutil
import time
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from followup.bootstrap import Service, make_announcer, make_sender, open_service
from followup.clinic import Recipient, StaffRole
from followup.clinic_webhooks import Webhook
from followup.clock import Clock
from followup.config import Settings
from followup.domain.cadence import Channel, Lane
from followup.errors import Misconfigured
from followup.services.sending import BATCH
from followup.transports.chat import ChatTransport
from followup.transports.smtp import SmtpTransport
from followup.transports.twilio import TwilioTransport
from tests.schema import ENCRYPTION_KEYS

ROOT = Path(__file__).parent.parent
START = datetime(2026, 11, 23, 9, tzinfo=timezone(timedelta(hours=-8)))


@pytest.mark.parametrize(
    ("rate", "passed", "expected"),
    [
        (1, 0, datetime(2026, 11, 23, 17, tzinfo=UTC)),
        (1, 90, datetime(2026, 11, 23, 17, 1, 30, tzinfo=UTC)),
        (720, 120, datetime(2026, 11, 24, 17, tzinfo=UTC)),
        (0.5, 120, datetime(2026, 11, 23, 17, 1, tzinfo=UTC)),
        (720, -5, datetime(2026, 11, 23, 16, tzinfo=UTC)),
    ],
    ids=["at the anchor", "real rate", "a day in two minutes", "slower", "before the anchor"],
)
def test_a_demos_clock_runs_from_its_start_at_its_rate(
    monkeypatch: pytest.MonkeyPatch, rate: float, passed: float, expected: datetime
) -> None:
    anchor = 1_800_000_000.0
    monkeypatch.setattr(time, "time", lambda: anchor + passed)

    now = Clock(START, anchor, rate).now()

    assert now == expected
    assert now.tzinfo is UTC


def test_a_service_does_not_start_with_words_that_may_not_be_said(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(ROOT / "templates", tmp_path / "templates"))
    wording = folder / "contact" / "acknowledgement.sms.en.txt"
    text = wording.read_text(encoding="utf-8")
    wording.write_text(text.replace("your message", "your ketamine message"), encoding="utf-8")

    with pytest.raises(Misconfigured, match=rf"{wording}:1: expected no 'ketamine'"):
        open_service(settings_of(tmp_path, templates_dir=folder))


@pytest.mark.parametrize("given", [(None, None), (START, None), (None, 1_000.0)])
def test_without_a_demo_it_is_now(given: tuple[datetime | None, float | None]) -> None:
    before = datetime.now(UTC)

    assert before <= Clock(*given).now() <= datetime.now(UTC)


def settings_of(directory: Path, **fields: Any) -> Settings:
    values: dict[str, Any] = {
        "database_url": f"sqlite:///{directory / 'new' / 'followup.db'}",
        "broker_url": "redis://127.0.0.1/0",
        "clinic_file": ROOT / "clinic.toml",
        "templates_dir": ROOT / "templates",
        "secret_keys": "tests-only-" * 4,
        "encryption_keys": ",".join(ENCRYPTION_KEYS),
        "smtp_url": "smtp://127.0.0.1:1",
        "email_from": "Harbor Light Wellness <hello@example.com>",
        "twilio_account_sid": "ACsandbox0000000000000000000000001",
        "twilio_auth_tokens": "the-new-one,the-old-one",
        "twilio_from": "+19495550100",
        "twilio_api_url": "http://127.0.0.1:1",
    }
    return Settings.model_validate(values | fields)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bootstrap")


@pytest.fixture(scope="module")
def service(directory: Path) -> Service:
    """Read once; what a test changes are the settings of its own copy."""
    return open_service(settings_of(directory))


def test_opening_the_service_reaches_no_server(service: Service, directory: Path) -> None:
    assert service.clinic.name == "Harbor Light Wellness"
    assert not (directory / "new" / "followup.db").exists()


def test_a_service_without_a_database_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="FOLLOWUP_DATABASE_URL"):
        open_service(settings_of(tmp_path, database_url=None))


def test_each_channel_has_its_transport_and_each_lane_its_threads(service: Service) -> None:
    sender = make_sender(service)

    assert isinstance(sender.transports[Channel.email], SmtpTransport)
    assert isinstance(sender.transports[Channel.sms], TwilioTransport)
    assert isinstance(sender.transports[Channel.chat], ChatTransport)
    threads = {lane: pool._max_workers for lane, pool in sender.threads.items()}
    assert threads == dict.fromkeys(Lane, BATCH * len(Channel))


def test_a_chat_without_an_address_is_named(service: Service, directory: Path) -> None:
    chats = [Recipient(role=StaffRole.staff, name=one, chat=one) for one in ("desk", "managers")]
    named = service.clinic.model_copy(update={"escalation": (*service.clinic.escalation, *chats)})
    settings = settings_of(directory, chats="desk=json://127.0.0.1/hook")

    with pytest.raises(Misconfigured, match="FOLLOWUP_CHATS: no address for managers, which"):
        make_sender(replace(service, settings=settings, clinic=named))


@pytest.mark.parametrize("name", ["smtp_url", "email_from", "twilio_auth_tokens"])
def test_who_cannot_send_says_which_setting_is_missing(
    service: Service, directory: Path, name: str
) -> None:
    settings = settings_of(directory, **{name: "" if name.endswith("s") else None})

    with pytest.raises(Misconfigured, match=f"FOLLOWUP_{name.upper()}"):
        make_sender(replace(service, settings=settings))


@pytest.mark.parametrize(
    ("fields", "allowed"),
    [
        ({}, True),
        ({"twilio_account_sid": "AC" + "0" * 32, "twilio_api_url": None}, False),
    ],
    ids=["a sandbox on this machine", "the real provider"],
)
def test_reserved_numbers_are_texted_only_where_nothing_leaves_the_machine(
    service: Service, directory: Path, fields: dict[str, Any], allowed: bool
) -> None:
    sender = make_sender(replace(service, settings=settings_of(directory, **fields)))

    assert sender.reserved_allowed is allowed


OFFICE = Webhook(name="office", url="https://hooks.example.com/told")
SECRET = f"office=whsec_{'A' * 32}"


@pytest.mark.parametrize(
    ("webhook", "fields", "expected"),
    [
        (OFFICE, {"webhook_secrets": f"other=whsec_{'A' * 32}"}, "no secret for office"),
        (OFFICE, {"webhook_secrets": SECRET, "clock_rate": 720}, "are for demos"),
        (OFFICE, {"webhook_secrets": SECRET}, None),
        (
            Webhook(name="office", url="http://127.0.0.1:9000/"),
            {"webhook_secrets": SECRET, "clock_rate": 720},
            None,
        ),
    ],
    ids=["without its secret", "of a demo", "with its secret", "of a demo, on this machine"],
)
def test_who_is_told_what_happened(
    service: Service,
    directory: Path,
    webhook: Webhook,
    fields: dict[str, Any],
    expected: str | None,
) -> None:
    clinic = service.clinic.model_copy(update={"webhooks": (webhook,)})
    told = replace(service, clinic=clinic, settings=settings_of(directory, **fields))

    with pytest.raises(Misconfigured, match=expected) if expected else nullcontext():
        assert make_announcer(told).receivers["office"].keys == (b"\0" * 24,)
