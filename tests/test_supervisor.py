import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from followup.errors import Misconfigured
from followup.supervisor import Child, Errand, Supervisor, next_delay
from tests.waiting import eventually, is_running

OBEDIENT = "import os, signal; print('pid', os.getpid(), flush=True); signal.pause()"
STUBBORN = (
    "import os, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "print('pid', os.getpid(), flush=True)\n"
    "while True: signal.pause()"
)
PARTING = (
    "import os, signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(print('bye')));"
    "print('pid', os.getpid(), flush=True); signal.pause()"
)
SUPERVISED = Path(__file__).with_name("supervised.py")


class Supervised:
    """A supervisor in a process of its own, and what it has written."""

    def __init__(
        self, folder: Path, children: dict[str, tuple[str, int]], grace_seconds: float
    ) -> None:
        plan = {
            "grace_seconds": grace_seconds,
            "children": {
                name: ((sys.executable, "-c", code), stage)
                for name, (code, stage) in children.items()
            },
        }
        (folder / "plan.json").write_text(json.dumps(plan))
        self._output = folder / "output"
        with self._output.open("w") as output:
            self.process = subprocess.Popen(
                (sys.executable, SUPERVISED, folder / "plan.json"),
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def output(self) -> str:
        return self._output.read_text()

    def pids(self, name: str) -> list[int]:
        return [int(pid) for pid in re.findall(rf"^{name} +│ pid (\d+)$", self.output, re.M)]

    def all_pids(self) -> list[int]:
        return [int(pid) for pid in re.findall(r"│ pid (\d+)$", self.output, re.M)]

    def await_start_of(self, *names: str) -> None:
        eventually(lambda: all(self.pids(name) for name in names))

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for pid in self.all_pids():
            if is_running(pid):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Supervised]:
    """Three children that stop one stage after another."""
    children = {"store": (PARTING, 2), "door": (PARTING, 1), "hand": (PARTING, 0)}
    supervised = Supervised(tmp_path, children, grace_seconds=10)
    yield supervised
    supervised.end()


@pytest.fixture
def stubborn(tmp_path: Path) -> Iterator[Supervised]:
    """A child that does not stop when it is told to, and a grace of a minute."""
    supervised = Supervised(tmp_path, {"mule": (STUBBORN, 0)}, grace_seconds=60)
    yield supervised
    supervised.end()


@pytest.mark.parametrize(
    ("last_delay", "lived_seconds", "delay"),
    [
        pytest.param(None, 0, 0.2, id="first death"),
        pytest.param(0.2, 1, 0.4, id="soon again"),
        pytest.param(3.2, 1, 5.0, id="no longer than the longest"),
        pytest.param(5.0, 9.9, 5.0, id="almost healthy"),
        pytest.param(5.0, 10, 0.2, id="healthy life"),
    ],
)
def test_a_child_that_keeps_dying_is_started_again_more_slowly(
    last_delay: float | None, lived_seconds: float, delay: float
) -> None:
    assert next_delay(last_delay, lived_seconds) == delay


@pytest.mark.parametrize("name", ["store", "door", "hand"])
def test_a_killed_child_comes_back_and_the_others_live_on(three: Supervised, name: str) -> None:
    three.await_start_of("store", "door", "hand")

    os.kill(three.pids(name)[0], signal.SIGKILL)

    eventually(lambda: len(three.pids(name)) == 2)
    assert f"{name} was ended by SIGKILL; starting it again in 0.2 s" in three.output
    assert len(three.all_pids()) == 4


def test_a_killed_supervisor_leaves_no_process(three: Supervised) -> None:
    three.await_start_of("store", "door", "hand")

    three.process.kill()
    three.process.wait()

    eventually(lambda: not any(is_running(pid) for pid in three.all_pids()), within=3)


def test_a_killed_supervisor_leaves_no_process_that_ignores_sigterm(stubborn: Supervised) -> None:
    stubborn.await_start_of("mule")

    stubborn.process.kill()
    stubborn.process.wait()

    eventually(lambda: not is_running(stubborn.pids("mule")[0]), within=3)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_told_supervisor_stops_all_in_stages_and_ends_with_status_0(
    three: Supervised, number: signal.Signals
) -> None:
    three.await_start_of("store", "door", "hand")

    three.process.send_signal(number)

    assert three.process.wait(10) == 0
    assert re.findall(r"^(\w+) +│ bye$", three.output, re.M) == ["hand", "door", "store"]
    assert not any(is_running(pid) for pid in three.all_pids())


def test_a_second_ctrl_c_stops_at_once(stubborn: Supervised) -> None:
    stubborn.await_start_of("mule")
    stubborn.process.send_signal(signal.SIGINT)
    eventually(lambda: "stopping" in stubborn.output)

    stubborn.process.send_signal(signal.SIGINT)

    assert stubborn.process.wait(5) == 0
    assert not is_running(stubborn.pids("mule")[0])


def test_a_second_sigterm_changes_nothing(stubborn: Supervised) -> None:
    stubborn.await_start_of("mule")
    stubborn.process.send_signal(signal.SIGTERM)
    eventually(lambda: "stopping" in stubborn.output)

    stubborn.process.send_signal(signal.SIGTERM)

    with pytest.raises(subprocess.TimeoutExpired):
        stubborn.process.wait(0.3)


def test_who_does_not_stop_within_the_grace_is_ended_by_force(tmp_path: Path) -> None:
    supervised = Supervised(tmp_path, {"mule": (STUBBORN, 0)}, grace_seconds=0.2)
    supervised.await_start_of("mule")

    supervised.process.terminate()

    assert supervised.process.wait(5) == 0
    assert "ended by force: mule" in supervised.output
    assert not is_running(supervised.pids("mule")[0])


def test_a_program_that_is_not_there_is_tried_again_until_stopped(tmp_path: Path) -> None:
    said: list[str] = []
    child = Child("ghost", (str(tmp_path / "missing"),), {})

    def is_up() -> bool:
        if sum("ghost cannot be started" in line for line in said) >= 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return False

    Supervisor([child], say=said.append).run(is_up=is_up, when_up=lambda: None)

    assert "starting it again in 0.4 s" in "\n".join(said)
    assert said[-1] == "stopped"


def test_output_is_passed_on_line_by_line_under_the_name_of_its_process() -> None:
    code = "import sys; print('out'); print('a\\u00e9b', end='', flush=True); sys.exit(3)"

    said = run_until_said([Child("speaker", (sys.executable, "-c", code), {})], "again")

    assert said[:3] == [
        "speaker │ out",
        "speaker │ aéb",
        "speaker ended with status 3; starting it again in 0.2 s",
    ]


def test_a_closed_terminal_does_not_stop_the_service(tmp_path: Path) -> None:
    started = tmp_path / "started"
    code = f"import pathlib, signal; pathlib.Path({str(started)!r}).touch(); signal.pause()"

    def say(_line: str) -> None:
        raise BrokenPipeError

    def is_up() -> bool:
        if started.exists():
            os.kill(os.getpid(), signal.SIGTERM)
        return False

    child = Child("silent", (sys.executable, "-c", f"print('hello'); {code}"), {})
    Supervisor([child], say=say).run(is_up=is_up, when_up=lambda: None)


def test_an_errand_is_done_before_the_next_one_is_started() -> None:
    done: list[tuple[int, str]] = []
    errands = [
        Errand("first", (sys.executable, "-c", "print('one')"), {}, lambda *it: done.append(it)),
        Errand("second", (sys.executable, "-c", "exit(2)"), {}, lambda *it: done.append(it)),
    ]

    Supervisor(errands, say=lambda _: None).run(is_up=lambda: True, when_up=stop)

    assert done == [(0, "one"), (2, "")]


def test_an_errand_that_raises_ends_what_was_started(tmp_path: Path) -> None:
    said: list[str] = []

    def refuse(_status: int, output: str) -> None:
        raise Misconfigured("the errand failed")

    plan: list[Child | Errand] = [
        Child("early", (sys.executable, "-c", OBEDIENT), {}, is_ready=lambda: bool(said)),
        Errand("errand", (sys.executable, "-c", ""), {}, refuse),
    ]
    with pytest.raises(Misconfigured, match="the errand failed"):
        Supervisor(plan, say=said.append).run(is_up=lambda: True, when_up=stop)

    assert not is_running(int(said[0].split()[-1]))


def test_a_child_that_never_gets_ready_ends_the_start() -> None:
    child = Child(
        "slow",
        (sys.executable, "-c", OBEDIENT),
        {},
        is_ready=lambda: False,
        ready_within=timedelta(seconds=0.1),
    )

    with pytest.raises(Misconfigured, match=r"slow was not ready after 0\.1 s"):
        Supervisor([child], say=lambda _: None).run(is_up=lambda: True, when_up=stop)


def test_the_signals_of_the_caller_are_his_again_afterwards() -> None:
    before = signal.getsignal(signal.SIGTERM)

    Supervisor([], say=lambda _: None).run(is_up=lambda: True, when_up=stop)

    assert signal.getsignal(signal.SIGTERM) is before


def stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def run_until_said(plan: list[Child | Errand], words: str) -> list[str]:
    said: list[str] = []

    def is_up() -> bool:
        return any(words in line for line in said)

    Supervisor(plan, say=said.append).run(is_up=is_up, when_up=stop)
    return said
