"""The API over real databases: each by turns for every rule, both for what they may do apart."""

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, redirect_stderr
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
import structlog
from fastapi.testclient import TestClient

from followup.bell import Bell
from followup.bootstrap import Service, open_service
from followup.logs import configure_logging
from followup.store.db import make_engine
from followup.web.app import create_app
from tests.schema import KEYRING
from tests.web.caller import NOW, SETTINGS, Caller, Open, StillClock


@pytest.fixture(scope="session")
def _read_service(tmp_path_factory: pytest.TempPathFactory) -> Service:
    """The clinic, cadences and pages, read once; each test's own has another engine and clock."""
    empty = tmp_path_factory.mktemp("web") / "empty.db"
    return open_service(SETTINGS.model_copy(update={"database_url": f"sqlite:///{empty}"}))


@pytest.fixture(scope="session")
def _http(_read_service: Service) -> Iterator[TestClient]:
    """One application for all tests, because it describes its routes when it is first called."""
    app = create_app(_read_service, Bell(lambda _lane: None))
    with TestClient(app, base_url="https://testserver", follow_redirects=False) as http:
        yield http


@pytest.fixture
def open_api(_read_service: Service, _http: TestClient) -> Iterator[Open]:
    with ExitStack() as stack:

        def open_api(url: str) -> Caller:
            clock, rings = StillClock(NOW), list[str]()
            engine, bell = make_engine(url, KEYRING), Bell(rings.append)
            bell.start()
            stack.callback(engine.dispose)
            stack.callback(bell.stop)
            service = replace(_read_service, engine=engine, clock=clock)
            app: Any = _http.app
            app.state.service, app.state.bell = service, bell
            _http.cookies.clear()
            return Caller(_http, service, clock, rings)

        yield open_api


@pytest.fixture
def api(open_api: Open, database_url: str) -> Caller:
    """On one kind of database, each by turns."""
    return open_api(database_url)


@pytest.fixture
def api_everywhere(api: Caller) -> Caller:
    """The same on each kind of database: asking for it is what `tests/conftest.py` looks at."""
    return api


@pytest.fixture
def dana(api: Caller) -> dict[str, str]:
    """Dana of the staff: the headers of her requests."""
    return api.staff("Dana")


@pytest.fixture
def logged() -> Iterator[Callable[[], str]]:
    """What the service has logged, logging as it does in production."""
    configured, lines = structlog.get_config(), StringIO()
    hooks = sys.excepthook, threading.excepthook
    with redirect_stderr(lines):
        configure_logging(SETTINGS)
    (ours,) = logging.root.handlers
    # Loggers outlive the test, and would go on in this way.
    structlog.configure(cache_logger_on_first_use=False)
    # The client's own, who is the caller here.
    logging.getLogger("httpx2").setLevel(logging.WARNING)

    yield lines.getvalue

    sys.excepthook, threading.excepthook = hooks
    structlog.configure(**configured)
    logging.root.removeHandler(ours)
