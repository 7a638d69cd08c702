"""The patient answers, and the service hears of it as from Twilio."""

import json
from pathlib import Path

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from followup.sandbox.listener import Response
from followup.sandbox.server import Sandbox
from tests.sandbox.calling import call
from tests.sandbox.conftest import (
    ALICE,
    BOB,
    CLINIC,
    SERVICE,
    SID,
    TOKEN,
    OpenSandbox,
    Service,
    client_of,
)


def test_an_answer_is_posted_to_the_number_that_wrote_last(
    sandbox: Sandbox, client: Client, service: Service
) -> None:
    client.messages.create(to=ALICE, from_="+19495550101", body="Hello")

    result = sandbox.reply(ALICE, "Está bien, gracias \n")

    (webhook,) = service.received
    assert result == {"delivered": True, "status": 204, "id": webhook.fields["MessageSid"]}
    assert webhook.url == f"{service.url}/webhooks/twilio/inbound"
    assert webhook.is_signed_with(TOKEN)
    assert (
        webhook.fields.items()
        >= {
            "From": ALICE,
            "To": "+19495550101",
            "Body": "Está bien, gracias \n",
            "SmsStatus": "received",
            "NumMedia": "0",
            "NumSegments": "1",
            "ToCity": "",
            "AccountSid": SID,
        }.items()
    )
    assert "OptOutType" not in webhook.fields


def test_an_answer_from_a_stranger_goes_to_the_clinics_number(
    sandbox: Sandbox, service: Service
) -> None:
    sandbox.reply(BOB, "Hello?")

    assert service.received[0].fields["To"] == CLINIC


def test_an_answer_to_a_service_names_it(
    sandbox: Sandbox, client: Client, service: Service
) -> None:
    client.messages.create(to=ALICE, messaging_service_sid=SERVICE, body="Hello")

    sandbox.reply(ALICE, "Hi")

    assert service.received[0].fields["MessagingServiceSid"] == SERVICE


@pytest.mark.parametrize("status", [403, 500])
def test_a_refused_answer_is_reported(sandbox: Sandbox, service: Service, status: int) -> None:
    service.answers = [Response(status)]

    result = sandbox.reply(ALICE, "Hi")

    assert (result["delivered"], result["status"]) == (False, status)


def test_an_answer_that_nobody_takes_is_reported(open_sandbox: OpenSandbox) -> None:
    sandbox = open_sandbox(public_url="http://127.0.0.1:1")

    result = sandbox.reply(ALICE, "Hi")

    assert (result["delivered"], result["status"]) == (False, None)


def test_pictures_may_come_without_text(sandbox: Sandbox, service: Service) -> None:
    sandbox.reply(ALICE, "", media=2)

    fields = service.received[0].fields
    assert (fields["NumMedia"], fields["Body"]) == ("2", "")
    assert fields["MessageSid"].startswith("MM")
    assert "MediaUrl1" in fields


def test_a_repeated_delivery_is_the_same_text_with_the_same_token(
    sandbox: Sandbox, service: Service
) -> None:
    sandbox.reply(ALICE, "Hi", repeat=1)

    first, second = service.received
    assert first == second
    assert first.idempotency_token


def test_stop_is_confirmed_and_blocks_later_texts_from_that_number(
    sandbox: Sandbox, client: Client, service: Service
) -> None:
    client.messages.create(to=ALICE, from_=CLINIC, body="Hello")

    sandbox.reply(ALICE, "Stop")

    assert service.received[0].fields["OptOutType"] == "STOP"
    with pytest.raises(TwilioRestException) as refused:
        client.messages.create(to=ALICE, from_=CLINIC, body="Hello again")
    assert refused.value.code == 21610
    assert client.messages.create(to=BOB, from_=CLINIC, body="Hello Bob").sid
    everything = sandbox.messages(to=ALICE, direction=None)
    assert [message.direction for message in everything] == ["outbound-api", "outbound-reply"]
    assert [message.text for message in sandbox.messages(to=ALICE)] == ["Hello"]


def test_a_service_takes_a_text_to_a_stopped_number_and_fails_it_later(
    sandbox: Sandbox, client: Client, service: Service
) -> None:
    client.messages.create(to=ALICE, messaging_service_sid=SERVICE, body="Hello")
    sandbox.settle()
    sandbox.reply(ALICE, "STOP")

    message = client.messages.create(
        to=ALICE,
        messaging_service_sid=SERVICE,
        body="Hello again",
        status_callback=service.status_url,
    )
    sandbox.settle()

    assert message.status == "accepted"
    assert service.received[-1].fields["ErrorCode"] == "21610"


def test_start_lets_texts_through_again(sandbox: Sandbox, client: Client, service: Service) -> None:
    sandbox.reply(ALICE, "STOP")
    sandbox.reply(ALICE, "START")

    assert client.messages.create(to=ALICE, from_=CLINIC, body="Hello").sid
    assert [webhook.fields["OptOutType"] for webhook in service.received] == ["STOP", "START"]


def test_a_stop_outlives_the_sandbox(open_sandbox: OpenSandbox, tmp_path: Path) -> None:
    state_file = tmp_path / "outbox.jsonl"
    killed = open_sandbox(state_file=state_file)
    killed.reply(ALICE, "STOP")
    killed.stop()

    returned = open_sandbox(state_file=state_file)

    with pytest.raises(TwilioRestException) as refused:
        client_of(returned).messages.create(to=ALICE, from_=CLINIC, body="Hello")
    assert refused.value.code == 21610


def test_an_account_with_redaction_leaves_stop_to_the_service(
    open_sandbox: OpenSandbox, service: Service
) -> None:
    sandbox = open_sandbox(redaction=True)

    sandbox.reply(ALICE, "STOP")

    assert "OptOutType" not in service.received[0].fields
    assert client_of(sandbox).messages.create(to=ALICE, from_=CLINIC, body="Hello").sid
    assert sandbox.messages(direction="outbound-reply") == []


@pytest.mark.parametrize("kind", ["data", "form"])
def test_the_route_takes_json_and_forms(sandbox: Sandbox, service: Service, kind: str) -> None:
    answer = {"from": ALICE, "body": "Hi"}

    status, body, _ = call("POST", f"{sandbox.url}/replies", **{kind: answer})

    assert (status, json.loads(body)["delivered"]) == (200, True)
    assert service.received[0].fields["Body"] == "Hi"


def test_the_route_says_202_when_the_service_did_not_take_it(
    sandbox: Sandbox, service: Service
) -> None:
    service.answers = [Response(500)]

    status, body, _ = call("POST", f"{sandbox.url}/replies", data={"from": ALICE, "body": "Hi"})

    assert status == 202
    assert json.loads(body).items() >= {"delivered": False, "status": 500}.items()


def test_a_browser_without_script_is_led_back_to_the_page(sandbox: Sandbox) -> None:
    status, _, headers = call(
        "POST",
        f"{sandbox.url}/replies",
        form={"from": ALICE, "body": "Hi"},
        headers={"Accept": "text/html"},
    )

    assert (status, headers["location"]) == (303, "/")


@pytest.mark.parametrize(
    ("answer", "field"),
    [
        ({"from": "555-0101", "body": "Hi"}, "from"),
        ({"body": "Hi"}, "from"),
        ({"from": ALICE, "body": "x" * 1601}, "body"),
        ({"from": ALICE, "body": "Hi", "colour": "red"}, "colour"),
        ([], "JSON object"),
    ],
)
def test_a_wrong_answer_is_refused_by_field(
    sandbox: Sandbox, service: Service, answer: object, field: str
) -> None:
    status, body, _ = call("POST", f"{sandbox.url}/replies", data=answer)

    assert status == 400
    assert field in json.loads(body)["message"]
    assert service.received == []
