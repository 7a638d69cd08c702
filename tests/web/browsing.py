"""The application as a real browser reaches it."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI
from playwright.sync_api import (
    Browser,
    Page,
    ViewportSize,
    sync_playwright,
)

from followup.bell import Bell
from followup.bootstrap import Service, open_service
from followup.clock import Clock
from followup.config import Settings
from followup.store.db import make_engine
from followup.web.app import create_app
from tests.databases import Databases
from tests.schema import ENCRYPTION_KEYS, KEYRING
from tests.waiting import eventually

_ROOT = Path(__file__).parents[2]
#: Five past nine on a Monday morning in California.
NOW = datetime(2026, 11, 23, 17, 5, tzinfo=UTC)
PHONE: ViewportSize = {"width": 390, "height": 844}


@dataclass(frozen=True)
class Site:
    """Where a test finds the application, and what is behind it."""

    url: str
    app: FastAPI
    service: Service


class _Server(uvicorn.Server):
    """Runs in a thread of ours, where signals cannot be caught."""

    def install_signal_handlers(self) -> None:
        pass


@dataclass(frozen=True)
class Running:
    """The application as browsers reach it, whose service each test puts in its place."""

    url: str
    app: FastAPI
    service: Service


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    settings = Settings.model_validate(
        {
            "database_url": f"sqlite:///{tmp_path_factory.mktemp('browser')}/empty.db",
            "public_url": url,
            "clinic_file": _ROOT / "clinic.toml",
            "templates_dir": _ROOT / "templates",
            "secret_keys": "tests-only-" * 4,
            "encryption_keys": ",".join(ENCRYPTION_KEYS),
        }
    )
    # A clock that stands still.
    service = replace(open_service(settings), clock=Clock(NOW, time.time(), rate=0))
    # Where no time passes, nobody could be slow enough.
    unhurried = service.clinic.limits.model_copy(update={"minimum_fill_time": timedelta(0)})
    clinic = service.clinic.model_copy(update={"limits": unhurried})
    service = replace(service, clinic=clinic)
    app = create_app(service, Bell(lambda _lane: None))
    server = _Server(uvicorn.Config(app, ws="none", log_config=None))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    eventually(lambda: server.started)

    yield Running(url, app, service)

    server.should_exit = True
    thread.join()
    listener.close()


@pytest.fixture
def site(
    running: Running, tmp_path: Path, _databases: Callable[[str], Databases]
) -> Iterator[Site]:
    """With a database of its own."""
    url = _databases("sqlite").create(tmp_path, with_schema=True)
    service = replace(running.service, engine=make_engine(url, KEYRING))
    running.app.state.service = service

    yield Site(running.url, running.app, service)

    service.engine.dispose()


@pytest.fixture(scope="module")
def browser(chromium: Path) -> Iterator[Browser]:
    """Not for longer than this file: meanwhile no test could run a loop of its own."""
    # A page that a test makes up came from no address, and would not be let in to this machine's.
    arguments = ["--disable-features=LocalNetworkAccessChecks"]
    if os.geteuid() == 0:
        # Chromium refuses to run as root with its sandbox, as it has to in a container.
        arguments.append("--no-sandbox")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield browser
        browser.close()


def tab_to(page: Page, selector: str) -> None:
    for _ in range(60):
        if page.locator(f"{selector}:focus").count():
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"the keyboard does not reach {selector}")
