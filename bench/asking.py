"""How a row asks the providers: what they have accepted, and when."""

import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.certificates import HOST
from bench.programs import Program

#: Whom `bench.peer` and ours send as.
ACCOUNT, TOKEN = "ACbench0000000000000000000000000000", "bench-only"
SENDER, SENDING_NUMBER = "Harbor Light Wellness <hello@example.com>", "+19495550100"


@dataclass(frozen=True)
class Acceptance:
    """A message that the provider took: when it said so (`time.monotonic()`), and to whom.

    `channel` is `email` or `sms`; `text` is its beginning.
    """

    at: float
    channel: str
    to: str
    text: str


class Providers:
    """The stand-ins for Twilio and a mail server: a process of their own."""

    def __init__(self, program: Program, bundle: Path | None) -> None:
        self.program = program
        self._ports = json.loads(program.output)
        self._bundle = bundle
        self._control = socket.create_connection((HOST, self._ports["control"]))
        self._lines = self._control.makefile("rwb")

    @property
    def environment(self) -> dict[str, str]:
        """What whoever sends to them is told, ours and the peer alike."""
        secure = "s" if self._bundle else ""
        login = "bench:bench-only@" if self._bundle else ""
        return {
            "FOLLOWUP_TWILIO_API_URL": f"http{secure}://{HOST}:{self._ports['twilio']}",
            "FOLLOWUP_TWILIO_ACCOUNT_SID": ACCOUNT,
            "FOLLOWUP_TWILIO_AUTH_TOKENS": TOKEN,
            "FOLLOWUP_TWILIO_FROM": SENDING_NUMBER,
            "FOLLOWUP_SMTP_URL": f"smtp{secure}://{login}{HOST}:{self._ports['smtp']}",
            "FOLLOWUP_EMAIL_FROM": SENDER,
            "NO_PROXY": HOST,
            **(
                {"SSL_CERT_FILE": str(self._bundle), "REQUESTS_CA_BUNDLE": str(self._bundle)}
                if self._bundle
                else {}
            ),
        }

    def accepted(self) -> list[Acceptance]:
        """All that was taken since the last `forget`, oldest first."""
        return [Acceptance(*one) for one in self._ask("list")]

    def count(self) -> int:
        """How much was taken since the last `forget`."""
        return int(self._ask("count"))

    def wait_for(self, count: int, *, within: float = 60.0) -> float:
        """When so many had been taken since the last `forget`. Raises TimeoutError."""
        # A connection of its own, because an answer that comes too late would be taken for another.
        with socket.create_connection((HOST, self._ports["control"]), timeout=within) as control:
            control.sendall(f"wait {count}\n".encode())
            try:
                return float(control.makefile("rb").readline())
            except TimeoutError:
                have = self.count()
                raise TimeoutError(f"{have} of {count} accepted after {within:g} s") from None

    def forget(self) -> None:
        self._ask("forget")

    def cpu_seconds(self) -> float:
        return self.program.cpu_seconds()

    def stop(self) -> None:
        self._lines.close()
        self._control.close()
        self.program.stop()

    def _ask(self, command: str) -> Any:
        self._lines.write(f"{command}\n".encode())
        self._lines.flush()
        return json.loads(self._lines.readline())
