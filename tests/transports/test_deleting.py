"""Having a provider forget a message: when it does, when not yet, and what no provider can."""

import pytest

from followup.errors import ConfigurationFailure, PermanentFailure, TemporaryFailure
from followup.sandbox.server import Sandbox
from followup.transports.smtp import Server, SmtpTransport
from followup.transports.twilio import TwilioTransport
from tests.servers import find_free_port
from tests.transports.conftest import OpenSandbox
from tests.transports.test_twilio import text, transport_to, twilio

__all__ = ["twilio"]


def test_twilio_forgets_a_text_whose_end_is_known(
    sandbox: Sandbox, twilio: TwilioTransport
) -> None:
    provider_id = twilio.send(text())
    sandbox.settle()

    twilio.delete(provider_id)

    assert sandbox.messages() == []
    assert twilio.look_up(provider_id) is None


def test_a_text_that_is_not_there_is_forgotten_already(twilio: TwilioTransport) -> None:
    twilio.delete("SM00000000000000000000000000000001")


def test_a_text_on_its_way_is_deleted_later(sandbox: Sandbox, twilio: TwilioTransport) -> None:
    sandbox.life("stuck_queued")
    provider_id = twilio.send(text())
    sandbox.settle()

    with pytest.raises(TemporaryFailure) as refused:
        twilio.delete(provider_id)

    assert refused.value.code == "20009"
    assert len(sandbox.messages()) == 1


def test_an_account_for_health_data_forgets_too(open_sandbox: OpenSandbox) -> None:
    sandbox = open_sandbox(redaction=True)
    with transport_to(sandbox.url) as twilio:
        provider_id = twilio.send(text())
        sandbox.settle()

        twilio.delete(provider_id)

        assert sandbox.messages() == []


def test_wrong_credentials_are_the_accounts_fault(sandbox: Sandbox) -> None:
    with transport_to(sandbox.url, token="wrong") as twilio, pytest.raises(ConfigurationFailure):
        twilio.delete("SM00000000000000000000000000000001")


def test_a_provider_that_is_not_there_is_asked_again() -> None:
    with (
        transport_to(f"http://127.0.0.1:{find_free_port()}") as twilio,
        pytest.raises(TemporaryFailure),
    ):
        twilio.delete("SM00000000000000000000000000000001")


def test_a_mail_cannot_be_taken_back() -> None:
    server = Server.from_url("smtp://127.0.0.1:25", on_this_machine=True)

    with pytest.raises(PermanentFailure):
        SmtpTransport(server, "hello@example.com").delete("<1@example.com>")
