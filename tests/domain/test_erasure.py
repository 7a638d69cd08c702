"""What of the evidence outlives a person, and how a person is recognised."""

from hashlib import sha256
from typing import Any

import pytest

from followup.domain.erasure import Traces, strip_evidence, strip_words


def hashed(text: str) -> str:
    return sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("name", "value", "stays"),
    [
        pytest.param("address", "203.0.113.9", False, id="network address"),
        pytest.param("agent", "A Browser 1.0", False, id="browser"),
        pytest.param("provider_id", "SM0", False, id="a text's id"),
        pytest.param("visit", 4711, False, id="a number"),
        pytest.param("something new", {"name": "Alice"}, False, id="what we do not know"),
        pytest.param("address", None, True, id="nothing"),
        pytest.param("agent", "", True, id="empty"),
        pytest.param("scrolled", True, True, id="yes or no"),
    ],
)
def test_who_it_was_becomes_a_hash(name: str, value: Any, stays: bool) -> None:
    (kept,) = strip_evidence({name: value}, hashed).values()

    assert kept == (value if stays else f"hash:{hashed(str(value))}")


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://www.example.com/contact", "https://www.example.com/contact"),
        ("https://www.example.com/c?email=alice@example.com", "https://www.example.com/c"),
        ("https://alice@www.example.com/c#alice", "https://www.example.com/c"),
        ("/contact?name=alice", "/contact"),
        ("https://[alice", ""),
    ],
)
def test_a_page_keeps_where_and_loses_what_was_typed(url: str, kept: str) -> None:
    assert strip_evidence({"source_url": url, "referrer": url}, hashed) == {
        "source_url": kept,
        "referrer": kept,
    }


def test_stripping_twice_changes_nothing_more() -> None:
    once = strip_evidence({"address": "203.0.113.9", "source_url": "/a?b"}, hashed)

    assert strip_evidence(once, hashed) == once
    assert strip_words(strip_words("It is me, Alice", hashed), hashed) == strip_words(
        "It is me, Alice", hashed
    )


@pytest.mark.parametrize(
    ("words", "stays"),
    [
        pytest.param("STOP", True, id="per se"),
        pytest.param("Please stop!", True, id="politely"),
        pytest.param("START", True, id="opting in"),
        pytest.param("21610", True, id="a provider's code"),
        pytest.param("5.1.1", True, id="a mail server's code"),
        pytest.param(None, True, id="nothing"),
        pytest.param("STOP\nAlice Ames, 12 Main St.", False, id="signed"),
        pytest.param("Alice asked on the phone not to be texted", False, id="a note"),
        pytest.param("2125550101", False, id="a number"),
    ],
)
def test_words_stay_unless_they_say_more(words: str | None, stays: bool) -> None:
    assert (strip_words(words, hashed) == words) is stays


ALICE = Traces(frozenset({"Alice@example.com"}), frozenset({"+12125550101"}))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("write to ALICE@EXAMPLE.COM.", True, id="email in another case"),
        pytest.param("+12125550101", True, id="E.164"),
        pytest.param("call (212) 555-0101 after six", True, id="as people write it"),
        pytest.param("212.555.0101", True, id="with dots"),
        pytest.param("1/212/555 01 01", True, id="with slashes"),
        pytest.param('{"phone": "(212) 555-0101"}', True, id="in JSON"),
        pytest.param("malice@example.org", False, id="another address"),
        pytest.param("212 555 0102", False, id="another number"),
        pytest.param('["212", "5550101"]', False, id="digits of different values"),
        pytest.param("Alice", False, id="a name is many people's"),
    ],
)
def test_who_is_recognised(text: str, found: bool) -> None:
    assert ALICE.are_in(text) is found


def test_a_number_abroad_is_recognised_whole() -> None:
    spain = Traces(frozenset(), frozenset({"+34612345678"}))

    assert spain.are_in("0034 612 34 56 78")
    assert not spain.are_in("612345670")


def test_nobody_is_recognised_by_nothing() -> None:
    assert not Traces(frozenset(), frozenset()).are_in("anything 212 555 0101")
