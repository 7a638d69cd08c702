"""Scripted faults of the Messages API, seen by Twilio's own library."""

from typing import Any

import pytest
import requests
from twilio.base.exceptions import TwilioRestException, TwilioServiceException
from twilio.rest import Client

from followup.sandbox.server import Sandbox
from tests.sandbox.calling import call
from tests.sandbox.conftest import (
    ALICE,
    BOB,
    CLINIC,
)
from tests.sandbox.creating import AUTH, FORM, create, messages_url


@pytest.mark.parametrize(
    ("script", "settings", "status", "code", "is_stored"),
    [
        ("error", {"code": 21211}, 400, 21211, False),
        ("error", {"code": 99999, "status": 422}, 422, 99999, False),
        ("error", {"code": 20003, "status": 401}, 401, 20003, False),
        ("throttle", {}, 429, 20429, False),
        ("unavailable", {}, 503, 20503, False),
        ("500", {}, 500, 20500, False),
        ("500", {"stored": True}, 500, 20500, True),
        ("accept_then_500", {}, 500, 20500, True),
    ],
)
def test_a_script_ends_one_call_with_an_error_and_the_next_is_well(
    sandbox: Sandbox,
    client: Client,
    script: str,
    settings: dict[str, Any],
    status: int,
    code: int,
    is_stored: bool,
) -> None:
    sandbox.script(script, to=ALICE, **settings)

    with pytest.raises(TwilioRestException) as refused:
        client.messages.create(to=ALICE, from_=CLINIC, body="Hello")

    assert (refused.value.status, refused.value.code) == (status, code)
    assert len(sandbox.messages()) == int(is_stored)
    client.messages.create(to=ALICE, from_=CLINIC, body="Hello")
    assert len(sandbox.messages()) == int(is_stored) + 1


def test_an_rfc_9457_error_is_twilios_other_exception(sandbox: Sandbox, client: Client) -> None:
    sandbox.script("error", problem_json=True, code=20404, status=404)

    with pytest.raises(TwilioServiceException) as refused:
        client.messages.create(to=ALICE, from_=CLINIC, body="Hello")

    assert (refused.value.status, refused.value.code) == (404, 20404)


@pytest.mark.parametrize(
    ("settings", "header"), [({"retry_after": 7}, "7"), ({"retry_after": None}, None)]
)
def test_throttling_names_a_time_only_when_told_to(
    sandbox: Sandbox, settings: dict[str, Any], header: str | None
) -> None:
    sandbox.script("throttle", times=2, **settings)

    answers = [create(sandbox) for _ in range(3)]

    assert [status for status, _, _ in answers] == [429, 429, 201]
    assert answers[0][2].get("retry-after") == header


@pytest.mark.parametrize(
    ("script", "status", "is_stored"),
    [("502_html", 502, False), ("504", 504, False), ("504", 504, True)],
)
def test_a_gateway_answers_in_html(
    sandbox: Sandbox, script: str, status: int, is_stored: bool
) -> None:
    sandbox.script(script, stored=is_stored)

    answered, body, headers = call("POST", messages_url(sandbox), form=FORM, headers=AUTH)

    assert (answered, headers["content-type"]) == (status, "text/html")
    assert body.startswith("<html>")
    assert len(sandbox.messages()) == int(is_stored)


@pytest.mark.parametrize(("script", "stored"), [("accept_then_drop", 1), ("drop_before", 0)])
def test_a_dropped_connection_gives_no_answer(
    sandbox: Sandbox, client: Client, script: str, stored: int
) -> None:
    client.messages.create(to=BOB, from_=CLINIC, body="warms the connection up")
    sandbox.script(script, to=ALICE)

    with pytest.raises(requests.exceptions.ConnectionError):
        client.messages.create(to=ALICE, from_=CLINIC, body="Hello")

    assert len(sandbox.messages(to=ALICE)) == stored


@pytest.mark.parametrize(("stored", "count"), [(None, 0), (True, 1)])
def test_a_hanging_call_ends_by_the_clients_timeout(
    sandbox: Sandbox, client: Client, stored: bool | None, count: int
) -> None:
    sandbox.script("hang", stored=stored)
    client.http_client.timeout = 0.2

    with pytest.raises(requests.exceptions.ReadTimeout):
        client.messages.create(to=ALICE, from_=CLINIC, body="Hello")

    assert len(sandbox.messages()) == count


def test_a_slow_call_is_taken_though_the_client_gave_up(sandbox: Sandbox, client: Client) -> None:
    sandbox.script("slow", seconds=30)
    client.http_client.timeout = 0.2

    with pytest.raises(requests.exceptions.ReadTimeout):
        client.messages.create(to=ALICE, from_=CLINIC, body="Hello")

    assert len(sandbox.messages()) == 1


def test_a_slightly_slow_call_is_answered(sandbox: Sandbox, client: Client) -> None:
    sandbox.script("slow", seconds=0.05)

    assert client.messages.create(to=ALICE, from_=CLINIC, body="Hello").sid


def test_a_garbled_answer_is_a_201_that_cannot_be_read(sandbox: Sandbox, client: Client) -> None:
    sandbox.script("garbled")

    with pytest.raises(ValueError, match=r"delimiter|Expecting|Unterminated"):
        client.messages.create(to=ALICE, from_=CLINIC, body="Hello")

    assert len(sandbox.messages()) == 1


def test_a_script_for_one_number_leaves_others_alone(sandbox: Sandbox, client: Client) -> None:
    sandbox.script("500", to=ALICE)

    assert client.messages.create(to=BOB, from_=CLINIC, body="Hello").sid


def test_a_refused_form_uses_no_script_up(sandbox: Sandbox) -> None:
    sandbox.script("unavailable", to=ALICE)

    assert [create(sandbox, Body="")[0], create(sandbox)[0]] == [400, 503]
