"""Commands that start something or look at the whole: up, api, worker, beat, migrate, doctor."""

import os
import socket
from collections.abc import Iterator
from typing import Annotated, Any

import redis
import typer
import uvicorn
from celery import Celery
from kombu.exceptions import OperationalError
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy.exc import SQLAlchemyError

from followup import local
from followup.bell import Bell
from followup.bootstrap import (
    Clock,
    Service,
    make_mailbox,
    make_paces,
    make_transports,
    open_service,
)
from followup.celery_settings import QUEUES, RING_EXPIRES_SECONDS, celery_settings
from followup.cli.opening import ENV_FILE, AsJson, open_store, own_settings, print_json
from followup.clinic import read_clinic
from followup.config import (
    PREFIX,
    SENDING,
    SERVING,
    STORING,
    Settings,
    cannot_listen,
    read_settings,
)
from followup.domain.cadence import Channel, Lane
from followup.errors import FollowupError, Misconfigured
from followup.local_settings import fast_clock, gather_environment
from followup.logs import configure_logging
from followup.sandbox.server import Sandbox, serve
from followup.services import rotating, watching
from followup.store import db, hash_keys
from followup.tasks import app as celery_app
from followup.tasks import warm_up
from followup.templates import check_templates
from followup.transports.mailbox import Mailbox
from followup.watchman import Watchman
from followup.web.app import create_app
from followup.web.patience import PatientProtocol

app = typer.Typer()

#: Requests that touch the database at once: the framework's threads.
API_POOL = 20
#: At once, so that connections that are held open do not take up every file of the process; more
#: are answered 503.
MOST_CONNECTIONS = 800


@app.command()
def up(
    fast: Annotated[
        bool, typer.Option("--fast", help="A day passes in about two minutes, from a weekday at 9.")
    ] = False,
) -> None:
    """Run everything on this machine: broker, database, api, worker, beat, and a sandbox."""
    environment = gather_environment(os.environ, ENV_FILE)
    settings = read_settings(ENV_FILE)
    clinic = read_clinic(settings.clinic_file)
    site = clinic.site(None)
    clock = fast_clock(Clock().now(), site.zone, site.business_hours.is_open) if fast else None
    local.up(environment, data_dir=settings.data_dir, clock=clock, out=typer.echo)


@app.command()
def api() -> None:
    """Serve the API, the forms and the pages."""
    settings = read_settings(ENV_FILE).checked(*SERVING, "twilio_auth_tokens")
    listening = _listen(settings)
    configure_logging(settings)
    service = open_service(settings, pool_size=API_POOL)
    ringer = Celery("followup", set_as_current=False)
    ringer.conf.update(celery_settings(settings, rings_only=True))

    def publish(lane: str) -> None:
        task, arguments = _task_of(lane)
        ringer.send_task(
            task, args=arguments, queue=lane, expires=RING_EXPIRES_SECONDS, ignore_result=True
        )

    bell = Bell(publish)
    watchman = Watchman(lambda: _look_after(service, bell))
    web = create_app(service, bell, lambda: broker_answers(settings), watchman)
    config = uvicorn.Config(
        web,
        http=PatientProtocol,
        # Whom a proxy's headers are believed of, `TRUSTED_PROXIES` says.
        proxy_headers=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=5,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
    )
    uvicorn.Server(config).run(sockets=[listening])


def _look_after(service: Service, bell: Bell) -> None:
    """When nothing runs by the clock, this process raises the alarm and rings for it to be sent."""
    if watching.is_silent(service.engine):
        watching.watch(
            service.engine,
            service.planner,
            service.now(),
            caps=service.caps,
            rate=service.settings.clock_rate,
            by_clock=False,
        )
        bell.ring(Lane.staff)


def _task_of(lane: str) -> tuple[str, tuple[str, ...]]:
    return ("followup.consume", ()) if lane == "intake" else ("followup.send_due", (lane,))


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=1024)
    except OSError as error:
        raise cannot_listen(settings.host, settings.port, "PORT", error) from None


@app.command()
def worker(
    queues: Annotated[
        str, typer.Option(help="Comma-separated, of: " + ", ".join(QUEUES))
    ] = ",".join(QUEUES),
    pool: Annotated[str, typer.Option(help="prefork or threads")] = "prefork",
    concurrency: Annotated[int, typer.Option(min=1, help="Processes, or threads")] = 2,
    name: Annotated[str | None, typer.Option(help="Node name; must differ on one host")] = None,
) -> None:
    """Consume and send."""
    wanted = [queue.strip() for queue in queues.split(",")]
    unknown = [queue for queue in wanted if queue not in QUEUES]
    if unknown:
        raise Misconfigured(
            f"--queues: no such queue: {', '.join(unknown)}; known: {', '.join(QUEUES)}"
        )
    if pool not in ("prefork", "threads"):
        raise Misconfigured(f"--pool: expected prefork or threads, got {pool}")
    if pool == "threads":
        warm_up()
    else:
        # Each child opens its own, after the fork; here a wrong setting stops the start.
        open_service(read_settings(ENV_FILE).checked(*SENDING))
    node = name or ("all" if len(wanted) == len(QUEUES) else "-".join(wanted))
    celery_app.worker_main(
        [
            "worker",
            f"--queues={','.join(wanted)}",
            f"--pool={pool}",
            f"--concurrency={concurrency}",
            f"--hostname={node}@%h",
            "--without-gossip",
            "--without-mingle",
            "--loglevel=INFO",
        ]
    )


@app.command()
def beat() -> None:
    """Ring every lane each second; two of them are as good as one."""
    read_settings(ENV_FILE).checked("broker_url")
    celery_app.start(["beat", "--loglevel=INFO"])


@app.command()
def sandbox() -> None:
    """Stand-ins for Twilio and a mail server, with a page that shows phone and inbox."""
    settings = read_settings(ENV_FILE).checked("twilio_account_sid", "twilio_auth_tokens")
    configure_logging(settings)
    clock = Clock(settings.clock_start, settings.clock_anchor, settings.clock_rate)
    site = read_clinic(settings.clinic_file).site(None)
    serve(
        Sandbox(
            account_sid=settings.twilio_account_sid or "",
            auth_token=settings.twilio_auth_tokens[0].get_secret_value(),
            port=settings.sandbox_port,
            smtp_port=settings.sandbox_smtp_port,
            public_url=settings.public_url,
            now=clock.now,
            state_file=settings.data_dir / "sandbox.jsonl",
            zone=site.zone,
        )
    )


@app.command()
def migrate() -> None:
    """Bring the database's schema to this version. Safe to run again, and twice at once."""
    service = open_store()
    db.migrate(service.engine)
    typer.echo("the schema is up to date")


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Check settings, files, database, broker and providers, without sending anything."""
    findings = list(_examine())
    if as_json:
        print_json(
            {
                "ok": all(ok for _, ok, _ in findings),
                "checks": [
                    {"check": check, "ok": ok, "says": says} for check, ok, says in findings
                ],
            }
        )
    else:
        for check, ok, says in findings:
            typer.echo(f"{'ok  ' if ok else 'FAIL'}  {check}: {says}")
    if not all(ok for _, ok, _ in findings):
        raise typer.Exit(1)


def _examine() -> Iterator[tuple[str, bool, str]]:
    try:
        settings = own_settings()
    except FollowupError as error:
        yield "settings", False, str(error)
        return
    try:
        settings.checked(*SENDING)
    except FollowupError as error:
        yield "settings", False, str(error)
    else:
        yield "settings", True, "complete"
    try:
        clinic = read_clinic(settings.clinic_file)
        problems = check_templates(settings.templates_dir, clinic, settings.public_url)
    except FollowupError as error:
        yield "clinic and templates", False, str(error)
    else:
        yield "clinic and templates", not problems, "; ".join(map(str, problems)) or clinic.name
    database = _examine_database(settings)
    yield database
    if database[1]:
        yield _examine_keys(settings)
    yield (
        ("broker", True, "answers")
        if broker_answers(settings)
        else ("broker", False, f"{PREFIX}BROKER_URL: no answer")
    )
    yield _examine_transports(settings)
    yield _examine_rates(settings)
    yield _examine_proxies(settings)
    if mailbox := make_mailbox(settings):
        yield _examine_mailbox(mailbox)


def _examine_database(settings: Settings) -> tuple[str, bool, str]:
    try:
        engine = open_service(settings.checked(*STORING)).engine
        if db.missing_migrations(engine):
            return "database", False, "migrations are missing; run `followup migrate`"
    except FollowupError as error:
        return "database", False, str(error)
    except SQLAlchemyError as error:
        return "database", False, f"{PREFIX}DATABASE_URL: {type(error).__name__}"
    return "database", True, engine.url.render_as_string(hide_password=True)


def _examine_keys(settings: Settings) -> tuple[str, bool, str]:
    """Looks through the fields only while there is more than one key."""
    engine = open_service(settings).engine
    try:
        hash_keys.find_hash_keys(engine)
    except FollowupError as error:
        return "keys", False, str(error)
    if rotating.is_rotation_pending(engine):
        return "keys", True, "a rotation is pending: run `followup keys rotate`"
    if len(settings.encryption_keys) > 1:
        return "keys", True, "all fields are written with the first key; the others may go"
    return "keys", True, "one key"


def _examine_transports(settings: Settings) -> tuple[str, bool, str]:
    try:
        transports = make_transports(open_service(settings.checked(*SENDING)))
    except FollowupError as error:
        return "providers", False, str(error)
    return "providers", True, ", ".join(sorted(channel.value for channel in transports))


def _examine_rates(settings: Settings) -> tuple[str, bool, str]:
    """What is in force, to be compared with what the provider says."""
    paces = make_paces(settings)
    units = {Channel.sms: "parts of texts", Channel.email: "mails"}
    says = [
        f"{paces[channel].rate.per_second:g} {unit} a second" if channel in paces else f"any {unit}"
        for channel, unit in units.items()
    ]
    if Channel.sms in paces and settings.texts_per_second is None:
        says[0] += f" (usual for such a sender; {PREFIX}TEXTS_PER_SECOND if yours has more)"
    return "rates", True, ", ".join(says)


def _examine_proxies(settings: Settings) -> tuple[str, bool, str]:
    """Not set is no fault: submissions are taken all the same."""
    if not settings.knows_addresses:
        missing = f"{PREFIX}TRUSTED_PROXIES is not set"
        return "proxies", True, f"{missing}: addresses are the proxy's, and have no limit"
    return "proxies", True, ", ".join(map(str, settings.trusted_proxies)) or "none"


def _examine_mailbox(mailbox: Mailbox) -> tuple[str, bool, str]:
    try:
        with mailbox.open() as conversation:
            unread = len(conversation.unread_for_us())
    except FollowupError as error:
        return "bounces", False, f"{PREFIX}BOUNCES_URL: {error}"
    return "bounces", True, f"{unread} to be read"


def broker_answers(settings: Settings) -> bool:
    """Whether the broker answers within about a second."""
    url = settings.broker_url
    if url is None:
        return False
    # The client's own retries would make a second four.
    once: Any = Retry(NoBackoff(), 0)
    try:
        if url.startswith("redis+socket://"):
            path = url.removeprefix("redis+socket://").partition("?")[0]
            client: Any = redis.Redis(unix_socket_path=path, socket_timeout=1, retry=once)
        elif url.startswith("redis"):
            client = redis.Redis.from_url(
                url, socket_timeout=1, socket_connect_timeout=1, retry=once
            )
        else:
            with Celery(set_as_current=False, broker=url).connection_for_write() as connection:
                connection.ensure_connection(max_retries=1, interval_start=0, timeout=1)
                return True
        with client:
            return bool(client.ping())
    except (redis.RedisError, OperationalError, OSError, ValueError):
        return False
