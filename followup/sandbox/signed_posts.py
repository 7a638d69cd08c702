"""Signed posts to the service under test: status callbacks and inbound texts."""

import http.client
import itertools
import ssl
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Event, Lock
from urllib.parse import SplitResult, parse_qs, urlencode, urlsplit

from twilio.request_validator import RequestValidator

#: A server may close a connection that rests; sooner than that we open a new one.
_REST_SECONDS = 2.0

_OK = range(200, 300)


@dataclass(frozen=True)
class Call:
    """One webhook and what came of it; `answer` is None when nobody answered."""

    url: str
    fields: Mapping[str, str]
    answer: int | None
    text: str
    tries: int

    @property
    def is_delivered(self) -> bool:
        return self.answer in _OK


@dataclass(frozen=True)
class Override:
    """Timeouts and retries, set in the URL's fragment; the defaults are Twilio's.

    twilio.com/docs/usage/webhooks/webhooks-connection-overrides
    """

    connect_seconds: float = 5
    read_seconds: float = 15
    total_seconds: float = 15
    retries: int = 1
    retry_on: frozenset[str] = frozenset({"ct"})

    @classmethod
    def parse(cls, fragment: str) -> "Override":
        keys = {key: values[0] for key, values in parse_qs(fragment).items()}
        default = cls()
        return cls(
            connect_seconds=_number(keys.get("ct"), 100, 10_000, 5_000) / 1000,
            read_seconds=_number(keys.get("rt"), 100, 15_000, 15_000) / 1000,
            total_seconds=_number(keys.get("tt"), 100, 15_000, 15_000) / 1000,
            retries=_number(keys.get("rc"), 0, 5, 1),
            retry_on=frozenset(keys["rp"].split(",")) if "rp" in keys else default.retry_on,
        )

    def retries_after(self, problem: str) -> bool:
        return problem in self.retry_on or "all" in self.retry_on


class Webhooks:
    """Posts forms, signed as `signature` says: good, bad, none, or with the previous token.

    Failures end in a `Call` without an answer; nothing is raised.
    """

    def __init__(self, auth_token: str, previous_auth_token: str | None = None) -> None:
        self._tokens = {
            "good": auth_token,
            "bad": f"not-{auth_token}",
            "previous": previous_auth_token or auth_token,
        }
        self._lines: dict[str, list[tuple[http.client.HTTPConnection, float]]] = {}
        self._lock = Lock()
        self._stopping = Event()
        #: The latest calls, for tests to look at.
        self.calls: deque[Call] = deque(maxlen=10_000)

    def forget(self, message_id: str) -> None:
        """Keep no call about that message."""
        for call in list(self.calls):
            if call.fields.get("MessageSid") == message_id:
                self.calls.remove(call)

    def stop(self) -> None:
        """Ends waiting between tries and closes what rests."""
        self._stopping.set()
        with self._lock:
            for line, _ in itertools.chain.from_iterable(self._lines.values()):
                line.close()
            self._lines.clear()

    def post(
        self,
        url: str,
        fields: Mapping[str, str],
        *,
        signature: str = "good",
        headers: Mapping[str, str] | None = None,
        tries_lost: int = 0,
    ) -> Call:
        """`tries_lost` tries find nobody listening, without being made."""
        target = urlsplit(url)
        plain = target._replace(fragment="").geturl()
        sent_headers = {
            "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
            **self._signed(plain, fields, signature),
            **(headers or {}),
        }
        body = urlencode(fields).encode()
        override = Override.parse(target.fragment)

        def attempt(number: int) -> tuple[str, int | None, str]:
            if number <= tries_lost:
                return "ct", None, ""
            return self._attempt(target, body, sent_headers, override)

        answer, text, tries = self._persist(attempt, override)
        call = Call(plain, dict(fields), answer, text, tries)
        self.calls.append(call)
        return call

    def _signed(self, url: str, fields: Mapping[str, str], signature: str) -> dict[str, str]:
        if signature == "none":
            return {}
        validator = RequestValidator(self._tokens[signature])
        return {"X-Twilio-Signature": str(validator.compute_signature(url, dict(fields)))}

    def _persist(
        self, attempt: Callable[[int], tuple[str, int | None, str]], override: Override
    ) -> tuple[int | None, str, int]:
        deadline = time.monotonic() + override.total_seconds
        for number in range(1, override.retries + 2):
            problem, answer, text = attempt(number)
            pause = 0.1 * 2**number
            is_last = number > override.retries or time.monotonic() + pause > deadline
            if not problem or is_last or not override.retries_after(problem):
                break
            if self._stopping.wait(pause):
                break
        return answer, text, number

    def _attempt(
        self, target: SplitResult, body: bytes, headers: Mapping[str, str], override: Override
    ) -> tuple[str, int | None, str]:
        """The problem in the fragment's words (`ct`, `rt`, `4xx`, `5xx`) or "", and the answer."""
        try:
            line, is_used = self._line(target, override)
        except (OSError, ValueError):
            return "ct", None, ""
        path = target._replace(scheme="", netloc="", fragment="", path=target.path or "/").geturl()
        try:
            line.request("POST", path, body, dict(headers))
            response = line.getresponse()
            text = response.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            line.close()
            if is_used and not isinstance(error, TimeoutError):
                # The server had closed the resting connection, which is no failure of this post.
                return self._attempt(target, body, headers, override)
            return "rt", None, ""
        self._rest(target, line)
        kinds = {3: "4xx", 4: "4xx", 5: "5xx"}
        return kinds.get(response.status // 100, ""), response.status, text

    def _line(
        self, target: SplitResult, override: Override
    ) -> tuple[http.client.HTTPConnection, bool]:
        """A connection to the target, and whether it has been used before."""
        line = self._rested(target)
        is_used = line is not None
        if line is None:
            line = _connect(target, override.connect_seconds)
        line.sock.settimeout(override.read_seconds)
        return line, is_used

    def _rest(self, target: SplitResult, line: http.client.HTTPConnection) -> None:
        """Keeps the connection for the next post to the same place."""
        with self._lock:
            if line.sock is not None and not self._stopping.is_set():
                self._lines.setdefault(_key(target), []).append((line, time.monotonic()))
                return
        line.close()

    def _rested(self, target: SplitResult) -> http.client.HTTPConnection | None:
        with self._lock:
            lines = self._lines.get(_key(target), [])
            while lines:
                line, used_at = lines.pop()
                if time.monotonic() - used_at < _REST_SECONDS:
                    return line
                line.close()
        return None


def _key(target: SplitResult) -> str:
    return f"{target.scheme}://{target.netloc}"


def _connect(target: SplitResult, seconds: float) -> http.client.HTTPConnection:
    """Raises `ValueError` for what is no address at all."""
    if not target.hostname:
        raise ValueError("a webhook's URL needs a host")
    line: http.client.HTTPConnection
    if target.scheme == "https":
        context = ssl.create_default_context()
        line = http.client.HTTPSConnection(
            target.hostname, target.port, timeout=seconds, context=context
        )
    else:
        line = http.client.HTTPConnection(target.hostname, target.port, timeout=seconds)
    line.connect()
    return line


def _number(text: str | None, least: int, most: int, default: int) -> int:
    """What cannot be read or lies outside is the default, as a fragment raises no error."""
    if text is None or not text.isdecimal() or not least <= int(text) <= most:
        return default
    return int(text)
