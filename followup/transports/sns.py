"""Amazon's notifications (SNS), which carry the events of its mail service."""

import base64
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import requests
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from followup.errors import TemporaryFailure

FETCH_TIMEOUT = timedelta(seconds=5)
FETCH_LIMIT = 64 * 1024
#: Certificates that are kept; Amazon changes them once in years.
CERTIFICATES = 8

Fetch = Callable[[str], bytes]


def fetch(url: str) -> bytes:
    """The file at an address that was checked. Raises TemporaryFailure when it cannot be had."""
    try:
        with requests.get(
            url, timeout=FETCH_TIMEOUT.total_seconds(), allow_redirects=False, stream=True
        ) as answer:
            if answer.status_code == 200:
                return next(answer.iter_content(FETCH_LIMIT), b"")
    except (requests.RequestException, OSError) as error:
        raise TemporaryFailure("could not be fetched", type(error).__name__) from None
    raise TemporaryFailure("could not be fetched", str(answer.status_code))


#: What is signed, in this order (docs.aws.amazon.com/sns, Verifying the signatures of messages).
_SIGNED: Mapping[str, tuple[str, ...]] = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    **dict.fromkeys(
        ("SubscriptionConfirmation", "UnsubscribeConfirmation"),
        ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    ),
}
_HASHES: Mapping[str, hashes.HashAlgorithm] = {
    # Amazon's choice for topics that were not told otherwise.
    "1": hashes.SHA1(),  # noqa: S303
    "2": hashes.SHA256(),
}

_CERTIFICATE = re.compile(r"/SimpleNotificationService-\w+\.pem")


class Sns:
    """Amazon's notifications of one topic: believed when signed with a certificate of SNS in the
    topic's own region."""

    def __init__(self, topic: str, fetch: Fetch = fetch) -> None:
        self._topic = topic
        self._host = f"sns.{topic.split(':')[3]}.amazonaws.com"
        self._fetch = fetch
        self._keys: OrderedDict[str, rsa.RSAPublicKey] = OrderedDict()

    def is_signed(self, message: Mapping[str, Any]) -> bool:
        """Whether it is of our topic, and signed. Raises TemporaryFailure without Amazon."""
        names = _SIGNED.get(str(message.get("Type")))
        algorithm = _HASHES.get(str(message.get("SignatureVersion")))
        url = str(message.get("SigningCertURL"))
        if names is None or algorithm is None or message.get("TopicArn") != self._topic:
            return False
        if not self._is_of_sns(url) or not _CERTIFICATE.fullmatch(urlsplit(url).path):
            return False
        signed = "".join(f"{name}\n{message[name]}\n" for name in names if name in message)
        try:
            signature = base64.b64decode(str(message.get("Signature")), validate=True)
            key = self._key(url)
            key.verify(signature, signed.encode(), padding.PKCS1v15(), algorithm)
        except (InvalidSignature, ValueError):
            return False
        return True

    def confirm(self, message: Mapping[str, Any]) -> bool:
        """Subscribe, as a signed message asks. Raises TemporaryFailure without Amazon."""
        url = str(message.get("SubscribeURL"))
        if not self._is_of_sns(url):
            return False
        self._fetch(url)
        return True

    def _is_of_sns(self, url: str) -> bool:
        """With nothing in it that two readers of addresses could read apart."""
        is_plain = re.fullmatch(r"https://[a-z0-9.-]+/[\w./?=&:%-]*", url, re.ASCII)
        return is_plain is not None and urlsplit(url).netloc == self._host

    def _key(self, url: str) -> rsa.RSAPublicKey:
        if url not in self._keys:
            key = x509.load_pem_x509_certificate(self._fetch(url)).public_key()
            if not isinstance(key, rsa.RSAPublicKey):
                raise ValueError("not an RSA key")
            self._keys[url] = key
            while len(self._keys) > CERTIFICATES:
                self._keys.popitem(last=False)
        return self._keys[url]
