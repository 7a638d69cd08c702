"""A system of the clinic's that is told what happened: a real server that checks what it hears by
the Standard Webhooks specification, without any code of ours."""

import base64
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: "Webhook timestamp" in the specification.
TOLERANCE_SECONDS = 300


@dataclass
class Heard:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def told(self) -> Any:
        return json.loads(self.body)

    def is_signed(self, key: bytes) -> bool:
        """By that key, and just now."""
        at = self.headers["webhook-timestamp"]
        expected = hmac.digest(key, f"{self.id}.{at}.".encode() + self.body, sha256)
        tokens = (token.partition(",") for token in self.headers["webhook-signature"].split(" "))
        macs = [base64.b64decode(mac) for version, _, mac in tokens if version == "v1"]
        return expected in macs and abs(time.time() - int(at)) < TOLERANCE_SECONDS


@dataclass
class Ear:
    """Keeps what it is told, and answers as it is told to."""

    url: str = ""
    heard: list[Heard] = field(default_factory=list)
    #: Status, and headers.
    answer: Callable[[Heard], tuple[int, dict[str, str]]] = lambda _: (204, {})

    def types(self) -> list[str]:
        return [one.told["type"] for one in self.heard]


@contextmanager
def listening() -> Iterator[Ear]:
    ear, lock = Ear(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            heard = Heard(self.path, headers, body)
            with lock:
                ear.heard.append(heard)
            status, further = ear.answer(heard)
            self.send_response(status)
            for name, value in {"Content-Length": "0", **further}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        ear.url = f"http://127.0.0.1:{server.server_port}/told"
        thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.01))
        thread.start()
        try:
            yield ear
        finally:
            server.shutdown()
            thread.join()
