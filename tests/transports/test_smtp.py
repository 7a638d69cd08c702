"""Mail over SMTP: what each step's failure means, before the final dot and after it."""

import smtplib
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from followup.errors import (
    ChannelFailure,
    ConfigurationFailure,
    OutcomeUnknown,
    PermanentFailure,
    TemporaryFailure,
    TransportError,
)
from followup.sandbox.mail import MailDoor
from followup.sandbox.server import Sandbox
from followup.transports.base import CALL_LIMIT, Lost, Outgoing
from followup.transports.smtp import GREYLISTING, Limits, Server, SmtpTransport
from tests.servers import find_free_port
from tests.transports.certificates import believing, make_certificate, server_side
from tests.transports.conftest import OpenSandbox
from tests.transports.relay import Relay

ALICE = "alice@example.com"
SENDER = "Harbor Light Wellness <hello@example.com>"
LEFT_AT = datetime(2026, 11, 23, 17, 5, tzinfo=UTC)
MESSAGE_ID = "<0192f0c1@example.com>"
BRIEF = timedelta(seconds=0.4)
#: Only the limit that a case is about is short, so that a busy machine changes no outcome.
SHORT_UNTIL_DOT = Limits(until_dot=BRIEF)
SHORT_AFTER_DOT = Limits(after_dot=BRIEF)
CONFIGURATION, PERMANENT = ConfigurationFailure, PermanentFailure
TEMPORARY, CHANNEL, UNKNOWN = TemporaryFailure, ChannelFailure, OutcomeUnknown


def mail(**fields: Any) -> Outgoing:
    defaults: dict[str, Any] = {
        "delivery_id": uuid.UUID("0192f0c1-0000-7000-8000-000000000001"),
        "to": ALICE,
        "subject": "We got your message",
        "text": "Hello\n",
        "html": "<p>Hello</p>\n",
        "message_id": MESSAGE_ID,
        "date": LEFT_AT,
    }
    return Outgoing(**(defaults | fields))


@contextmanager
def transport_to(
    url: str, *, on_this_machine: bool = True, **settings: Any
) -> Iterator[SmtpTransport]:
    server = Server.from_url(url, on_this_machine=on_this_machine)
    transport = SmtpTransport(server, settings.pop("sender", SENDER), **settings)
    yield transport
    transport.close()


@pytest.fixture
def smtp(sandbox: Sandbox) -> Iterator[SmtpTransport]:
    with transport_to(sandbox.smtp_url) as transport:
        yield transport


def failure_of(send: Callable[[], object]) -> TransportError:
    with pytest.raises(TransportError) as raised:
        send()
    return raised.value


def _port(sandbox: Sandbox) -> int:
    return urlsplit(sandbox.smtp_url).port or 0


def test_a_mail_is_taken_once_with_the_message_id_that_was_planned(
    sandbox: Sandbox, smtp: SmtpTransport
) -> None:
    given = smtp.send(mail(headers={"Auto-Submitted": "auto-replied"}))

    (taken,) = sandbox.messages()
    assert given == taken.message_id == MESSAGE_ID
    assert (taken.to, taken.sender, taken.subject) == (ALICE, SENDER, "We got your message")
    assert (taken.text, taken.html) == ("Hello\n", "<p>Hello</p>\n")
    assert taken.headers["Auto-Submitted"] == "auto-replied"
    assert "Reply-To" not in taken.headers
    assert parsedate_to_datetime(taken.headers["Date"]) == LEFT_AT


def test_a_mail_names_its_delivery_where_a_relay_replaces_the_message_id(
    sandbox: Sandbox, smtp: SmtpTransport
) -> None:
    message = mail()
    smtp.send(message)

    (taken,) = sandbox.messages()
    assert taken.headers["X-PM-Metadata-delivery"] == str(message.delivery_id)


def test_replies_go_to_the_staffed_inbox(sandbox: Sandbox) -> None:
    with transport_to(sandbox.smtp_url, reply_to="front-desk@example.com") as transport:
        transport.send(mail())

    assert sandbox.messages()[0].headers["Reply-To"] == "front-desk@example.com"


@pytest.mark.parametrize(
    ("script", "blames_us"),
    [
        ("rcpt_554_5.7.1", True),
        ("rcpt_550_5.1.8", True),
        ("data_554_5.6.0", True),
        ("rcpt_550_5.1.1", False),
        ("rcpt_550_5.4.4", False),
    ],
)
def test_a_refusal_for_what_we_are_or_write_is_told_from_one_of_the_address(
    sandbox: Sandbox, smtp: SmtpTransport, script: str, blames_us: bool
) -> None:
    sandbox.mail_script(script)

    with pytest.raises(PermanentFailure) as refused:
        smtp.send(mail())

    assert refused.value.blames_us is blames_us


def test_sent_again_it_is_the_same_message_for_the_receiver(
    sandbox: Sandbox, smtp: SmtpTransport
) -> None:
    smtp.send(mail())
    smtp.send(mail())

    assert [message.message_id for message in sandbox.messages()] == [MESSAGE_ID, MESSAGE_ID]


@pytest.mark.parametrize(
    ("script", "outcome", "code", "suppress", "wait"),
    [
        ("banner_421", CHANNEL, "421", None, None),
        ("banner_554", CHANNEL, "554", None, None),
        ("helo_421", CHANNEL, "421", None, None),
        ("mail_451", CHANNEL, "451 4.3.0", None, None),
        ("mail_550", CONFIGURATION, "550 5.1.1", None, None),
        ("mail_550_5.7.1", CONFIGURATION, "550 5.7.1", None, None),
        ("mail_530_5.7.0", CONFIGURATION, "530 5.7.0", None, None),
        ("rcpt_450", TEMPORARY, "450 4.2.0", None, GREYLISTING),
        ("rcpt_451_greylist", TEMPORARY, "451 4.3.0", None, GREYLISTING),
        ("rcpt_452", TEMPORARY, "452 4.2.2", None, GREYLISTING),
        ("rcpt_552_5.2.2", TEMPORARY, "552 5.2.2", None, GREYLISTING),
        ("rcpt_550_5.1.1", PERMANENT, "550 5.1.1", "unreachable", None),
        ("rcpt_550_5.1.2", PERMANENT, "550 5.1.2", "unreachable", None),
        ("rcpt_556_5.1.10", PERMANENT, "556 5.1.10", "unreachable", None),
        ("rcpt_550_5.2.1", PERMANENT, "550 5.2.1", "unreachable", None),
        ("rcpt_550_5.1.7", PERMANENT, "550 5.1.7", None, None),
        ("rcpt_550_5.1.8", PERMANENT, "550 5.1.8", None, None),
        ("rcpt_550_5.3.2", PERMANENT, "550 5.3.2", None, None),
        ("rcpt_550_5.4.4", PERMANENT, "550 5.4.4", None, None),
        ("rcpt_554_5.7.1", PERMANENT, "554 5.7.1", None, None),
        ("rcpt_550_5.7.26", PERMANENT, "550 5.7.26", None, None),
        ("rcpt_530_5.7.0", CONFIGURATION, "530 5.7.0", None, None),
        ("rcpt_503_5.5.1", CONFIGURATION, "503 5.5.1", None, None),
        ("data_451", TEMPORARY, "451 4.3.0", None, None),
        ("data_421_4.3.2", CHANNEL, "421 4.3.2", None, None),
        ("data_552_5.2.2", TEMPORARY, "552 5.2.2", None, None),
        ("data_552_5.3.4", PERMANENT, "552 5.3.4", None, None),
        ("data_554_5.7.1", PERMANENT, "554 5.7.1", None, None),
        ("data_554_5.6.0", PERMANENT, "554 5.6.0", None, None),
        ("data_550_5.1.1", PERMANENT, "550 5.1.1", None, None),
    ],
)
def test_each_refusal_has_its_class(
    sandbox: Sandbox,
    smtp: SmtpTransport,
    script: str,
    outcome: type[TransportError],
    code: str,
    suppress: str | None,
    wait: timedelta | None,
) -> None:
    sandbox.mail_script(script, times=None)

    error = failure_of(lambda: smtp.send(mail()))

    assert (type(error), error.code) == (outcome, code)
    assert (getattr(error, "suppress", None), error.retry_after) == (suppress, wait)
    assert sandbox.messages() == []


@contextmanager
def told(*lines: str) -> Iterator[str]:
    """A mail server that says these lines, one after each that it hears, whatever that was."""

    def serve() -> None:
        conversation, _ = listener.accept()
        with conversation, conversation.makefile("rb") as heard:
            for line in lines:
                conversation.sendall(line.encode() + b"\r\n")
                if line.startswith("354"):
                    while heard.readline() not in (b".\r\n", b""):
                        pass
                else:
                    heard.readline()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"smtp://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(5)


HELLO = ("220 hello", "250 hello")
UNTIL_DOT = (*HELLO, "250 ok", "250 ok", "354 go on")


@pytest.mark.parametrize(
    ("lines", "outcome", "suppress"),
    [
        ((*HELLO, "250 ok", "550 no such user"), PERMANENT, "unreachable"),
        ((*HELLO, "250 ok", "551 not local"), PERMANENT, "unreachable"),
        ((*HELLO, "250 ok", "553 not allowed"), PERMANENT, "unreachable"),
        ((*HELLO, "250 ok", "554 transaction failed"), PERMANENT, None),
        ((*HELLO, "250 ok", "530 log in first"), CONFIGURATION, None),
        ((*HELLO, "550 5.1.1x is no code"), CONFIGURATION, None),
        ((*HELLO, "250 ok", "250 ok", "451 not now"), TEMPORARY, None),
        ((*HELLO, "250 ok", "250 ok", "554 no"), PERMANENT, None),
        ((*HELLO, "250 ok", "250 ok", "250 what?"), CHANNEL, None),
        ((*HELLO, "gibberish"), CHANNEL, None),
        ((*HELLO, "250 ok", "251 will forward", "554 no"), PERMANENT, None),
        ((*UNTIL_DOT, "554 no"), PERMANENT, None),
        ((*UNTIL_DOT, "451 not now"), TEMPORARY, None),
        ((*UNTIL_DOT, "gibberish"), UNKNOWN, None),
        ((*UNTIL_DOT, "354 again?"), UNKNOWN, None),
        ((*UNTIL_DOT, "999 ?"), UNKNOWN, None),
        (UNTIL_DOT, UNKNOWN, None),
    ],
)
def test_each_answer_of_an_unusual_server_has_its_class(
    lines: tuple[str, ...], outcome: type[TransportError], suppress: str | None
) -> None:
    with told(*lines) as url, transport_to(url) as transport:
        error = failure_of(lambda: transport.send(mail()))

    assert type(error) is outcome
    assert getattr(error, "suppress", None) == suppress


@pytest.mark.parametrize("answer", ["250 ok", "251 will forward", "252 will try"])
def test_every_yes_after_the_dot_is_a_yes(answer: str) -> None:
    with told(*UNTIL_DOT, answer) as url, transport_to(url) as transport:
        assert transport.send(mail()) == MESSAGE_ID


@pytest.mark.parametrize(
    ("script", "settings", "outcome", "taken"),
    [
        ("drop_before_dot", {}, CHANNEL, 0),
        ("drop_after_dot", {}, UNKNOWN, 1),
        ("hang_after_dot", {"seconds": 30}, UNKNOWN, 1),
        ("slow", {"step": "banner", "seconds": 1}, CHANNEL, 0),
        ("slow", {"step": "helo", "seconds": 1}, CHANNEL, 0),
        ("slow", {"step": "mail", "seconds": 1}, CHANNEL, 0),
        ("slow", {"step": "rcpt", "seconds": 1}, CHANNEL, 0),
        ("slow", {"step": "data", "seconds": 1}, CHANNEL, 0),
        ("slow", {"step": "dot", "seconds": 1}, UNKNOWN, 1),
    ],
    ids=lambda value: value.get("step", "") if isinstance(value, dict) else None,
)
def test_only_what_is_lost_after_the_dot_may_have_been_sent(
    sandbox: Sandbox, script: str, settings: dict[str, Any], outcome: type[Exception], taken: int
) -> None:
    sandbox.mail_script(script, **settings)

    limits = SHORT_AFTER_DOT if outcome is UNKNOWN else SHORT_UNTIL_DOT
    with transport_to(sandbox.smtp_url, limits=limits) as transport:
        error = failure_of(lambda: transport.send(mail()))

    assert type(error) is outcome
    assert len(sandbox.messages()) == taken


def test_steps_that_are_slow_together_are_too_slow(sandbox: Sandbox) -> None:
    for step in ("helo", "mail", "rcpt"):
        sandbox.mail_script("slow", step=step, seconds=0.2)

    with transport_to(sandbox.smtp_url, limits=SHORT_UNTIL_DOT) as transport:
        assert type(failure_of(lambda: transport.send(mail()))) is ChannelFailure


def test_answers_within_the_limits_are_waited_for(sandbox: Sandbox) -> None:
    for step in ("helo", "mail", "dot"):
        sandbox.mail_script("slow", step=step, seconds=0.1)

    with transport_to(sandbox.smtp_url) as transport:
        assert transport.send(mail()) == MESSAGE_ID


def test_one_mail_takes_no_longer_than_a_call_may() -> None:
    limits = Limits()

    assert limits.until_dot + limits.after_dot <= CALL_LIMIT


def test_nobody_listening_means_not_sent() -> None:
    with transport_to(f"smtp://127.0.0.1:{find_free_port()}") as transport:
        assert type(failure_of(lambda: transport.send(mail()))) is ChannelFailure


def test_a_mail_server_cannot_be_asked(smtp: SmtpTransport) -> None:
    since = datetime(2026, 11, 23, tzinfo=UTC)

    (finding,) = smtp.find([Lost(mail(), since)])
    assert type(finding) is TemporaryFailure


def test_one_connection_carries_many_mails_and_survives_a_refusal(sandbox: Sandbox) -> None:
    with (
        Relay(_port(sandbox)) as relay,
        transport_to(f"smtp://127.0.0.1:{relay.port}") as transport,
    ):
        transport.send(mail())
        for script in ("rcpt_550_5.1.1", "data_554_5.7.1", "mail_451"):
            sandbox.mail_script(script)
            failure_of(lambda: transport.send(mail()))
        transport.send(mail())

    assert relay.connections == 1
    assert len(sandbox.messages()) == 2


def test_each_thread_has_a_connection_of_its_own(sandbox: Sandbox) -> None:
    meeting = threading.Barrier(4)

    def send(_: int) -> str:
        meeting.wait(5)
        return transport.send(mail())

    with (
        Relay(_port(sandbox)) as relay,
        transport_to(f"smtp://127.0.0.1:{relay.port}") as transport,
        ThreadPoolExecutor(4) as threads,
    ):
        assert list(threads.map(send, range(8))) == [MESSAGE_ID] * 8

    assert relay.connections == 4


@pytest.mark.parametrize("idle", [timedelta(hours=1), timedelta(0)], ids=["just used", "idle"])
def test_a_kept_connection_that_the_server_has_ended_costs_nothing(
    sandbox: Sandbox, idle: timedelta
) -> None:
    with (
        Relay(_port(sandbox)) as relay,
        transport_to(f"smtp://127.0.0.1:{relay.port}", limits=Limits(idle=idle)) as transport,
    ):
        transport.send(mail())
        relay.hang_up()
        transport.send(mail())

    assert relay.connections == 2
    assert len(sandbox.messages()) == 2


def test_an_idle_connection_that_still_answers_is_used_on(sandbox: Sandbox) -> None:
    with (
        Relay(_port(sandbox)) as relay,
        transport_to(
            f"smtp://127.0.0.1:{relay.port}", limits=Limits(idle=timedelta(0))
        ) as transport,
    ):
        transport.send(mail())
        transport.send(mail())

    assert relay.connections == 1


def test_after_a_lost_answer_the_next_mail_has_a_new_connection(sandbox: Sandbox) -> None:
    sandbox.mail_script("hang_after_dot", seconds=30)

    with transport_to(sandbox.smtp_url, limits=SHORT_AFTER_DOT) as transport:
        failure_of(lambda: transport.send(mail()))
        transport.send(mail(message_id="<next@example.com>"))

    assert [m.message_id for m in sandbox.messages()] == [MESSAGE_ID, "<next@example.com>"]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(params=["STARTTLS", "implicit TLS"])
def secure(request: pytest.FixtureRequest, open_sandbox: OpenSandbox, certificate: Path) -> Sandbox:
    """A sandbox that wants a login and offers TLS."""
    door = MailDoor(
        user="hello@example.com",
        password="pa:ss/word",
        tls=server_side(certificate),
        implicit_tls=request.param == "implicit TLS",
    )
    return open_sandbox(mail_door=door)


def test_tls_and_login_are_used_where_mail_leaves_the_machine(
    secure: Sandbox, certificate: Path
) -> None:
    tls = believing(certificate)

    with transport_to(secure.smtp_url, on_this_machine=False, tls=tls) as transport:
        transport.send(mail())
        transport.send(mail())

    assert len(secure.messages()) == 2


def test_a_certificate_that_nobody_vouches_for_gets_no_mail(secure: Sandbox) -> None:
    with transport_to(secure.smtp_url, on_this_machine=False) as transport:
        error = failure_of(lambda: transport.send(mail()))

    assert type(error) is ConfigurationFailure
    assert "certificate" in str(error)
    assert secure.messages() == []


def test_a_certificate_for_another_host_gets_no_mail(
    open_sandbox: OpenSandbox, tmp_path: Path
) -> None:
    other = make_certificate(tmp_path, "127.0.0.9")
    sandbox = open_sandbox(mail_door=MailDoor(tls=server_side(other)))

    with transport_to(sandbox.smtp_url, on_this_machine=False, tls=believing(other)) as transport:
        assert type(failure_of(lambda: transport.send(mail()))) is ConfigurationFailure


@pytest.mark.parametrize(
    ("script", "outcome"),
    [("auth_535", ConfigurationFailure), ("auth_454", ChannelFailure)],
)
def test_a_login_is_refused_for_good_or_for_now(
    secure: Sandbox, certificate: Path, script: str, outcome: type[TransportError]
) -> None:
    secure.mail_script(script, times=None)
    tls = believing(certificate)

    with transport_to(secure.smtp_url, on_this_machine=False, tls=tls) as transport:
        assert type(failure_of(lambda: transport.send(mail()))) is outcome


def test_a_wrong_password_is_the_operators_to_mend(secure: Sandbox, certificate: Path) -> None:
    url = secure.smtp_url.replace("word@", "words@")

    with transport_to(url, on_this_machine=False, tls=believing(certificate)) as transport:
        error = failure_of(lambda: transport.send(mail()))

    assert (type(error), error.code) == (ConfigurationFailure, "535 5.7.8")
    assert "word" not in str(error)


def test_without_starttls_no_mail_leaves_the_machine_in_clear(
    secure: Sandbox, certificate: Path
) -> None:
    secure.mail_script("no_starttls", times=None)
    url = secure.smtp_url.replace("smtps:", "smtp:")

    with (
        Relay(_port(secure)) as relay,
        transport_to(
            url.replace(str(_port(secure)), str(relay.port)),
            on_this_machine=False,
            tls=believing(certificate),
            limits=SHORT_UNTIL_DOT,
        ) as transport,
    ):
        error = failure_of(lambda: transport.send(mail()))

    assert type(error) in (ConfigurationFailure, ChannelFailure)
    assert secure.messages() == []


def test_a_server_that_offers_no_starttls_is_the_operators_to_mend(sandbox: Sandbox) -> None:
    with transport_to(sandbox.smtp_url, on_this_machine=False) as transport:
        assert type(failure_of(lambda: transport.send(mail()))) is ConfigurationFailure

    assert sandbox.messages() == []


@pytest.mark.parametrize("offer", ["250 AUTH XOAUTH2", "250 SIZE 1000"])
def test_a_server_without_a_login_that_we_know_is_the_operators_to_mend(offer: str) -> None:
    with told("220 hello", f"250-hello\r\n{offer}") as url:
        url = url.replace("smtp://", "smtp://user:pass@")
        with transport_to(url) as transport:
            assert type(failure_of(lambda: transport.send(mail()))) is ConfigurationFailure


def test_a_password_beyond_ascii_is_the_operators_to_mend(open_sandbox: OpenSandbox) -> None:
    sandbox = open_sandbox(mail_door=MailDoor(user="hello", password="contrase\u00f1a"))

    with transport_to(sandbox.smtp_url) as transport:
        assert type(failure_of(lambda: transport.send(mail()))) is ConfigurationFailure


@pytest.mark.parametrize(
    ("url", "here", "expected"),
    [
        ("smtp://127.0.0.1:8026", True, ("127.0.0.1", 8026, None, None, False, False)),
        ("smtp://u:p@mail.example.com", False, ("mail.example.com", 587, "u", "p", False, True)),
        ("smtps://mail.example.com", False, ("mail.example.com", 465, None, None, True, False)),
        ("smtp://a%40b:p%2Fw@h:25", False, ("h", 25, "a@b", "p/w", False, True)),
    ],
)
def test_the_address_says_how_to_connect(url: str, here: bool, expected: tuple[Any, ...]) -> None:
    assert Server.from_url(url, on_this_machine=here) == Server(*expected)


@pytest.mark.parametrize(
    "fields",
    [
        {"subject": "Hello\r\nBcc: eve@example.com"},
        {"subject": "Hello\nBcc: eve@example.com"},
        {"message_id": "<a@example.com>\r\nBcc: eve@example.com"},
        {"headers": {"X-Name": "A\r\nBcc: eve@example.com"}},
        {"to": "alice@example.com\r\nRCPT TO:<eve@example.com>"},
        {"to": "alice@example.com>\r\nDATA"},
        {"to": "Alice <alice@example.com>, eve@example.com"},
        {"to": "jos\u00e9@example.com"},
        {"to": ""},
        {"text": "half a \ud83d"},
    ],
)
def test_what_cannot_be_a_mail_is_refused_and_leaves_the_connection_in_order(
    sandbox: Sandbox, smtp: SmtpTransport, fields: dict[str, Any]
) -> None:
    smtp.send(mail(message_id="<before@example.com>"))

    error = failure_of(lambda: smtp.send(mail(**fields)))
    smtp.send(mail(message_id="<after@example.com>"))

    assert type(error) is PermanentFailure
    assert "example.com" not in str(error)
    assert [m.message_id for m in sandbox.messages()] == [
        "<before@example.com>",
        "<after@example.com>",
    ]
    assert {m.to for m in sandbox.messages()} == {ALICE}


@pytest.mark.parametrize(
    "body",
    [
        ".\n",
        ".\n.\n..\n",
        "before\n.\nRSET\nMAIL FROM:<eve@example.com>\n",
        "before\r\n.\r\nafter\r\n",
        "x" * 5000 + "\n",
        "." * 5000 + "\n",
        "\u00a1Gracias, Mar\u00eda! \U0001f49a \u0645\u0631\u062d\u0628\u0627\n",
        "\u00e9" * 3000 + "\n",
        "From the start of a line\n",
        "no newline at the end",
        "",
        "trailing blanks  \n\n\n",
        "=3D and = and =\n",
    ],
    ids=lambda body: repr(body[:20]),
)
def test_a_body_arrives_as_it_was_written(sandbox: Sandbox, smtp: SmtpTransport, body: str) -> None:
    smtp.send(mail(text=body, html=f"<p>{body}</p>"))

    (taken,) = sandbox.messages()
    written = body.replace("\r\n", "\n")
    assert taken.text.removesuffix("\n") == written.removesuffix("\n")
    assert (taken.html or "").removesuffix("\n") == f"<p>{written}</p>"


def test_no_line_on_the_wire_is_longer_than_smtp_allows_or_beyond_ascii(
    smtp: SmtpTransport,
) -> None:
    wire = smtp._write(mail(text="\u00e9" * 3000, html="<p>" + "x" * 5000 + "</p>"))

    assert wire.isascii()
    assert max(len(line) for line in wire.split(b"\r\n")) <= 998
    assert b"\n" not in wire.replace(b"\r\n", b"")


def test_a_subject_beyond_ascii_arrives(sandbox: Sandbox, smtp: SmtpTransport) -> None:
    smtp.send(mail(subject="Recibimos su mensaje, Mar\u00eda"))

    assert sandbox.messages()[0].subject == "Recibimos su mensaje, Mar\u00eda"


def test_the_client_names_itself_by_its_senders_domain() -> None:
    heard: list[bytes] = []

    def serve() -> None:
        conversation, _ = listener.accept()
        with conversation, conversation.makefile("rb") as lines:
            conversation.sendall(b"220 hello\r\n")
            heard.append(lines.readline())

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        url = f"smtp://127.0.0.1:{listener.getsockname()[1]}"
        with transport_to(url) as transport:
            failure_of(lambda: transport.send(mail()))
        thread.join(5)

    assert heard == [b"ehlo example.com\r\n"]


def test_a_closed_transport_has_no_connection_left(sandbox: Sandbox) -> None:
    with transport_to(sandbox.smtp_url) as transport:
        transport.send(mail())
        (kept,) = transport._open
        assert isinstance(kept, smtplib.SMTP)

    assert kept.sock is None
