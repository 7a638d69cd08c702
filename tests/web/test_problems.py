"""Errors as problems, whatever fails: nothing of the failure reaches the caller or the log."""

import json
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from followup.bell import Bell
from followup.store.db import make_engine, transaction
from followup.web.app import create_app
from tests.schema import KEYRING
from tests.web.caller import ALICE, Caller, Open, faults

#: Of no delivery; the links to it are signed all the same.
KNOWN = uuid.UUID(int=1)


@pytest.fixture
def without_database(api: Caller, tmp_path: Path) -> Iterator[TestClient]:
    """The same service when its database is gone."""
    engine = make_engine(f"sqlite:///{tmp_path}/no/such/folder.db", KEYRING)
    app = create_app(replace(api.service, engine=engine), Bell(lambda _lane: None))
    with TestClient(app, follow_redirects=False) as http:
        yield http
    engine.dispose()


@pytest.mark.parametrize("path", ["/nowhere", "/admin", "/admin/leads/", "/%00", "/act", "/act/"])
def test_an_unknown_path_is_a_problem(api: Caller, path: str) -> None:
    answer = api.http.get(path)

    assert answer.status_code == 404
    assert answer.json() == {
        "type": "about:blank",
        "title": "Not found",
        "status": 404,
        "detail": "Not found",
    }


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/submissions/contact", {"POST"}),
        ("DELETE", "/admin/leads", {"GET", "HEAD"}),
        ("PUT", "/act/x", {"GET", "HEAD", "POST"}),
        ("PATCH", "/unsubscribe/x", {"GET", "HEAD", "POST"}),
        ("OPTIONS", "/submissions/contact", {"POST"}),
        ("OPTIONS", "/forms/contact", {"GET", "HEAD", "POST"}),
        ("HEAD", "/submissions/screening", {"POST"}),
        ("TRACE", "/healthz", {"GET", "HEAD"}),
        ("BREW", "/", {"GET", "HEAD"}),
    ],
)
def test_another_method_is_refused_and_told_every_one_that_there_is(
    api: Caller, method: str, path: str, allowed: set[str]
) -> None:
    answer = api.http.request(method, path)

    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == allowed
    if method != "HEAD":
        assert answer.json()["title"] == "Method not allowed"


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/forms/contact", "/forms", "/act/x"])
def test_head_answers_like_get_without_the_body(api: Caller, path: str) -> None:
    head, get = api.http.head(path), api.http.get(path)

    assert head.status_code == get.status_code
    assert head.content == b""
    assert dict(head.headers) == dict(get.headers)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/submissions/contact"),
        ("GET", "/forms/received/00000000-0000-7000-8000-000000000000"),
        ("GET", "/admin/leads"),
        ("POST", "/webhooks/twilio/inbound"),
        ("GET", "/act/TOKEN"),
        ("POST", "/unsubscribe/TOKEN"),
        ("GET", "/metrics"),
    ],
)
def test_without_the_database_every_route_says_try_again(
    api: Caller, without_database: TestClient, method: str, path: str
) -> None:
    links = api.service.links
    act = links.act_url(KNOWN, api.clock.now()).rsplit("/", 1)[1]
    token = act if path.startswith("/act") else links.unsubscribe_url(KNOWN).rsplit("/", 1)[1]
    fields = {"MessageSid": "SM1", "From": "+14155550123", "Body": "Hello"}
    signed = api.twilio("/webhooks/twilio/inbound", fields).request.headers["x-twilio-signature"]
    headers = {"Authorization": "Bearer fu_some", "X-Twilio-Signature": signed}
    body = {"json": dict(ALICE)} if "submissions" in path else {"data": fields}
    answer = without_database.request(
        method,
        path.replace("TOKEN", token),
        headers=headers,
        **(body if method == "POST" else {}),
    )

    assert answer.status_code == 503
    assert faults(answer) == {}
    assert answer.headers["retry-after"] == "5"
    assert "sqlite" not in answer.text.lower()


BROWSER = {"Accept": "text/html,application/xhtml+xml"}


@pytest.mark.parametrize(("language", "words"), [("en", "in a minute"), ("es", "en un minuto")])
def test_who_sends_a_form_without_the_database_keeps_it_and_may_call(
    without_database: TestClient, language: str, words: str
) -> None:
    typed = {"name": "Alice Ng", "phone": "(415) 555-0101", "message": "Evenings."}
    answer = without_database.post(
        "/submissions/contact?framed=1", data={**typed, "language": language}, headers=BROWSER
    )

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    for said in (*typed.values(), words, "(949) 555-0100", f'lang="{language}"', "framed=1"):
        assert said in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", f"/forms/received/{KNOWN}?framed=1", 503),
        ("GET", "/forms/received/x", 422),
        ("GET", "/forms/contact?language=english", 422),
        ("POST", "/submissions/contact", 400),
        ("POST", "/forms/contact", 400),
        ("GET", "/unsubscribe/TOKEN", 503),
    ],
)
def test_a_patients_browser_shows_a_page_and_the_number_whatever_is_wrong(
    api: Caller, without_database: TestClient, method: str, path: str, status: int
) -> None:
    path = path.replace("TOKEN", api.service.links.unsubscribe_url(KNOWN).rsplit("/", 1)[1])
    headers = {**BROWSER, "Content-Type": "application/x-www-form-urlencoded"}
    body = b"name=\xff" if method == "POST" else None
    answer = without_database.request(method, path, headers=headers, content=body)

    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    for said in ("(949) 555-0100", "tel:988", "tel:911"):
        assert said in answer.text
    # Or a frame of the clinic's website would be empty.
    assert "https://www.example.com" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("path", "status"), [("/forms/contact.", 404), ("/staff/nothing", 404), ("/act", 404)]
)
def test_a_browser_at_an_address_that_is_none_shows_a_page(
    api: Caller, path: str, status: int
) -> None:
    answer = api.http.get(path, headers=BROWSER)

    assert (answer.status_code, "(949) 555-0100" in answer.text) == (status, True)
    assert api.http.get(path).headers["content-type"] == "application/problem+json"


def test_a_browser_that_opens_what_is_posted_to_shows_a_page(api: Caller) -> None:
    answer = api.http.get("/submissions/contact", headers=BROWSER)

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert "(949) 555-0100" in answer.text


def test_a_table_that_is_gone_is_no_reason_to_say_more(open_api: Open, database_url: str) -> None:
    api = open_api(database_url)
    with transaction(api.service.engine) as session:
        session.execute(text("DROP TABLE submissions"))
    answer = api.http.post("/submissions/contact", json=dict(ALICE))

    assert answer.status_code in (500, 503)
    faults(answer)
    assert "submissions" not in answer.json()["detail"]
    assert "Alice" not in answer.text


def test_a_database_that_may_only_be_read_takes_nothing_and_the_log_says_why(
    api: Caller, logged: Callable[[], str]
) -> None:
    url = api.service.engine.url
    if url.drivername == "sqlite":
        url = url.set(database=f"file:{url.database}", query={"mode": "ro", "uri": "true"})
    else:
        # As a replica is, which a failover may leave us with.
        url = url.update_query_dict({"options": "-c default_transaction_read_only=on"})
    engine = make_engine(url.render_as_string(hide_password=False), KEYRING)
    app = create_app(replace(api.service, engine=engine), Bell(lambda _lane: None))
    with TestClient(app) as http:
        answer = http.post("/submissions/contact", json=dict(ALICE))
    engine.dispose()

    assert answer.status_code == 503
    assert faults(answer) == {}
    assert re.search("readonly database|read-only transaction", logged())
    assert not re.search("read-?only", answer.text)


class _Broken:
    """An engine that fails as nothing should, with what it was given in its error."""

    def __getattr__(self, name: str) -> object:
        raise RuntimeError(f"{name}: alice@example.com +14155550101")


def test_an_unexpected_error_is_a_number_that_the_log_has_too(
    api: Caller, logged: Callable[[], str]
) -> None:
    app = create_app(replace(api.service, engine=_Broken()), Bell(lambda _lane: None))  # type: ignore[arg-type]
    with TestClient(app) as http:
        answer = http.post("/submissions/contact", json=dict(ALICE))
    lines = logged()

    assert answer.status_code == 500
    faults(answer)
    number = answer.json()["detail"].rsplit(" ", 1)[1]
    (failed,) = (json.loads(line) for line in lines.splitlines() if number in line)
    assert failed["error"] == "RuntimeError"
    assert any("intake.py" in place for place in failed["places"])
    # The digits of an instant may be any.
    for said in (answer.text, re.sub(r'"timestamp": "[^"]*"', "", lines)):
        assert "alice" not in said.lower()
        assert "0101" not in said
