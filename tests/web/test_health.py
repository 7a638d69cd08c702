"""Alive, ready, and what is amiss: said to whoever watches."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from followup.bell import Bell
from followup.domain.alarm import SILENT_AFTER, AlarmKind
from followup.domain.cadence import Channel
from followup.services import watching
from followup.store import alarms, breakers, counts
from followup.store.db import make_engine, real_now, transaction
from followup.watchman import Watchman
from followup.web.app import create_app
from tests.schema import KEYRING
from tests.waiting import eventually
from tests.web.caller import NOW, Caller


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


ALL_WELL = {"beat": "ok", "email": "ok", "sms": "ok", "alarms": []}


def test_ready_with_everything_there(api_everywhere: Caller) -> None:
    assert readiness(api_everywhere) == (
        200,
        {"status": "ok", "database": "ok", "broker": "ok", **ALL_WELL},
    )


def test_ready_without_the_broker_which_is_named(api: Caller) -> None:
    assert readiness(api, broker=False) == (
        200,
        {"status": "degraded", "database": "ok", "broker": "degraded", **ALL_WELL},
    )


def change(api: Caller, *writes: Callable[[Session], object]) -> None:
    with transaction(api.service.engine) as session:
        for write in writes:
            write(session)


def pause(session: Session) -> None:
    row = breakers.lock_breaker(session, Channel.sms)
    row.paused_at = row.probe_at = real_now(session)


def fall_silent(session: Session) -> None:
    counts.beat(session, watching.UPKEEP, real_now(session) - SILENT_AFTER - timedelta(seconds=5))


def be_heard(session: Session) -> None:
    counts.beat(session, watching.UPKEEP, real_now(session))


def raise_one(session: Session) -> None:
    alarms.open_alarm(session, AlarmKind.problem, "", NOW, {"count": 1})


def test_a_paused_channel_is_named_and_submissions_are_taken(api_everywhere: Caller) -> None:
    change(api_everywhere, pause)

    status, state = readiness(api_everywhere)

    well = {"database": "ok", "broker": "ok", **ALL_WELL}
    assert (status, state) == (200, {**well, "status": "degraded", "sms": "degraded"})


def test_a_silence_is_named_once_something_had_been_heard(api_everywhere: Caller) -> None:
    change(api_everywhere, be_heard)
    assert readiness(api_everywhere)[1] == {
        "status": "ok", "database": "ok", "broker": "ok", **ALL_WELL,
    }  # fmt: skip

    change(api_everywhere, fall_silent)

    status, state = readiness(api_everywhere)
    well = {"database": "ok", "broker": "ok", **ALL_WELL}
    assert (status, state) == (200, {**well, "status": "degraded", "beat": "degraded"})


def test_an_alarm_that_is_open_is_told_with_its_sentence(api_everywhere: Caller) -> None:
    change(api_everywhere, raise_one)

    status, state = readiness(api_everywhere)

    alarm = {
        "alarm": "problem",
        "subject": "",
        "since": "2026-11-23T17:05:00Z",
        "explanation": "A submission could not be read and waits for somebody to look at it.",
    }
    well = {"database": "ok", "broker": "ok", **ALL_WELL}
    assert (status, state) == (200, {**well, "status": "degraded", "alarms": [alarm]})


def test_an_alarm_that_is_over_is_told_no_more(api: Caller) -> None:
    change(api, raise_one)
    with transaction(api.service.engine) as session:
        for alarm in alarms.list_open(session):
            alarm.cleared_at = NOW

    assert readiness(api)[1] == {"status": "ok", "database": "ok", "broker": "ok", **ALL_WELL}


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


def test_the_watchman_looks_while_the_api_runs(api: Caller) -> None:
    looks: list[int] = []
    watchman = Watchman(lambda: looks.append(1), round_seconds=0.0, first_round_seconds=0.0)
    app = create_app(api.service, Bell(lambda _: None), watchman=watchman)

    with TestClient(app):
        eventually(lambda: len(looks) >= 2)
    seen = len(looks)

    with TestClient(create_app(api.service, Bell(lambda _: None))) as http:
        assert http.get("/healthz").status_code == 200
    assert len(looks) == seen
