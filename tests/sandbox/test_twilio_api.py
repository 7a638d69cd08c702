"""The Messages API, driven by Twilio's own library wherever it can be."""

import json
import re
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote

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
    NOW,
    SERVICE,
    SID,
    TOKEN,
    Clock,
    OpenSandbox,
    Service,
    client_of,
)

AUTH = {"Authorization": "Basic " + b64encode(f"{SID}:{TOKEN}".encode()).decode()}
FORM = {"To": ALICE, "From": CLINIC, "Body": "Hello"}


def messages_url(sandbox: Sandbox, sid: str = SID) -> str:
    return f"{sandbox.url}/2010-04-01/Accounts/{sid}/Messages.json"


def create(sandbox: Sandbox, **form: str) -> tuple[int, dict[str, object], dict[str, str]]:
    status, body, headers = call("POST", messages_url(sandbox), form={**FORM, **form}, headers=AUTH)
    return status, json.loads(body), headers


def test_a_text_from_a_number_is_queued_with_twilios_whole_answer(sandbox: Sandbox) -> None:
    sandbox.life("stuck_queued")

    status, body, headers = create(sandbox)

    sid = str(body["sid"])
    assert status == 201
    assert re.fullmatch(r"SM[0-9a-f]{32}", sid)
    assert body == {
        "account_sid": SID,
        "api_version": "2010-04-01",
        "body": "Hello",
        "date_created": "Mon, 23 Nov 2026 17:05:00 +0000",
        "date_sent": None,
        "date_updated": "Mon, 23 Nov 2026 17:05:00 +0000",
        "direction": "outbound-api",
        "error_code": None,
        "error_message": None,
        "from": CLINIC,
        "messaging_service_sid": None,
        "num_media": "0",
        "num_segments": "1",
        "price": None,
        "price_unit": None,
        "sid": sid,
        "status": "queued",
        "subresource_uris": {"media": f"/2010-04-01/Accounts/{SID}/Messages/{sid}/Media.json"},
        "to": ALICE,
        "uri": f"/2010-04-01/Accounts/{SID}/Messages/{sid}.json",
    }
    assert headers["twilio-request-id"].startswith("RQ")


def test_a_text_from_a_service_is_accepted_without_sender_and_segments(client: Client) -> None:
    message = client.messages.create(to=ALICE, messaging_service_sid=SERVICE, body="x" * 200)

    assert (message.status, message.from_, message.num_segments) == ("accepted", None, "0")


def test_a_service_picks_its_number_later(sandbox: Sandbox, client: Client) -> None:
    sid = client.messages.create(to=ALICE, messaging_service_sid=SERVICE, body="x" * 200).sid
    sandbox.settle()

    message = client.messages(sid).fetch()

    assert (message.status, message.from_, message.num_segments) == ("delivered", CLINIC, "2")
    assert message.date_sent == NOW


@pytest.mark.parametrize(
    ("sid", "token", "status", "code"),
    [
        (SID, "wrong", 401, 20003),
        ("AC00000000000000000000000000000009", TOKEN, 401, 20003),
    ],
)
def test_bad_credentials_are_refused(
    sandbox: Sandbox, sid: str, token: str, status: int, code: int
) -> None:
    with pytest.raises(TwilioRestException) as refused:
        client_of(sandbox, sid, token).messages.create(to=ALICE, from_=CLINIC, body="Hello")

    assert (refused.value.status, refused.value.code) == (status, code)
    assert sandbox.messages() == []


def test_a_call_without_credentials_is_refused(sandbox: Sandbox) -> None:
    status, body, _ = call("POST", messages_url(sandbox), form=FORM)

    assert status == 401
    assert json.loads(body) == {
        "code": 20003,
        "message": "Authenticate",
        "more_info": "https://www.twilio.com/docs/errors/20003",
        "status": 401,
    }


def test_another_account_is_not_found(sandbox: Sandbox) -> None:
    url = messages_url(sandbox, "AC00000000000000000000000000000009")

    assert call("POST", url, form=FORM, headers=AUTH)[0] == 404


def test_json_instead_of_a_form_is_refused(sandbox: Sandbox) -> None:
    assert call("POST", messages_url(sandbox), data=FORM, headers=AUTH)[0] == 400


def test_an_unknown_parameter_is_refused_and_nothing_stored(sandbox: Sandbox) -> None:
    status, body, _ = create(sandbox, Bdy="Hello")

    assert (status, body["code"]) == (400, 20001)
    assert "Bdy" in str(body["message"])
    assert sandbox.messages() == []


def test_another_method_is_refused(sandbox: Sandbox) -> None:
    assert call("DELETE", messages_url(sandbox), headers=AUTH)[0] == 405


def test_a_message_can_be_redacted_and_deleted(sandbox: Sandbox, client: Client) -> None:
    sid = client.messages.create(to=ALICE, from_=CLINIC, body="Hello").sid
    sandbox.settle()

    assert client.messages(sid).update(body="").body == ""
    assert client.messages(sid).fetch().body == ""
    assert client.messages(sid).delete() is True
    with pytest.raises(TwilioRestException) as missing:
        client.messages(sid).fetch()
    assert (missing.value.status, missing.value.code) == (404, 20404)


def test_only_a_scheduled_message_can_be_canceled(client: Client) -> None:
    later = client.messages.create(
        to=ALICE,
        messaging_service_sid=SERVICE,
        body="Hello",
        schedule_type="fixed",
        send_at=NOW + timedelta(hours=1),
    )
    sent = client.messages.create(to=ALICE, from_=CLINIC, body="Hello")

    assert later.status == "scheduled"
    assert client.messages(later.sid).update(status="canceled").status == "canceled"
    with pytest.raises(TwilioRestException):
        client.messages(sent.sid).update(status="canceled")


def test_any_other_update_is_refused(client: Client) -> None:
    sid = client.messages.create(to=ALICE, from_=CLINIC, body="Hello").sid

    with pytest.raises(TwilioRestException):
        client.messages(sid).update(body="Something else")


def test_the_list_is_newest_first_and_pages(sandbox: Sandbox, client: Client) -> None:
    sids = [client.messages.create(to=ALICE, from_=CLINIC, body=str(n)).sid for n in range(7)]

    assert [message.sid for message in client.messages.list(page_size=3)] == sids[::-1]
    assert [message.sid for message in client.messages.list(limit=2)] == sids[:-3:-1]


def test_a_new_message_does_not_shift_the_next_page(client: Client) -> None:
    sids = [client.messages.create(to=ALICE, from_=CLINIC, body=str(n)).sid for n in range(4)]
    first = client.messages.page(page_size=2)
    seen = [message.sid for message in first]

    client.messages.create(to=ALICE, from_=CLINIC, body="new")
    seen += [message.sid for message in first.next_page()]

    assert seen == sids[::-1]


def test_the_envelope_of_a_page(sandbox: Sandbox, client: Client) -> None:
    for number in range(3):
        client.messages.create(to=ALICE, from_=CLINIC, body=str(number))

    page = json.loads(call("GET", messages_url(sandbox) + "?PageSize=2", headers=AUTH)[1])

    assert (page["page"], page["page_size"], page["start"], page["end"]) == (0, 2, 0, 1)
    assert page["previous_page_uri"] is None
    assert page["next_page_uri"].startswith(f"/2010-04-01/Accounts/{SID}/Messages.json?")


def test_the_list_is_filtered_by_recipient_and_sender(client: Client) -> None:
    client.messages.create(to=ALICE, from_=CLINIC, body="Hello")
    to_bob = client.messages.create(to=BOB, from_="+19495550101", body="Hello")

    assert [message.sid for message in client.messages.list(to=BOB)] == [to_bob.sid]
    assert [message.sid for message in client.messages.list(from_="+19495550101")] == [to_bob.sid]
    assert client.messages.list(to="+14155550199") == []


@pytest.mark.parametrize(
    ("sign", "asked", "is_listed"),
    [
        ("", "2026-11-23", True),
        ("", "2026-11-22", False),
        (">", "2026-11-23", True),
        (">", "2026-11-24", False),
        (">", "2026-11-23T17:05:00Z", True),
        (">", "2026-11-23T17:05:01Z", False),
        ("<", "2026-11-23", False),
        ("<", "2026-11-24", True),
        ("<", "2026-11-23T17:05:00Z", True),
        ("<", "2026-11-23T17:04:59Z", False),
    ],
)
def test_the_list_is_filtered_by_date(
    sandbox: Sandbox, client: Client, sign: str, asked: str, is_listed: bool
) -> None:
    client.messages.create(to=ALICE, from_=CLINIC, body="Hello")
    sandbox.settle()

    url = f"{messages_url(sandbox)}?{quote('DateSent' + sign)}={quote(asked)}"
    page = json.loads(call("GET", url, headers=AUTH)[1])

    assert bool(page["messages"]) is is_listed


def test_the_librarys_own_date_filters_work(sandbox: Sandbox, client: Client, clock: Clock) -> None:
    client.messages.create(to=ALICE, from_=CLINIC, body="early")
    sandbox.settle()
    clock.pass_time(timedelta(hours=1))
    client.messages.create(to=ALICE, from_=CLINIC, body="late")
    sandbox.settle()
    between = NOW + timedelta(minutes=30)

    after = client.messages.list(to=ALICE, date_sent_after=between)
    before = client.messages.list(to=ALICE, date_sent_before=between)

    assert [message.body for message in after] == ["late"]
    assert [message.body for message in before] == ["early"]


def test_a_date_that_is_none_is_refused(sandbox: Sandbox) -> None:
    assert call("GET", messages_url(sandbox) + "?DateSent=today", headers=AUTH)[0] == 400


def test_redaction_hides_bodies_and_numbers_and_ends_lookups(open_sandbox: OpenSandbox) -> None:
    sandbox = open_sandbox(redaction=True)
    client = client_of(sandbox)

    message = client.messages.create(to=ALICE, from_=CLINIC, body="Hello")

    assert (message.body, message.to) == ("", "+1415555XXXX")
    assert client.messages.list(to=ALICE) == []
    assert [text.text for text in sandbox.messages(to=ALICE)] == ["Hello"]


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


def test_every_call_is_on_record(sandbox: Sandbox, service: Service) -> None:
    create(sandbox, StatusCallback=service.status_url)

    (request,) = sandbox.requests()

    assert request["method"] == "POST"
    assert request["form"] == {
        **{name: [value] for name, value in FORM.items()},
        "StatusCallback": [service.status_url],
    }


def test_dates_are_those_of_the_services_clock(sandbox: Sandbox, clock: Clock) -> None:
    clock.now = datetime(2027, 1, 2, 3, 4, 5, tzinfo=UTC)

    assert create(sandbox)[1]["date_created"] == format_datetime(clock.now)
