"""Amazon as far as these tests need it: a key, its certificate, and messages signed with it."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

TOPIC = "arn:aws:sns:us-east-1:123456789012:mail-events"
HOST = "https://sns.us-east-1.amazonaws.com"
CERTIFICATE_URL = f"{HOST}/SimpleNotificationService-0123456789abcdef.pem"
SUBSCRIBE_URL = f"{HOST}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=token"

_HASHES: dict[str, hashes.HashAlgorithm] = {"1": hashes.SHA1(), "2": hashes.SHA256()}  # noqa: S303


class Amazon:
    """`fetch` is what the service asks it; `fetched` is what was asked for."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(65537, 2048)
        self.fetched: list[str] = []
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
        begins = datetime(2000, 1, 1, tzinfo=UTC)
        self._certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.key.public_key())
            .serial_number(1)
            .not_valid_before(begins)
            .not_valid_after(begins + timedelta(days=36_500))
            .sign(self.key, hashes.SHA256())
            .public_bytes(serialization.Encoding.PEM)
        )

    def fetch(self, url: str) -> bytes:
        self.fetched.append(url)
        return self._certificate

    def notification(self, text: str, *, version: str = "2", **more: str) -> dict[str, Any]:
        return self._signed({"Type": "Notification", "Message": text, **more}, version)

    def confirmation(self, **more: str) -> dict[str, Any]:
        fields = {
            "Type": "SubscriptionConfirmation",
            "Message": "You have chosen to subscribe",
            "SubscribeURL": SUBSCRIBE_URL,
            "Token": "token",
        }
        return self._signed({**fields, **more}, "2")

    def _signed(self, fields: dict[str, Any], version: str) -> dict[str, Any]:
        message = {
            "MessageId": "0192f0c1-0000-7000-8000-000000000001",
            "Timestamp": "2026-11-23T17:05:00.000Z",
            "TopicArn": TOPIC,
            **fields,
        }
        signed = "".join(f"{name}\n{message[name]}\n" for name in sorted(message))
        signature = self.key.sign(signed.encode(), padding.PKCS1v15(), _HASHES[version])
        return {
            **message,
            "SignatureVersion": version,
            "Signature": base64.b64encode(signature).decode(),
            "SigningCertURL": CERTIFICATE_URL,
        }
