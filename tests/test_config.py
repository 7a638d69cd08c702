"""Settings: a wrong one is named, a missing one is named, and demos cannot reach real providers."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from followup.clinic_webhooks import keys_of
from followup.config import (
    PREFIX,
    SENDING,
    SERVING,
    STORING,
    TURNSTILE_URL,
    Settings,
    read_settings,
)
from followup.config_fields import is_loopback
from followup.errors import Misconfigured

KEY = "dGVzdHMtb25seS1rZXktb25lLW5vdC1hLXNlY3JldCE="
SECRET = "tests-only-" + "0123456789abcdef" * 2

REAL = {
    "DATABASE_URL": "postgresql://clinic@db.example.com/followup",
    "BROKER_URL": "rediss://broker.example.com:6380/0",
    "PUBLIC_URL": "https://followup.example.com/",
    "SECRET_KEYS": SECRET,
    "ENCRYPTION_KEYS": KEY,
    "SMTP_URL": "smtp://clinic:word@mail.example.com:587",
    "EMAIL_FROM": "Harbor Light Wellness <hello@example.com>",
    "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "TWILIO_AUTH_TOKENS": "first-token, second-token",
    "TWILIO_FROM": "+19495550100",
}
LOOPBACK = {"SMTP_URL": "smtp://127.0.0.1:8026", "TWILIO_API_URL": "http://127.0.0.1:8025"}
DEMO_CLOCK = {"CLOCK_START": "2026-12-01T17:00:00+00:00", "CLOCK_ANCHOR": "1796000000.5"}


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(PREFIX + name.upper(), raising=False)


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    return tmp_path / ".env"


def read(env_file: Path, *, without: str = "", **values: str) -> Settings:
    told = {name: value for name, value in {**REAL, **values}.items() if name != without}
    env_file.write_text("".join(f"{PREFIX}{name}='{told[name]}'\n" for name in told))
    return read_settings(env_file)


def test_a_whole_set_of_settings_serves_and_sends(env_file: Path) -> None:
    settings = read(env_file)

    assert settings.checked(*SERVING) is settings.checked(*SENDING) is settings
    assert [token.get_secret_value() for token in settings.twilio_auth_tokens] == [
        "first-token",
        "second-token",
    ]
    assert settings.public_url == "https://followup.example.com"


def test_those_to_whom_alone_anything_is_sent_are_read_as_people_write_them(
    env_file: Path,
) -> None:
    settings = read(env_file, ONLY_TO="Anna@Example.com, (415) 555-0123")

    assert settings.only_to_these == {"anna@example.com", "+14155550123"}


WRONG = {
    "DATABASE_URL": [
        *("mysql://db/x", "rubbish", "postgresql://db:port/x"),
        *("sqlite://", "sqlite:///", "sqlite:///:memory:"),
    ],
    "BROKER_URL": ["http://broker", "broker:6379", "redis://broker:port"],
    "PUBLIC_URL": [
        *("followup.example.com", "ftp://x.example.com", "http://[::1", "http://x:port"),
        *("https://x.example.com/?a=1", "https://x.example.com/#a"),
    ],
    "SECRET_KEYS": ["short", f"{SECRET},short"],
    "ENCRYPTION_KEYS": ["rubbish", SECRET, f"{KEY},rubbish"],
    "SMTP_URL": ["mail.example.com", "https://mail.example.com", "smtp://", "smtp://mail:port"],
    "EMAIL_FROM": ["rubbish", "Clinic <hello>", "Clinic\\nBcc: x <hello@example.com>"],
    "SENDGRID_WEBHOOK_KEY": [
        *("rubbish", "AAAA", "not base64!"),
        # A key, of another kind.
        "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=",
    ],
    "POSTMARK_WEBHOOK_TOKEN": ["short"],
    "SES_TOPIC_ARN": ["mail-events", "arn:aws:sqs:us-east-1:123456789012:mail-events"],
    "BOUNCES_URL": [
        *("mail.example.com", "pop3://a:b@mail.example.com", "imaps://a:b@"),
        *("imaps://mail.example.com/INBOX", "imaps://a@mail.example.com", "imaps://a:b@mail:port"),
    ],
    "TWILIO_ACCOUNT_SID": ["SK123", "AC 12"],
    "TWILIO_MESSAGING_SERVICE_SID": ["AC123"],
    "TWILIO_FROM": ["(949) 555-0100", "9495550100", "Clinic"],
    "TWILIO_API_URL": ["127.0.0.1:8025", "smtp://127.0.0.1"],
    "TEXTS_PER_SECOND": ["fast", "0", "-1", "nan", "inf", "1001"],
    "MAILS_PER_SECOND": ["fast", "0"],
    "WEBHOOK_SECRETS": [
        *("whsec_" + "A" * 32, "office", "office=", "office=whsec_"),
        *(f"office=whsec_{'A' * 32},", f"office=whsec_{'A' * 32}; =whsec_{'A' * 32}"),
        f"office=whsec_{'A' * 32}; office=whsec_{'B' * 32}",
    ],
    "ONLY_TO": ["you", "you@example.com,+1 415", "you@@example.com"],
    "CHATS": ["slack://x", "desk", "desk=x", "Desk=slack://x", "a=json://x;a=json://y", "a=x://[y"],
    "FORM_SECRETS": ["secret", "site", "=secret", "Site=secret", "site=a;site=b", "a b=c"],
    "TRUSTED_PROXIES": ["proxy", "10.0.0.1/8", "10.0.0.300", "*"],
    "TURNSTILE_URL": ["rubbish", "ftp://127.0.0.1"],
    "CLOCK_START": ["yesterday"],
    "CLOCK_ANCHOR": ["now", "nan", "inf", "-1", "1796000000000"],
    "CLOCK_RATE": ["fast", "0", "-1", "nan", "inf", "100001"],
    "LOG_FORMAT": ["xml", "JSON"],
    "LIMITS": ["none", "OFF"],
    "TWILIO_STOP_FILTER": ["none", "OFF"],
    "PORT": ["http", "-1", "65536"],
    "SANDBOX_PORT": ["http", "65536"],
    "SANDBOX_SMTP_PORT": ["smtp", "-1"],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
def test_a_wrong_value_is_one_line_that_names_its_setting(
    env_file: Path, name: str, value: str
) -> None:
    env_file.write_text(f'{PREFIX}{name}="{value}"\n')

    with pytest.raises(Misconfigured) as caught:
        read_settings(env_file)

    line = str(caught.value)
    assert line.startswith(f"{PREFIX}{name} ")
    assert line.count(PREFIX) == len(line.splitlines()) == 1


def test_every_setting_that_can_be_wrong_has_a_row_above() -> None:
    free = {"CLINIC_FILE", "TEMPLATES_DIR", "DATA_DIR", "HOST", "TWILIO_AUTH_TOKENS"}
    free |= {"MAILGUN_SIGNING_KEY", "TURNSTILE_SITE_KEY", "TURNSTILE_SECRET"}

    assert {name.upper() for name in Settings.model_fields} == WRONG.keys() | free


def test_several_wrong_values_are_named_at_once(env_file: Path) -> None:
    with pytest.raises(Misconfigured, match=r"FOLLOWUP_SMTP_URL .*; FOLLOWUP_PORT "):
        read(env_file, SMTP_URL="mail", PORT="http")


@pytest.mark.parametrize("name", ["SECRET_KEYS", "ENCRYPTION_KEYS", "SMTP_URL"])
def test_a_wrong_secret_is_not_repeated(env_file: Path, name: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        read(env_file, **{name: "hunter2"})

    assert "hunter2" not in str(caught.value)


def test_secrets_are_not_shown_with_the_settings(env_file: Path) -> None:
    shown = repr(read(env_file))

    assert not any(secret in shown for secret in (SECRET, KEY, "first-token", "clinic:word"))


@pytest.mark.parametrize("name", [name.upper() for name in SENDING if name != "public_url"])
def test_what_is_missing_is_named(env_file: Path, name: str) -> None:
    settings = read(env_file, without=name)

    with pytest.raises(Misconfigured, match=rf"^missing setting: FOLLOWUP_{name}; set"):
        settings.checked(*SENDING)


def test_all_that_is_missing_is_named_at_once(env_file: Path) -> None:
    env_file.write_text("")

    with pytest.raises(Misconfigured) as caught:
        read_settings(env_file).checked(*SENDING)

    wanted = {f"{PREFIX}{name.upper()}" for name in SENDING} - {"FOLLOWUP_PUBLIC_URL"}
    assert all(name in str(caught.value) for name in wanted)
    assert "\n" not in str(caught.value)


def test_texts_need_a_number_or_a_messaging_service(env_file: Path) -> None:
    settings = read(env_file, without="TWILIO_FROM")

    with pytest.raises(Misconfigured, match="TWILIO_MESSAGING_SERVICE_SID or FOLLOWUP_TWILIO_FROM"):
        settings.checked(*SENDING)
    assert settings.checked(*SERVING) is settings


def test_a_messaging_service_takes_the_place_of_a_number(env_file: Path) -> None:
    sid = "MG" + "0" * 32
    settings = read(env_file, without="TWILIO_FROM", TWILIO_MESSAGING_SERVICE_SID=sid)

    assert settings.checked(*SENDING).twilio_messaging_service_sid == sid


def test_an_empty_value_is_a_missing_one(env_file: Path) -> None:
    with pytest.raises(Misconfigured, match="missing setting: FOLLOWUP_SECRET_KEYS"):
        read(env_file, SECRET_KEYS=" , ").checked(*SERVING)
    with pytest.raises(Misconfigured, match="missing setting: FOLLOWUP_DATABASE_URL"):
        read(env_file, DATABASE_URL="").checked(*STORING)


@pytest.mark.parametrize(
    "demo",
    [
        pytest.param(DEMO_CLOCK, id="clock"),
        pytest.param({"CLOCK_RATE": "2"}, id="rate alone"),
        pytest.param({"LIMITS": "off"}, id="limits"),
    ],
)
@pytest.mark.parametrize(
    "real",
    [
        pytest.param({}, id="both are real"),
        pytest.param({"SMTP_URL": LOOPBACK["SMTP_URL"]}, id="texts are real"),
        pytest.param({"TWILIO_API_URL": LOOPBACK["TWILIO_API_URL"]}, id="mail is real"),
        pytest.param({**LOOPBACK, "CHATS": "a=json://127.0.0.1;b=slack://x"}, id="a chat is real"),
    ],
)
def test_what_is_for_demos_is_refused_against_a_real_provider(
    env_file: Path, demo: dict[str, str], real: dict[str, str]
) -> None:
    with pytest.raises(Misconfigured, match="is for demos: refused unless"):
        read(env_file, **real, **demo).checked("database_url")


@pytest.mark.parametrize("demo", [DEMO_CLOCK, {"LIMITS": "off"}, {"CLOCK_RATE": "1"}, {}])
def test_what_is_for_demos_is_taken_on_this_machine(env_file: Path, demo: dict[str, str]) -> None:
    settings = read(env_file, **LOOPBACK, **demo)

    assert settings.checked(*SENDING) is settings


@pytest.mark.parametrize("alone", ["CLOCK_START", "CLOCK_ANCHOR"])
def test_half_a_demo_clock_is_refused(env_file: Path, alone: str) -> None:
    with pytest.raises(Misconfigured, match="must both be set"):
        read(env_file, **LOOPBACK, **{alone: DEMO_CLOCK[alone]}).checked("database_url")


def test_a_clock_without_a_zone_reads_utc(env_file: Path) -> None:
    settings = read(env_file, **LOOPBACK, CLOCK_START="2026-12-01T17:00")

    assert settings.clock_start == datetime(2026, 12, 1, 17, tzinfo=UTC)


@pytest.mark.parametrize(
    ("api_url", "is_refused"),
    [
        pytest.param({}, True, id="Twilio itself"),
        pytest.param({"TWILIO_API_URL": "https://api.example.com"}, True, id="elsewhere"),
        pytest.param(LOOPBACK, False, id="the sandbox"),
    ],
)
def test_the_sandboxs_account_is_refused_against_a_real_provider(
    env_file: Path, api_url: dict[str, str], is_refused: bool
) -> None:
    settings = read(env_file, TWILIO_ACCOUNT_SID="ACsandbox" + "0" * 25, **api_url)

    if is_refused:
        with pytest.raises(Misconfigured, match=r"TWILIO_ACCOUNT_SID is the sandbox's: refused"):
            settings.checked("database_url")
    else:
        assert settings.checked("database_url") is settings


@pytest.mark.parametrize(
    ("url", "is_here"),
    [
        ("http://127.0.0.1:8025", True),
        ("smtp://127.8.9.10", True),
        ("http://[::1]:8025", True),
        ("http://localhost", True),
        ("http://LOCALHOST:1", True),
        ("http://localhost.example.com", False),
        ("http://127.0.0.1.example.com", False),
        ("http://127.0.0.1@mail.example.com", False),
        ("http://0.0.0.0", False),
        ("http://10.0.0.1", False),
        ("https://api.twilio.com", False),
        ("127.0.0.1", False),
        ("", False),
        (None, False),
    ],
)
def test_only_a_loopback_address_is_this_machine(url: str | None, is_here: bool) -> None:
    assert is_loopback(url) is is_here


def test_the_environment_counts_before_files_and_an_earlier_file_before_a_later(
    env_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "up.env"
    env_file.write_text("FOLLOWUP_PORT=1\nFOLLOWUP_SANDBOX_PORT=2\n")
    kept.write_text("FOLLOWUP_PORT=3\nFOLLOWUP_SANDBOX_PORT=4\nFOLLOWUP_SANDBOX_SMTP_PORT=5\n")
    monkeypatch.setenv("FOLLOWUP_PORT", "6")

    settings = read_settings(env_file, kept)

    assert (settings.port, settings.sandbox_port, settings.sandbox_smtp_port) == (6, 2, 5)


def test_a_file_that_is_no_text_is_named(env_file: Path) -> None:
    env_file.write_bytes(b"FOLLOWUP_PORT=\xff\xfe")

    with pytest.raises(Misconfigured, match=r"\.env: expected UTF-8"):
        read_settings(env_file)


def test_no_secret_has_a_default(env_file: Path) -> None:
    env_file.write_text("")
    settings = read_settings(env_file)

    secrets = [
        name
        for name in Settings.model_fields
        if re.search("key|secret|token|sid|url|topic", name)
        and name not in ("public_url", "turnstile_url")
    ]
    assert len(secrets) > 12
    assert not [name for name in secrets if getattr(settings, name)]


def test_a_captcha_needs_both_its_keys(env_file: Path) -> None:
    for name in ("TURNSTILE_SITE_KEY", "TURNSTILE_SECRET"):
        with pytest.raises(Misconfigured, match="must both be set"):
            read(env_file, **{name: "key"}).checked()

    both = read(env_file, TURNSTILE_SITE_KEY="key", TURNSTILE_SECRET="word").checked()
    assert both.turnstile_url == TURNSTILE_URL


def test_a_captcha_is_asked_of_cloudflare_or_of_this_machine(env_file: Path) -> None:
    with pytest.raises(Misconfigured, match="FOLLOWUP_TURNSTILE_URL is for tests"):
        read(env_file, TURNSTILE_URL="https://captcha.example.com/").checked()

    read(env_file, TURNSTILE_URL="http://127.0.0.1:8027/").checked()


@pytest.mark.parametrize(
    ("proxies", "public_url", "known"),
    [
        pytest.param("", "http://127.0.0.1:8000", True, id="at home"),
        pytest.param("", "https://f.example.com", False, id="a proxy that nobody named"),
        pytest.param("10.0.0.1, fd00::/8", "https://f.example.com", True, id="named"),
    ],
)
def test_visitors_addresses_are_known_when_the_proxies_are(
    env_file: Path, proxies: str, public_url: str, known: bool
) -> None:
    settings = read(env_file, PUBLIC_URL=public_url, TRUSTED_PROXIES=proxies)

    assert settings.knows_addresses is known


def test_a_webhook_has_both_secrets_while_they_are_changed(env_file: Path) -> None:
    new, old = "whsec_" + "A" * 32, "whsec_" + "B" * 32
    settings = read(env_file, WEBHOOK_SECRETS=f"office={new}, {old}; billing={old}")

    (billing,) = keys_of(settings.webhook_secrets, "billing")
    assert keys_of(settings.webhook_secrets, "office") == (b"\0" * 24, billing)
    assert keys_of(settings.webhook_secrets, "another") == ()
    assert new not in repr(settings)
