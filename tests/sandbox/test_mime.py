"""Mails are read as far as they go."""

from email.message import EmailMessage

from followup.sandbox.mime import read_mail


def whole() -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = "Harbor Light Wellness <hello@example.com>"
    mail["To"] = "alice@example.com"
    mail["Subject"] = "Recibimos su mensaje, señora Núñez 👋"
    mail["Message-ID"] = "<0192f0c1@example.com>"
    mail.set_content("Está bien.\n.\nFin\n")
    mail.add_alternative("<p>Está <b>bien</b>.</p>", subtype="html")
    return mail


def test_both_bodies_and_decoded_headers_are_read() -> None:
    mail = read_mail(whole().as_bytes())

    assert mail.subject == "Recibimos su mensaje, señora Núñez 👋"
    assert mail.sender == "Harbor Light Wellness <hello@example.com>"
    assert mail.message_id == "<0192f0c1@example.com>"
    assert mail.text == "Está bien.\n.\nFin\n"
    assert mail.html == "<p>Está <b>bien</b>.</p>\n"
    assert mail.headers["To"] == "alice@example.com"


def test_a_plain_mail_has_no_html() -> None:
    mail = read_mail(b"Subject: Hi\r\n\r\nHello\r\n")

    assert (mail.text.strip(), mail.html, mail.message_id) == ("Hello", None, None)


def test_a_folded_header_is_one_line() -> None:
    mail = read_mail(
        b"List-Unsubscribe: <https://example.com/a>,\r\n <mailto:b@example.com>\r\n\r\n"
    )

    assert mail.headers["List-Unsubscribe"] == "<https://example.com/a>, <mailto:b@example.com>"


def test_a_repeated_header_is_joined() -> None:
    mail = read_mail(b"Received: a\r\nReceived: b\r\n\r\n")

    assert mail.headers["Received"] == "a, b"


def test_raw_utf_8_in_a_header_is_read() -> None:
    assert read_mail("Subject: señora\r\n\r\n".encode()).subject == "señora"


def test_a_broken_mail_is_read_without_a_complaint() -> None:
    mail = read_mail(
        b"Subject: =?nonsense?b?!!!?=\r\n"
        b"Content-Type: text/plain; charset=nonsense\r\n\r\n"
        b"caf\xc3\xa9 \xff\r\n"
    )

    assert mail.subject == "=?nonsense?b?!!!?="
    assert mail.text.startswith("café")


def test_nothing_at_all_is_an_empty_mail() -> None:
    mail = read_mail(b"")

    assert (mail.sender, mail.subject, mail.text) == (None, "", "")
