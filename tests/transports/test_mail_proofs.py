"""A webhook is believed by the provider's own proof alone: vectors, and what is near them."""

import base64
import hmac
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest

from followup.transports.mail_proofs import (
    MAILGUN_AGE,
    SENDGRID_AGE,
    MailgunTokens,
    is_from_mailgun,
    is_from_postmark,
    is_from_sendgrid,
)

# The vector of sendgrid-python, test/unit/test_eventwebhook.py. The line end is signed.
KEY = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2f"
    "NNRaINXvVpiglSI8eNEc6wEA3F+g=="
)
OTHER_KEY = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqTxd43gyp8IOEto2LdIfjRQrIbsd4SXZkLW6jDutdhXSJCWHw8REntlo7a"
    "NDthvj+y7GjUuFDb/R1NGe1OPzpA=="
)
STAMP = "1600112502"
SIGNED_AT = datetime.fromtimestamp(int(STAMP), UTC)
SIGNATURE = (
    "MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZt"
    "M="
)
OTHER_SIGNATURE = (
    "MEUCIQCtIHJeH93Y+qpYeWrySphQgpNGNr/U+UyUlBkU6n7RAwIgJTz2C+8a8xonZGi6BpSzoQsbVRamr2nlxFDWYNH3j/"
    "0="
)
BODY = (
    b'[{"email":"hello@world.com","event":"dropped","reason":"Bounced Address",'
    b'"sg_event_id":"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA",'
    b'"sg_message_id":"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0",'
    b'"smtp-id":"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>",'
    b'"timestamp":1600112492}]\r\n'
)
SECOND = timedelta(seconds=1)


def test_what_sendgrid_signed_is_believed() -> None:
    assert is_from_sendgrid(KEY, BODY, STAMP, SIGNATURE, SIGNED_AT)


@pytest.mark.parametrize(
    ("key", "body", "stamp", "signature"),
    [
        pytest.param(KEY, BODY.strip(), STAMP, SIGNATURE, id="without the line end"),
        pytest.param(OTHER_KEY, BODY, STAMP, SIGNATURE, id="another key"),
        pytest.param(KEY, b"payload", STAMP, SIGNATURE, id="another body"),
        pytest.param(KEY, BODY, "timestamp", SIGNATURE, id="no time"),
        pytest.param(KEY, BODY, "1600112503", SIGNATURE, id="another time"),
        pytest.param(KEY, BODY, STAMP, OTHER_SIGNATURE, id="another signature"),
        pytest.param(KEY, BODY, STAMP, "", id="no signature"),
        pytest.param(KEY, BODY, STAMP, "\u00fc\ud800", id="no base64"),
        pytest.param(KEY, BODY, "\u0661\u0662", SIGNATURE, id="digits of another script"),
    ],
)
def test_what_sendgrid_did_not_sign_is_not(
    key: str, body: bytes, stamp: str, signature: str
) -> None:
    assert not is_from_sendgrid(key, body, stamp, signature, SIGNED_AT)


@pytest.mark.parametrize(
    ("age", "is_believed"),
    [
        (SENDGRID_AGE, True),
        (SENDGRID_AGE + SECOND, False),
        (-SENDGRID_AGE, True),
        (-SENDGRID_AGE - SECOND, False),
    ],
)
def test_an_old_signature_of_sendgrid_is_a_replay(age: timedelta, is_believed: bool) -> None:
    assert is_from_sendgrid(KEY, BODY, STAMP, SIGNATURE, SIGNED_AT + age) is is_believed


# A vector from the algorithm.
MAILGUN_KEY = "mailgun-signing-key"
PROOF = {
    "timestamp": "1700000000",
    "token": "a" * 50,
    "signature": "bd4c3774f80f9429d48a156834d89b350ee551add2dad7b57dbdd692dab848d9",
}
MAILGUN_TIME = datetime.fromtimestamp(1700000000, UTC)


@pytest.mark.parametrize(
    ("key", "changed", "is_believed"),
    [
        pytest.param(MAILGUN_KEY, {}, True, id="signed"),
        pytest.param(MAILGUN_KEY, {"timestamp": 1700000000}, True, id="a number"),
        pytest.param("another", {}, False, id="another key"),
        pytest.param(MAILGUN_KEY, {"token": "b" * 50}, False, id="another token"),
        pytest.param(MAILGUN_KEY, {"timestamp": "1700000001"}, False, id="another time"),
        pytest.param(MAILGUN_KEY, {"signature": ""}, False, id="no signature"),
        pytest.param(MAILGUN_KEY, {"signature": None}, False, id="nothing"),
        pytest.param(MAILGUN_KEY, {"signature": "\ud800"}, False, id="half a character"),
    ],
)
def test_mailgun_is_believed_by_its_key(
    key: str, changed: dict[str, Any], is_believed: bool
) -> None:
    assert is_from_mailgun(key, {**PROOF, **changed}, MAILGUN_TIME) is is_believed


@pytest.mark.parametrize("proof", [None, [], "text", 7, {}])
def test_a_proof_that_is_none_proves_nothing(proof: Any) -> None:
    assert not is_from_mailgun(MAILGUN_KEY, proof, MAILGUN_TIME)


@pytest.mark.parametrize(
    ("age", "is_believed"), [(MAILGUN_AGE, True), (MAILGUN_AGE + SECOND, False)]
)
def test_an_old_signature_of_mailgun_is_not_believed(age: timedelta, is_believed: bool) -> None:
    assert is_from_mailgun(MAILGUN_KEY, PROOF, MAILGUN_TIME + age) is is_believed


def body(token: str, event: Any) -> dict[str, Any]:
    timestamp = PROOF["timestamp"]
    signature = hmac.new(MAILGUN_KEY.encode(), (timestamp + token).encode(), sha256).hexdigest()
    proof = {"timestamp": timestamp, "token": token, "signature": signature}
    assert is_from_mailgun(MAILGUN_KEY, proof, MAILGUN_TIME)
    return {"signature": proof, "event-data": event}


def test_a_token_vouches_for_one_event_however_often_that_is_sent() -> None:
    tokens = MailgunTokens()

    assert tokens.vouches(body("a", {"id": "1", "event": "delivered"}))
    assert tokens.vouches(body("a", {"event": "delivered", "id": "1"}))
    assert not tokens.vouches(body("a", {"id": "1", "event": "failed"}))
    assert not tokens.vouches(body("a", None))
    assert tokens.vouches(body("b", {"id": "1", "event": "failed"}))


def test_only_so_many_tokens_are_remembered_the_newest() -> None:
    tokens = MailgunTokens(remembered=2)
    for token in "abc":
        assert tokens.vouches(body(token, 1))

    assert [tokens.vouches(body(token, 2)) for token in "cb"] == [False, False]
    assert tokens.vouches(body("a", 2))


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("authorization", "is_believed"),
    [
        (basic("postmark", "token"), True),
        (basic("", "token").replace("Basic", "basic"), True),
        (basic("postmark", "other"), False),
        (basic("token", ""), False),
        (basic("postmark", "token:more"), False),
        ("Bearer dG9rZW4=", False),
        ("Basic dG9rZW4=", False),
        ("Basic \u00fc", False),
        ("token", False),
        ("", False),
    ],
    ids=str,
)
def test_postmark_is_believed_by_the_password(authorization: str, is_believed: bool) -> None:
    assert is_from_postmark("token", authorization) is is_believed
