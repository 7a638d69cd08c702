"""Texts over Twilio's protocol: what each answer, and each missing one, means."""

import socket
import ssl
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from followup.domain.delivery import Status
from followup.errors import (
    ChannelFailure,
    ConfigurationFailure,
    OutcomeUnknown,
    PermanentFailure,
    TemporaryFailure,
    Throttled,
    TransportError,
)
from followup.sandbox.server import Sandbox
from followup.transports.base import Finding, Lost, Outgoing, Report
from followup.transports.twilio import Account, TwilioTransport
from followup.transports.twilio_words import STATUSES, classify, read_report, usual_rate
from tests.servers import find_free_port
from tests.transports.certificates import make_certificate, server_side
from tests.transports.conftest import SID, TOKEN, OpenSandbox
from tests.transports.relay import Relay

ALICE = "+14155550101"
BOB = "+14155550102"
CLINIC = "+19495550100"
SERVICE = "MG00000000000000000000000000000001"
DELIVERY = uuid.UUID("0192f0c1-0000-7000-8000-000000000001")
SHORT = timedelta(seconds=0.3)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def text(body: str = "Harbor Light Wellness got your message.", **fields: Any) -> Outgoing:
    return Outgoing(**{"delivery_id": DELIVERY, "to": ALICE, "text": body, **fields})


def status_url(delivery_id: uuid.UUID) -> str:
    return f"http://127.0.0.1:1/webhooks/twilio/status/{delivery_id}"


@contextmanager
def transport_to(url: str, sender: str = CLINIC, **settings: Any) -> Iterator[TwilioTransport]:
    account = Account(SID, settings.pop("token", TOKEN), sender, url)
    transport = TwilioTransport(account, status_url, **settings)
    yield transport
    transport.close()


@pytest.fixture
def twilio(sandbox: Sandbox) -> Iterator[TwilioTransport]:
    with transport_to(sandbox.url) as transport:
        yield transport


def failure_of(send: Callable[[], object]) -> TransportError:
    with pytest.raises(TransportError) as raised:
        send()
    return raised.value


def test_a_text_is_taken_once_and_its_sid_is_given_back(
    sandbox: Sandbox, twilio: TwilioTransport
) -> None:
    sid = twilio.send(text("Hello"))

    (taken,) = sandbox.messages()
    assert (taken.id, taken.to, taken.text, taken.sender) == (sid, ALICE, "Hello", CLINIC)
    assert taken.status_callback == status_url(DELIVERY)


@pytest.mark.parametrize(
    ("sender", "rate"),
    [
        ("+19495550100", 1),
        ("+18335550100", 3),
        ("+18005550100", 3),
        ("555011", 100),
        ("+442071838750", 10),
        (SERVICE, 1),
    ],
)
def test_what_a_sender_may_send_a_second_is_known_of_its_kind(sender: str, rate: float) -> None:
    assert usual_rate(sender) == rate


def test_a_messaging_service_may_be_the_sender(sandbox: Sandbox) -> None:
    with transport_to(sandbox.url, sender=SERVICE) as transport:
        transport.send(text())

    assert sandbox.messages()[0].service_sid == SERVICE


@pytest.mark.parametrize(
    ("valid_for", "asked"),
    [
        (None, None),
        (timedelta(minutes=30), "1800"),
        (timedelta(seconds=-5), "1"),
        (timedelta(days=3), "36000"),
    ],
    ids=["not limited", "half an hour", "over already", "longer than Twilio takes"],
)
def test_a_text_dies_at_twilio_when_it_would_be_late(
    sandbox: Sandbox, twilio: TwilioTransport, valid_for: timedelta | None, asked: str | None
) -> None:
    twilio.send(text(valid_for=valid_for))

    form: Any = sandbox.requests()[0]["form"]
    assert form.get("ValidityPeriod", [None]) == [asked]


CONFIGURATION, PERMANENT = ConfigurationFailure, PermanentFailure
CHANNEL, UNKNOWN = ChannelFailure, OutcomeUnknown
DAY, QUARTER = timedelta(hours=24), timedelta(minutes=15)


@pytest.mark.parametrize(
    ("code", "status", "outcome", "suppress", "wait"),
    [
        (10001, 400, CONFIGURATION, None, None),
        (20003, 401, CONFIGURATION, None, None),
        (20404, 404, CONFIGURATION, None, None),
        (20429, 429, Throttled, None, None),
        (20500, 500, UNKNOWN, None, None),
        (20503, 503, CHANNEL, None, None),
        (21211, 400, PERMANENT, "unreachable", None),
        (21212, 400, CONFIGURATION, None, None),
        (21408, 400, PERMANENT, None, None),
        (21606, 400, CONFIGURATION, None, None),
        (21608, 400, CONFIGURATION, None, None),
        (21610, 400, PERMANENT, "opted_out", None),
        (21611, 400, CHANNEL, None, QUARTER),
        (21612, 400, PERMANENT, None, None),
        (21614, 400, PERMANENT, "unreachable", None),
        (21617, 400, PERMANENT, None, None),
        (21635, 400, PERMANENT, "unreachable", None),
        (30029, 400, CONFIGURATION, None, None),
        (30030, 400, CONFIGURATION, None, None),
        (30034, 400, CONFIGURATION, None, None),
        (30450, 400, PERMANENT, None, None),
        (63038, 429, CHANNEL, None, DAY),
        (14107, 400, PERMANENT, None, None),
        (99999, 400, PERMANENT, None, None),
        (99999, 401, CONFIGURATION, None, None),
        (99999, 403, CONFIGURATION, None, None),
        (99999, 429, Throttled, None, None),
        (99999, 500, UNKNOWN, None, None),
        (99999, 503, CHANNEL, None, None),
        (99999, 599, UNKNOWN, None, None),
    ],
)
@pytest.mark.parametrize("problem_json", [False, True], ids=["own body", "RFC 9457"])
def test_each_error_has_its_class(
    sandbox: Sandbox,
    twilio: TwilioTransport,
    code: int,
    status: int,
    outcome: type[TransportError],
    suppress: str | None,
    wait: timedelta | None,
    problem_json: bool,
) -> None:
    sandbox.script("error", code=code, status=status, problem_json=problem_json)

    error = failure_of(lambda: twilio.send(text()))

    assert (type(error), error.code) == (outcome, str(code))
    assert (getattr(error, "suppress", None), error.retry_after) == (suppress, wait)
    assert sandbox.messages() == []


@pytest.mark.parametrize(
    ("script", "settings", "outcome", "taken"),
    [
        ("throttle", {}, Throttled, 0),
        ("unavailable", {}, CHANNEL, 0),
        ("500", {}, UNKNOWN, 0),
        ("accept_then_500", {}, UNKNOWN, 1),
        ("502_html", {}, UNKNOWN, 0),
        ("504", {}, UNKNOWN, 0),
        ("504", {"stored": True}, UNKNOWN, 1),
        ("drop_before", {}, UNKNOWN, 0),
        ("accept_then_drop", {}, UNKNOWN, 1),
        ("garbled", {}, UNKNOWN, 1),
        ("slow", {"seconds": 2}, UNKNOWN, 1),
        ("hang", {"seconds": 30}, UNKNOWN, 0),
        ("hang", {"seconds": 30, "stored": True}, UNKNOWN, 1),
    ],
)
def test_an_answer_that_is_lost_is_never_taken_for_a_refusal(
    sandbox: Sandbox, script: str, settings: dict[str, Any], outcome: type[Exception], taken: int
) -> None:
    sandbox.script(script, **settings)

    with transport_to(sandbox.url, call_timeout=SHORT) as transport:
        error = failure_of(lambda: transport.send(text()))

    assert type(error) is outcome
    assert len(sandbox.messages()) == taken
    assert len(sandbox.requests()) == 1, "the transport must not try again by itself"


def test_an_answer_within_the_limit_is_waited_for(sandbox: Sandbox) -> None:
    sandbox.script("slow", seconds=0.2)

    with transport_to(sandbox.url, call_timeout=timedelta(seconds=5)) as transport:
        sid = transport.send(text())

    assert [message.id for message in sandbox.messages()] == [sid]


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        (None, None),
        (7, timedelta(seconds=7)),
        (999_999, timedelta(hours=24)),
        (99_999_999, None),
    ],
    ids=["nothing", "a while", "longer than believed", "no sensible wait"],
)
def test_the_wait_that_twilio_asks_for_is_passed_on(
    sandbox: Sandbox, twilio: TwilioTransport, said: int | None, heard: timedelta | None
) -> None:
    sandbox.script("throttle", retry_after=said)

    assert failure_of(lambda: twilio.send(text())).retry_after == heard


def test_a_wait_that_was_asked_for_once_is_not_asked_for_the_next_time(
    sandbox: Sandbox, twilio: TwilioTransport
) -> None:
    sandbox.script("throttle", retry_after=7)
    sandbox.script("unavailable")
    failure_of(lambda: twilio.send(text()))

    assert failure_of(lambda: twilio.send(text())).retry_after is None


def test_wrong_credentials_are_the_operators_to_mend(sandbox: Sandbox) -> None:
    with transport_to(sandbox.url, token="not-the-token") as transport:
        error = failure_of(lambda: transport.send(text()))

    assert (type(error), error.code) == (ConfigurationFailure, "20003")


def test_nobody_listening_means_not_sent() -> None:
    with transport_to(f"http://127.0.0.1:{find_free_port()}") as transport:
        assert type(failure_of(lambda: transport.send(text()))) is ChannelFailure


def test_a_connection_that_nobody_accepts_means_not_sent() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        with socket.create_connection(full.getsockname()):
            url = f"http://127.0.0.1:{full.getsockname()[1]}"
            with transport_to(url, call_timeout=SHORT) as transport:
                assert type(failure_of(lambda: transport.send(text()))) is ChannelFailure


@contextmanager
def tls_server(certificate: Path, after_handshake: bytes) -> Iterator[str]:
    """Accepts one TLS connection, reads what it is sent and answers with those raw bytes."""

    def serve() -> None:
        raw, _ = listener.accept()
        try:
            secure = server_side(certificate).wrap_socket(raw, server_side=True)
        except ssl.SSLError:
            return
        secure.recv(65_536)
        with socket.socket(fileno=secure.detach()) as plain:
            plain.sendall(after_handshake)
            plain.recv(65_536)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(5)


@pytest.mark.parametrize(
    ("is_trusted", "outcome"),
    [(False, ChannelFailure), (True, OutcomeUnknown)],
    ids=["before the request", "after the request"],
)
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_tls_that_fails_says_not_sent_only_before_the_request_was_written(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_trusted: bool,
    outcome: type[TransportError],
) -> None:
    certificate = make_certificate(tmp_path)
    if is_trusted:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))

    with (
        tls_server(certificate, b"this is not TLS at all, and longer than a record") as url,
        transport_to(url, call_timeout=timedelta(seconds=5)) as transport,
    ):
        assert type(failure_of(lambda: transport.send(text()))) is outcome


def test_one_connection_carries_many_texts(sandbox: Sandbox) -> None:
    with Relay(_port(sandbox)) as relay, transport_to(_url(relay)) as transport:
        for _ in range(3):
            transport.send(text())
        sandbox.script("error", code=21211)
        failure_of(lambda: transport.send(text()))
        transport.send(text())

    assert relay.connections == 1
    assert len(sandbox.messages()) == 4


def test_a_kept_connection_that_twilio_has_ended_costs_nothing(sandbox: Sandbox) -> None:
    with Relay(_port(sandbox)) as relay, transport_to(_url(relay)) as transport:
        transport.send(text("one"))
        relay.hang_up()

        transport.send(text("two"))

    assert [message.text for message in sandbox.messages()] == ["one", "two"]


def _port(sandbox: Sandbox) -> int:
    return int(sandbox.url.rpartition(":")[2])


def _url(relay: Relay) -> str:
    return f"http://127.0.0.1:{relay.port}"


def find(transport: TwilioTransport, lost: Outgoing, since: datetime) -> Finding:
    (finding,) = transport.find([Lost(lost, since)])
    return finding


def test_a_text_whose_answer_was_lost_is_found(sandbox: Sandbox, twilio: TwilioTransport) -> None:
    sandbox.script("accept_then_drop")
    failure_of(lambda: twilio.send(text("Hello")))
    sandbox.settle()

    trace = find(twilio, text("Hello"), LONG_AGO)

    assert isinstance(trace, Report)
    assert (trace.provider_id, trace.status) == (sandbox.messages()[0].id, "delivered")


@pytest.mark.parametrize(
    ("asked", "since"),
    [
        (text("Something else"), LONG_AGO),
        (text("Hello", to=BOB), LONG_AGO),
        (text("Hello"), datetime(2100, 1, 1, tzinfo=UTC)),
    ],
    ids=["another text", "another number", "sent before"],
)
def test_what_is_not_this_very_text_is_absent(
    twilio: TwilioTransport, asked: Outgoing, since: datetime
) -> None:
    twilio.send(text("Hello"))

    assert find(twilio, asked, since) is None


def test_an_account_without_texts_knows_nothing_of_ours(twilio: TwilioTransport) -> None:
    assert find(twilio, text(), LONG_AGO) is None


def test_a_patients_own_words_are_not_our_text(sandbox: Sandbox, twilio: TwilioTransport) -> None:
    sandbox.reply(ALICE, "Hello", to=CLINIC)

    assert find(twilio, text("Hello", to=CLINIC), LONG_AGO) is None


def test_punctuation_that_smart_encoding_replaced_hides_nothing(
    sandbox: Sandbox, twilio: TwilioTransport
) -> None:
    twilio.send(text("We'll call - soon..."))

    assert find(twilio, text("We\u2019ll call \u2013 soon\u2026"), LONG_AGO) is not None


def test_an_account_that_hides_its_texts_cannot_say_that_one_was_not_sent(
    open_sandbox: OpenSandbox,
) -> None:
    sandbox = open_sandbox(redaction=True)
    sandbox.script("accept_then_drop")

    with transport_to(sandbox.url) as transport:
        failure_of(lambda: transport.send(text()))
        error = find(transport, text(), LONG_AGO)

    assert type(error) is TemporaryFailure
    assert len(sandbox.messages()) == 1


def test_a_text_is_found_on_a_later_page(
    sandbox: Sandbox, twilio: TwilioTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("followup.transports.twilio.PAGE", 50)
    sid = twilio.send(text("the first of many"))
    for number in range(110):
        twilio.send(text(f"number {number}"))

    trace = find(twilio, text("the first of many"), LONG_AGO)

    assert isinstance(trace, Report)
    assert trace.provider_id == sid


def lost(body: str) -> Lost:
    return Lost(text(body, delivery_id=uuid.uuid4()), LONG_AGO)


def test_many_texts_to_one_number_are_looked_for_in_one_listing(
    sandbox: Sandbox, twilio: TwilioTransport
) -> None:
    sids = [twilio.send(text(f"number {number}")) for number in range(16)]

    findings = twilio.find([lost(f"number {number}") for number in range(20)])

    found = [one.provider_id if isinstance(one, Report) else one for one in findings]
    assert found == [*sids, None, None, None, None]


def test_one_text_at_twilio_answers_for_one_of_ours(twilio: TwilioTransport) -> None:
    sids = {twilio.send(text("Hello")) for _ in range(2)}
    asked = [lost("Hello"), lost("Hello")]

    both = {one.provider_id for one in twilio.find(asked) if isinstance(one, Report)}
    assert both == sids
    assert twilio.find(asked, known=sids) == [None, None]
    (only, none) = twilio.find(asked, known={min(sids)})
    assert isinstance(only, Report)
    assert (only.provider_id, none) == (max(sids), None)


def test_of_too_many_texts_nobody_can_tell(
    sandbox: Sandbox, twilio: TwilioTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("followup.transports.twilio.LISTED", 5)
    for number in range(6):
        twilio.send(text(f"number {number}"))

    assert type(find(twilio, text("lost"), LONG_AGO)) is TemporaryFailure
    assert find(twilio, text("lost"), datetime(2100, 1, 1, tzinfo=UTC)) is None


def test_a_listing_that_fails_does_not_say_absent(sandbox: Sandbox) -> None:
    with transport_to(f"http://127.0.0.1:{find_free_port()}") as transport:
        assert type(find(transport, text(), LONG_AGO)) is TemporaryFailure
    with transport_to(sandbox.url, token="not-the-token") as transport:
        assert type(find(transport, text(), LONG_AGO)) is TemporaryFailure


def test_no_reason_holds_a_number_or_the_text(sandbox: Sandbox, twilio: TwilioTransport) -> None:
    sandbox.script("error", code=21211, message=f"The number {ALICE} is not a phone number")

    error = failure_of(lambda: twilio.send(text("Dear Alice")))

    assert ALICE not in str(error)
    assert "Alice" not in f"{error} {error.reason} {error.__cause__}"


@pytest.mark.parametrize(
    ("code", "blames_us"),
    [(30007, True), (30450, True), (63038, True), (30003, False), (30006, False), (12345, False)],
)
def test_a_report_tells_a_refusal_for_what_we_write_from_one_of_the_number(
    code: int, blames_us: bool
) -> None:
    assert read_report("SM1", "undelivered", str(code)).blames_us is blames_us


@pytest.mark.parametrize(
    ("code", "blames_us"), [(30450, True), (99999, True), (21211, False), (21610, False)]
)
def test_an_answer_tells_a_refusal_for_what_we_write_from_one_of_the_number(
    code: int, blames_us: bool
) -> None:
    refused = classify(400, code)

    assert isinstance(refused, PermanentFailure)
    assert refused.blames_us is blames_us


@pytest.mark.parametrize("code", [None, "", "abc", "21211", 21211])
def test_a_code_may_be_missing_or_text(code: int | str | None) -> None:
    expected = "21211" if str(code) == "21211" else "400"
    assert classify(400, code).code == expected


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("accepted", Status.accepted),
        ("scheduled", Status.accepted),
        ("queued", Status.accepted),
        ("sending", Status.accepted),
        ("sent", Status.sent),
        ("delivered", Status.delivered),
        ("read", Status.delivered),
        ("partially_delivered", Status.delivered),
        ("undelivered", Status.undelivered),
        ("failed", Status.failed),
        ("canceled", Status.failed),
        ("receiving", None),
        ("received", None),
        ("huh", None),
    ],
)
def test_twilios_words_for_a_texts_fate_become_ours(word: str, status: Status | None) -> None:
    assert STATUSES.get(word) == status
