"""`followup api`: serves the API, the forms and the pages."""

import socket

import typer
import uvicorn
from celery import Celery

from followup.bell import Bell
from followup.bootstrap import Service, open_service
from followup.celery_settings import RING_EXPIRES_SECONDS, celery_settings
from followup.cli.asking import broker_answers
from followup.clinic_sources import check_secrets
from followup.config import ENV_FILE, PREFIX, SERVING, Settings, cannot_listen, read_settings
from followup.domain.cadence import Lane
from followup.logs import configure_logging
from followup.services import watching
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
def api() -> None:
    """Serve the API, the forms and the pages."""
    settings = read_settings(ENV_FILE).checked(*SERVING, "twilio_auth_tokens")
    configure_logging(settings)
    service = open_service(settings, pool_size=API_POOL)
    check_secrets(service.clinic.sources, settings.form_secrets, f"{PREFIX}FORM_SECRETS")
    listening = _listen(settings)
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
