"""One attempt at a webhook: signed, to that address alone, and what became of it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from followup.transports.webhook import Answered, post
from tests.ear import Ear, listening

KEY, OLD_KEY = b"k" * 32, b"o" * 24


@pytest.fixture
def ear() -> Iterator[Ear]:
    with listening() as ear:
        yield ear


def tell(ear: Ear, *keys: bytes) -> Answered:
    answer = post(ear.url, keys or (KEY,), "msg_1", b'{"type":"lead.created"}', datetime.now(UTC))
    assert isinstance(answer, Answered)
    return answer


def test_each_is_signed_by_every_key(ear: Ear) -> None:
    assert tell(ear, KEY, OLD_KEY).is_received

    (heard,) = ear.heard
    assert [heard.is_signed(key) for key in (KEY, OLD_KEY, b"x" * 32)] == [True, True, False]
    assert (heard.id, heard.headers["content-type"]) == ("msg_1", "application/json")


def test_nobody_s_password_is_told(
    ear: Ear, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password word\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    tell(ear)

    assert "authorization" not in ear.heard[0].headers


def test_no_redirect_is_followed(ear: Ear) -> None:
    ear.answer = lambda _: (307, {"Location": ear.url + "/elsewhere"})

    answer = tell(ear)

    assert (answer.is_received, str(answer)) == (False, "HTTP 307")
    assert [one.path for one in ear.heard] == ["/told"]


def test_nothing_that_a_redirect_says_is_read(ear: Ear) -> None:
    """What is announced here never comes."""
    ear.answer = lambda _: (302, {"Location": "/elsewhere", "Content-Length": "9"})

    answer = post(ear.url, (KEY,), "msg_1", b"{}", datetime.now(UTC), timedelta(seconds=1))

    assert str(answer) == "HTTP 302"


def test_what_is_for_this_machine_stays_here(ear: Ear, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")

    assert tell(ear).is_received


@pytest.mark.parametrize(
    ("said", "expected"),
    [("120", 120), ("-1", None), ("soon", None), ("", None), ("9" * 400, None)],
)
def test_what_the_receiver_asks_for(ear: Ear, said: str, expected: int | None) -> None:
    ear.answer = lambda _: (503, {"Retry-After": said})

    assert tell(ear).retry_after == (timedelta(seconds=expected) if expected else None)


def test_the_receiver_may_ask_with_a_date(ear: Ear) -> None:
    at = datetime.now(UTC) + timedelta(hours=1)
    ear.answer = lambda _: (429, {"Retry-After": format_datetime(at, usegmt=True)})

    asked = tell(ear).retry_after

    assert asked is not None
    assert timedelta(minutes=59) < asked <= timedelta(hours=1)
