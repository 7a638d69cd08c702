"""The one place that chooses concrete things: engine, transports, clock."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from email.utils import parseaddr
from functools import cache
from urllib.parse import urlsplit

from jinja2 import Environment
from sqlalchemy import Engine

from followup.clinic import Clinic, read_clinic
from followup.clinic_limits import Caps, Limits
from followup.clinic_webhooks import keys_of
from followup.clock import Clock
from followup.config import ENV_FILE, PREFIX, SENDING, Settings, read_settings
from followup.config_fields import is_loopback
from followup.domain.cadence import Channel, Lane
from followup.domain.rate import Rate
from followup.errors import Misconfigured
from followup.services.announcing import Announcer, Receiver
from followup.services.composing import Composer
from followup.services.links import Links
from followup.services.pacing import Pace
from followup.services.planning import Planner
from followup.services.sending import BATCH, Sender
from followup.store import announcements, hash_keys
from followup.store.crypto import Keyring
from followup.store.db import make_engine, make_sqlite_folder
from followup.templates import Templates, pages_environment
from followup.transports.base import Transport
from followup.transports.chat import CHAT_RATE, ChatTransport
from followup.transports.mailbox import Mailbox
from followup.transports.smtp import Server, SmtpTransport
from followup.transports.twilio import Account, TwilioTransport
from followup.transports.twilio_words import usual_rate


@dataclass(frozen=True)
class Service:
    """Everything that a process needs, built once and handed in."""

    settings: Settings
    clinic: Clinic
    templates: Templates
    pages: Environment
    planner: Planner
    links: Links
    clock: Clock
    engine: Engine

    def now(self) -> datetime:
        return self.clock.now()

    @property
    def caps(self) -> Caps | None:
        """None where a load test has lifted them."""
        return None if self.settings.limits == "off" else self.clinic.caps

    @property
    def limits(self) -> Limits | None:
        """None where a load test has lifted them."""
        return None if self.settings.limits == "off" else self.clinic.limits


def open_service(settings: Settings, *, pool_size: int = 5) -> Service:
    """Read the clinic's files and open the store. Raises Misconfigured; reaches no server yet."""
    clinic = read_clinic(settings.clinic_file)
    templates = Templates.read(settings.templates_dir, clinic, settings.public_url)
    keyring = Keyring([key.get_secret_value() for key in settings.encryption_keys])
    database_url = settings.checked("database_url").database_url or ""
    make_sqlite_folder(database_url)
    engine = make_engine(database_url, keyring, pool_size=pool_size)
    announcements.subscribe(engine, {one.name: one.events for one in clinic.webhooks})
    keyring.find_hash_keys_by(lambda: hash_keys.find_hash_keys(engine))
    return Service(
        settings=settings,
        clinic=clinic,
        templates=templates,
        pages=pages_environment(settings.templates_dir),
        planner=Planner(clinic, templates.cadences, keyring),
        links=Links([k.get_secret_value() for k in settings.secret_keys], settings.public_url),
        clock=Clock(settings.clock_start, settings.clock_anchor, settings.clock_rate),
        engine=engine,
    )


def make_sender(service: Service) -> Sender:
    """The sending side: transports with kept connections, and the threads of a batch."""
    settings = service.settings
    return Sender(
        engine=service.engine,
        planner=service.planner,
        composer=Composer(
            service.planner,
            service.templates,
            service.links,
            settings.email_from or "",
            # Bounces arrive at the sender's own address, and so may farewells.
            parseaddr(settings.email_from or "")[1] if settings.bounces_url else None,
        ),
        transports=make_transports(service),
        threads={
            lane: ThreadPoolExecutor(BATCH * len(Channel), thread_name_prefix=lane) for lane in Lane
        },
        reserved_allowed=settings.texts_stay_on_this_machine,
        caps=service.caps,
        paces=make_paces(settings),
        only_to=settings.only_to_these,
        clock_rate=settings.clock_rate,
    )


def make_transports(service: Service) -> Mapping[Channel, Transport]:
    settings = service.settings
    settings.checked(*SENDING)
    smtp_url = settings.smtp_url.get_secret_value() if settings.smtp_url else ""
    account = Account(
        sid=settings.twilio_account_sid or "",
        token=settings.twilio_auth_tokens[0].get_secret_value(),
        sender=settings.twilio_messaging_service_sid or settings.twilio_from or "",
        api_url=settings.twilio_api_url,
    )
    server = Server.from_url(smtp_url, on_this_machine=is_loopback(smtp_url))
    return {
        Channel.email: SmtpTransport(server, settings.email_from or "", service.clinic.email),
        Channel.sms: TwilioTransport(account, service.links.status_url),
        Channel.chat: make_chat_transport(settings, service.clinic),
    }


def make_chat_transport(settings: Settings, clinic: Clinic) -> ChatTransport:
    """Raises Misconfigured for a chat that has no address."""
    missing = {one.chat for one in clinic.escalation if one.chat} - set(settings.chats)
    if missing:
        names = ", ".join(sorted(missing))
        raise Misconfigured(f"{PREFIX}CHATS: no address for {names}, which clinic.toml names")
    addresses = {name: url.get_secret_value() for name, url in settings.chats.items()}
    return ChatTransport(addresses, clinic.sender_label)


def make_announcer(service: Service) -> Announcer:
    """What tells the clinic's other systems. Raises Misconfigured naming who has no secret, and who
    would be told of a demo."""
    webhooks, settings = service.clinic.webhooks, service.settings
    receivers = {
        one.name: Receiver(one, keys_of(settings.webhook_secrets, one.name)) for one in webhooks
    }
    missing = [name for name, receiver in receivers.items() if not receiver.keys]
    if missing:
        raise Misconfigured(
            f"{PREFIX}WEBHOOK_SECRETS: no secret for {', '.join(missing)} "
            f"([[webhooks]] of {settings.clinic_file}); expected name=whsec_…"
        )
    if settings.has_demo_clock and not all(one.is_here for one in webhooks):
        raise Misconfigured(
            f"{PREFIX}CLOCK_START, CLOCK_ANCHOR and CLOCK_RATE are for demos: refused unless each "
            f"of the [[webhooks]] of {settings.clinic_file} is on this machine"
        )
    return Announcer(engine=service.engine, receivers=receivers)


def make_paces(settings: Settings) -> dict[Channel, Pace]:
    """What each sender may send; a stand-in on this machine, as much as it can."""
    paces = {Channel.chat: Pace("chat", Rate(CHAT_RATE))} if settings.chats else {}
    number = settings.twilio_messaging_service_sid or settings.twilio_from or ""
    texts = settings.texts_per_second
    if texts is None and not settings.texts_stay_on_this_machine:
        texts = usual_rate(number)
    if texts is not None:
        paces[Channel.sms] = Pace(f"sms:{number}", Rate(texts))
    if settings.mails_per_second is not None and settings.smtp_url is not None:
        server = urlsplit(settings.smtp_url.get_secret_value()).hostname or ""
        paces[Channel.email] = Pace(f"email:{server}"[:300], Rate(settings.mails_per_second))
    return paces


def make_mailbox(settings: Settings) -> Mailbox | None:
    """Where bounces arrive, if anywhere."""
    if settings.bounces_url is None:
        return None
    url = settings.bounces_url.get_secret_value()
    return Mailbox.from_url(url, on_this_machine=is_loopback(url))


@cache
def worker_service() -> Service:
    """This worker process's own service; made on first use, after the fork."""
    return open_service(read_settings(ENV_FILE).checked(*SENDING))


@cache
def worker_sender() -> Sender:
    return make_sender(worker_service())


@cache
def worker_announcer() -> Announcer:
    return make_announcer(worker_service())
