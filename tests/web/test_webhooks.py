"""What Twilio tells us: believed only when signed for our own address, and taken once."""

import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from twilio.request_validator import RequestValidator

from followup.domain.cadence import Lane
from tests.web.caller import TOKENS, Caller, faults

INBOUND = "/webhooks/twilio/inbound"
ALICES_NUMBER = "+14155550101"
FRONT_DESK_PHONE = "+19495550111"


def text(body: str, sid: str = "SM1", **more: str) -> dict[str, str]:
    return {"MessageSid": sid, "From": ALICES_NUMBER, "To": "+19495550100", "Body": body, **more}


def sent_text(api: Caller, dana: dict[str, str]) -> dict[str, Any]:
    """Alice's lead after her text went out: the delivery as staff see it."""
    lead = api.lead(dana)
    api.send_due(Lane.ack)
    return find_text(api, dana, lead["id"])


def find_text(api: Caller, dana: dict[str, str], lead_id: str) -> dict[str, Any]:
    found = api.whole(dana, lead_id)
    (row,) = (
        one
        for one in found["deliveries"]
        if (one["step"], one["channel"]) == ("acknowledgement", "sms")
    )
    return {**row, "lead_id": lead_id}


def report(api: Caller, row: dict[str, Any], status: str, **more: str) -> int:
    fields = {"MessageSid": row["provider_id"], "MessageStatus": status, **more}
    answer = api.twilio(f"/webhooks/twilio/status/{row['id']}", fields)
    assert answer.text == ""
    return answer.status_code


def test_a_signed_receipt_moves_the_delivery_on(api_everywhere: Caller) -> None:
    dana = api_everywhere.staff()
    row = sent_text(api_everywhere, dana)
    status = report(api_everywhere, row, "delivered")

    assert status == 204
    assert find_text(api_everywhere, dana, row["lead_id"])["status"] == "delivered"


@pytest.mark.parametrize(
    ("reports", "status"),
    [
        pytest.param(["sent", "delivered"], "delivered", id="in order"),
        pytest.param(["delivered", "sent"], "delivered", id="out of order"),
        pytest.param(["delivered", "delivered"], "delivered", id="twice"),
        pytest.param(["undelivered"], "undelivered", id="could not be brought"),
        pytest.param(["undelivered", "delivered"], "undelivered", id="never back from the end"),
        pytest.param(["delivered", "undelivered"], "undelivered", id="a late bounce"),
        pytest.param(["teleported"], "accepted", id="a word that we do not know"),
        pytest.param([""], "accepted", id="no word"),
    ],
)
def test_receipts_are_taken_in_any_order(
    api: Caller, dana: dict[str, str], reports: list[str], status: str
) -> None:
    row = sent_text(api, dana)

    assert {report(api, row, one) for one in reports} == {204}
    assert find_text(api, dana, row["lead_id"])["status"] == status


def test_a_bad_receipt_says_why(api: Caller, dana: dict[str, str]) -> None:
    row = sent_text(api, dana)
    report(api, row, "undelivered", ErrorCode="30005")
    found = find_text(api, dana, row["lead_id"])

    assert found["reason"] == "undeliverable"
    decision = api.whole(dana, row["lead_id"])["decisions"][-1]
    assert decision["facts"]["code"] == "30005"
    assert decision["explanation"]


def test_a_receipt_of_another_message_changes_nothing(api: Caller, dana: dict[str, str]) -> None:
    row = sent_text(api, dana)

    assert report(api, {**row, "provider_id": "SMother"}, "delivered") == 204
    assert find_text(api, dana, row["lead_id"])["status"] == "accepted"


def test_a_receipt_of_an_unknown_delivery_is_swallowed(api: Caller) -> None:
    assert report(api, {"id": uuid.uuid4(), "provider_id": "SM1"}, "delivered") == 204


def test_the_other_token_of_a_rotation_is_believed(api: Caller) -> None:
    assert api.twilio(INBOUND, text("Hello"), token=TOKENS[1]).status_code == 200


@pytest.mark.parametrize(
    ("path", "headers", "token"),
    [
        pytest.param(INBOUND, {}, "another token", id="signed with another token"),
        pytest.param(INBOUND, {"X-Twilio-Signature": "AAAA"}, TOKENS[0], id="a wrong signature"),
        pytest.param(INBOUND, {"X-Twilio-Signature": ""}, TOKENS[0], id="no signature"),
        pytest.param(
            INBOUND + "?x=1",
            {"X-Twilio-Signature": "0" * 28},
            TOKENS[0],
            id="as long as a right one",
        ),
    ],
)
def test_what_is_not_signed_by_twilio_is_refused_and_does_nothing(
    api: Caller, dana: dict[str, str], path: str, headers: dict[str, str], token: str
) -> None:
    lead = api.lead(dana)
    answer = api.twilio(path, text("STOP"), token=token, **headers)

    assert answer.status_code == 403
    assert faults(answer) == {}
    assert api.whole(dana, lead["id"])["replies"] == []
    assert any(message.to == ALICES_NUMBER for message in api.send_due(Lane.ack))


def test_a_form_changed_on_its_way_is_refused(api: Caller) -> None:
    signed = api.twilio(INBOUND, text("Hello")).request.headers["x-twilio-signature"]
    changed = api.twilio(INBOUND, text("STOP"), **{"X-Twilio-Signature": signed})

    assert changed.status_code == 403


def test_the_signed_address_is_ours_and_not_what_the_host_header_says(api: Caller) -> None:
    assert api.twilio(INBOUND, text("Hello"), Host="evil.example.com").status_code == 200
    spoofed = api.twilio(INBOUND, text("Hello")).request.headers["x-twilio-signature"]
    for headers in ({"Host": "testserver"}, {"X-Forwarded-Host": "evil.example.com"}):
        answer = api.twilio(
            "/webhooks/twilio/inbound?", text("Hello"), **{**headers, "X-Twilio-Signature": spoofed}
        )
        assert answer.status_code == 200


def test_a_signature_for_another_host_is_refused(api: Caller) -> None:
    from_elsewhere = api.twilio(
        INBOUND,
        text("STOP"),
        Host="evil.example.com",
        **{"X-Twilio-Signature": _signed_for("https://evil.example.com" + INBOUND, text("STOP"))},
    )

    assert from_elsewhere.status_code == 403


def _signed_for(url: str, fields: dict[str, str]) -> str:
    signature: str = RequestValidator(TOKENS[0]).compute_signature(url, fields)
    return signature


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/json", b"{}", 415),
        ("application/json", b'"x"', 415),
        ("text/plain", b"x", 415),
        ("application/x-www-form-urlencoded", b"", 403),
        ("application/x-www-form-urlencoded", b"a=%ff", 400),
        ("application/x-www-form-urlencoded", b"answers.x=1&answers=2&a=1&a=2", 403),
        ("multipart/form-data; boundary=x", b"--x--", 403),
        ("application/x-www-form-urlencoded", b"a" * 65_537, 413),
    ],
)
@pytest.mark.parametrize("path", [INBOUND, f"/webhooks/twilio/status/{uuid.UUID(int=7)}"])
def test_rubbish_is_refused_as_a_problem(
    api: Caller, path: str, kind: str, body: bytes, status: int
) -> None:
    headers = {"Content-Type": kind, "X-Twilio-Signature": "x"}
    answer = api.http.post(path, content=body, headers=headers)

    assert answer.status_code == status
    faults(answer)


def test_a_delivery_that_is_no_id_is_named(api: Caller) -> None:
    answer = api.twilio("/webhooks/twilio/status/x", {"MessageStatus": "sent"})

    assert set(faults(answer)) == {"delivery_id"}


def test_a_text_is_kept_with_its_lead_and_answered_with_silence(api_everywhere: Caller) -> None:
    dana = api_everywhere.staff()
    lead = api_everywhere.lead(dana)
    answer = api_everywhere.twilio(INBOUND, text("Can you call after four? \U0001f600"))

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/xml; charset=utf-8"
    assert answer.text.endswith("<Response></Response>")
    (reply,) = api_everywhere.whole(dana, lead["id"])["replies"]
    assert (reply["meaning"], reply["matched_by"]) == ("none", None)
    assert reply["body"] == "Can you call after four? \U0001f600"
    assert reply["received_at"] == "2026-11-23T17:05:00Z"


def test_a_text_delivered_twice_is_kept_once(api_everywhere: Caller) -> None:
    dana = api_everywhere.staff()
    lead = api_everywhere.lead(dana)
    answers = [api_everywhere.twilio(INBOUND, text("Hello")) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert len(api_everywhere.whole(dana, lead["id"])["replies"]) == 1


@pytest.mark.parametrize("said", ["STOP", "stop.", "Please stop", "Baja"])
def test_stop_silences_the_number_at_once_and_mail_goes_on(
    api: Caller, dana: dict[str, str], said: str
) -> None:
    """Case 53. What Twilio's filter does not know is confirmed by us, and nothing else is said."""
    api.lead(dana)
    api.twilio(INBOUND, text(said))
    sent = {message.to: message.text for message in api.send_due(Lane.ack)}

    confirmation = sent.pop(ALICES_NUMBER, "")
    assert list(sent) == ["alice@example.com"]
    assert ("You are unsubscribed" in confirmation) is (said != "STOP")


def test_what_twilio_took_for_an_opt_out_is_one(api: Caller, dana: dict[str, str]) -> None:
    api.lead(dana)
    api.twilio(INBOUND, text("arret", OptOutType="STOP"))

    assert [message.to for message in api.send_due(Lane.ack)] == ["alice@example.com"]
    (kept,) = api.whole(dana, api.find(dana)["id"])["suppressions"]
    assert (kept["matched_by"], kept["evidence"]) == ("provider", "arret")
    assert kept["honored_at"] == kept["confirmed_at"] == "2026-11-23T17:05:00Z"


def test_a_sentence_with_stop_in_it_stops_nothing(api: Caller, dana: dict[str, str]) -> None:
    api.lead(dana)
    api.twilio(INBOUND, text("Please don't stop trying to reach me"))

    assert ALICES_NUMBER in [message.to for message in api.send_due(Lane.ack)]


def test_start_after_stop_lets_texts_through_again(api: Caller, dana: dict[str, str]) -> None:
    api.twilio(INBOUND, text("STOP", "SM1"))
    api.twilio(INBOUND, text("START", "SM2"))
    api.lead(dana)

    assert ALICES_NUMBER in [message.to for message in api.send_due(Lane.ack)]


def test_a_text_from_nobody_we_know_is_taken(api: Caller) -> None:
    stranger = {**text("Who is this?"), "From": "+14155550199"}

    assert api.twilio(INBOUND, stranger).status_code == 200


def test_a_signed_form_with_nothing_in_it_is_no_error_of_ours(api_everywhere: Caller) -> None:
    assert api_everywhere.twilio(INBOUND, {"To": "+19495550100"}).status_code == 200
    nul = {"MessageSid": "SM\x00", "From": "\x00", "Body": "\x00", "To": "\x00"}
    assert api_everywhere.twilio(INBOUND, nul).status_code == 200


def test_a_stop_a_refusal_by_the_provider_and_a_word_to_staff_silence_both_leads_of_a_number(
    api: Caller, dana: dict[str, str]
) -> None:
    """Cases 53, 58, 61 and 62, through the public doors."""
    lead = api.lead(dana)
    api.send_due(Lane.ack)
    other = api.lead(dana, name="Ben Ng", email="ben@example.com")
    api.twilio(INBOUND, text("please stop sending text reminders"))
    report(api, find_text(api, dana, lead["id"]), "failed", ErrorCode="21610")
    api.act(dana, lead, "opt-out", {"note": "asked on the phone", "channels": ["sms"]})
    api.clock.pass_by(timedelta(days=3))

    sent = api.send_due()

    assert ALICES_NUMBER not in [message.to for message in sent]
    for one in (lead, other):
        found = api.whole(dana, one["id"])
        assert {s["reason"] for s in found["suppressions"] if s["channel"] == "sms"} == {
            "opted_out",
            "asked_staff",
        }
        texts = [
            d
            for d in found["deliveries"]
            if d["audience"] == "patient" and d["channel"] == "sms" and d["status"] == "planned"
        ]
        assert texts == []


def test_risk_words_put_the_lead_first_in_the_list_and_tell_staff_at_once(
    api: Caller, dana: dict[str, str]
) -> None:
    lead = api.lead(dana)
    api.lead(dana, name="Ben Ng", email="ben@example.com", phone="(415) 555-0102")
    api.send_due()
    api.twilio(INBOUND, text("I want to end my life"))
    sent = api.send_due()

    first, second = api.http.get("/admin/leads", headers=dana).json()["items"]
    assert (first["id"], first["priority"]) == (lead["id"], "urgent")
    assert second["priority"] == "normal"
    found = api.whole(dana, lead["id"])
    assert [one["words"] for one in found["risks"]] == [["end my life"]]
    assert found["replies"][0]["meaning"] == "none"
    alerts = [message for message in sent if message.to == "+19495550111"]
    assert len(alerts) == 1
    assert not any("end my life" in message.text + message.subject for message in sent)
    assert any("988" in message.text for message in sent if message.to == ALICES_NUMBER)


def test_texts_of_no_lead_are_there_for_staff_alone(api: Caller, dana: dict[str, str]) -> None:
    stranger = {**text("Who is this?"), "From": "+14155550199"}
    api.twilio(INBOUND, stranger)

    assert api.http.get("/admin/replies/unassigned").status_code == 401
    (one,) = api.http.get("/admin/replies/unassigned", headers=dana).json()["items"]
    assert (one["from"], one["body"]) == ("+14155550199", "Who is this?")


def test_a_done_that_twilio_delivers_three_times_marks_once_and_is_answered_once(
    api_everywhere: Caller,
) -> None:
    dana = api_everywhere.staff()
    lead = api_everywhere.lead(dana)
    api_everywhere.send_due()
    done = text(f"Done {lead['reference']}") | {"From": FRONT_DESK_PHONE}

    answers = [api_everywhere.twilio(INBOUND, done) for _ in range(3)]
    sent = api_everywhere.send_due()

    assert [(one.status_code, "<Message" in one.text) for one in answers] == [(200, False)] * 3
    (told,) = sent
    assert told.to == FRONT_DESK_PHONE
    assert told.text.endswith(f": {lead['reference']} is marked contacted.")
    found = api_everywhere.whole(dana, lead["id"])
    assert (found["status"], found["contacted_by"]) == ("contacted", "Front desk")
    assert found["replies"] == []


def test_help_is_answered_by_us_where_twilio_leaves_it_to_us(
    api: Caller, dana: dict[str, str]
) -> None:
    api.lead(dana)
    api.send_due()
    settings = api.service.settings.model_copy(update={"twilio_stop_filter": "off"})
    state: Any = api.http.app
    state.state.service = replace(api.service, settings=settings)

    api.twilio(INBOUND, text("HELP"))

    assert any("For help call" in message.text for message in api.send_due(Lane.ack))
