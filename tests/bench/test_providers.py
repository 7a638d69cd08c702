"""The stand-ins speak to the service's own transports, over TLS, and keep a book."""

import ssl
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.asking import Providers
from bench.databases import Databases
from bench.people import email_of, phone_of
from bench.stage import Stage
from followup.transports.base import Outgoing
from followup.transports.smtp import Server, SmtpTransport
from followup.transports.twilio import Account, TwilioTransport


@pytest.fixture
def providers(tmp_path: Path) -> Iterator[Providers]:
    with Databases(tmp_path) as databases, Stage(tmp_path, databases, rounds=1) as stage:
        yield stage.start_providers(latency_ms=1, tls=True)


def test_they_take_a_text_and_a_mail_and_tell_who_got_them(
    providers: Providers, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = providers.environment
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", told["REQUESTS_CA_BUNDLE"])
    account = Account("AC1", "token", "+19495550100", told["FOLLOWUP_TWILIO_API_URL"])
    texts = TwilioTransport(account, lambda delivery_id: f"https://www.example.com/{delivery_id}")
    server = Server.from_url(told["FOLLOWUP_SMTP_URL"], on_this_machine=True)
    trusting = ssl.create_default_context(cafile=told["SSL_CERT_FILE"])
    mails = SmtpTransport(server, told["FOLLOWUP_EMAIL_FROM"], tls=trusting)

    for _ in range(2):
        texts.send(_message(phone_of(1)))
        mails.send(_message(email_of(1)))
    providers.wait_for(4, within=10)
    texts.close()
    mails.close()

    accepted = providers.accepted()
    assert [(one.channel, one.to) for one in accepted] == [
        *(("sms", phone_of(1)), ("email", email_of(1))) * 2
    ]
    assert accepted[0].text == "Hello."
    assert accepted[0].at < accepted[3].at


def test_what_never_comes_is_not_waited_for_without_end(providers: Providers) -> None:
    with pytest.raises(TimeoutError, match="0 of 1 accepted"):
        providers.wait_for(1, within=0.05)

    providers.forget()
    assert providers.count() == 0


def _message(to: str) -> Outgoing:
    return Outgoing(
        delivery_id=uuid.uuid4(), to=to, text="Hello.", message_id=f"<{uuid.uuid4()}@example.com>"
    )
