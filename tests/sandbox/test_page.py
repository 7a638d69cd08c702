"""The page shows hostile text as text."""

from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from zoneinfo import ZoneInfo

import pytest

from followup.sandbox.outbox import Message
from followup.sandbox.page import SHOWN, Page, framed, linked

NOW = datetime(2026, 11, 23, 17, 5, tzinfo=UTC)
EVIL = "</p></script><script>alert(1)</script>\"'><img src=x onerror=alert(1)>"

TEXT = Message(
    id="SM1",
    channel="sms",
    to="+14155550101",
    sender="+19495550100",
    text="Hello",
    at=NOW,
    updated_at=NOW,
    status="delivered",
)
MAIL = replace(
    TEXT,
    id="ML1",
    channel="email",
    to="alice@example.com",
    sender="Harbor Light Wellness <hello@example.com>",
    subject="We got your message",
    html="<p>Hello</p>",
    headers={"Subject": "We got your message"},
)


class _Tags(HTMLParser):
    """The tags of a page, each with its attributes, as a browser would see them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def render(*messages: Message) -> str:
    page = Page(ZoneInfo("America/Los_Angeles"))
    return page.render(messages, revision=7).body.decode()


def test_the_page_says_that_nothing_leaves_the_machine() -> None:
    assert "Nothing leaves this machine" in render()


def test_times_are_shown_in_the_clinics_zone() -> None:
    assert "Mon 23 Nov, 09:05:00 PST" in render(TEXT)


def test_each_number_has_a_phone_with_its_texts_both_ways_and_a_form() -> None:
    answer = replace(TEXT, id="SM2", direction="inbound", sender=TEXT.to, to="+19495550100")
    other = replace(TEXT, id="SM3", to="+14155550102")

    tags = _Tags(render(TEXT, answer, other))

    keys = [tag["data-key"] for _, tag in tags.tags if "data-key" in tag]
    assert keys == ["+14155550102", "SM3", "+14155550101", "SM1", "SM2"]
    hidden = [tag["value"] for tag in tags.all("input") if tag.get("type") == "hidden"]
    assert hidden == ["+14155550102", "+14155550101"]


def test_mails_are_newest_first_and_only_the_first_is_open() -> None:
    tags = _Tags(render(MAIL, replace(MAIL, id="ML2")))

    mails = [tag for tag in tags.all("details") if tag.get("class") == "mail"]
    assert [(tag["data-key"], "open" in tag) for tag in mails] == [("ML2", True), ("ML1", False)]


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(replace(TEXT, text=EVIL), id="text"),
        pytest.param(replace(TEXT, to=EVIL), id="number"),
        pytest.param(replace(TEXT, status=EVIL), id="status"),
        pytest.param(replace(TEXT, text=f"https://example.com/{EVIL}"), id="link"),
        pytest.param(replace(MAIL, subject=EVIL), id="subject"),
        pytest.param(replace(MAIL, sender=EVIL), id="sender"),
        pytest.param(replace(MAIL, to=EVIL), id="recipient"),
        pytest.param(replace(MAIL, text=EVIL), id="plain mail"),
        pytest.param(replace(MAIL, html=EVIL), id="mail as a web page"),
        pytest.param(replace(MAIL, headers={EVIL: EVIL}), id="header"),
        pytest.param(replace(MAIL, message_id=EVIL), id="message id"),
    ],
)
def test_injected_markup_stays_text(message: Message) -> None:
    tags = _Tags(render(message))

    assert tags.all("script") == [{"src": "/page.js", "defer": None}]
    assert tags.all("img") == []
    assert not [name for _, tag in tags.tags for name in tag if name.startswith("on")]


def test_a_mails_web_page_runs_in_a_frame_without_rights() -> None:
    (frame,) = _Tags(render(MAIL)).all("iframe")

    assert frame["sandbox"] == "allow-popups allow-popups-to-escape-sandbox"
    assert frame["srcdoc"] == '<!doctype html><base target="_blank"><p>Hello</p>'


def test_the_policy_forbids_scripts_of_mails_and_everything_remote() -> None:
    headers = Page(UTC).render([MAIL], 0).headers

    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "http" not in policy
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("Call +1 949 555 0100", "Call +1 949 555 0100"),
        (
            "See https://example.com/a?b=1&c=2.",
            'See <a href="https://example.com/a?b=1&amp;c=2" target="_blank"'
            ' rel="noopener noreferrer">https://example.com/a?b=1&amp;c=2</a>.',
        ),
        ("javascript:alert(1)", "javascript:alert(1)"),
        ("a < b & c", "a &lt; b &amp; c"),
        ("", ""),
    ],
)
def test_web_addresses_become_links(text: str, html: str) -> None:
    assert linked(text) == html


def test_a_whole_document_keeps_its_doctype_first() -> None:
    html = '<!doctype html><html><head lang="en"><title>x</title></head></html>'

    assert framed(html).startswith('<!doctype html><html><head lang="en"><base target="_blank">')


def test_only_the_latest_are_shown_and_the_rest_is_counted() -> None:
    html = render(*(replace(TEXT, id=f"SM{n}") for n in range(SHOWN + 3)))

    assert "3 older messages are not shown" in html
    assert 'data-key="SM2"' not in html


@pytest.mark.parametrize("path", ["/page.css", "/page.js"])
def test_the_pages_own_files_are_served(path: str) -> None:
    asset = Page(UTC).asset(path)

    assert asset is not None
    assert asset.body


@pytest.mark.parametrize("path", ["/page.html", "/page.py", "/../page.css", "/"])
def test_no_other_file_is(path: str) -> None:
    assert Page(UTC).asset(path) is None
