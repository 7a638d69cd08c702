"""The SMTP server, driven by the standard library's client."""

import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from followup.sandbox.mail import MailDoor
from followup.sandbox.server import Sandbox
from tests.sandbox.conftest import NOW, OpenSandbox

ALICE = "alice@example.com"
BOB = "bob@example.com"


def mail(to: str = ALICE) -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Harbor Light Wellness <hello@example.com>"
    message["To"] = to
    message["Subject"] = "We got your message"
    message["Message-ID"] = "<0192f0c1@example.com>"
    message.set_content("Hello\n.a line with a dot\n")
    message.add_alternative("<p>Hello</p>", subtype="html")
    return message


@contextmanager
def connect(sandbox: Sandbox, timeout: float = 5) -> Iterator[smtplib.SMTP]:
    port = urlsplit(sandbox.smtp_url).port or 0
    with smtplib.SMTP("127.0.0.1", port, timeout=timeout) as client:
        yield client


def send(sandbox: Sandbox, to: str = ALICE, timeout: float = 5) -> None:
    with connect(sandbox, timeout) as client:
        client.send_message(mail(to))


def test_a_mail_is_kept_with_both_bodies_and_its_headers(sandbox: Sandbox) -> None:
    send(sandbox)

    (kept,) = sandbox.messages()
    assert (kept.channel, kept.to, kept.status, kept.at) == ("email", ALICE, "delivered", NOW)
    assert kept.sender == "Harbor Light Wellness <hello@example.com>"
    assert kept.subject == "We got your message"
    assert kept.text == "Hello\n.a line with a dot\n"
    assert kept.html == "<p>Hello</p>\n"
    assert kept.message_id == "<0192f0c1@example.com>"
    assert kept.headers["From"] == "Harbor Light Wellness <hello@example.com>"


def test_the_same_mail_twice_is_kept_twice(sandbox: Sandbox) -> None:
    send(sandbox)
    send(sandbox)

    kept = sandbox.messages()
    assert len({message.id for message in kept}) == 2
    assert len({message.message_id for message in kept}) == 1


def test_each_recipient_has_a_mail_of_their_own(sandbox: Sandbox) -> None:
    with connect(sandbox) as client:
        client.sendmail("hello@example.com", [ALICE, BOB], "Subject: Hi\n\nHello")

    assert [message.to for message in sandbox.messages()] == [ALICE, BOB]


def test_one_connection_carries_many_mails(sandbox: Sandbox) -> None:
    with connect(sandbox) as client:
        client.send_message(mail())
        client.send_message(mail(BOB))

    assert [message.to for message in sandbox.messages()] == [ALICE, BOB]


def raised_by(sandbox: Sandbox, timeout: float = 5) -> Exception:
    with pytest.raises((smtplib.SMTPException, OSError)) as raised:
        send(sandbox, timeout=timeout)
    return raised.value


@pytest.mark.parametrize(
    ("script", "error", "code"),
    [
        ("rcpt_550_5.1.1", smtplib.SMTPRecipientsRefused, 550),
        ("rcpt_450", smtplib.SMTPRecipientsRefused, 450),
        ("rcpt_451_greylist", smtplib.SMTPRecipientsRefused, 451),
        ("data_554_5.7.1", smtplib.SMTPDataError, 554),
        ("data_552", smtplib.SMTPDataError, 552),
        ("data_451", smtplib.SMTPDataError, 451),
    ],
)
def test_a_recipient_or_a_content_is_refused_once(
    sandbox: Sandbox, script: str, error: type[Exception], code: int
) -> None:
    sandbox.mail_script(script, to=ALICE)

    send(sandbox, to=BOB)
    raised = raised_by(sandbox)
    send(sandbox)

    assert isinstance(raised, error)
    assert str(code) in str(raised)
    assert [message.to for message in sandbox.messages()] == [BOB, ALICE]


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("banner_421", smtplib.SMTPConnectError),
        ("helo_450", smtplib.SMTPHeloError),
        ("mail_550", smtplib.SMTPSenderRefused),
        ("mail_451", smtplib.SMTPSenderRefused),
    ],
)
def test_a_session_is_refused_before_a_recipient_is_known(
    sandbox: Sandbox, script: str, error: type[Exception]
) -> None:
    sandbox.mail_script(script, times=2)

    assert isinstance(raised_by(sandbox), error)
    assert sandbox.messages() == []


@pytest.mark.parametrize(("script", "kept"), [("drop_before_dot", 0), ("drop_after_dot", 1)])
def test_a_dropped_connection_keeps_the_mail_only_after_the_dot(
    sandbox: Sandbox, script: str, kept: int
) -> None:
    sandbox.mail_script(script, to=ALICE)

    assert isinstance(raised_by(sandbox), smtplib.SMTPServerDisconnected | ConnectionError)
    assert len(sandbox.messages()) == kept


def test_a_server_that_hangs_after_the_dot_has_kept_the_mail(sandbox: Sandbox) -> None:
    sandbox.mail_script("hang_after_dot", to=ALICE)

    raised = raised_by(sandbox, timeout=0.2)

    assert isinstance(raised, TimeoutError | smtplib.SMTPServerDisconnected)
    assert len(sandbox.messages()) == 1


@pytest.mark.parametrize(("step", "kept"), [("rcpt", 0), ("data", 0), ("dot", 1)])
def test_a_slow_server_outlasts_an_impatient_client(sandbox: Sandbox, step: str, kept: int) -> None:
    sandbox.mail_script("slow", to=ALICE, step=step, seconds=30)

    raised = raised_by(sandbox, timeout=0.2)

    assert isinstance(raised, TimeoutError | smtplib.SMTPServerDisconnected)
    assert len(sandbox.messages()) == kept


@pytest.mark.parametrize("step", ["banner", "helo", "mail", "rcpt", "data", "dot"])
def test_a_slightly_slow_server_is_waited_for(sandbox: Sandbox, step: str) -> None:
    sandbox.mail_script("slow", step=step, seconds=0.05)

    send(sandbox)

    assert len(sandbox.messages()) == 1


def test_without_a_password_of_its_own_the_sink_takes_any(sandbox: Sandbox) -> None:
    with connect(sandbox) as client:
        client.login("anybody", "anything")
        client.send_message(mail())

    assert len(sandbox.messages()) == 1


@pytest.mark.parametrize(("script", "code"), [("auth_535", 535), ("auth_454", 454)])
def test_a_login_is_refused_by_script(sandbox: Sandbox, script: str, code: int) -> None:
    sandbox.mail_script(script, times=None)

    with connect(sandbox) as client, pytest.raises(smtplib.SMTPAuthenticationError) as refused:
        client.login("anybody", "anything")

    assert refused.value.smtp_code == code


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize(("password", "code"), [("p@ss", 235), ("wrong", 535)])
def test_a_password_is_checked(
    open_sandbox: OpenSandbox, mechanism: str, password: str, code: int
) -> None:
    sandbox = open_sandbox(mail_door=MailDoor(user="clinic", password="p@ss"))

    with connect(sandbox) as client:
        client.ehlo()
        client.user, client.password = "clinic", password
        method = getattr(client, f"auth_{mechanism.lower()}")
        if code == 235:
            assert client.auth(mechanism, method)[0] == code
        else:
            with pytest.raises(smtplib.SMTPAuthenticationError, match=str(code)):
                client.auth(mechanism, method)


def test_nobody_sends_without_the_password(open_sandbox: OpenSandbox) -> None:
    sandbox = open_sandbox(mail_door=MailDoor(user="clinic", password="p@ss"))

    assert isinstance(raised_by(sandbox), smtplib.SMTPSenderRefused)


def test_the_address_tells_user_and_password(open_sandbox: OpenSandbox) -> None:
    sandbox = open_sandbox(mail_door=MailDoor(user="clinic", password="p@ss/"))

    parts = urlsplit(sandbox.smtp_url)

    assert (parts.scheme, parts.username, unquote(parts.password or "")) == (
        "smtp",
        "clinic",
        "p@ss/",
    )


@dataclass(frozen=True)
class Tls:
    server: ssl.SSLContext
    client: ssl.SSLContext


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    folder = tmp_path_factory.mktemp("tls")
    certificate = _make_certificate(folder)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    return Tls(server, ssl.create_default_context(cafile=str(certificate)))


def _make_certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail.example.com")])
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # OpenSSL asks the machine's clock, so the dates leave no doubt.
        .not_valid_before(NOW - timedelta(days=3650))
        .not_valid_after(NOW + timedelta(days=3650))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "mail.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


def test_starttls_comes_before_the_password(open_sandbox: OpenSandbox, tls: Tls) -> None:
    door = MailDoor(user="clinic", password="p@ss", tls=tls.server)
    sandbox = open_sandbox(mail_door=door)

    with connect(sandbox) as client:
        client.ehlo()
        assert not client.has_extn("auth")
        client.starttls(context=tls.client)
        client.login("clinic", "p@ss")
        client.send_message(mail())

    assert len(sandbox.messages()) == 1


def test_starttls_can_be_missing(open_sandbox: OpenSandbox, tls: Tls) -> None:
    sandbox = open_sandbox(mail_door=MailDoor(tls=tls.server))
    sandbox.mail_script("no_starttls")

    with connect(sandbox) as client, pytest.raises(smtplib.SMTPNotSupportedError):
        client.starttls(context=tls.client)


def test_a_certificate_that_the_client_does_not_trust_ends_it(
    open_sandbox: OpenSandbox, tls: Tls
) -> None:
    sandbox = open_sandbox(mail_door=MailDoor(tls=tls.server))

    client = smtplib.SMTP("127.0.0.1", urlsplit(sandbox.smtp_url).port or 0, timeout=5)
    with pytest.raises(ssl.SSLCertVerificationError):
        client.starttls(context=ssl.create_default_context())
    client.close()


def test_tls_from_the_first_byte(open_sandbox: OpenSandbox, tls: Tls) -> None:
    sandbox = open_sandbox(mail_door=MailDoor(tls=tls.server, implicit_tls=True))
    parts = urlsplit(sandbox.smtp_url)

    assert parts.scheme == "smtps"
    with smtplib.SMTP_SSL("127.0.0.1", parts.port or 0, context=tls.client, timeout=5) as client:
        client.send_message(mail())

    assert len(sandbox.messages()) == 1


@pytest.mark.parametrize("is_encrypted", [False, True])
def test_a_stopped_sandbox_cuts_its_connections(
    open_sandbox: OpenSandbox, tls: Tls, is_encrypted: bool
) -> None:
    sandbox = open_sandbox(mail_door=MailDoor(tls=tls.server))
    with connect(sandbox) as client:
        if is_encrypted:
            client.starttls(context=tls.client)
        client.ehlo()

        sandbox.stop()

        with pytest.raises((smtplib.SMTPServerDisconnected, OSError)):
            client.noop()


def test_commands_out_of_order_are_refused(sandbox: Sandbox) -> None:
    with connect(sandbox) as client:
        assert client.docmd("MAIL", f"FROM:<{ALICE}>")[0] == 503
        client.ehlo()
        assert client.docmd("RCPT", f"TO:<{ALICE}>")[0] == 503
        assert client.docmd("MAIL", ALICE)[0] == 501
        assert client.docmd("MAIL", "FROM:<>")[0] == 250
        assert client.docmd("MAIL", "FROM:<>")[0] == 503
        assert client.docmd("DATA")[0] == 503
        assert client.docmd("RCPT", "TO:<>")[0] == 501
        assert client.docmd("STARTTLS")[0] == 500
        assert client.docmd("AUTH", "CRAM-MD5")[0] == 504
        assert client.docmd("NONSENSE")[0] == 500
        assert client.docmd("VRFY", ALICE)[0] == 252
        assert client.rset()[0] == 250
        assert client.docmd("HELO", "example.com")[0] == 250


def test_half_a_mail_is_not_kept(sandbox: Sandbox) -> None:
    with connect(sandbox) as client:
        client.ehlo()
        client.mail("hello@example.com")
        client.rcpt(ALICE)
        client.docmd("DATA")
        client.send("Subject: Hi\r\n\r\nHel")
        assert client.sock is not None
        client.sock.shutdown(socket.SHUT_WR)
        assert client.sock.recv(100) == b""
        client.close()

    assert sandbox.messages() == []
