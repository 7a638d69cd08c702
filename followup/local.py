"""`followup up`: everything on one machine, under one supervisor, with nothing installed.

What is made for settings that the user left out is in `local_settings.py`.
"""

import errno
import fcntl
import http.client
import json
import shlex
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from followup.broker import broker_child
from followup.config import PREFIX, cannot_listen
from followup.errors import Conflict, Misconfigured
from followup.local_settings import (
    FastClock,
    LocalSettings,
    database_file,
    make_settings,
    read_kept,
    write_kept,
)
from followup.private_file import write_private
from followup.processes import end_leftovers
from followup.supervisor import Child, Errand, Supervisor

PROGRAM = (sys.executable, "-m", "followup")

#: What stops first still needs what stops later: a worker its broker, and the sandbox's answers.
STAGE_SERVICE, STAGE_SANDBOX, STAGE_BROKER = range(3)

#: One process with threads instead of one per lane and one for beat, for their memory.
WORKER = ("worker", "--beat", "--pool", "threads", "--concurrency", "8")
FIRST_ADMIN = ("--first-admin", "First admin")

#: A port may need a moment to be free again when an earlier run was killed.
PORT_PATIENCE_SECONDS = 1.0
PORT_ASKING_SECONDS = 0.1
PROBE_TIMEOUT_SECONDS = 1.0


def up(
    environment: Mapping[str, str],
    *,
    data_dir: Path,
    clock: FastClock | None,
    out: Callable[[str], None],
    program: Sequence[str] = PROGRAM,
) -> None:
    """Run everything until SIGTERM, SIGINT or SIGHUP; return when every process has ended.

    `environment` is the whole environment, completed by `gather_environment`; `clock` is given
    for --fast; `out` shows one line. Raises Misconfigured or Conflict, with one line to show,
    when it cannot be started. To be called in the main thread.
    """
    data_dir = data_dir.resolve()
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    pid_file = data_dir / "up.pids"
    token_file = data_dir / "first-token"
    with _locked(data_dir):
        kept = read_kept(data_dir / "up.env")
        settings = make_settings(environment, kept=kept, data_dir=data_dir, clock=clock)
        end_leftovers(pid_file)
        _check_ports(settings)
        _forget_old_token(token_file, settings)
        is_first_start = not token_file.exists()
        plan = make_plan(environment, settings, data_dir, token_file, out, program)
        write_kept(data_dir / "up.env", settings.made)
        Supervisor(plan, say=out, pid_file=None if sys.platform == "linux" else pid_file).run(
            is_up=lambda: _is_serving(settings),
            when_up=lambda: _announce(settings, clock, token_file, is_first_start, out),
        )


def make_plan(
    environment: Mapping[str, str],
    settings: LocalSettings,
    data_dir: Path,
    token_file: Path,
    out: Callable[[str], None],
    program: Sequence[str],
) -> list[Child | Errand]:
    """What is started, in this order."""
    for_all = {
        **environment,
        **{PREFIX + name: value for name, value in settings.values.items()},
        PREFIX + "DATA_DIR": str(data_dir),
        "PYTHONUNBUFFERED": "1",
    }
    no_secrets = {name: v for name, v in environment.items() if not name.startswith(PREFIX)}
    for_sandbox = for_all | {
        PREFIX + name: value for name, value in settings.sandbox_account.items()
    }

    def child(*arguments: str) -> Child:
        return Child(arguments[0], (*program, *arguments), for_all, stop_stage=STAGE_SERVICE)

    plan: list[Child | Errand] = []
    # What needs nobody comes up while the schema is made.
    if settings.simulates:
        sandbox = (*program, "sandbox")
        plan.append(Child("sandbox", sandbox, for_sandbox, stop_stage=STAGE_SANDBOX))
    if not settings.has_own_broker:
        plan.append(broker_child(data_dir, no_secrets, stop_stage=STAGE_BROKER))
    needs_admin = () if token_file.exists() else FIRST_ADMIN
    migrated = _keeping_token(token_file, out) if needs_admin else _need_success
    plan.append(Errand("migrate", (*program, "migrate", *needs_admin), for_all, migrated))
    plan += [child("api"), child(*WORKER)]
    return plan


def _need_success(status: int, _output: str) -> None:
    """Its own reason has been shown already, on its standard error."""
    if status != 0:
        raise Misconfigured(
            f"followup migrate ended with status {status}, so nothing else was started"
        )


def _keeping_token(token_file: Path, out: Callable[[str], None]) -> Callable[[int, str], None]:
    def keep(status: int, output: str) -> None:
        _need_success(status, output)
        if token := json.loads(output)["token"]:
            write_private(token_file, token + "\n")
        else:
            out("no first staff token: try `followup staff token --help`")

    return keep


def _forget_old_token(token_file: Path, settings: LocalSettings) -> None:
    """The token of a database that was removed opens nothing in the next one."""
    database = database_file(settings)
    if database is not None and not database.exists():
        token_file.unlink(missing_ok=True)


@contextmanager
def _locked(data_dir: Path) -> Iterator[None]:
    """Held by the system for as long as this process lives, so it is never left over."""
    with (data_dir / "up.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(
                f"`followup up` is already running in {data_dir}: stop it first, or set "
                f"{PREFIX}DATA_DIR to another directory"
            ) from None
        yield


def _check_ports(settings: LocalSettings) -> None:
    """All at once, so that two settings with the same port are noticed too."""
    wanted = [(settings.host, "PORT")]
    if settings.simulates:
        wanted += [("127.0.0.1", "SANDBOX_PORT"), ("127.0.0.1", "SANDBOX_SMTP_PORT")]
    deadline = time.monotonic() + PORT_PATIENCE_SECONDS
    with ExitStack() as stack:
        for host, name in wanted:
            _check_port(stack, host, settings.port(name), name, deadline)


def _check_port(stack: ExitStack, host: str, port: int, name: str, deadline: float) -> None:
    while True:
        try:
            stack.enter_context(socket.create_server((host, port), family=_family(host)))
        except OSError as error:
            if error.errno == errno.EADDRINUSE and time.monotonic() < deadline:
                time.sleep(PORT_ASKING_SECONDS)
                continue
            raise cannot_listen(host, port, name, error) from error
        return


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _is_serving(settings: LocalSettings) -> bool:
    connection = http.client.HTTPConnection(
        settings.reachable_host, settings.port("PORT"), timeout=PROBE_TIMEOUT_SECONDS
    )
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _announce(
    settings: LocalSettings,
    clock: FastClock | None,
    token_file: Path,
    is_first_start: bool,
    out: Callable[[str], None],
) -> None:
    for line in (
        "",
        *(f"  {line}" for line in _where_messages_go(settings)),
        "",
        *(f"  {name:<16} {place}" for name, place in _places(settings, clock)),
        f"  {'staff token':<16} {_token_line(token_file, is_first_start)}",
        "",
        f"  Try:   {_example(settings)}",
        "  Stop:  Ctrl-C",
        "",
    ):
        out(line)


def _where_messages_go(settings: LocalSettings) -> Iterator[str]:
    if settings.simulates_texts and settings.simulates_mail:
        yield "SIMULATED: nothing leaves this machine."
        return
    yield "LIVE: messages leave this machine."
    if settings.simulates_texts:
        yield "Texts are simulated: they go to the sandbox only."
    else:
        yield f"Texts go out through the account {settings.values['TWILIO_ACCOUNT_SID']}."
        if "PUBLIC_URL" in settings.made:
            yield f"Set {PREFIX}PUBLIC_URL to where the provider can report on them."
    if settings.simulates_mail:
        yield "Mail is simulated: it goes to the sandbox only."
    else:
        yield f"Mail goes out through {urlsplit(settings.values['SMTP_URL']).hostname}."


def _places(settings: LocalSettings, clock: FastClock | None) -> Iterator[tuple[str, str]]:
    api = settings.api_url
    yield "contact form", f"{api}/forms/contact"
    yield "screening form", f"{api}/forms/screening"
    if settings.simulates:
        yield "phone and inbox", f"{settings.sandbox_url}/"
    yield "staff's pages", f"{api}/staff"
    yield "API", f"{api}/docs"
    if "PUBLIC_URL" not in settings.made:
        yield "public address", settings.values["PUBLIC_URL"]
    if clock is not None:
        rate = float(settings.values["CLOCK_RATE"])
        start = settings.clock_start.astimezone(clock.start.tzinfo)
        yield "clock", f"{rate:g} times as fast since {start:%A %Y-%m-%d %H:%M} ({start.tzinfo})"


def _token_line(token_file: Path, is_first_start: bool) -> str:
    if not token_file.exists():
        return "make one: followup staff add --name NAME --role admin"
    if is_first_start:
        return f"{token_file.read_text().strip()}  (kept in {token_file})"
    return f"in {token_file}"


def _example(settings: LocalSettings) -> str:
    submission = {
        "name": "Alice Example",
        "email": "alice@example.com",
        "phone": "(949) 555-0123",
        "message": "Please call me back.",
        "consent_sms": True,
    }
    return shlex.join(
        (
            "curl",
            f"{settings.api_url}/submissions/contact",
            *("-H", "Content-Type: application/json"),
            *("-d", json.dumps(submission)),
        )
    )
