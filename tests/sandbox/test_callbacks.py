"""What a message goes through, and what the service hears of it."""

from pathlib import Path
from typing import Any

import pytest
from twilio.rest import Client

from followup.sandbox.listener import Response, Silence
from followup.sandbox.server import Sandbox
from tests.sandbox.conftest import (
    ALICE,
    CLINIC,
    PREVIOUS_TOKEN,
    SERVICE,
    SID,
    TOKEN,
    OpenSandbox,
    Service,
    client_of,
)


def send(sandbox: Sandbox, callback: str, **settings: str) -> str:
    sender = settings or {"from_": CLINIC}
    message = client_of(sandbox).messages.create(
        to=ALICE, body="Hello", status_callback=callback, **sender
    )
    assert sandbox.settle()
    return str(message.sid)


def test_each_status_after_the_first_is_told_and_signed(sandbox: Sandbox, service: Service) -> None:
    sid = send(sandbox, service.status_url)

    assert service.statuses == ["sending", "sent", "delivered"]
    assert all(webhook.url == service.status_url for webhook in service.received)
    assert all(webhook.is_signed_with(TOKEN) for webhook in service.received)
    assert service.received[-1].fields == {
        "AccountSid": SID,
        "From": CLINIC,
        "To": ALICE,
        "MessageSid": sid,
        "SmsSid": sid,
        "MessageStatus": "delivered",
        "SmsStatus": "delivered",
        "ApiVersion": "2010-04-01",
        "ErrorMessage": "",
        "RawDlrDoneDate": "2611231705",
    }


def test_a_services_message_tells_of_being_queued(sandbox: Sandbox, service: Service) -> None:
    send(sandbox, service.status_url, messaging_service_sid=SERVICE)

    assert service.statuses == ["queued", "sending", "sent", "delivered"]
    assert service.received[0].fields["MessagingServiceSid"] == SERVICE


def test_a_failure_carries_its_code(sandbox: Sandbox, service: Service) -> None:
    sandbox.life("undelivered(30006)", to=ALICE)

    send(sandbox, service.status_url)

    assert service.received[-1].fields["ErrorCode"] == "30006"
    assert "ErrorCode" not in service.received[0].fields
    assert [(m.status, m.error_code) for m in sandbox.messages()] == [("undelivered", 30006)]


def test_a_query_is_signed_and_a_fragment_is_not(sandbox: Sandbox, service: Service) -> None:
    send(sandbox, f"{service.status_url}?kind=ack&n=1#rc=3&rp=5xx,ct,rt")

    assert service.received[0].url == f"{service.status_url}?kind=ack&n=1"
    assert service.received[0].is_signed_with(TOKEN)


def test_without_a_callback_address_the_life_goes_on_in_silence(
    sandbox: Sandbox, service: Service, client: Client
) -> None:
    client.messages.create(to=ALICE, from_=CLINIC, body="Hello")
    sandbox.settle()

    assert [message.status for message in sandbox.messages()] == ["delivered"]
    assert service.received == []


@pytest.mark.parametrize(
    ("life", "settings", "statuses"),
    [
        ("stuck_sent", {}, ["sending", "sent"]),
        ("lose_callbacks", {}, []),
        ("delivered", {"lose": "terminal"}, ["sending", "sent"]),
        ("delivered", {"reorder": True}, ["delivered", "sent", "sending"]),
        ("stuck_sent", {"duplicate": 1}, ["sending", "sending", "sent", "sent"]),
        ("stuck_sent", {"unknown_status": "huh"}, ["sending", "sent", "huh"]),
        ("accepted_then_failed(21610)", {}, ["failed"]),
    ],
)
def test_faults_reach_the_service(
    sandbox: Sandbox,
    service: Service,
    life: str,
    settings: dict[str, Any],
    statuses: list[str],
) -> None:
    sandbox.life(life, **settings)

    send(sandbox, service.status_url)

    assert service.statuses == statuses


@pytest.mark.parametrize(
    ("signature", "token", "is_signed"),
    [
        ("good", TOKEN, True),
        ("bad", TOKEN, False),
        ("none", TOKEN, False),
        ("previous", TOKEN, False),
        ("previous", PREVIOUS_TOKEN, True),
    ],
)
def test_a_signature_can_be_wrong(
    sandbox: Sandbox, service: Service, signature: str, token: str, is_signed: bool
) -> None:
    sandbox.life("delivered", signature=signature)

    send(sandbox, service.status_url)

    assert service.received[0].is_signed_with(token) is is_signed


def test_fields_of_next_year_are_signed_too(sandbox: Sandbox, service: Service) -> None:
    sandbox.life("delivered", extra_fields=True)

    send(sandbox, service.status_url)

    assert "ChannelNews" in service.received[0].fields
    assert service.received[0].is_signed_with(TOKEN)


def test_a_callback_can_name_a_message_that_nobody_knows(
    sandbox: Sandbox, service: Service
) -> None:
    sandbox.life("delivered", unknown_sid=True)

    sid = send(sandbox, service.status_url)

    assert service.received[0].fields["MessageSid"] != sid


def test_callbacks_can_come_before_the_answer(
    sandbox: Sandbox, service: Service, client: Client
) -> None:
    sandbox.life("delivered", before_response=True)

    message = client.messages.create(
        to=ALICE, from_=CLINIC, body="Hello", status_callback=service.status_url
    )

    assert service.statuses == ["sending", "sent", "delivered"]
    assert message.status == "queued"


@pytest.mark.parametrize(
    ("fragment", "answers", "calls"),
    [
        pytest.param("#rc=2&rp=5xx", [500, 503, 204], 3, id="retried until it is taken"),
        pytest.param("#rc=1&rp=5xx", [500, 503, 204], 2, id="no oftener than asked"),
        pytest.param("#rc=3&rp=5xx", [403], 1, id="4xx is not on the list"),
        pytest.param("#rc=1&rp=all", [403, 204], 2, id="all is"),
        pytest.param("", [500], 1, id="by default only failed connections"),
        pytest.param("#rc=0&rp=all", [500], 1, id="never"),
    ],
)
def test_a_refused_callback_is_retried_as_its_fragment_says(
    sandbox: Sandbox, service: Service, fragment: str, answers: list[int], calls: int
) -> None:
    sandbox.life("accepted_then_failed")
    service.answers = [Response(status) for status in answers]

    send(sandbox, service.status_url + fragment)

    assert len(service.received) == calls
    assert sandbox.calls()[-1].tries == calls


def test_an_unanswered_callback_is_retried(sandbox: Sandbox, service: Service) -> None:
    sandbox.life("accepted_then_failed")
    service.answers = [Silence(), Silence(5)]

    send(sandbox, service.status_url + "#rc=2&rp=rt&rt=100")

    assert len(service.received) == 3
    assert sandbox.calls()[-1].is_delivered


@pytest.mark.parametrize(("fragment", "calls"), [("#rc=2", 1), ("#rc=1", 0)])
def test_tries_can_find_nobody_listening(
    sandbox: Sandbox, service: Service, fragment: str, calls: int
) -> None:
    sandbox.life("accepted_then_failed", target_down=2)

    send(sandbox, service.status_url + fragment)

    assert len(service.received) == calls


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://127.0.0.1:99999/"])
def test_an_unreachable_service_stops_nothing(sandbox: Sandbox, url: str) -> None:
    sandbox.life("delivered")

    send(sandbox, url + "#rc=0")

    assert [message.status for message in sandbox.messages()] == ["delivered"]
    assert {call.answer for call in sandbox.calls()} == {None}


def test_a_restarted_sandbox_goes_on_where_it_was_killed(
    open_sandbox: OpenSandbox, service: Service, tmp_path: Path
) -> None:
    state_file = tmp_path / "outbox.jsonl"
    killed = open_sandbox(state_file=state_file)
    killed.life("undelivered(30005)", delay=60)
    client_of(killed).messages.create(
        to=ALICE, from_=CLINIC, body="Hello", status_callback=service.status_url
    )
    killed.stop()

    returned = open_sandbox(state_file=state_file)
    assert returned.settle()

    assert service.statuses == ["sending", "sent", "undelivered"]
    assert service.received[-1].fields["ErrorCode"] == "30005"
    assert len(returned.messages()) == 1
