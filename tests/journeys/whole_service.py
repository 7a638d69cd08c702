"""`followup up` as people start it, in a process of its own, with free ports and a directory of
its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.journeys.clinic_day import ROOT
from tests.journeys.doors import Doors
from tests.servers import find_free_port
from tests.waiting import eventually

#: On a machine that is busy with other tests; alone it takes a few.
START_SECONDS = 100
STOP_SECONDS = 40


class WholeService(Doors):
    """To be ended with `end`, also when it did not come up."""

    def __init__(self, directory: Path, *options: str, **settings: str) -> None:
        ports = [find_free_port() for _ in range(3)]
        self._directory = directory
        self._environment = _environment(directory, ports) | settings
        self._output = directory / "output"
        with self._output.open("w") as output:
            self.supervisor = subprocess.Popen(
                (sys.executable, "-m", "followup", "up", *options),
                cwd=directory,
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        super().__init__(f"http://127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}")

    def await_announcement(self) -> None:
        """Until everything is started; then we act as the first of the staff."""
        eventually(self._has_announced_itself, within=START_SECONDS)
        self.token = (self._directory / "data" / "first-token").read_text().strip()

    @property
    def output(self) -> str:
        return self._output.read_text()

    def runs(self, *command: str) -> Any:
        """What a `followup` command prints as JSON, in another terminal."""
        done = subprocess.run(
            (sys.executable, "-m", "followup", *command, "--json"),
            cwd=self._directory,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def processes(self) -> dict[str, int]:
        """The ids of what the supervisor has started and keeps, by name."""
        listed = subprocess.run(
            ("ps", "-A", "-o", "pid=,ppid=,args="), capture_output=True, text=True, check=True
        )
        rows = [line.split(None, 2) for line in listed.stdout.splitlines()]
        mine = [row for row in rows if len(row) == 3 and row[1] == str(self.supervisor.pid)]
        return {_name(row[2]): int(row[0]) for row in mine}

    def kills(self, name: str) -> None:
        """Without warning, as the system does when memory runs out."""
        os.kill(self.processes()[name], signal.SIGKILL)

    def end(self) -> None:
        self.supervisor.terminate()
        try:
            self.supervisor.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.supervisor.kill()
            self.supervisor.wait()

    def _has_announced_itself(self) -> bool:
        assert self.supervisor.poll() is None, self.output
        return "Stop:  Ctrl-C" in self.output


Start = Callable[..., WholeService]


def _name(command: str) -> str:
    words = command.split()
    return words[words.index("followup") + 1] if "followup" in words else "broker"


def _environment(directory: Path, ports: list[int]) -> dict[str, str]:
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("FOLLOWUP_")
    }
    return inherited | {
        "FOLLOWUP_DATA_DIR": str(directory / "data"),
        "FOLLOWUP_CLINIC_FILE": str(ROOT / "clinic.toml"),
        "FOLLOWUP_TEMPLATES_DIR": str(ROOT / "templates"),
        "FOLLOWUP_PORT": str(ports[0]),
        "FOLLOWUP_SANDBOX_PORT": str(ports[1]),
        "FOLLOWUP_SANDBOX_SMTP_PORT": str(ports[2]),
        "FOLLOWUP_LIMITS": "off",
    }
