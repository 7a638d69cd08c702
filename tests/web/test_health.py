"""Alive, ready, and what is amiss: said to whoever watches."""

from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from followup.bell import Bell
from followup.store.db import make_engine
from followup.web.app import create_app
from tests.schema import KEYRING
from tests.web.caller import Caller


def readiness(api: Caller, url: str | None = None, *, broker: bool = True) -> tuple[int, object]:
    engine = make_engine(url, KEYRING) if url else api.service.engine
    app = create_app(replace(api.service, engine=engine), Bell(lambda _: None), lambda: broker)
    with TestClient(app) as http:
        answer = http.get("/readyz")
    engine.dispose()
    return answer.status_code, answer.json()


def test_alive_is_told_without_asking_anybody(api: Caller) -> None:
    app = create_app(
        replace(api.service, engine=make_engine("sqlite:////no/such/folder.db", KEYRING)),
        Bell(lambda _: None),
        lambda: False,
    )
    with TestClient(app) as http:
        answer = http.get("/healthz")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_ready_with_everything_there(api_everywhere: Caller) -> None:
    assert readiness(api_everywhere) == (
        200,
        {"status": "ok", "database": "ok", "broker": "ok"},
    )


def test_ready_without_the_broker_which_is_named(api: Caller) -> None:
    assert readiness(api, broker=False) == (
        200,
        {"status": "degraded", "database": "ok", "broker": "degraded"},
    )


def test_not_ready_with_migrations_missing(api: Caller, empty_database_url: str) -> None:
    status, state = readiness(api, empty_database_url)

    assert status == 503
    assert state == {"status": "unavailable", "database": "migrations missing", "broker": "ok"}


@pytest.mark.parametrize(
    "url", ["sqlite:////no/such/folder.db", "postgresql://nobody:secret@127.0.0.1:9/none"]
)
def test_not_ready_without_the_database_and_no_word_of_where_it_is(api: Caller, url: str) -> None:
    status, state = readiness(api, url)

    assert status == 503
    assert state == {"status": "unavailable", "database": "unreachable", "broker": "ok"}
