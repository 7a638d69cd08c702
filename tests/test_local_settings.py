from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from dotenv import dotenv_values

from followup.config import read_settings
from followup.errors import Misconfigured
from followup.local_settings import (
    FastClock,
    LocalSettings,
    fast_clock,
    gather_environment,
    make_settings,
    read_kept,
    write_kept,
)

LOS_ANGELES = ZoneInfo("America/Los_Angeles")
DATA_DIR = Path("/srv/clinic")
MONDAY_AT_NINE = datetime(2026, 11, 23, 9, tzinfo=LOS_ANGELES)
NOW = datetime(2026, 11, 23, 23, 30, tzinfo=UTC)
FAST = FastClock(start=MONDAY_AT_NINE, anchor=NOW)

OWN_MAIL = {
    "FOLLOWUP_SMTP_URL": "smtp://user:secret@mail.example.com:587",
    "FOLLOWUP_EMAIL_FROM": "hello@example.com",
}
OWN_TEXTS = {
    "FOLLOWUP_TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "FOLLOWUP_TWILIO_AUTH_TOKENS": "secret",
    "FOLLOWUP_TWILIO_FROM": "+14155550100",
}


def make(
    own: dict[str, str] | None = None,
    kept: dict[str, str] | None = None,
    clock: FastClock | None = None,
) -> LocalSettings:
    return make_settings(own or {}, kept=kept or {}, data_dir=DATA_DIR, clock=clock)


def test_with_nothing_set_everything_that_the_service_needs_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_kept(tmp_path / "up.env", make(clock=FAST).made)
    monkeypatch.chdir(tmp_path)

    settings = read_settings(tmp_path / "up.env").checked(
        "database_url", "broker_url", "smtp_url", "email_from", "twilio_from"
    )

    assert settings.sends_to_loopback_only
    assert settings.database_url == "sqlite:////srv/clinic/followup.db"
    assert settings.broker_url == "redis+socket:///srv/clinic/broker.sock?virtual_host=0"
    assert settings.public_url == "http://127.0.0.1:8000"
    assert settings.twilio_api_url == "http://127.0.0.1:8025"
    assert settings.smtp_url
    assert settings.smtp_url.get_secret_value() == "smtp://127.0.0.1:8026"
    assert settings.clock_start == MONDAY_AT_NINE


def test_the_sandboxs_account_cannot_be_mistaken_for_a_real_one() -> None:
    sid = make().values["TWILIO_ACCOUNT_SID"]

    assert sid.startswith("ACsandbox")
    assert len(sid) == 34


def test_no_two_data_directories_share_a_secret() -> None:
    one, other = make(), make()

    for name in ("SECRET_KEYS", "ENCRYPTION_KEYS", "TWILIO_AUTH_TOKENS", "TWILIO_ACCOUNT_SID"):
        assert one.values[name] != other.values[name]


def test_the_next_start_uses_the_same_secrets_account_and_clock() -> None:
    first = make(clock=FAST)

    later = FastClock(start=datetime(2027, 1, 4, 9, tzinfo=LOS_ANGELES), anchor=NOW, rate=10)

    assert make(kept=dict(first.made), clock=later).values == first.values


def test_addresses_follow_the_users_ports() -> None:
    settings = make(
        {
            "FOLLOWUP_HOST": "0.0.0.0",  # noqa: S104 - nothing is bound
            "FOLLOWUP_PORT": "9000",
            "FOLLOWUP_SANDBOX_PORT": "9025",
            "FOLLOWUP_SANDBOX_SMTP_PORT": "9026",
        }
    )

    assert settings.api_url == settings.values["PUBLIC_URL"] == "http://127.0.0.1:9000"
    assert settings.values["TWILIO_API_URL"] == settings.sandbox_url == "http://127.0.0.1:9025"
    assert settings.values["SMTP_URL"] == "smtp://127.0.0.1:9026"


def test_an_ipv6_host_is_reached_by_its_bracketed_address() -> None:
    assert make({"FOLLOWUP_HOST": "::"}).api_url == "http://[::1]:8000"


@pytest.mark.parametrize(
    ("own", "texts", "mail", "broker"),
    [
        pytest.param({}, True, True, False, id="nothing set"),
        pytest.param({"FOLLOWUP_SMTP_URL": ""}, True, True, False, id="set to nothing"),
        pytest.param({"HOME": "/root"}, True, True, False, id="not ours"),
        pytest.param(
            {"FOLLOWUP_TWILIO_FROM": "+14155550100"}, True, True, False, id="own number only"
        ),
        pytest.param(OWN_MAIL, True, False, False, id="own mail"),
        pytest.param(OWN_TEXTS, False, True, False, id="own texts"),
        pytest.param(OWN_MAIL | OWN_TEXTS, False, False, False, id="own both"),
        pytest.param(
            {"followup_broker_url": "redis://localhost"}, True, True, True, id="own broker"
        ),
    ],
)
def test_the_sandbox_stands_in_for_what_the_user_has_not_set(
    own: dict[str, str], texts: bool, mail: bool, broker: bool
) -> None:
    settings = make(own)

    assert (settings.simulates_texts, settings.simulates_mail) == (texts, mail)
    assert settings.simulates == (texts or mail)
    assert settings.has_own_broker == broker
    assert ("BROKER_URL" in settings.made) != broker


def test_the_users_values_win_and_are_not_kept() -> None:
    settings = make(OWN_MAIL | {"FOLLOWUP_DATABASE_URL": "postgresql://db.example.com/leads"})

    assert settings.values["SMTP_URL"] == OWN_MAIL["FOLLOWUP_SMTP_URL"]
    assert settings.values["DATABASE_URL"] == "postgresql://db.example.com/leads"
    assert not settings.made.keys() & {"SMTP_URL", "EMAIL_FROM", "DATABASE_URL"}


def test_an_own_account_never_gets_the_sandboxs_address() -> None:
    settings = make(OWN_TEXTS)

    assert "TWILIO_API_URL" not in settings.values
    assert settings.sandbox_account["TWILIO_ACCOUNT_SID"].startswith("ACsandbox")


def test_what_was_read_out_of_the_kept_file_is_not_the_users() -> None:
    first = make()
    sourced = {f"FOLLOWUP_{name}": value for name, value in first.made.items()}

    again = make(sourced, kept=dict(first.made))

    assert again.simulates_texts
    assert again.simulates_mail
    assert not again.has_own_broker
    assert again.made == first.made


def test_keys_that_encrypted_earlier_data_are_kept_while_the_user_sets_others() -> None:
    first = make()
    own = {"FOLLOWUP_ENCRYPTION_KEYS": "another"}

    second = make(own, kept=dict(first.made))

    assert second.values["ENCRYPTION_KEYS"] == "another"
    assert second.made["ENCRYPTION_KEYS"] == first.made["ENCRYPTION_KEYS"]


@pytest.mark.parametrize(
    ("own", "clock", "words"),
    [
        pytest.param({"FOLLOWUP_PORT": "http"}, None, "FOLLOWUP_PORT must be a port", id="word"),
        pytest.param(
            {"FOLLOWUP_SANDBOX_PORT": "0"}, None, "FOLLOWUP_SANDBOX_PORT must be a", id="any port"
        ),
        pytest.param(
            {"FOLLOWUP_SANDBOX_SMTP_PORT": "70000"}, None, "1 to 65535, not 70000", id="too high"
        ),
        pytest.param(
            {"FOLLOWUP_SMTP_URL": "smtp://mail.example.com"},
            None,
            "needs FOLLOWUP_EMAIL_FROM",
            id="own mail without a sender",
        ),
        pytest.param(
            {"FOLLOWUP_TWILIO_ACCOUNT_SID": "AC1"},
            None,
            "needs FOLLOWUP_TWILIO_AUTH_TOKENS, FOLLOWUP_TWILIO_FROM",
            id="own account without its secrets",
        ),
        pytest.param(OWN_MAIL, FAST, "--fast is for demos", id="fast with real mail"),
        pytest.param(OWN_TEXTS, FAST, "--fast is for demos", id="fast with real texts"),
    ],
)
def test_settings_that_do_not_fit_are_refused_by_name(
    own: dict[str, str], clock: FastClock | None, words: str
) -> None:
    with pytest.raises(Misconfigured, match=words):
        make(own, clock=clock)


def test_a_data_directory_with_a_fast_clock_is_refused_on_the_real_one() -> None:
    kept = dict(make(clock=FAST).made)

    with pytest.raises(Misconfigured, match="belongs to a fast clock: add --fast"):
        make(kept=kept)


def test_a_data_directory_with_the_real_clock_is_refused_on_a_fast_one() -> None:
    kept = dict(make().made)

    with pytest.raises(Misconfigured, match="belongs to the real clock: leave out --fast"):
        make(kept=kept, clock=FAST)


def test_the_user_may_choose_the_rate_at_the_first_start_only() -> None:
    own = {"FOLLOWUP_CLOCK_RATE": "5000"}
    first = make(own, clock=FAST)
    assert first.made["CLOCK_RATE"] == first.values["CLOCK_RATE"] == "5000"

    assert make(kept=dict(first.made), clock=FAST).values["CLOCK_RATE"] == "5000"
    with pytest.raises(Misconfigured, match="CLOCK_RATE cannot change from 5000"):
        make({"FOLLOWUP_CLOCK_RATE": "10"}, kept=dict(first.made), clock=FAST)


@pytest.mark.parametrize(
    ("now", "closed", "start"),
    [
        pytest.param("2026-11-23T23:30Z", (), "2026-11-23T09:00-08:00", id="a Monday"),
        pytest.param("2026-11-24T07:30Z", (), "2026-11-23T09:00-08:00", id="late on that Monday"),
        pytest.param("2026-11-21T20:00Z", (), "2026-11-23T09:00-08:00", id="a Saturday"),
        pytest.param("2026-11-26T20:00Z", (26,), "2026-11-27T09:00-08:00", id="Thanksgiving"),
        pytest.param("2027-03-13T20:00Z", (), "2027-03-15T09:00-07:00", id="over a DST change"),
        pytest.param(
            "2026-11-23T23:30Z", range(1, 32), "2026-11-23T09:00-08:00", id="never open at nine"
        ),
    ],
)
def test_a_fast_clock_starts_at_nine_on_a_working_day_of_the_clinic(
    now: str, closed: tuple[int, ...], start: str
) -> None:
    at = datetime.fromisoformat(now)

    def is_open(morning: datetime) -> bool:
        return morning.day not in closed

    clock = fast_clock(at, LOS_ANGELES, is_open)

    assert clock.start.isoformat(timespec="minutes") == start
    assert (clock.anchor, clock.rate) == (at, 720)


def test_a_fast_clock_is_handed_on_in_utc_and_unix_seconds() -> None:
    made = make(clock=FAST).made

    assert made["CLOCK_START"] == "2026-11-23T17:00:00+00:00"
    assert float(made["CLOCK_ANCHOR"]) == NOW.timestamp()
    assert made["CLOCK_RATE"] == "720"


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("plain", id="plain"),
        pytest.param("Harbor Light Wellness <hello@example.com>", id="sender"),
        pytest.param("sqlite:////home/o'hara/a#b/$HOME/${HOME}/x.db", id="odd path"),
        pytest.param('back\\slash \\\' "quoted"', id="quotes"),
    ],
)
def test_a_kept_value_is_read_as_it_was_written(tmp_path: Path, value: str) -> None:
    write_kept(tmp_path / "up.env", {"NAME": value})

    assert read_kept(tmp_path / "up.env") == {"NAME": value}


def test_kept_values_are_for_their_owners_eyes_only(tmp_path: Path) -> None:
    write_kept(tmp_path / "up.env", make().made)

    assert (tmp_path / "up.env").stat().st_mode & 0o777 == 0o600
    assert all(name.startswith("FOLLOWUP_") for name in dotenv_values(tmp_path / "up.env"))


def test_nothing_is_kept_before_the_first_start(tmp_path: Path) -> None:
    assert read_kept(tmp_path / "up.env") == {}


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("FOLLOWUP_PORT=1\nFOLLOWUP_HOST=localhost\nEMPTY=\n")

    gathered = gather_environment({"FOLLOWUP_PORT": "2", "FOLLOWUP_HOST": ""}, tmp_path / ".env")

    assert gathered == {"FOLLOWUP_PORT": "2", "FOLLOWUP_HOST": "localhost"}
