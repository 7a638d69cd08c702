"""A running sandbox for each test of a transport."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from followup.sandbox.server import Sandbox

SID = "AC00000000000000000000000000000001"
TOKEN = "a-token-for-tests"

OpenSandbox = Callable[..., Sandbox]


@pytest.fixture
def open_sandbox() -> Iterator[OpenSandbox]:
    """Starts a sandbox with those settings; it ends with the test."""
    opened: list[Sandbox] = []

    def open_one(**settings: Any) -> Sandbox:
        account = {"account_sid": SID, "auth_token": TOKEN}
        sandbox = Sandbox(port=0, smtp_port=0, pace=0, **(account | settings))
        sandbox.start()
        opened.append(sandbox)
        return sandbox

    yield open_one

    for sandbox in opened:
        sandbox.stop()


@pytest.fixture
def sandbox(open_sandbox: OpenSandbox) -> Sandbox:
    return open_sandbox()
