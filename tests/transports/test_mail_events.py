"""Every word of every mail provider, and what it means to us; what nobody knows means nothing."""

import json
import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from followup.transports.mail_events import (
    MailEvent,
    MailHappening,
    brief,
    delivery_of,
    find_code,
    of_failure,
    read_mailgun,
    read_postmark,
    read_sendgrid,
    read_ses,
)
from tests.transports.test_mail_proofs import BODY

DELIVERY = uuid.UUID("0192f0c1-0000-7000-8000-000000000001")
MESSAGE_ID = f"<{DELIVERY}@example.com>"
MAIL_TO = "alice@example.com"

DELIVERED, DEFERRED = MailHappening.delivered, MailHappening.deferred
BOUNCED, REFUSED = MailHappening.bounced, MailHappening.refused
COMPLAINED, UNSUBSCRIBED = MailHappening.complained, MailHappening.unsubscribed
UNKNOWN = MailHappening.unknown


def sendgrid(**fields: Any) -> MailEvent:
    event = {"email": MAIL_TO, "smtp-id": MESSAGE_ID, "sg_event_id": "sg-1", **fields}
    (read,) = read_sendgrid([event])
    return read


@pytest.mark.parametrize(
    ("fields", "happening", "code"),
    [
        ({"event": "delivered", "response": "250 OK"}, DELIVERED, ""),
        ({"event": "deferred", "response": "451 later"}, DEFERRED, ""),
        ({"event": "bounce", "type": "bounce", "status": "5.1.1"}, BOUNCED, "5.1.1"),
        ({"event": "bounce", "type": "bounce", "status": "5.0.0"}, BOUNCED, "5.0.0"),
        ({"event": "bounce", "type": "bounce"}, BOUNCED, ""),
        ({"event": "bounce", "reason": "550 5.2.1 Disabled"}, BOUNCED, "5.2.1"),
        ({"event": "bounce", "type": "bounce", "status": "5.7.1"}, REFUSED, "5.7.1"),
        ({"event": "bounce", "type": "bounce", "status": "5.2.2"}, REFUSED, "5.2.2"),
        ({"event": "bounce", "type": "bounce", "status": "4.4.7"}, REFUSED, "4.4.7"),
        ({"event": "bounce", "type": "blocked", "status": "5.1.1"}, REFUSED, "5.1.1"),
        ({"event": "dropped", "reason": "Bounced Address"}, REFUSED, ""),
        ({"event": "spamreport"}, COMPLAINED, ""),
        ({"event": "unsubscribe"}, UNSUBSCRIBED, ""),
        ({"event": "group_unsubscribe"}, UNSUBSCRIBED, ""),
        ({"event": "group_resubscribe"}, UNKNOWN, ""),
        ({"event": "processed"}, UNKNOWN, ""),
        ({"event": "open"}, UNKNOWN, ""),
        ({"event": "click"}, UNKNOWN, ""),
        ({"event": "teleported"}, UNKNOWN, ""),
        ({}, UNKNOWN, ""),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else None,
)
def test_sendgrids_words(fields: dict[str, str], happening: MailHappening, code: str) -> None:
    assert sendgrid(**fields) == MailEvent(
        said=fields.get("event", ""),
        happening=happening,
        event_id="sendgrid:sg-1",
        code=code,
        delivery_id=DELIVERY,
        recipient=MAIL_TO,
    )


def test_the_signed_example_of_sendgrid_is_a_drop_of_a_mail_that_is_not_ours() -> None:
    (event,) = read_sendgrid(json.loads(BODY))

    assert (event.happening, event.delivery_id) == (REFUSED, None)
    assert event.event_id == "sendgrid:ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA"


def test_a_batch_of_sendgrid_is_read_in_its_order_without_what_is_no_event() -> None:
    read = read_sendgrid([{"event": "deferred"}, 7, None, [], {"event": "delivered"}])

    assert [event.happening for event in read] == [DEFERRED, DELIVERED]


def mailgun(**fields: Any) -> MailEvent:
    event = {
        "id": "mg-1",
        "recipient": MAIL_TO,
        "message": {"headers": {"message-id": MESSAGE_ID.strip("<>")}},
        **fields,
    }
    (read,) = read_mailgun({"event-data": event})
    return read


PERMANENT = {"event": "failed", "severity": "permanent"}


@pytest.mark.parametrize(
    ("fields", "happening", "code"),
    [
        ({"event": "delivered"}, DELIVERED, ""),
        ({"event": "failed", "severity": "temporary", "reason": "generic"}, DEFERRED, ""),
        (PERMANENT, BOUNCED, ""),
        ({**PERMANENT, "reason": "bounce"}, BOUNCED, ""),
        ({**PERMANENT, "delivery-status": {"enhanced-code": "5.1.1"}}, BOUNCED, "5.1.1"),
        ({**PERMANENT, "delivery-status": {"message": "5.7.1 Spam"}}, REFUSED, "5.7.1"),
        ({**PERMANENT, "reason": "old"}, REFUSED, ""),
        ({**PERMANENT, "reason": "suppress-bounce"}, BOUNCED, ""),
        ({**PERMANENT, "reason": "suppress-complaint"}, COMPLAINED, ""),
        ({**PERMANENT, "reason": "suppress-unsubscribe"}, UNSUBSCRIBED, ""),
        ({"event": "complained"}, COMPLAINED, ""),
        ({"event": "unsubscribed"}, UNSUBSCRIBED, ""),
        ({"event": "rejected"}, REFUSED, ""),
        ({"event": "accepted"}, UNKNOWN, ""),
        ({"event": "opened"}, UNKNOWN, ""),
        ({}, UNKNOWN, ""),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else None,
)
def test_mailguns_words(fields: dict[str, Any], happening: MailHappening, code: str) -> None:
    assert mailgun(**fields) == MailEvent(
        said=fields.get("event", ""),
        happening=happening,
        event_id="mailgun:mg-1",
        code=code,
        delivery_id=DELIVERY,
        recipient=MAIL_TO,
    )


BOUNCE = {"RecordType": "Bounce", "ID": 42}


@pytest.mark.parametrize(
    ("fields", "said", "happening", "code"),
    [
        ({"RecordType": "Delivery", "ID": 42}, "Delivery", DELIVERED, ""),
        ({**BOUNCE, "Type": "HardBounce"}, "HardBounce", BOUNCED, ""),
        ({**BOUNCE, "Type": "BadEmailAddress"}, "BadEmailAddress", BOUNCED, ""),
        (
            {**BOUNCE, "Type": "HardBounce", "Details": "smtp;550 5.1.1 no such user"},
            *("HardBounce", BOUNCED, "5.1.1"),
        ),
        (
            {**BOUNCE, "Type": "HardBounce", "Details": "smtp;550 5.7.1 denied"},
            *("HardBounce", REFUSED, "5.7.1"),
        ),
        ({**BOUNCE, "Type": "Transient"}, "Transient", DEFERRED, ""),
        ({**BOUNCE, "Type": "DnsError"}, "DnsError", DEFERRED, ""),
        ({**BOUNCE, "Type": "SoftBounce"}, "SoftBounce", REFUSED, ""),
        ({**BOUNCE, "Type": "Blocked"}, "Blocked", REFUSED, ""),
        ({**BOUNCE, "Type": "SpamNotification"}, "SpamNotification", REFUSED, ""),
        ({**BOUNCE, "Type": "SpamComplaint"}, "SpamComplaint", COMPLAINED, ""),
        ({**BOUNCE, "Type": "Unsubscribe"}, "Unsubscribe", UNSUBSCRIBED, ""),
        ({**BOUNCE, "Type": "AutoResponder"}, "AutoResponder", UNKNOWN, ""),
        ({**BOUNCE, "Type": "Subscribe"}, "Subscribe", UNKNOWN, ""),
        (BOUNCE, "", UNKNOWN, ""),
        ({"RecordType": "SpamComplaint", "ID": 42}, "SpamComplaint", COMPLAINED, ""),
        ({"RecordType": "Open", "ID": 42}, "Open", UNKNOWN, ""),
        ({"ID": 42}, "", UNKNOWN, ""),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else None,
)
def test_postmarks_words(
    fields: dict[str, Any], said: str, happening: MailHappening, code: str
) -> None:
    record = {"Email": MAIL_TO, "Metadata": {"delivery": str(DELIVERY)}, **fields}

    assert read_postmark(record) == [
        MailEvent(said, happening, "postmark:42", code, DELIVERY, MAIL_TO)
    ]


@pytest.mark.parametrize(
    ("fields", "happening"),
    [
        ({"SuppressSending": True, "SuppressionReason": "ManualSuppression"}, UNSUBSCRIBED),
        ({"SuppressSending": True, "SuppressionReason": "HardBounce"}, BOUNCED),
        ({"SuppressSending": True, "SuppressionReason": "SpamComplaint"}, COMPLAINED),
        ({"SuppressSending": True}, UNSUBSCRIBED),
        ({"SuppressSending": False, "SuppressionReason": None}, UNKNOWN),
    ],
    ids=repr,
)
def test_a_change_of_subscription_at_postmark_says_why(
    fields: dict[str, Any], happening: MailHappening
) -> None:
    record = {"RecordType": "SubscriptionChange", "MessageID": "m-1", "Recipient": MAIL_TO}
    (event,) = read_postmark({**record, **fields})

    assert (event.happening, event.recipient) == (happening, MAIL_TO)
    assert event.event_id == "postmark:m-1/SubscriptionChange"


def test_the_example_of_postmark_is_a_bounce() -> None:
    example = {
        "RecordType": "Bounce",
        "MessageID": "883953f4-6105-42a2-a16a-77a8eac79483",
        "Type": "HardBounce",
        "TypeCode": 1,
        "Email": "ana@example.org",
        "BouncedAt": "2026-11-23T17:05:00Z",
        "Inactive": True,
        "MessageStream": "outbound",
        "Metadata": {"delivery": "0192f0c1"},
    }

    assert read_postmark(example) == [
        MailEvent(
            said="HardBounce",
            happening=BOUNCED,
            event_id="postmark:883953f4-6105-42a2-a16a-77a8eac79483/HardBounce",
            recipient="ana@example.org",
        )
    ]


MAIL = {
    "messageId": "0102-ses",
    "headers": [{"name": "X-Other", "value": "x"}, {"name": "Message-ID", "value": MESSAGE_ID}],
}


def bounce(kind: str, **recipient: str) -> dict[str, Any]:
    recipients = [{"emailAddress": MAIL_TO, **recipient}]
    return {"bounce": {"bounceType": kind, "bouncedRecipients": recipients}}


@pytest.mark.parametrize("word", ["eventType", "notificationType"])
@pytest.mark.parametrize(
    ("said", "fields", "happening", "code"),
    [
        ("Delivery", {}, DELIVERED, ""),
        ("DeliveryDelay", {}, DEFERRED, ""),
        ("Bounce", bounce("Permanent"), BOUNCED, ""),
        ("Bounce", bounce("Permanent", status="5.1.1"), BOUNCED, "5.1.1"),
        ("Bounce", bounce("Permanent", diagnosticCode="smtp; 550 5.7.1 x"), REFUSED, "5.7.1"),
        ("Bounce", bounce("Transient", status="4.4.7"), DEFERRED, "4.4.7"),
        ("Bounce", bounce("Undetermined"), REFUSED, ""),
        ("Bounce", bounce("Sideways"), UNKNOWN, ""),
        ("Bounce", {}, UNKNOWN, ""),
        ("Complaint", {"complaint": {"complaintFeedbackType": "abuse"}}, COMPLAINED, ""),
        ("Reject", {}, REFUSED, ""),
        ("Send", {}, UNKNOWN, ""),
        ("Open", {}, UNKNOWN, ""),
    ],
)
def test_the_words_of_ses(
    word: str, said: str, fields: dict[str, Any], happening: MailHappening, code: str
) -> None:
    (event,) = read_ses({word: said, "mail": MAIL, **fields}, "sns-1")

    assert (event.said, event.happening, event.code) == (said, happening, code)
    assert (event.event_id, event.delivery_id) == ("ses:sns-1", DELIVERY)


@pytest.mark.parametrize(
    "mail",
    [
        {"commonHeaders": {"messageId": MESSAGE_ID}},
        {"headers": [{"name": "x-pm-metadata-delivery", "value": str(DELIVERY)}]},
        {"headers": [7, {}, {"name": "message-id", "value": MESSAGE_ID}]},
    ],
    ids=["common headers", "our own header", "among rubbish"],
)
def test_ses_tells_the_message_id_that_it_was_given(mail: dict[str, Any]) -> None:
    (event,) = read_ses({"eventType": "Delivery", "mail": mail}, "sns-1")

    assert event.delivery_id == DELIVERY


def test_a_complaint_at_ses_names_who_complained() -> None:
    complaint = {"complainedRecipients": [{"emailAddress": MAIL_TO}]}
    (event,) = read_ses({"eventType": "Complaint", "complaint": complaint}, "sns-1")

    assert event.recipient == MAIL_TO


@pytest.mark.parametrize("greeting", [None, 7, "Successfully validated SNS topic", [], {}])
def test_what_ses_says_besides_is_no_event(greeting: Any) -> None:
    assert read_ses(greeting, "sns-1") == []


@pytest.mark.parametrize(
    ("code", "is_hard", "happening"),
    [
        ("5.1.1", False, BOUNCED),
        ("5.1.2", False, BOUNCED),
        ("5.1.10", False, BOUNCED),
        ("5.2.1", False, BOUNCED),
        ("5.1.8", True, REFUSED),
        ("5.2.2", True, REFUSED),
        ("5.4.4", True, REFUSED),
        ("5.6.1", True, REFUSED),
        ("5.7.26", True, REFUSED),
        ("4.4.7", True, REFUSED),
        ("4.1.1", True, REFUSED),
        ("5.0.0", True, BOUNCED),
        ("5.0.0", False, REFUSED),
        ("", True, BOUNCED),
        ("", False, REFUSED),
    ],
)
def test_an_address_is_bad_when_its_code_or_the_provider_says_so(
    code: str, is_hard: bool, happening: MailHappening
) -> None:
    assert of_failure(code, is_hard=is_hard) is happening


@pytest.mark.parametrize(
    ("texts", "code"),
    [
        (("550 5.1.1 <alice@example.com> unknown",), "5.1.1"),
        ((None, 5, "smtp; 550-5.7.26 unauthenticated"), "5.7.26"),
        (("5.1.1", "5.7.1"), "5.1.1"),
        (("host 192.5.1.1 said no",), ""),
        (("version 15.1.1",), ""),
        (("5.1.1.7",), ""),
        (("6.1.1",), ""),
        ((), ""),
    ],
)
def test_a_code_is_found_where_it_stands(texts: tuple[object, ...], code: str) -> None:
    assert find_code(*texts) == code


@pytest.mark.parametrize(
    ("text", "delivery_id"),
    [
        (MESSAGE_ID, DELIVERY),
        (f" {MESSAGE_ID}\r\n", DELIVERY),
        (str(DELIVERY), DELIVERY),
        ("<other@example.com>", None),
        ("", None),
        (7, None),
        (None, None),
    ],
)
def test_a_message_id_of_ours_names_its_delivery(
    text: object, delivery_id: uuid.UUID | None
) -> None:
    assert delivery_of(text) == delivery_id


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("bounce", "bounce"),
        (42, "42"),
        ("a\x00b\ud800\n c\u00fc", "abc"),
        ("x" * 40, "x" * 32),
        (None, ""),
        ([], ""),
    ],
)
def test_a_foreign_word_is_short_and_printable(text: object, word: str) -> None:
    assert brief(text) == word


@pytest.mark.parametrize("number", [None, "", "n" * 300, "\x00", {"a": 1}], ids=repr)
def test_an_event_without_a_proper_id_is_known_by_its_content(number: object) -> None:
    first, again, other = (
        sendgrid(event=said, sg_event_id=number).event_id for said in ("open", "open", "click")
    )

    assert first == again != other
    assert len(first) < 100


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=[])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("event", "type", "smtp-id", "status", "event-data", "message", "headers"),
                    *("delivery-status", "RecordType", "Type", "Metadata", "delivery", "ID"),
                    *("eventType", "bounce", "bouncedRecipients", "mail", "commonHeaders", "name"),
                ]
            ),
            inner | st.sampled_from(["bounce", "failed", "Bounce", "SubscriptionChange"]),
            max_size=4,
        )
    ),
    max_leaves=10,
)


@settings(max_examples=200, derandomize=True, database=None)
@given(ANY_JSON)
def test_nothing_that_a_provider_could_send_is_an_error(body: Any) -> None:
    read = [
        *read_sendgrid(body),
        *read_sendgrid([body]),
        *read_mailgun(body),
        *read_mailgun({"event-data": body}),
        *read_postmark(body),
        *read_ses(body, "sns-1"),
    ]

    for event in read:
        for text, longest in ((event.said, 32), (event.code, 32), (event.event_id, 200)):
            assert len(text) <= longest
            assert text.isascii()
            assert text.isprintable()
