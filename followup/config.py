"""Settings of the service, read once from the environment and `.env`, and handed in.

What the clinic says about itself is in `clinic.toml`, not here.
"""

import base64
import errno
import re
from datetime import UTC, datetime
from email.utils import parseaddr
from pathlib import Path
from typing import Literal, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from followup.clinic_webhooks import WebhookSecrets
from followup.config_fields import Chats, Listed, Networks, is_loopback, parts_of, usual_recipient
from followup.domain.address import normal_email
from followup.errors import Invalid, Misconfigured
from followup.named_secrets import NamedSecrets

PREFIX = "FOLLOWUP_"
#: Of the directory in which a command is started.
ENV_FILE = Path(".env")

#: Sandbox accounts begin so; no real account does, because Twilio's are hexadecimal.
SANDBOX_ACCOUNT_PREFIX = "ACsandbox"

#: Shorter secrets could be guessed; 32 characters of base64 carry 192 bits.
SECRET_MIN_LENGTH = 32

#: Unix seconds of the year 2242; what is meant in milliseconds is beyond it.
LATEST_ANCHOR = 2**33

_SENDING_NUMBER = re.compile(r"\+[1-9]\d{7,14}|\d{5,6}")

#: developers.cloudflare.com/turnstile/get-started/server-side-validation
TURNSTILE_URL = "https://challenges.cloudflare.com/turnstile/v0/siteverify"


class Settings(BaseSettings):
    """Every setting, by its name without the prefix `FOLLOWUP_`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True
    )

    database_url: str | None = Field(None, description="sqlite:////path or postgresql://…")
    broker_url: str | None = Field(None, description="redis://…, rediss://…, amqp://…")
    public_url: str = Field(
        "http://127.0.0.1:8000", description="Where patients, staff and Twilio reach the API"
    )
    clinic_file: Path = Field(Path("clinic.toml"), description="The clinic's own file")
    templates_dir: Path = Field(Path("templates"), description="Cadences, wording and pages")
    data_dir: Path = Field(Path(".followup"), description="What `followup up` keeps")
    secret_keys: Listed = Field((), description="Sign links; first one signs, all are believed")
    encryption_keys: Listed = Field((), description="Fernet keys; first one writes, all read")
    smtp_url: SecretStr | None = Field(None, description="smtp://user:pass@host:port or smtps://")
    email_from: str | None = Field(None, description="Sender's address")
    twilio_account_sid: str | None = Field(None, pattern=r"^AC\w+$", description="AC…")
    twilio_auth_tokens: Listed = Field((), description="Current first; all are believed")
    twilio_messaging_service_sid: str | None = Field(
        None, pattern=r"^MG\w+$", description="MG…, or TWILIO_FROM"
    )
    twilio_from: str | None = Field(None, description="Sending number, or a messaging service")
    twilio_api_url: str | None = Field(None, description="A simulator's address, for tests")
    texts_per_second: float | None = Field(
        None,
        ge=0.1,
        le=1000,
        allow_inf_nan=False,
        description="Parts of texts that your number, service or campaign may send",
    )
    mails_per_second: float | None = Field(
        None, ge=0.1, le=1000, allow_inf_nan=False, description="What your mail server takes"
    )
    only_to: Listed = Field((), description="Emails and phones to which alone anything is sent")
    twilio_stop_filter: Literal["on", "off"] = Field(
        "on", description="off where Twilio leaves STOP, START and HELP to us (Message Redaction)"
    )
    sendgrid_webhook_key: str | None = Field(None, description="Verification key of its webhook")
    mailgun_signing_key: SecretStr | None = Field(None, description="HTTP webhook signing key")
    postmark_webhook_token: SecretStr | None = Field(None, description="Password of its webhook")
    ses_topic_arn: str | None = Field(
        None,
        pattern=r"^arn:aws(-us-gov)?:sns:[a-z0-9-]+:\d{12}:[\w.-]+$",
        description="arn:aws:sns:…",
    )
    bounces_url: SecretStr | None = Field(
        None, description="imaps://user:password@host/INBOX that bounces arrive in"
    )
    chats: Chats = Field({}, description="Of staff, by Apprise: name=slack://…; other=…")
    form_secrets: NamedSecrets = Field({}, description="Of [[sources]]: name=secret,older; other=…")
    webhook_secrets: WebhookSecrets = Field(
        {}, description="Of [[webhooks]]: name=whsec_…,older; other=whsec_…"
    )
    trusted_proxies: Networks = Field(
        (), description="Proxies whose X-Forwarded-For and -Proto are believed"
    )
    turnstile_site_key: str | None = Field(None, description="Switches the captcha on")
    turnstile_secret: SecretStr | None = Field(None, description="The site key's secret")
    turnstile_url: str = Field(TURNSTILE_URL, description="A simulator's address, for tests")
    clock_start: datetime | None = Field(None, description="Demo clock: instant at CLOCK_ANCHOR")
    clock_anchor: float | None = Field(
        None, ge=0, le=LATEST_ANCHOR, description="Demo clock: unix seconds of its start"
    )
    clock_rate: float = Field(1.0, gt=0, le=100_000, description="Demo clock: times as fast")
    log_format: Literal["json", "console"] = Field("json", description="json or console")
    limits: Literal["on", "off"] = Field("on", description="off lifts limits, on loopback only")
    host: str = Field("127.0.0.1", description="Address the API listens on")
    port: int = Field(8000, ge=0, le=65535, description="Port of the API")
    sandbox_port: int = Field(8025, ge=0, le=65535, description="Port of the sandbox's page")
    sandbox_smtp_port: int = Field(8026, ge=0, le=65535, description="Port of the sandbox's SMTP")

    @field_validator("database_url")
    @classmethod
    def _database(cls, url: str | None) -> str | None:
        expected = "must be sqlite:////path or postgresql://user:password@host:port/name"
        if url is not None:
            parts = parts_of(url, ("sqlite", "postgresql"), expected)
            # A database in memory would keep nothing.
            if parts.scheme == "sqlite" and parts.path.strip("/") in ("", ":memory:"):
                raise ValueError(expected)
        return url

    @field_validator("broker_url")
    @classmethod
    def _broker(cls, url: str | None) -> str | None:
        known = ("redis", "rediss", "redis+socket", "amqp", "amqps")
        if url is not None:
            parts_of(url, known, "must be redis://…, rediss://…, redis+socket://… or amqp://…")
        return url

    @field_validator("public_url", "twilio_api_url", "turnstile_url")
    @classmethod
    def _web_address(cls, url: str | None) -> str | None:
        if url is None:
            return None
        expected = "must be an address such as https://followup.example.com"
        parts = parts_of(url, ("http", "https"), expected)
        if not parts.hostname or parts.query or parts.fragment:
            raise ValueError(expected)
        return url.rstrip("/")

    @field_validator("only_to")
    @classmethod
    def _recipients(cls, listed: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        try:
            return tuple(SecretStr(usual_recipient(one.get_secret_value())) for one in listed)
        except Invalid:
            raise ValueError("must be email addresses and phone numbers") from None

    @field_validator("smtp_url")
    @classmethod
    def _mail(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            expected = "must be smtp://user:password@host:port or smtps://…"
            if not parts_of(url.get_secret_value(), ("smtp", "smtps"), expected).hostname:
                raise ValueError(expected)
        return url

    @field_validator("bounces_url")
    @classmethod
    def _mailbox(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            expected = "must be imaps://user:password@host/INBOX or imap://…"
            parts = parts_of(url.get_secret_value(), ("imap", "imaps"), expected)
            if not (parts.hostname and parts.username and parts.password):
                raise ValueError(expected)
        return url

    @field_validator("sendgrid_webhook_key")
    @classmethod
    def _verification_key(cls, key: str | None) -> str | None:
        if key is not None:
            expected = "must be the verification key that SendGrid shows"
            try:
                read = load_der_public_key(base64.b64decode(key, validate=True))
            except (ValueError, UnsupportedAlgorithm):
                raise ValueError(expected) from None
            if not isinstance(read, EllipticCurvePublicKey):
                raise ValueError(expected)
        return key

    @field_validator("postmark_webhook_token")
    @classmethod
    def _unguessable(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and len(token.get_secret_value()) < SECRET_MIN_LENGTH:
            raise ValueError(f"must have at least {SECRET_MIN_LENGTH} characters")
        return token

    @field_validator("email_from")
    @classmethod
    def _sender(cls, sender: str | None) -> str | None:
        if sender is not None:
            expected = "must be like Clinic <hello@example.com>, on one line"
            try:
                normal_email(parseaddr(sender)[1])
            except Invalid:
                raise ValueError(expected) from None
            if not sender.isprintable():
                raise ValueError(expected)
        return sender

    @field_validator("twilio_from")
    @classmethod
    def _number(cls, number: str | None) -> str | None:
        if number is not None and not _SENDING_NUMBER.fullmatch(number):
            raise ValueError("must be a number such as +19495550100, or a short code")
        return number

    @field_validator("encryption_keys")
    @classmethod
    def _fernet(cls, keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for key in keys:
            try:
                Fernet(key.get_secret_value())
            except ValueError:
                raise ValueError("must be Fernet keys: 32 bytes in URL-safe base64") from None
        return keys

    @field_validator("secret_keys")
    @classmethod
    def _long(cls, keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any(len(key.get_secret_value()) < SECRET_MIN_LENGTH for key in keys):
            raise ValueError(f"must have at least {SECRET_MIN_LENGTH} characters each")
        return keys

    @field_validator("clock_start")
    @classmethod
    def _in_utc(cls, start: datetime | None) -> datetime | None:
        if start is None or start.tzinfo is not None:
            return start
        return start.replace(tzinfo=UTC)

    @property
    def has_demo_clock(self) -> bool:
        return self.clock_start is not None or self.clock_anchor is not None or self.clock_rate != 1

    def checked(self, *needed: str) -> Self:
        """These settings, or Misconfigured naming each that is missing or unsafe."""
        missing = [f"{PREFIX}{name.upper()}" for name in needed if not getattr(self, name)]
        sends_texts = "twilio_account_sid" in needed
        if sends_texts and not (self.twilio_from or self.twilio_messaging_service_sid):
            missing.append(f"{PREFIX}TWILIO_MESSAGING_SERVICE_SID or {PREFIX}TWILIO_FROM")
        if missing:
            raise Misconfigured(
                f"missing setting{'s' if len(missing) > 1 else ''}: {', '.join(missing)}; "
                "set them in the environment or in .env (see .env.example)"
            )
        self._check_demo()
        self._check_sandbox_credentials()
        self._check_captcha()
        return self

    def _check_captcha(self) -> None:
        if (self.turnstile_site_key is None) != (self.turnstile_secret is None):
            raise Misconfigured(
                f"{PREFIX}TURNSTILE_SITE_KEY and {PREFIX}TURNSTILE_SECRET must both be set, "
                "or neither"
            )
        if self.turnstile_url != TURNSTILE_URL and not is_loopback(self.turnstile_url):
            raise Misconfigured(
                f"{PREFIX}TURNSTILE_URL is for tests: refused unless it is an address of this "
                "machine"
            )

    def _check_demo(self) -> None:
        for used, setting in (
            (self.has_demo_clock, "CLOCK_START, CLOCK_ANCHOR and CLOCK_RATE"),
            (self.limits == "off", "LIMITS=off"),
        ):
            if used and not self.sends_to_loopback_only:
                raise Misconfigured(
                    f"{PREFIX}{setting} is for demos: refused unless {PREFIX}SMTP_URL, "
                    f"{PREFIX}TWILIO_API_URL and {PREFIX}CHATS are addresses of this machine"
                )
        if self.has_demo_clock and (self.clock_start is None or self.clock_anchor is None):
            raise Misconfigured(
                f"{PREFIX}CLOCK_START and {PREFIX}CLOCK_ANCHOR must both be set for a demo clock"
            )

    def _check_sandbox_credentials(self) -> None:
        is_sandbox = (self.twilio_account_sid or "").startswith(SANDBOX_ACCOUNT_PREFIX)
        if is_sandbox and not is_loopback(self.twilio_api_url):
            raise Misconfigured(
                f"{PREFIX}TWILIO_ACCOUNT_SID is the sandbox's: refused against a real provider; "
                f"set {PREFIX}TWILIO_API_URL to the sandbox or use a real account"
            )

    @property
    def knows_addresses(self) -> bool:
        """Whether the address that a request comes from is the visitor's. Behind a proxy that ends
        TLS it is the proxy's, unless we are told whom to believe."""
        return bool(self.trusted_proxies) or not self.public_url.startswith("https:")

    @property
    def sends_to_loopback_only(self) -> bool:
        mail = self.smtp_url.get_secret_value() if self.smtp_url else None
        chats = (one.get_secret_value() for one in self.chats.values())
        return all(map(is_loopback, (mail, self.twilio_api_url, *chats)))

    @property
    def only_to_these(self) -> frozenset[str]:
        return frozenset(one.get_secret_value() for one in self.only_to)

    @property
    def texts_stay_on_this_machine(self) -> bool:
        return is_loopback(self.twilio_api_url)


#: What a process that serves or sends cannot do without.
SERVING = ("database_url", "broker_url", "secret_keys", "encryption_keys", "public_url")
SENDING = (*SERVING, "smtp_url", "email_from", "twilio_account_sid", "twilio_auth_tokens")
STORING = ("database_url", "encryption_keys")


def cannot_listen(host: str, port: int, name: str, error: OSError) -> Misconfigured:
    """What the operator has to change: the port of that setting, or the host."""
    # Python adds the address that it tried to what the system said.
    said = (error.strerror or type(error).__name__).partition(" (while")[0]
    if error.errno in (errno.EADDRINUSE, errno.EACCES):
        trouble = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used: {said}"
        return Misconfigured(
            f"{PREFIX}{name}: port {port} on {host} {trouble}; set {PREFIX}{name} to a free port"
        )
    return Misconfigured(
        f"{PREFIX}HOST: cannot listen on {host}: {said}; set it to an address of this machine"
    )


def read_settings(*env_files: Path) -> Settings:
    """The settings of the environment; a later file gives way to an earlier one.

    Raises Misconfigured with one line per wrong setting.
    """
    try:
        return Settings(_env_file=tuple(reversed(env_files)))  # type: ignore[call-arg]
    except ValidationError as error:
        lines = (
            f"{PREFIX}{str(item['loc'][0]).upper()} {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors(include_input=False, include_url=False)
        )
        raise Misconfigured("; ".join(lines)) from None
    except UnicodeDecodeError:
        raise Misconfigured(f"{' or '.join(map(str, env_files))}: expected UTF-8 text") from None
