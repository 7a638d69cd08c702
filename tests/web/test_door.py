"""The door as callers meet it: the trap, the time to fill in, limits, the captcha, review."""

import re
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from httpx2 import Response
from pydantic import SecretStr

from followup.clinic_limits import Limits
from followup.domain.cadence import Channel
from followup.domain.suspicion import Suspicion
from followup.services.staffing import StaffRole
from followup.store import submissions
from followup.store.db import reading
from followup.store.models import Submission
from followup.store.words import SubmissionStatus
from tests.web.caller import ALICE, Caller, faults

FORM = {
    "name": "Alice Ng",
    "email": "alice@example.com",
    "phone": "(415) 555-0101",
    "consent_sms": "yes",
}
BROWSER = {"Accept": "text/html,application/xhtml+xml"}
MINUTE = timedelta(minutes=1)


def opening_of(page: Response) -> str:
    found = re.search(r'name="opening" value="([^"]+)"', page.text)
    assert found
    return found[1]


def open_form(api: Caller) -> str:
    return opening_of(api.http.get("/forms/contact"))


def send(api: Caller, **fields: str) -> Response:
    return api.http.post("/submissions/contact", data={**FORM, **fields}, headers=BROWSER)


def newest(api: Caller) -> Submission:
    with reading(api.service.engine) as session:
        (row,) = submissions.list_spam(session) or [None]  # type: ignore[list-item]
    assert row is not None
    return row


def count(api: Caller) -> dict[SubmissionStatus, int]:
    with reading(api.service.engine) as session:
        return submissions.count_by_status(session)


def limit(api: Caller, **limits: Any) -> None:
    clinic = api.service.clinic.model_copy(update={"limits": Limits(**limits)})
    settings = api.service.settings.model_copy(
        update={"trusted_proxies": (), "public_url": "http://followup.example.com"}
    )
    state: Any = api.http.app.state  # type: ignore[attr-defined]
    api.service = state.service = replace(api.service, clinic=clinic, settings=settings)


def test_a_form_at_a_person_s_pace_is_taken_without_our_own_fields(
    api: Caller, dana: dict[str, str]
) -> None:
    opening = open_form(api)
    api.clock.pass_by(timedelta(seconds=3))

    answer = send(api, opening=opening, topic_b="")

    assert answer.status_code == 303
    submission_id = uuid.UUID(answer.headers["location"].rsplit("/", 1)[1])
    with reading(api.service.engine) as session:
        row = submissions.find_submission(session, submission_id)
    assert row is not None
    assert set(row.payload) == set(FORM)
    assert row.evidence["opened_at"] == "2026-11-23T17:05:00Z"


@pytest.mark.parametrize(
    ("fields", "seconds", "caught"),
    [
        pytest.param({"topic_b": "cheap pills"}, 60, Suspicion.honeypot, id="the trap"),
        pytest.param({"topic_b": " "}, 60, Suspicion.honeypot, id="a space in the trap"),
        pytest.param({}, 2.9, Suspicion.too_fast, id="too fast"),
    ],
)
@pytest.mark.parametrize("browser", [True, False], ids=["browser", "program"])
def test_who_is_caught_is_answered_as_anybody_and_is_kept_as_spam(
    api: Caller, fields: dict[str, str], seconds: float, caught: Suspicion, browser: bool
) -> None:
    headers = BROWSER if browser else {}
    opening = open_form(api)
    api.clock.pass_by(MINUTE)
    welcome = api.http.post("/submissions/contact", data=FORM, headers=headers)
    opening = open_form(api)
    api.clock.pass_by(timedelta(seconds=seconds))

    data = {**FORM, "opening": opening, **fields}
    answer = api.http.post("/submissions/contact", data=data, headers=headers)

    assert answer.status_code == welcome.status_code
    assert answer.headers.keys() == welcome.headers.keys()
    assert _without_ids(answer) == _without_ids(welcome)
    row = newest(api)
    assert row.caught is caught
    if browser:
        page = api.http.get(answer.headers["location"])
        assert page.status_code == 200
        assert "988" in page.text
    api.consume()
    assert [message.to for message in api.send_due() if message.to == row.payload["email"]] == [
        "alice@example.com"
    ], "the one that was welcome"


def _without_ids(answer: Response) -> tuple[str, str]:
    some_id = re.compile("[0-9a-f]{8}-[0-9a-f-]{27}")
    return some_id.sub("", answer.text), some_id.sub("", answer.headers.get("location", ""))


def test_a_program_s_json_has_no_time_to_fill_in_but_the_trap(api: Caller) -> None:
    assert api.http.post("/submissions/contact", json={**ALICE, "topic_b": ""}).status_code == 202
    assert api.http.post("/submissions/contact", json={**ALICE, "topic_b": "x"}).status_code == 202

    assert count(api) == {SubmissionStatus.accepted: 1, SubmissionStatus.spam: 1}


@pytest.mark.parametrize("opening", ["", "rubbish", "W10.x", "[1,2]"])
def test_a_mark_that_is_not_ours_is_as_none(api: Caller, opening: str) -> None:
    assert send(api, opening=opening).status_code == 303
    assert count(api) == {SubmissionStatus.accepted: 1}


def test_a_form_that_lay_open_overnight_is_taken(api: Caller) -> None:
    opening = open_form(api)
    api.clock.pass_by(timedelta(days=2))

    assert send(api, opening=opening).status_code == 303
    assert count(api) == {SubmissionStatus.accepted: 1}


def test_who_mends_a_form_in_a_second_is_not_too_fast(api: Caller) -> None:
    opening = open_form(api)
    api.clock.pass_by(MINUTE)
    wrong = send(api, opening=opening, email="alice")
    assert wrong.status_code == 422

    assert send(api, opening=opening_of(wrong)).status_code == 303
    assert count(api) == {SubmissionStatus.accepted: 1}


def test_the_trap_is_out_of_sight_and_of_every_browser_s_memory(api: Caller) -> None:
    page = api.http.get("/forms/contact").text
    (field,) = re.findall(r'<div class="away" aria-hidden="true">.*?</div>', page, re.DOTALL)

    assert 'tabindex="-1"' in field
    assert 'autocomplete="off"' in field
    assert 'name="topic_b"' in field


def test_the_fill_time_is_lifted_with_the_limits_and_the_trap_is_not(api: Caller) -> None:
    settings = api.service.settings.model_copy(update={"limits": "off"})
    state: Any = api.http.app.state  # type: ignore[attr-defined]
    api.service = state.service = replace(api.service, settings=settings)

    send(api, opening=open_form(api))
    send(api, topic_b="x")

    assert count(api) == {SubmissionStatus.accepted: 1, SubmissionStatus.spam: 1}


@pytest.fixture
def crowd(api: Caller, monkeypatch: pytest.MonkeyPatch) -> Caller:
    """Everybody comes from one address, which may send two forms."""
    limit(api, per_address=2)
    monkeypatch.setattr(api.http._transport, "client", ("203.0.113.9", 50000))
    for number in range(2):
        api.submit(email=f"a{number}@example.com")
    return api


def test_an_address_that_sends_too_much_is_told_when_to_come_again(crowd: Caller) -> None:
    answer = crowd.http.post("/submissions/contact", json=dict(ALICE))

    assert answer.status_code == 429
    assert faults(answer) == {}
    assert answer.headers["retry-after"] == "300"
    assert sum(count(crowd).values()) == 2
    crowd.clock.pass_by(5 * MINUTE)
    crowd.submit()


def test_a_browser_gets_the_form_back_with_what_was_typed_and_a_number_to_call(
    crowd: Caller,
) -> None:
    answer = send(crowd, message="Please call me.")

    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "300"
    assert "Please call me.</textarea>" in answer.text
    assert "(949) 555-0100" in answer.text


def test_behind_a_proxy_that_nobody_named_no_address_is_refused(crowd: Caller) -> None:
    settings = crowd.service.settings.model_copy(update={"public_url": "https://f.example.com"})
    state: Any = crowd.http.app.state  # type: ignore[attr-defined]
    state.service = replace(crowd.service, settings=settings)

    crowd.submit()


def test_staff_list_spam_and_make_a_lead_of_it(api: Caller, dana: dict[str, str]) -> None:
    send(api, topic_b="my treatment")
    (spam,) = api.http.get("/admin/submissions/spam", headers=dana).json()["items"]
    assert (spam["caught"], spam["fields"]["topic_b"]) == ("honeypot", "my treatment")

    path = f"/admin/submissions/{spam['id']}/release"
    released = api.http.post(path, headers=dana)
    again = api.http.post(path, headers=dana)
    api.consume()

    assert released.json() == {"submission_id": spam["id"], "status": "accepted"}
    assert again.status_code == 409
    found = api.http.get(f"/admin/leads?submission={spam['id']}", headers=dana).json()["items"]
    assert [lead["status"] for lead in found] == ["open"]
    nowhere = api.http.post(f"/admin/submissions/{uuid.uuid4()}/release", headers=dana)
    assert nowhere.status_code == 404


def held_lead(api: Caller, dana: dict[str, str]) -> dict[str, Any]:
    api.submit(name="www.win.example")
    api.consume(api.service.limits)
    (lead,) = api.http.get("/admin/leads?status=held", headers=dana).json()["items"]
    assert lead["held_for"] == "link_in_name"
    found: dict[str, Any] = lead
    return found


def test_staff_release_a_held_lead(api: Caller, dana: dict[str, str]) -> None:
    lead = held_lead(api, dana)

    answer = api.act(dana, lead, "release")

    assert answer.json()["lead"]["status"] == "open"
    assert api.act(dana, lead, "release").status_code == 409
    assert {message.to for message in api.send_due()} >= {"alice@example.com"}


def test_staff_reject_a_held_lead(api: Caller, dana: dict[str, str]) -> None:
    lead = held_lead(api, dana)

    assert api.act(dana, lead, "reject", {"note": "spam"}).json()["lead"]["status"] == "closed"
    assert api.send_due() == []


def test_a_manager_releases_or_rejects_all_at_once(api: Caller, dana: dict[str, str]) -> None:
    held_lead(api, dana)
    manager = api.staff("Max", StaffRole.manager)
    body = {"held_for": "burst"}

    refused = api.http.post("/admin/held/reject", headers=dana, json={})
    none = api.http.post("/admin/held/release", headers=manager, json=body)
    rejected = api.http.post("/admin/held/reject", headers=manager, json={})
    stats = api.http.get("/admin/stats", headers=dana).json()

    assert refused.status_code == 403
    assert (none.json(), rejected.json()) == ({"released": 0}, {"rejected": 1})
    assert stats["held"] == 0


class Cloudflare(BaseHTTPRequestHandler):
    """Takes the token `good`."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"success": true}' if b"response=good" in body else b"{}")

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def with_captcha(api: Caller) -> Iterator[Caller]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Cloudflare) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/"
        captcha = {
            "turnstile_site_key": "site-key",
            "turnstile_secret": SecretStr("s"),
            "turnstile_url": url,
        }
        settings = api.service.settings.model_copy(update=captcha)
        state: Any = api.http.app.state  # type: ignore[attr-defined]
        api.service = state.service = replace(api.service, settings=settings)
        yield api
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("token", "texted"), [("good", True), ("bad", False), ("", False)], ids=str
)
def test_who_did_not_solve_the_captcha_is_kept_and_mailed_but_not_texted(
    with_captcha: Caller, token: str, texted: bool
) -> None:
    answer = send(with_captcha, **{"cf-turnstile-response": token})
    with_captcha.consume()
    sent = {message.to for message in with_captcha.send_due()}

    assert answer.status_code == 303
    assert "alice@example.com" in sent
    assert ("+14155550101" in sent) is texted


def test_where_turnstile_cannot_be_reached_the_form_is_taken_without_texts(
    with_captcha: Caller,
) -> None:
    api = with_captcha
    settings = api.service.settings.model_copy(update={"turnstile_url": "http://127.0.0.1:1/"})
    state: Any = api.http.app.state  # type: ignore[attr-defined]
    state.service = replace(api.service, settings=settings)

    assert send(api, **{"cf-turnstile-response": "good"}).status_code == 303
    api.consume()
    assert Channel.sms not in {_channel(message.to) for message in api.send_due()} - {None}


def _channel(to: str) -> Channel | None:
    return Channel.sms if to == "+14155550101" else None


def test_the_policy_lets_the_captcha_in_only_where_it_is(with_captcha: Caller) -> None:
    form = with_captcha.http.get("/forms/contact")
    other = with_captcha.http.get("/docs")

    assert "script-src https://challenges.cloudflare.com" in form.headers["content-security-policy"]
    assert 'data-sitekey="site-key"' in form.text
    assert "cloudflare" not in other.headers["content-security-policy"]
