"""One file of words: what it may hold, and that values in it stay values."""

from email.message import EmailMessage
from pathlib import Path

import pytest

from followup.domain.cadence import Audience, Channel
from followup.errors import Misconfigured
from followup.templates.problem import Refused
from followup.templates.wording import Key, Letterhead, Source, Wording, read_email, read_text

PAGE = Source(Path("email.html"), "<html><body>{{ body }}</body></html>")
FILE = Path("contact/acknowledgement.email.en.md")


def _mail(text: str, audience: Audience = Audience.patient, footer: str | None = None) -> Wording:
    key = Key("contact", "acknowledgement", Channel.email, "en")
    below = Source(Path("footer.en.md"), footer) if footer else None
    return read_email(Source(FILE, text), key, audience, Letterhead(PAGE, below))


def _text(text: str, audience: Audience = Audience.patient) -> Wording:
    key = Key("contact", "acknowledgement", Channel.sms, "en")
    return read_text(Source(FILE, text), key, audience)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        pytest.param("contact/alert.email.en.md", "contact/alert.email.en", id="mail"),
        pytest.param("contact/alert.sms.es.txt", "contact/alert.sms.es", id="text"),
        pytest.param("contact/alert.chat.en.txt", "contact/alert.chat.en", id="chat"),
        pytest.param("a/b.email.en.referrer.md", "a/b.email.en.referrer", id="role"),
        pytest.param("contact/alert.sms.en.md", None, id="text with a mail's ending"),
        pytest.param("contact/alert.fax.en.txt", None, id="unknown channel"),
        pytest.param("contact/alert.md", None, id="too little"),
        pytest.param("a/b.email.en.referrer.x.md", None, id="too much"),
    ],
)
def test_a_files_name_tells_what_it_is_for(path: str, name: str | None) -> None:
    key = Key.of(Path(path))

    assert (key.name if key else None) == name
    assert key is None or key.path(Path()) == Path(path)


def test_a_mail_is_written_once_and_sent_as_text_and_html() -> None:
    message = _mail("Subject: Hello from {{ sender_label }}\n\n**Call** us\n").render(
        {"sender_label": "Harbor & Light"}
    )

    assert message.subject == "Hello from Harbor & Light"
    assert message.text == "Call us"
    assert message.html is not None
    assert "<strong>Call</strong> us" in message.html


def test_a_text_has_neither_subject_nor_html() -> None:
    message = _text("{{ sender_label }}:\nwe will call.\n").render({"sender_label": "Harbor"})

    assert (message.subject, message.html) == (None, None)
    assert message.text == "Harbor: we will call."


@pytest.mark.parametrize(
    "evil",
    [
        "<b>x</b>",
        "*x* **x** _x_",
        "[x](https://example.com)",
        "![x](https://example.com/x.png)",
        "# x",
        "{{ clinic_name }}",
        "{% if x %}",
        "jinjae0z",
        '"><script>alert(1)</script>',
    ],
)
def test_a_value_shows_literally_whatever_it_holds(evil: str) -> None:
    message = _mail("Subject: Hello\n\nIn {{ site_name }} or [here]({{ website }})\n").render(
        {"site_name": evil, "website": evil}
    )

    assert message.text == f"In {evil} or here: {evil}"
    assert message.html is not None
    assert message.html.count("<a ") == 1
    assert not any(tag in message.html for tag in ("<b>", "<em>", "<strong>", "<script", "<img"))


def test_a_value_cannot_add_a_header() -> None:
    message = _mail("Subject: News from {{ sender_label }}\n\nHello\n").render(
        {"sender_label": "A\r\nBcc: x@example.com"}
    )

    mail = EmailMessage()
    mail["Subject"] = message.subject
    assert message.subject == "News from A Bcc: x@example.com"
    assert mail["Bcc"] is None


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        pytest.param(_mail("Subject: A\n\nx"), True, id="nothing"),
        pytest.param(_mail("Subject: A\n\ny"), False, id="the words"),
        pytest.param(_mail("Subject: B\n\nx"), False, id="the subject"),
        pytest.param(_mail("Subject: A\n\nx", footer="z"), False, id="the footer"),
    ],
)
def test_the_version_changes_with_the_words(changed: Wording, same: bool) -> None:
    first = _mail("Subject: A\n\nx")

    assert (changed.version == first.version) is same
    assert first.render({}).wording == f"contact/acknowledgement.email.en@{first.version}"


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        pytest.param("Hello", 1, 'expected a first line "Subject: …"', id="no subject"),
        pytest.param("Subject:\n\nHello", 1, "expected a first line", id="empty subject"),
        pytest.param("Subject: A\nHello", 2, "expected an empty line", id="no empty line"),
        pytest.param("Subject: A\n\n", 2, "expected an empty line", id="no words"),
        pytest.param("Subject: A\n\nx\n{{ fist_name }}", 4, "there is no variable 'fist_name'",
                     id="misspelt variable"),
        pytest.param("Subject: A\n\n{{ message }}", 3, "'message' is clinical: no message holds it",
                     id="the person's own words"),
        pytest.param("Subject: A\n\n{{ email }}", 3, "'email' is contact: no message holds it",
                     id="an address"),
        pytest.param("Subject: A {{ first_name }}\n\nx", 1,
                     "'first_name' may not stand in a mail subject", id="name in the subject"),
        pytest.param("Subject: A {{ clinic_name }}\n\nx", 1,
                     "'clinic_name' may not stand in a mail subject", id="full name"),
        pytest.param("Subject: A\n\n{{ link }}", 3, "'link' may not stand in a mail body",
                     id="the staff's link"),
        pytest.param("Subject: A\n\nx\n\n{% if when %}", 5, "Unexpected end of template",
                     id="open condition"),
        pytest.param("Subject: A\n\n{{ when | safe }}", 3, "No filter named 'safe'",
                     id="unescaped"),
        pytest.param("Subject: A\n\n{% for x in when %}{% endfor %}", 3, "got For", id="loop"),
        pytest.param("Subject: A\n\n{{ when.upper() }}", 3, "got Call", id="call"),
        pytest.param("Subject: A\n\n{{ when.x }}", 3, "got Getattr", id="attribute"),
        pytest.param("Subject: A\n\n{% include 'x' %}", 3, "got Include", id="other file"),
        pytest.param("Subject: A\n\n{% autoescape false %}{{ when }}{% endautoescape %}", 3,
                     "expected only", id="escaping switched off"),
    ],
)  # fmt: skip
def test_a_mail_that_cannot_be_sent_is_refused(text: str, line: int, expected: str) -> None:
    with pytest.raises(Refused) as refused:
        _mail(text)

    first = refused.value.problems[0]
    assert (first.file, first.line) == (FILE, line)
    assert expected in first.message


@pytest.mark.parametrize("name", ["first_name", "when", "unsubscribe_url"])
def test_staff_alerts_know_nothing_of_the_person(name: str) -> None:
    with pytest.raises(Refused, match=f"'{name}' may not stand in a message to staff"):
        _text(f"{{{{ {name} }}}}", Audience.staff)


def test_a_text_does_not_hold_the_full_name_of_the_clinic() -> None:
    with pytest.raises(Refused, match="'clinic_name' may not stand in a text to a patient"):
        _text("{{ clinic_name }}: hello")


def test_a_missing_value_is_an_error_and_never_a_gap() -> None:
    with pytest.raises(Misconfigured, match=r"contact/acknowledgement\.sms\.en: .*'when'"):
        _text("We will call {{ when }}.").render({})
