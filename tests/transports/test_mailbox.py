"""The mailbox of bounces, read from a real IMAP server."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from followup.errors import ConfigurationFailure, TemporaryFailure, TransportError
from followup.transports import mailbox
from followup.transports.mailbox import REPORT_LIMIT, Mailbox
from tests.transports.certificates import believing, make_certificate, server_side
from tests.transports.imap_server import ImapServer
from tests.transports.relay import Relay
from tests.transports.reports import OUT_OF_OFFICE, complaint, report

HUMAN = b"From: alice@example.com\r\nSubject: Hello\r\n\r\nmultipart/report\r\n"


@pytest.fixture(scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImapServer]:
    with ImapServer(tmp_path_factory.mktemp("imap")) as server:
        yield server


@pytest.fixture
def server(_server: ImapServer) -> ImapServer:
    _server.empty()
    return _server


@pytest.fixture
def box(server: ImapServer) -> Mailbox:
    return Mailbox.from_url(server.url, on_this_machine=True)


def test_reports_alone_are_found_in_their_order_and_fetched_whole(
    server: ImapServer, box: Mailbox
) -> None:
    server.put(HUMAN, report(number="1"), OUT_OF_OFFICE, complaint(), report(number="2"))

    with box.open() as conversation:
        numbers = conversation.unread_for_us()
        fetched = [conversation.fetch(number) for number in numbers]

    assert fetched == [report(number="1"), complaint(), report(number="2")]


def test_what_was_fetched_stays_unread_until_it_is_marked(server: ImapServer, box: Mailbox) -> None:
    server.put(HUMAN, report(number="1"), report(number="2"))
    with box.open() as conversation:
        first, second = conversation.unread_for_us()
        conversation.fetch(first)
        conversation.fetch(second)
    assert server.unread() == 3

    with box.open() as conversation:
        conversation.mark_read(first)

    with box.open() as conversation:
        assert conversation.unread_for_us() == [second]
    assert server.unread() == 2


def test_an_empty_mailbox_has_no_reports(box: Mailbox) -> None:
    with box.open() as conversation:
        assert conversation.unread_for_us() == []


def test_of_a_long_report_the_beginning_is_fetched(server: ImapServer, box: Mailbox) -> None:
    server.put(report() + b"x" * REPORT_LIMIT)

    with box.open() as conversation:
        (number,) = conversation.unread_for_us()
        assert len(conversation.fetch(number)) == REPORT_LIMIT


def test_among_many_unread_mails_the_newest_are_looked_at(
    server: ImapServer, box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox, "LOOKED_AT", 3)
    server.put(report(number="old"), HUMAN, HUMAN, report(number="new"))

    with box.open() as conversation:
        found = [conversation.fetch(number) for number in conversation.unread_for_us()]

    assert found == [report(number="new")]


def test_a_mail_that_somebody_deleted_meanwhile_is_empty(box: Mailbox) -> None:
    with box.open() as conversation:
        assert conversation.fetch("4711") == b""
        conversation.mark_read("4711")


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda url: url.replace("a%20", "b%20"), ConfigurationFailure),
        (lambda url: url.replace("hello", "other"), ConfigurationFailure),
        (lambda url: url.replace("a%20", "%C3%BC"), ConfigurationFailure),
        (lambda url: url + "/Nowhere", ConfigurationFailure),
    ],
    ids=["password", "user", "letters", "folder"],
)
def test_a_mailbox_that_refuses_us_is_a_wrong_setting(
    server: ImapServer, change: Callable[[str], str], kind: type[TransportError]
) -> None:
    wrong = Mailbox.from_url(change(server.url), on_this_machine=True)

    with pytest.raises(kind), wrong.open():
        pytest.fail("it opened")


def test_a_mailbox_that_is_not_there_is_a_temporary_failure() -> None:
    box = Mailbox.from_url("imap://a:b@127.0.0.1:1", on_this_machine=True)

    with pytest.raises(TemporaryFailure), box.open():
        pytest.fail("it opened")


def test_a_conversation_that_is_cut_off_is_a_temporary_failure(server: ImapServer) -> None:
    with Relay(server.port) as relay:
        url = server.url.replace(str(server.port), str(relay.port))
        box = Mailbox.from_url(url, on_this_machine=True)

        def ask_after_the_end() -> None:
            with box.open() as conversation:
                relay.hang_up()
                conversation.unread_for_us()

        with pytest.raises(TemporaryFailure):
            ask_after_the_end()


def test_a_server_that_says_nothing_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mailbox, "ANSWER_TIMEOUT", timedelta(seconds=0.2))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        box = Mailbox.from_url(f"imap://a:b@127.0.0.1:{port}", on_this_machine=True)

        with pytest.raises(TemporaryFailure), box.open():
            pytest.fail("it opened")


@pytest.fixture(params=["STARTTLS", "implicit TLS"])
def secure(
    request: pytest.FixtureRequest, short_directory: Path, server: ImapServer
) -> Iterator[tuple[Mailbox, Path]]:
    """A mailbox behind a certificate, and the certificate's file."""
    file = make_certificate(short_directory)
    with ExitStack() as stack:
        if request.param == "STARTTLS":
            server = stack.enter_context(ImapServer(short_directory, certificate=file))
            url = server.url
        else:
            wire = stack.enter_context(Relay(server.port, tls=server_side(file)))
            url = server.url.replace("imap:", "imaps:").replace(str(server.port), str(wire.port))
        yield Mailbox.from_url(url, on_this_machine=False), file


def test_a_mailbox_is_read_over_tls(secure: tuple[Mailbox, Path]) -> None:
    box, file = secure

    with box.open(believing(file)) as conversation:
        assert conversation.unread_for_us() == []


def test_a_certificate_that_nobody_vouches_for_is_refused(
    secure: tuple[Mailbox, Path],
) -> None:
    box, _ = secure

    with pytest.raises(ConfigurationFailure), box.open():
        pytest.fail("it opened")


def test_the_password_is_not_said_in_clear_where_there_is_no_starttls(server: ImapServer) -> None:
    box = Mailbox.from_url(server.url, on_this_machine=False)

    with pytest.raises(TransportError), box.open():
        pytest.fail("it opened")


@pytest.mark.parametrize(
    ("url", "on_this_machine", "expected"),
    [
        ("imaps://a:b@mail.example.com", False, ("mail.example.com", 993, "INBOX", True, False)),
        ("imaps://a:b@mail.example.com:1/x", True, ("mail.example.com", 1, "x", True, False)),
        ("imap://a:b@mail.example.com/", False, ("mail.example.com", 143, "INBOX", False, True)),
        ("imap://a:b@localhost/A%20B/C", True, ("localhost", 143, "A B/C", False, False)),
    ],
)
def test_an_address_says_where_and_how(
    url: str, on_this_machine: bool, expected: tuple[object, ...]
) -> None:
    box = Mailbox.from_url(url, on_this_machine=on_this_machine)

    found = (box.host, box.port, box.folder, box.implicit_tls, box.starttls)
    assert found == expected
    assert (box.user, box.password) == ("a", "b")
