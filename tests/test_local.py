import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from followup.errors import Conflict, Misconfigured
from followup.local import up
from followup.local_settings import FastClock, read_kept
from tests.waiting import eventually, is_running

STAND_IN = (sys.executable, str(Path(__file__).with_name("stand_in.py")))
RUNS_UP = f"""
import os, sys
from pathlib import Path
from followup.local import up
up(os.environ, data_dir=Path(sys.argv[1]), clock=None, program={STAND_IN!r},
   out=lambda line: print(line, flush=True))
"""
SERVICES = ("sandbox", "api", "worker")
FAST = FastClock(
    start=datetime(2026, 11, 23, 9, tzinfo=ZoneInfo("America/Los_Angeles")),
    anchor=datetime(2026, 11, 23, 23, 30, tzinfo=UTC),
)


class Up:
    """`followup up` in a process of its own, and what it has written."""

    def __init__(self, data_dir: Path, environment: dict[str, str]) -> None:
        self.data_dir = data_dir
        self._output = data_dir.with_name("output")
        with self._output.open("w") as output:
            self.process = subprocess.Popen(
                (sys.executable, "-c", RUNS_UP, data_dir),
                env=os.environ | environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def output(self) -> str:
        return self._output.read_text()

    def await_announcement(self) -> None:
        eventually(lambda: "Stop:  Ctrl-C" in self.output, within=20)

    def pids(self) -> dict[str, int]:
        return {name: int(pid) for name, pid in re.findall(r"(\w+) +│ pid (\d+)", self.output)}

    def seen_by(self, name: str) -> dict[str, str]:
        seen = json.loads((self.data_dir / f"seen-{name}.json").read_text())
        environment: dict[str, str] = seen["environment"]
        return environment

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(10)


@pytest.fixture
def ports() -> dict[str, str]:
    """Free ports, by setting."""
    names = ("FOLLOWUP_PORT", "FOLLOWUP_SANDBOX_PORT", "FOLLOWUP_SANDBOX_SMTP_PORT")
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in names]
        return {
            name: str(taken.getsockname()[1]) for name, taken in zip(names, sockets, strict=True)
        }


@pytest.fixture
def start(tmp_path: Path, ports: dict[str, str]) -> Iterator[Callable[..., Up]]:
    started: list[Up] = []

    def start_one(**environment: str) -> Up:
        one = Up(tmp_path / "data", ports | environment)
        started.append(one)
        return one

    yield start_one
    for one in started:
        one.process.kill()
        one.process.wait()


def refused_up(data_dir: Path, environment: dict[str, str], clock: FastClock | None = None) -> None:
    up(os.environ | environment, data_dir=data_dir, clock=clock, out=print, program=STAND_IN)


def test_everything_is_started_and_its_places_are_shown_once(
    start: Callable[..., Up], ports: dict[str, str]
) -> None:
    one = start()
    one.await_announcement()

    for shown in (
        "SIMULATED: nothing leaves this machine.",
        f"http://127.0.0.1:{ports['FOLLOWUP_PORT']}/forms/contact",
        f"http://127.0.0.1:{ports['FOLLOWUP_PORT']}/forms/screening",
        f"http://127.0.0.1:{ports['FOLLOWUP_PORT']}/staff",
        f"http://127.0.0.1:{ports['FOLLOWUP_SANDBOX_PORT']}/",
        f"http://127.0.0.1:{ports['FOLLOWUP_PORT']}/docs",
        "t0ken",
        f"curl http://127.0.0.1:{ports['FOLLOWUP_PORT']}/submissions/contact",
    ):
        assert one.output.count(shown) == 1, shown
    eventually(lambda: set(one.pids()) == set(SERVICES))


def test_a_requested_stop_leaves_nothing_and_ends_with_status_0(start: Callable[..., Up]) -> None:
    one = start()
    one.await_announcement()
    eventually(lambda: set(one.pids()) == set(SERVICES))

    assert one.stop() == 0

    assert not any(is_running(pid) for pid in one.pids().values())


def test_a_kill_leaves_nothing_and_the_next_start_works(start: Callable[..., Up]) -> None:
    one = start()
    one.await_announcement()
    pids = eventually(lambda: one.pids() if set(one.pids()) == set(SERVICES) else {})

    one.process.kill()
    one.process.wait()

    again = start()
    again.await_announcement()
    assert not any(is_running(pid) for pid in pids.values())
    assert again.stop() == 0


def test_every_process_is_told_the_same(start: Callable[..., Up]) -> None:
    one = start(FOLLOWUP_TEMPLATES_DIR="wording")
    one.await_announcement()
    eventually(lambda: set(one.pids()) == set(SERVICES))

    told = one.seen_by("migrate")

    assert all(one.seen_by(name) == told for name in SERVICES)
    assert told["FOLLOWUP_DATA_DIR"] == str(one.data_dir)
    assert told["FOLLOWUP_TEMPLATES_DIR"] == "wording"
    kept = read_kept(one.data_dir / "up.env")
    assert {f"FOLLOWUP_{name}": value for name, value in kept.items()}.items() <= told.items()


def test_the_first_token_is_shown_at_the_first_start_and_kept(start: Callable[..., Up]) -> None:
    one = start()
    one.await_announcement()
    one.stop()
    assert (one.data_dir / "first-token").read_text() == "t0ken\n"
    assert (one.data_dir / "first-token").stat().st_mode & 0o777 == 0o600
    (one.data_dir / "followup.db").touch()

    again = start()
    again.await_announcement()

    assert "t0ken" not in again.output
    assert f"in {one.data_dir / 'first-token'}" in again.output
    assert "--first-admin" not in (one.data_dir / "seen-migrate.json").read_text()


def test_the_token_of_a_removed_database_is_replaced(start: Callable[..., Up]) -> None:
    one = start()
    one.data_dir.mkdir(exist_ok=True)
    (one.data_dir / "first-token").write_text("stale\n")
    one.await_announcement()
    one.stop()

    again = start()
    again.await_announcement()

    assert (one.data_dir / "first-token").read_text() == "t0ken\n"


def test_without_its_tables_nothing_else_is_started(start: Callable[..., Up]) -> None:
    one = start(STAND_IN_MIGRATE_STATUS="1")

    assert one.process.wait(10) == 1

    assert "followup migrate ended with status 1, so nothing else was started" in one.output
    assert not (one.data_dir / "seen-api.json").exists()


def test_with_own_providers_nothing_is_simulated_and_that_is_said(start: Callable[..., Up]) -> None:
    one = start(
        FOLLOWUP_SMTP_URL="smtp://user:secret@mail.example.com:587",
        FOLLOWUP_EMAIL_FROM="hello@example.com",
        FOLLOWUP_TWILIO_ACCOUNT_SID="AC123",
        FOLLOWUP_TWILIO_AUTH_TOKENS="secret",
        FOLLOWUP_TWILIO_FROM="+14155550100",
    )
    one.await_announcement()

    assert "SIMULATED" not in one.output
    assert "LIVE: messages leave this machine." in one.output
    assert "Mail goes out through mail.example.com." in one.output
    assert "secret" not in one.output
    assert not (one.data_dir / "seen-sandbox.json").exists()


def test_a_sandbox_for_mail_alone_never_gets_the_real_account(start: Callable[..., Up]) -> None:
    one = start(
        FOLLOWUP_TWILIO_ACCOUNT_SID="AC123",
        FOLLOWUP_TWILIO_AUTH_TOKENS="secret",
        FOLLOWUP_TWILIO_FROM="+14155550100",
    )
    one.await_announcement()
    eventually(lambda: "sandbox" in one.pids())

    told = one.seen_by("sandbox")

    assert told["FOLLOWUP_TWILIO_ACCOUNT_SID"].startswith("ACsandbox")
    assert told["FOLLOWUP_TWILIO_AUTH_TOKENS"] != "secret"
    assert "Mail is simulated" in one.output


@pytest.mark.parametrize(
    "setting", ["FOLLOWUP_PORT", "FOLLOWUP_SANDBOX_PORT", "FOLLOWUP_SANDBOX_SMTP_PORT"]
)
def test_a_port_in_use_is_named_before_anything_starts(
    tmp_path: Path, ports: dict[str, str], setting: str
) -> None:
    with (
        socket.create_server(("127.0.0.1", int(ports[setting]))),
        pytest.raises(Misconfigured) as refusal,
    ):
        refused_up(tmp_path, ports)

    assert str(refusal.value) == (
        f"{setting}: port {ports[setting]} on 127.0.0.1 is in use; set {setting} to a free port"
    )
    assert not (tmp_path / "seen-migrate.json").exists()
    assert not (tmp_path / "up.env").exists()


def test_two_settings_with_one_port_are_noticed(tmp_path: Path, ports: dict[str, str]) -> None:
    both = ports | {"FOLLOWUP_SANDBOX_PORT": ports["FOLLOWUP_PORT"]}

    with pytest.raises(Misconfigured, match="FOLLOWUP_SANDBOX_PORT: port"):
        refused_up(tmp_path, both)


def test_a_host_that_is_not_this_machines_is_named(tmp_path: Path, ports: dict[str, str]) -> None:
    with pytest.raises(Misconfigured, match=r"FOLLOWUP_HOST: cannot listen on 192\.0\.2\.1: "):
        refused_up(tmp_path, ports | {"FOLLOWUP_HOST": "192.0.2.1"})


def test_a_second_start_in_the_same_data_directory_is_refused(start: Callable[..., Up]) -> None:
    one = start()
    one.await_announcement()

    with pytest.raises(Conflict, match=r"already running in .*: stop it first"):
        refused_up(one.data_dir, {})


def test_a_fast_clock_in_a_data_directory_of_the_real_one_is_refused(
    start: Callable[..., Up], ports: dict[str, str]
) -> None:
    one = start()
    one.await_announcement()
    one.stop()

    with pytest.raises(Misconfigured, match="leave out --fast"):
        refused_up(one.data_dir, ports, FAST)


def test_a_fast_clock_is_shown_and_goes_on_at_the_next_start(
    tmp_path: Path, ports: dict[str, str]
) -> None:
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if "Stop:" in line:
            os.kill(os.getpid(), signal.SIGTERM)

    later = FastClock(start=FAST.start.replace(day=30), anchor=FAST.anchor.replace(day=30))
    for clock in (FAST, later):
        up(os.environ | ports, data_dir=tmp_path, clock=clock, out=say, program=STAND_IN)

        clock_line = "720 times as fast since Monday 2026-11-23 09:00 (America/Los_Angeles)"
        assert sum(clock_line in line for line in said) == 1
        assert read_kept(tmp_path / "up.env")["CLOCK_START"] == "2026-11-23T17:00:00+00:00"
        said.clear()


def test_the_data_directory_is_for_its_owner_only(start: Callable[..., Up]) -> None:
    one = start()
    one.await_announcement()

    assert one.data_dir.stat().st_mode & 0o777 == 0o700
