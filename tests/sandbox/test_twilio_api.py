"""The Messages API, driven by Twilio's own library wherever it can be."""

import json
import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import quote

import pytest
from twilio.base.exceptions import TwilioRestException
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
from tests.sandbox.creating import AUTH, FORM, create, messages_url


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
