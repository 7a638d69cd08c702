"""Whether a captcha was solved: Cloudflare says so, and anything else is no."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest

from followup.transports.turnstile import Captcha, ask


class Cloudflare(ThreadingHTTPServer):
    """Answers as it is told to, and keeps what it was asked."""

    status, body = 200, json.dumps({"success": True}).encode()
    asked: list[dict[str, list[str]]]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/siteverify"


class _Answer(BaseHTTPRequestHandler):
    server: Cloudflare

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.asked.append(parse_qs(body))
        self.send_response(self.server.status)
        self.send_header("Location", self.server.url)
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def cloudflare() -> Iterator[Cloudflare]:
    with Cloudflare(("127.0.0.1", 0), _Answer) as server:
        server.asked = []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_what_cloudflare_vouches_for_has_passed(cloudflare: Cloudflare) -> None:
    assert ask(cloudflare.url, "secret", "token", "203.0.113.9") is Captcha.passed
    assert cloudflare.asked == [
        {"secret": ["secret"], "response": ["token"], "remoteip": ["203.0.113.9"]}
    ]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param(200, {"success": False, "error-codes": ["timeout-or-duplicate"]}, id="no"),
        pytest.param(200, {"success": "true"}, id="a word for yes"),
        pytest.param(200, [True], id="a list"),
        pytest.param(500, {"success": True}, id="an error"),
        pytest.param(302, {"success": True}, id="somewhere else"),
    ],
)
def test_anything_else_is_no_proof(cloudflare: Cloudflare, status: int, body: object) -> None:
    cloudflare.status, cloudflare.body = status, json.dumps(body).encode()

    assert ask(cloudflare.url, "secret", "token", None) is Captcha.failed


@pytest.mark.parametrize("token", ["", "x" * 2049])
def test_what_is_no_token_is_not_asked_about(cloudflare: Cloudflare, token: str) -> None:
    assert ask(cloudflare.url, "secret", token, None) is Captcha.failed
    assert cloudflare.asked == []


def test_nonsense_and_silence_are_no_proof(cloudflare: Cloudflare) -> None:
    cloudflare.body = b"\xff<html>"

    assert ask(cloudflare.url, "secret", "token", None) is Captcha.failed
    assert ask("http://127.0.0.1:1/", "secret", "token", None) is Captcha.failed
