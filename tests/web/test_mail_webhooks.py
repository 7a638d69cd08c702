"""What mail providers post: believed by each one's proof, taken once, never an error of ours."""

import base64
import hmac
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from httpx2 import Response
from hypothesis import given

from followup.domain.cadence import Lane
from followup.errors import TemporaryFailure
from followup.web.edge import BATCH_LIMIT, BODY_LIMIT
from followup.web.mail_webhooks import Memory
from tests.transports.amazon import SUBSCRIBE_URL, TOPIC, Amazon
from tests.web.caller import Caller, faults
from tests.web.test_rubbish import ANY_JSON, BOUNDED, SHAPED

PROVIDERS = ("sendgrid", "mailgun", "postmark", "ses")
MAILGUN_KEY, POSTMARK_TOKEN = "mailgun-signing-key", "a-password-of-thirty-two-characters"
SENDGRID_KEY = ec.generate_private_key(ec.SECP256R1())
AMAZON = Amazon()


def set_up(api: Caller) -> Caller:
    """A service that knows every provider, and Amazon as far as this machine has it."""
    public = SENDGRID_KEY.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    settings = api.service.settings.model_validate(
        {
            **api.service.settings.model_dump(),
            "sendgrid_webhook_key": base64.b64encode(public).decode(),
            "mailgun_signing_key": MAILGUN_KEY,
            "postmark_webhook_token": POSTMARK_TOKEN,
            "ses_topic_arn": TOPIC,
        }
    )
    state = api.http.app.state  # type: ignore[attr-defined]
    state.service = replace(api.service, settings=settings)
    state.mail_memory = Memory(fetch=AMAZON.fetch)
    AMAZON.fetched.clear()
    return api


@pytest.fixture
def post_office(api: Caller) -> Caller:
    return set_up(api)


def sendgrid(api: Caller, events: Any, **changed: str) -> Response:
    body = json.dumps(events).encode() + b"\r\n"
    stamp = str(int(api.clock.at.timestamp()))
    signature = SENDGRID_KEY.sign(stamp.encode() + body, ec.ECDSA(hashes.SHA256()))
    prefix = "X-Twilio-Email-Event-Webhook-"
    headers = {
        f"{prefix}Timestamp": stamp,
        f"{prefix}Signature": base64.b64encode(signature).decode(),
        "Content-Type": "application/json",
        **changed,
    }
    return api.http.post("/webhooks/mail/sendgrid", content=body, headers=headers)


def mailgun(api: Caller, event: Any, *, token: str = "a" * 50, key: str = MAILGUN_KEY) -> Response:
    stamp = str(int(api.clock.at.timestamp()))
    signature = hmac.new(key.encode(), (stamp + token).encode(), sha256).hexdigest()
    proof = {"timestamp": stamp, "token": token, "signature": signature}
    body = json.dumps({"signature": proof, "event-data": event})
    return api.http.post("/webhooks/mail/mailgun", content=body)


def postmark(api: Caller, record: Any, *, password: str = POSTMARK_TOKEN) -> Response:
    auth = ("followup", password)
    return api.http.post("/webhooks/mail/postmark", content=json.dumps(record), auth=auth)


def ses(api: Caller, event: Any, **changed: Any) -> Response:
    message = {**AMAZON.notification(json.dumps(event)), **changed}
    headers = {"Content-Type": "text/plain; charset=UTF-8"}
    return api.http.post("/webhooks/mail/ses", content=json.dumps(message), headers=headers)


def bounce(api: Caller, provider: str, delivery_id: str) -> Response:
    """The provider's word for a mailbox that does not exist."""
    message_id = f"<{delivery_id}@example.com>"
    if provider == "sendgrid":
        event = {"event": "bounce", "type": "bounce", "status": "5.1.1", "sg_event_id": "e1"}
        return sendgrid(api, [{**event, "smtp-id": message_id}])
    if provider == "mailgun":
        event = {"event": "failed", "severity": "permanent", "id": "e1"}
        return mailgun(api, {**event, "message": {"headers": {"message-id": message_id[1:-1]}}})
    if provider == "postmark":
        record = {"RecordType": "Bounce", "Type": "HardBounce", "ID": 1}
        return postmark(api, {**record, "Metadata": {"delivery": delivery_id}})
    mail = {"commonHeaders": {"messageId": message_id}}
    return ses(api, {"eventType": "Bounce", "bounce": {"bounceType": "Permanent"}, "mail": mail})


def mailed(api: Caller, dana: dict[str, str]) -> dict[str, Any]:
    """Alice's acknowledgement by mail, and the lead that it belongs to."""
    lead = api.lead(dana)
    api.send_due(Lane.ack)
    return find_mail(api, dana, lead["id"])


def find_mail(api: Caller, dana: dict[str, str], lead_id: str) -> dict[str, Any]:
    (row,) = (
        one
        for one in api.whole(dana, lead_id)["deliveries"]
        if (one["step"], one["channel"]) == ("acknowledgement", "email")
    )
    return {**row, "lead_id": lead_id}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_bounce_is_taken_from_every_provider_once(api_everywhere: Caller, provider: str) -> None:
    api = set_up(api_everywhere)
    dana = api.staff()
    row = mailed(api, dana)

    answers = [bounce(api, provider, row["id"]) for _ in range(2)]

    assert [(answer.status_code, answer.content) for answer in answers] == [(200, b"")] * 2
    row = find_mail(api, dana, row["lead_id"])
    assert (row["status"], row["reason"]) == ("undelivered", "undeliverable")
    decisions = api.whole(dana, row["lead_id"])["decisions"]
    assert [one["status"] for one in decisions].count("undelivered") == 1


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_provider_that_is_not_set_up_is_not_there(api: Caller, provider: str) -> None:
    answer = bounce(api, provider, "x")

    assert answer.status_code == 404
    assert faults(answer) == {}


@pytest.mark.parametrize("provider", ["nobody", "SendGrid", "%00", "sendgrid%2F"])
def test_a_provider_that_we_do_not_know_is_not_there(post_office: Caller, provider: str) -> None:
    assert post_office.http.post(f"/webhooks/mail/{provider}", content=b"{}").status_code == 404


def test_what_sendgrid_did_not_sign_is_refused_and_does_nothing(
    post_office: Caller, dana: dict[str, str]
) -> None:
    row = mailed(post_office, dana)
    event = {"event": "bounce", "smtp-id": f"<{row['id']}@example.com>"}
    header = "X-Twilio-Email-Event-Webhook-Signature"

    answers = [sendgrid(post_office, [event], **{header: value}) for value in ("", "AAAA")]

    assert [answer.status_code for answer in answers] == [403, 403]
    assert find_mail(post_office, dana, row["lead_id"])["status"] == "accepted"


def test_an_old_post_of_sendgrid_is_refused(post_office: Caller) -> None:
    stamp = str(int((post_office.clock.at - timedelta(minutes=6)).timestamp()))

    answer = sendgrid(post_office, [], **{"X-Twilio-Email-Event-Webhook-Timestamp": stamp})

    assert answer.status_code == 403


def test_nothing_that_a_provider_says_of_somebody_is_logged(
    post_office: Caller, dana: dict[str, str], logged: Callable[[], str]
) -> None:
    row = mailed(post_office, dana)
    event = {"event": "bounce", "smtp-id": f"<{row['id']}@example.com>", "sg_event_id": "marked-id"}
    words = {"reason": "550 5.7.1 <marked@example.com> marked", "email": "marked@example.com"}

    assert sendgrid(post_office, [{**event, **words}]).status_code == 200

    lines = logged()
    assert "an alarm is raised" in lines
    assert "5.7.1" in lines
    assert "marked" not in lines


def test_a_batch_is_taken_whole(post_office: Caller, dana: dict[str, str]) -> None:
    rows = [mailed(post_office, dana)]
    events = [
        {"event": word, "smtp-id": f"<{rows[0]['id']}@example.com>", "sg_event_id": word}
        for word in ("processed", "delivered", "open")
    ]

    assert sendgrid(post_office, [{}, 7, *events]).status_code == 200
    assert find_mail(post_office, dana, rows[0]["lead_id"])["status"] == "delivered"


def test_a_batch_may_be_larger_than_a_form_up_to_a_limit(post_office: Caller) -> None:
    assert sendgrid(post_office, ["x" * BODY_LIMIT * 2]).status_code == 200

    answer = sendgrid(post_office, ["x" * BATCH_LIMIT])

    assert answer.status_code == 413
    assert str(BATCH_LIMIT) in answer.json()["detail"]
    twilio = post_office.http.post("/webhooks/twilio/inbound", content=b"x" * (BODY_LIMIT + 1))
    assert twilio.status_code == 413


def test_a_token_of_mailgun_vouches_for_one_event(
    post_office: Caller, dana: dict[str, str]
) -> None:
    row = mailed(post_office, dana)
    headers = {"message-id": f"{row['id']}@example.com"}
    failed = {"event": "failed", "severity": "permanent", "message": {"headers": headers}}

    assert mailgun(post_office, {"event": "opened"}).status_code == 200
    assert mailgun(post_office, failed).status_code == 403
    assert find_mail(post_office, dana, row["lead_id"])["status"] == "accepted"
    assert mailgun(post_office, failed, token="b" * 50).status_code == 200


def test_another_key_of_mailgun_is_refused(post_office: Caller) -> None:
    assert mailgun(post_office, {"event": "opened"}, key="another").status_code == 403


def test_postmark_is_asked_for_its_password(post_office: Caller) -> None:
    record = {"RecordType": "Open"}

    answer = postmark(post_office, record, password="wrong")

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert post_office.http.post("/webhooks/mail/postmark", json=record).status_code == 401
    assert postmark(post_office, record).status_code == 200


@pytest.mark.parametrize(
    "changed",
    [{"Message": "[]"}, {"TopicArn": TOPIC + "x"}, {"SigningCertURL": "https://evil.example.com/"}],
    ids=["changed", "another topic", "another's certificate"],
)
def test_what_amazon_did_not_sign_is_refused(post_office: Caller, changed: dict[str, str]) -> None:
    assert ses(post_office, {}, **changed).status_code == 403


def test_a_topic_of_amazon_is_confirmed_once_it_is_proven(post_office: Caller) -> None:
    message = AMAZON.confirmation()

    forged = post_office.http.post("/webhooks/mail/ses", json={**message, "Token": "other"})
    assert (forged.status_code, SUBSCRIBE_URL in AMAZON.fetched) == (403, False)

    assert post_office.http.post("/webhooks/mail/ses", json=message).status_code == 200
    assert AMAZON.fetched.count(SUBSCRIBE_URL) == 1


def test_amazons_other_words_are_taken_and_change_nothing(post_office: Caller) -> None:
    message = AMAZON.notification("Successfully validated SNS topic.")

    assert post_office.http.post("/webhooks/mail/ses", json=message).status_code == 200


def test_amazon_tries_again_when_its_certificate_cannot_be_had(post_office: Caller) -> None:
    def nothing(_url: str) -> bytes:
        raise TemporaryFailure("could not be fetched")

    post_office.http.app.state.mail_memory = Memory(fetch=nothing)  # type: ignore[attr-defined]

    assert ses(post_office, {}).status_code == 503


def test_a_complaint_silences_the_address_and_says_so(
    post_office: Caller, dana: dict[str, str]
) -> None:
    row = mailed(post_office, dana)
    record = {"RecordType": "SpamComplaint", "ID": 7, "Email": "alice@example.com"}

    postmark(post_office, {**record, "Metadata": {"delivery": row["id"]}})

    deliveries = post_office.whole(dana, row["lead_id"])["deliveries"]
    mails = [one for one in deliveries if (one["audience"], one["channel"]) == ("patient", "email")]
    assert {one["reason"] for one in mails if one["id"] != row["id"]} == {"complained"}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_no_body_is_an_error_of_ours(post_office: Caller, provider: str) -> None:
    @BOUNDED
    @given(SHAPED | ANY_JSON.map(lambda value: json.dumps(value).encode()))
    def never_fails(body: bytes) -> None:
        auth = ("followup", POSTMARK_TOKEN)
        answer = post_office.http.post(f"/webhooks/mail/{provider}", content=body, auth=auth)

        assert answer.status_code < 500, body

    never_fails()


def test_nothing_that_a_provider_signs_is_an_error_of_ours(post_office: Caller) -> None:
    @BOUNDED
    @given(ANY_JSON)
    def never_fails(event: Any) -> None:
        said = {"event": "bounce", "email": event, "smtp-id": event, "reason": event}
        for answer in (
            sendgrid(post_office, event),
            sendgrid(post_office, [event, said]),
            mailgun(post_office, event, token=sha256(repr(event).encode()).hexdigest()),
            postmark(post_office, {"RecordType": "SpamComplaint", "Email": event, "ID": event}),
            ses(post_office, event),
        ):
            assert answer.status_code in (200, 403), answer.text

    never_fails()
