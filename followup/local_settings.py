"""What `followup up` makes when the user has not set it, and what it keeps of that in `up.env`.

Secrets, the sandbox's account and the clock are made once for a data directory; addresses are
made anew at each start. What the user sets in the environment or in `.env` is used, not kept.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from cryptography.fernet import Fernet
from dotenv import dotenv_values

from followup.broker import broker_url
from followup.config import PREFIX, SANDBOX_ACCOUNT_PREFIX, SENDING, Settings
from followup.config_fields import is_loopback
from followup.errors import Misconfigured
from followup.private_file import write_private

#: A day in two minutes.
FAST_RATE = 720
FAST_START = time(9)
#: Nobody closes for longer than that.
SEARCHED_DAYS = 14

#: Twilio's account SIDs are "AC" and 32 more characters.
ACCOUNT_SID_LENGTH = 34
SANDBOX_NUMBER = "+19495550100"
SANDBOX_SENDER = "Harbor Light Wellness <hello@example.com>"

SQLITE = "sqlite:///"

HIGHEST_PORT = 65_535

#: Any of these says that texts go through an account of the user's.
TEXTS_OF_THE_USER = ("TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKENS", "TWILIO_API_URL")
CLOCK = ("CLOCK_START", "CLOCK_ANCHOR", "CLOCK_RATE")
#: Stay in `up.env` also while the user sets other ones: what they encrypted must stay readable.
NEVER_DROPPED = ("SECRET_KEYS", "ENCRYPTION_KEYS", *CLOCK)


@dataclass(frozen=True)
class FastClock:
    """The demo's clock: reads `start` at the real instant `anchor`, and runs `rate` times as
    fast."""

    start: datetime
    anchor: datetime
    rate: int = FAST_RATE


@dataclass(frozen=True)
class LocalSettings:
    """What the processes of one `followup up` are told; names are without their prefix."""

    values: Mapping[str, str]
    #: What was made of it, for `up.env`.
    made: Mapping[str, str]
    #: The account at the sandbox, which is the service's own unless texts really leave.
    sandbox_account: Mapping[str, str]
    simulates_texts: bool
    simulates_mail: bool
    has_own_broker: bool

    @property
    def simulates(self) -> bool:
        return self.simulates_texts or self.simulates_mail

    def port(self, name: str) -> int:
        return _port(self.values, name)

    @property
    def host(self) -> str:
        return _setting(self.values, "HOST")

    @property
    def reachable_host(self) -> str:
        """The API's host as a browser or a probe on this machine writes it."""
        return _reachable_host(self.values)

    @property
    def api_url(self) -> str:
        return _api_url(self.values)

    @property
    def sandbox_url(self) -> str:
        return _sandbox_url(self.values)

    @property
    def clock_start(self) -> datetime:
        return datetime.fromisoformat(self.values["CLOCK_START"])


def fast_clock(now: datetime, zone: ZoneInfo, is_open: Callable[[datetime], bool]) -> FastClock:
    """A clock that starts at nine in the clinic's zone on the first weekday from today on.

    A day on which the clinic is not open at nine, such as a holiday, is passed over; when there
    is no other in two weeks, the first weekday will do.
    """
    today = now.astimezone(zone).date()
    days = (today + timedelta(days=ahead) for ahead in range(SEARCHED_DAYS))
    mornings = [datetime.combine(day, FAST_START, zone) for day in days if day.weekday() < 5]
    start = next((morning for morning in mornings if is_open(morning)), mornings[0])
    return FastClock(start=start, anchor=now)


def gather_environment(environment: Mapping[str, str], env_file: Path) -> dict[str, str]:
    """The environment, and what `env_file` sets that the environment does not."""
    from_file = {name: value for name, value in dotenv_values(env_file).items() if value}
    return from_file | {name: value for name, value in environment.items() if value}


def read_kept(path: Path) -> dict[str, str]:
    """What an earlier start wrote into `up.env`, by name without prefix; nothing at first."""
    found = dotenv_values(path, interpolate=False)
    return {name.removeprefix(PREFIX): value for name, value in found.items() if value}


def database_file(settings: LocalSettings) -> Path | None:
    """The file of the database that was made for the data directory, if the user has no other."""
    url = settings.made.get("DATABASE_URL")
    return Path(url.removeprefix(SQLITE)) if url else None


def write_kept(path: Path, made: Mapping[str, str]) -> None:
    """In the form of an `.env` file, for its owner's eyes only."""
    lines = ["# Made by `followup up`; every command reads it. Your own values belong in .env."]
    lines += [f"{PREFIX}{name}={_quoted(value)}" for name, value in made.items()]
    write_private(path, "\n".join(lines) + "\n")


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def make_settings(
    environment: Mapping[str, str],
    *,
    kept: Mapping[str, str],
    data_dir: Path,
    clock: FastClock | None,
) -> LocalSettings:
    """The user's settings, completed. Raises Misconfigured when they do not fit together."""
    own = _users_own(environment, kept)
    _check_clock(own, kept, clock)
    account = _make_account(own, kept)
    simulates_texts = not any(name in own for name in TEXTS_OF_THE_USER)
    simulates_mail = "SMTP_URL" not in own

    made = {
        **_make_basics(own, kept, data_dir),
        **(account if simulates_texts else {}),
        **(_make_mail(own) if simulates_mail else {}),
        **(_make_clock(own, kept, clock) if clock else {}),
    }
    settings = LocalSettings(
        values=made | own,
        made={name: made[name] for name in made if name not in own or name in NEVER_DROPPED},
        sandbox_account=account,
        simulates_texts=simulates_texts,
        simulates_mail=simulates_mail,
        has_own_broker="BROKER_URL" in own,
    )
    _check_whole(settings, clock)
    return settings


def _users_own(environment: Mapping[str, str], kept: Mapping[str, str]) -> dict[str, str]:
    """A value that equals the kept one is not the user's: it was read out of `up.env`."""
    named = {
        name.upper().removeprefix(PREFIX): value
        for name, value in environment.items()
        if name.upper().startswith(PREFIX)
    }
    return {name: value for name, value in named.items() if value and kept.get(name) != value}


def _make_basics(own: Mapping[str, str], kept: Mapping[str, str], data_dir: Path) -> dict[str, str]:
    made = {
        "SECRET_KEYS": kept.get("SECRET_KEYS") or secrets.token_urlsafe(32),
        "ENCRYPTION_KEYS": kept.get("ENCRYPTION_KEYS") or Fernet.generate_key().decode(),
        "DATABASE_URL": f"{SQLITE}{data_dir / 'followup.db'}",
        "PUBLIC_URL": _api_url(own),
        "LOG_FORMAT": "console",
    }
    if "BROKER_URL" not in own:
        made["BROKER_URL"] = broker_url(data_dir)
    return made


def _make_account(own: Mapping[str, str], kept: Mapping[str, str]) -> dict[str, str]:
    """An account at the sandbox, which no real provider would accept."""
    random = secrets.token_hex(ACCOUNT_SID_LENGTH)
    sid = kept.get("TWILIO_ACCOUNT_SID") or (SANDBOX_ACCOUNT_PREFIX + random)[:ACCOUNT_SID_LENGTH]
    made = {
        "TWILIO_ACCOUNT_SID": sid,
        "TWILIO_AUTH_TOKENS": kept.get("TWILIO_AUTH_TOKENS") or secrets.token_hex(16),
        "TWILIO_API_URL": _sandbox_url(own),
    }
    if "TWILIO_MESSAGING_SERVICE_SID" not in own:
        made["TWILIO_FROM"] = SANDBOX_NUMBER
    return made


def _make_mail(own: Mapping[str, str]) -> dict[str, str]:
    return {
        "SMTP_URL": f"smtp://127.0.0.1:{_port(own, 'SANDBOX_SMTP_PORT')}",
        "EMAIL_FROM": SANDBOX_SENDER,
    }


def _make_clock(
    own: Mapping[str, str], kept: Mapping[str, str], clock: FastClock
) -> dict[str, str]:
    made = {
        "CLOCK_START": clock.start.astimezone(UTC).isoformat(),
        "CLOCK_ANCHOR": f"{clock.anchor.timestamp():.3f}",
        "CLOCK_RATE": str(clock.rate),
    }
    return {name: kept.get(name) or own.get(name) or made[name] for name in CLOCK}


def _check_clock(own: Mapping[str, str], kept: Mapping[str, str], clock: FastClock | None) -> None:
    """A clock that jumped back would send again, and one that jumped ahead would let expire."""
    if not kept:
        return
    was_fast = "CLOCK_ANCHOR" in kept
    if was_fast and clock is None:
        raise Misconfigured(
            f"this data directory belongs to a fast clock: add --fast, or set {PREFIX}DATA_DIR "
            "to another directory"
        )
    if clock is not None and not was_fast:
        raise Misconfigured(
            f"this data directory belongs to the real clock: leave out --fast, or set "
            f"{PREFIX}DATA_DIR to another directory"
        )
    for name in CLOCK:
        if was_fast and name in own:
            raise Misconfigured(
                f"{PREFIX}{name} cannot change from {kept[name]} in this data directory: unset "
                f"it, or set {PREFIX}DATA_DIR to another directory"
            )


def _check_whole(settings: LocalSettings, clock: FastClock | None) -> None:
    values = settings.values
    for name in ("PORT", "SANDBOX_PORT", "SANDBOX_SMTP_PORT"):
        settings.port(name)
    missing = [name.upper() for name in SENDING if not values.get(name.upper())]
    if not values.get("TWILIO_MESSAGING_SERVICE_SID") and not values.get("TWILIO_FROM"):
        missing.append("TWILIO_FROM")
    if missing:
        names = ", ".join(PREFIX + name for name in missing)
        raise Misconfigured(f"your own provider also needs {names}: set it, or use the sandbox")
    stays_here = is_loopback(values["SMTP_URL"]) and is_loopback(values.get("TWILIO_API_URL"))
    if clock is not None and not stays_here:
        raise Misconfigured(
            f"--fast is for demos: unset {PREFIX}SMTP_URL and {PREFIX}TWILIO_…, so that "
            "messages go to the sandbox"
        )


def _setting(values: Mapping[str, str], name: str) -> str:
    return values.get(name) or str(Settings.model_fields[name.lower()].default)


def _port(values: Mapping[str, str], name: str) -> int:
    text = _setting(values, name)
    if not text.isdecimal() or not 0 < int(text) <= HIGHEST_PORT:
        raise Misconfigured(f"{PREFIX}{name} must be a port from 1 to {HIGHEST_PORT}, not {text}")
    return int(text)


def _api_url(values: Mapping[str, str]) -> str:
    host = _reachable_host(values)
    return f"http://{f'[{host}]' if ':' in host else host}:{_port(values, 'PORT')}"


def _reachable_host(values: Mapping[str, str]) -> str:
    host = _setting(values, "HOST")
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - not bound to


def _sandbox_url(values: Mapping[str, str]) -> str:
    return f"http://127.0.0.1:{_port(values, 'SANDBOX_PORT')}"
