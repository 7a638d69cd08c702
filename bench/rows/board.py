"""Staff's pages with 20,000 leads: the board, a search by name, a lead's page."""

import http.client
import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from urllib.parse import urlencode, urlsplit

from sqlalchemy import select

from bench.figures import Line, Row, percentile
from bench.rounds import interleave
from bench.seed import Crowd
from bench.stage import Stage
from followup.services import staffing
from followup.services.staffing import StaffRole
from followup.store.crypto import keyring_of
from followup.store.db import reading, transaction
from followup.store.models import Lead

ROW = Row(
    "board",
    "staff's pages with 20,000 leads, of which 1,000 wait",
    "over HTTP, signed in, one request after the other: the board, a search for part of a name, and"
    " the pages of leads at random",
)

CROWD, NONE_CLOSED = Crowd(open=1_000, closed=19_000), Crowd(open=1_000, closed=0)
#: Of each page in each round.
REQUESTS = 40
PASSWORD = "bench only, and long enough"  # noqa: S105

Took = Mapping[str, Sequence[float]]


class Browser:
    """Somebody of the staff, signed in."""

    def __init__(self, url: str, token: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        self._headers: dict[str, str] = {}
        _, headers = self._ask(
            303, "POST", "/staff/welcome", {"token": token, "password": PASSWORD}
        )
        self._headers = {"Cookie": headers["Set-Cookie"].partition(";")[0]}
        page, _ = self._ask(200, "GET", "/staff")
        (self._csrf,) = set(re.findall(r'name="csrf" value="(\w+)"', page))

    def reconnect(self) -> None:
        """The server closes a connection on which nothing was asked for some seconds."""
        self._connection.close()

    def board(self) -> str:
        return self._ask(200, "GET", "/staff")[0]

    def search(self, words: str) -> str:
        return self._ask(200, "POST", "/staff/search", {"csrf": self._csrf, "q": words})[0]

    def lead(self, lead_id: object) -> str:
        return self._ask(200, "GET", f"/staff/leads/{lead_id}")[0]

    def _ask(
        self, status: int, method: str, path: str, fields: Mapping[str, str] | None = None
    ) -> tuple[str, http.client.HTTPMessage]:
        headers = {**self._headers, "Content-Type": "application/x-www-form-urlencoded"}
        self._connection.request(method, path, urlencode(fields) if fields else None, headers)
        answer = self._connection.getresponse()
        page = answer.read().decode()
        if answer.status != status:
            raise RuntimeError(f"{method} {path}: {answer.status}, expected {status}: {page[:500]}")
        return page, answer.headers


def measure(stage: Stage) -> Sequence[Line]:
    providers = stage.start_providers(latency_ms=0, tls=False)
    contestants: dict[str, Callable[[], Took]] = {}
    for kind in ("postgresql", "sqlite"):
        for name, crowd in ((kind, CROWD), (f"{kind}, none closed", NONE_CLOSED)):
            url = stage.make_database(kind, crowd)
            service = stage.start_ours(url, providers, workers=(), beat=False)
            with stage.databases.opened(url) as engine:
                with transaction(engine) as session:
                    credential = staffing.add_person(
                        session,
                        keyring_of(engine),
                        name="Ann",
                        role=StaffRole.staff,
                        now=datetime.now(UTC),
                    )
                with reading(engine) as session:
                    ids = list(session.scalars(select(Lead.id)))
                    searched = session.scalars(select(Lead)).first()
            assert searched is not None
            browser = Browser(service.url, credential.token)
            contestants[name] = partial(_look, browser, ids, searched.name.split()[0])
    rounds = interleave(contestants, count=stage.rounds)
    return [
        Line(
            f"{name}: {page}, p95",
            [percentile(one[page], 0.95) for one in rounds.of(name)],
            "ms",
            at_most=None if "none" in name else 150,
            note=rounds.note,
        )
        for page in ("board", "search", "lead")
        for name in contestants
    ]


def _look(browser: Browser, ids: Sequence[object], name: str) -> Took:
    """Milliseconds that each answer took."""
    browser.reconnect()
    asked: Mapping[str, Callable[[], str]] = {
        "board": browser.board,
        "search": lambda: browser.search(name),
        "lead": lambda: browser.lead(random.choice(ids)),
    }
    return {page: [_milliseconds(ask) for _ in range(REQUESTS)] for page, ask in asked.items()}


def _milliseconds(ask: Callable[[], str]) -> float:
    began = time.monotonic()
    ask()
    return (time.monotonic() - began) * 1000
