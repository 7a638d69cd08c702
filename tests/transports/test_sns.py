"""Amazon's notifications: believed when signed for our topic, with a certificate of Amazon's own.

The signing here follows AWS's description; the key is made for the test.
"""

import base64
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from followup.errors import TemporaryFailure
from followup.transports.sns import FETCH_LIMIT, Sns, fetch
from tests.transports.amazon import CERTIFICATE_URL, SUBSCRIBE_URL, TOPIC, Amazon


@pytest.fixture(scope="module")
def made() -> Amazon:
    return Amazon()


@pytest.fixture
def amazon(made: Amazon) -> Amazon:
    made.fetched.clear()
    return made


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("more", [{}, {"Subject": "Amazon SES Email Event"}], ids=["", "subject"])
def test_a_signed_notification_is_believed(
    amazon: Amazon, version: str, more: dict[str, str]
) -> None:
    message = amazon.notification('{"line": "one\\ntwo"}', version=version, **more)

    assert Sns(TOPIC, amazon.fetch).is_signed(message)
    assert amazon.fetched == [CERTIFICATE_URL]


def test_what_is_signed_is_what_amazon_describes(amazon: Amazon) -> None:
    """Written out once, so that the signer of these tests is not its own proof."""
    message = amazon.notification("Hello", Subject="S", MessageId="m-1", Timestamp="t-1")
    expected = f"Message\nHello\nMessageId\nm-1\nSubject\nS\nTimestamp\nt-1\nTopicArn\n{TOPIC}\n"
    expected += "Type\nNotification\n"
    key = amazon.key.public_key()

    key.verify(
        base64.b64decode(message["Signature"]),
        expected.encode(),
        padding.PKCS1v15(),
        hashes.SHA256(),
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"Message": "other"},
        {"MessageId": "other"},
        {"Timestamp": "other"},
        {"Subject": "added"},
        {"Type": "UnsubscribeConfirmation"},
        {"Type": "Other"},
        {"Type": []},
        {"TopicArn": TOPIC + "x"},
        {"SignatureVersion": "1"},
        {"SignatureVersion": "3"},
        {"Signature": ""},
        {"Signature": "\u00fc"},
        {"Signature": None},
        {"Message": "\ud800"},
    ],
    ids=repr,
)
def test_a_notification_changed_on_its_way_is_not(amazon: Amazon, changed: dict[str, Any]) -> None:
    message = {**amazon.notification("Hello"), **changed}

    assert not Sns(TOPIC, amazon.fetch).is_signed(message)


def test_another_topic_is_not_ours_though_amazon_signs_for_everybody(amazon: Amazon) -> None:
    message = amazon.notification("Hello", TopicArn=TOPIC + "x")

    assert Sns(TOPIC + "x", amazon.fetch).is_signed(message)
    assert not Sns(TOPIC, amazon.fetch).is_signed(message)


@pytest.mark.parametrize(
    "url",
    [
        CERTIFICATE_URL.replace("https", "http"),
        CERTIFICATE_URL.replace("us-east-1", "us-west-2"),
        CERTIFICATE_URL.replace("amazonaws.com", "amazonaws.com.evil.example.com"),
        CERTIFICATE_URL.replace("sns.", "sns.us-east-1.amazonaws.com@evil.example.com/"),
        CERTIFICATE_URL.replace("amazonaws.com/", "amazonaws.com:8443/"),
        CERTIFICATE_URL.replace("amazonaws.com/", "amazonaws.com\\@evil.example.com/"),
        CERTIFICATE_URL.replace("SimpleNotificationService-", "bucket/"),
        CERTIFICATE_URL.replace("https://sns", "https://s3"),
        "https://[::1/",
        "",
        None,
    ],
    ids=str,
)
def test_a_certificate_from_elsewhere_is_not_even_fetched(amazon: Amazon, url: str | None) -> None:
    message = {**amazon.notification("Hello"), "SigningCertURL": url}

    assert not Sns(TOPIC, amazon.fetch).is_signed(message)
    assert amazon.fetched == []


def test_a_certificate_is_fetched_once(amazon: Amazon) -> None:
    sns = Sns(TOPIC, amazon.fetch)

    assert all(sns.is_signed(amazon.notification(text)) for text in "abc")
    assert amazon.fetched == [CERTIFICATE_URL]


@pytest.mark.parametrize("file", [b"", b"rubbish"])
def test_what_is_no_certificate_proves_nothing(amazon: Amazon, file: bytes) -> None:
    assert not Sns(TOPIC, lambda _: file).is_signed(amazon.notification("Hello"))


def test_a_subscription_is_confirmed_where_a_signed_message_says(amazon: Amazon) -> None:
    sns, message = Sns(TOPIC, amazon.fetch), amazon.confirmation()

    assert sns.is_signed(message)
    assert sns.confirm(message)
    assert amazon.fetched == [CERTIFICATE_URL, SUBSCRIBE_URL]


def test_a_confirmation_that_leads_elsewhere_is_not_followed(amazon: Amazon) -> None:
    message = amazon.confirmation(SubscribeURL="https://evil.example.com/?Action=Confirm")

    assert not Sns(TOPIC, amazon.fetch).confirm(message)
    assert amazon.fetched == []


class _Files(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        size = {"/small": 5, "/large": FETCH_LIMIT * 2}.get(self.path, 0)
        self.send_response({"/moved": 302, "/gone": 404}.get(self.path, 200))
        self.send_header("Location", "/small")
        self.send_header("Content-Length", str(size))
        self.end_headers()
        self.wfile.write(b"x" * size)

    def log_message(self, *_: object) -> None:
        """Nothing to stderr."""


@pytest.fixture
def files() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Files)
    thread = Thread(target=server.serve_forever)
    thread.start()

    yield f"http://127.0.0.1:{server.server_port}"

    server.shutdown()
    thread.join()
    server.server_close()


def test_a_file_is_fetched_up_to_a_limit(files: str) -> None:
    assert fetch(f"{files}/small") == b"xxxxx"
    assert len(fetch(f"{files}/large")) == FETCH_LIMIT


@pytest.mark.parametrize("path", ["/moved", "/gone"])
def test_no_redirect_is_followed_and_no_error_is_a_file(files: str, path: str) -> None:
    with pytest.raises(TemporaryFailure):
        fetch(files + path)


def test_a_server_that_is_not_there_is_a_temporary_failure() -> None:
    with pytest.raises(TemporaryFailure):
        fetch("http://127.0.0.1:1/")
