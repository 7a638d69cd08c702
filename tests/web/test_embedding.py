"""Other websites' pages: those of the list may post and read, all others read nothing."""

from dataclasses import replace
from typing import Any

import pytest

from followup.clinic_limits import Embedding
from tests.web.caller import ALICE, Caller

OURS = "https://www.example.com"
ROUTES = [("POST", "/submissions/contact"), ("POST", "/submissions/screening"), ("GET", "/forms")]


def ask(api: Caller, path: str, method: str, origin: str = OURS, headers: str = "") -> Any:
    asked = {"Origin": origin, "Access-Control-Request-Method": method}
    if headers:
        asked["Access-Control-Request-Headers"] = headers
    return api.http.options(path, headers=asked)


def cors(answer: Any) -> dict[str, str]:
    return {k: v for k, v in answer.headers.items() if k.startswith("access-control-")}


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_page_of_the_list_may_ask(api: Caller, method: str, path: str) -> None:
    answer = ask(api, path, method, headers="Content-Type, idempotency-key")

    assert answer.status_code == 204
    assert cors(answer) == {
        "access-control-allow-origin": OURS,
        "access-control-allow-methods": method,
        "access-control-allow-headers": "accept, content-type, idempotency-key",
        "access-control-max-age": "600",
    }
    assert answer.headers["vary"] == "Origin"


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://www.example.com",
        "https://www.example.com:444",
        "https://www.example.com.evil.example",
        "https://evilwww.example.com",
        "https://example.com",
        "HTTPS://WWW.EXAMPLE.COM",
        "null",
        "*",
        "",
    ],
)
def test_any_other_origin_is_told_nothing(api: Caller, origin: str) -> None:
    preflight = ask(api, "/submissions/contact", "POST", origin)
    post = api.http.post("/submissions/contact", json=dict(ALICE), headers={"Origin": origin})

    assert preflight.status_code == 405
    assert cors(preflight) == cors(post) == {}
    assert post.status_code == 202, "kept all the same: only reading is theirs to refuse"


@pytest.mark.parametrize(
    ("method", "headers"), [("DELETE", ""), ("GET", ""), ("POST", "Authorization"), ("", "")]
)
def test_only_what_a_form_needs_is_allowed(api: Caller, method: str, headers: str) -> None:
    answer = ask(api, "/submissions/contact", method, headers=headers)

    assert answer.status_code == 405
    assert "access-control-allow-methods" not in answer.headers


@pytest.mark.parametrize(
    "path", ["/admin/leads", "/forms/contact", "/readyz", "/metrics", "/webhooks/twilio/inbound"]
)
def test_no_other_route_is_for_pages_of_others(api: Caller, path: str) -> None:
    answer = api.http.get(path, headers={"Origin": OURS})

    assert cors(answer) == {}
    assert cors(ask(api, path, "GET")) == {}


def test_a_page_of_the_list_reads_its_answer_also_when_it_is_a_refusal(api: Caller) -> None:
    taken = api.http.post("/submissions/contact", json=dict(ALICE), headers={"Origin": OURS})
    wrong = api.http.post("/submissions/contact", json={}, headers={"Origin": OURS})

    assert (taken.status_code, wrong.status_code) == (202, 422)
    for answer in (taken, wrong):
        assert cors(answer) == {
            "access-control-allow-origin": OURS,
            "access-control-expose-headers": "Retry-After",
        }
        assert answer.headers["vary"] == "Origin"


def test_the_list_says_also_who_may_frame_the_forms(api: Caller) -> None:
    origins = ("https://a.example.com", "https://b.example.com:8443")
    clinic = api.service.clinic.model_copy(update={"embedding": Embedding(origins=origins)})
    state: Any = api.http.app.state  # type: ignore[attr-defined]
    state.service = replace(api.service, clinic=clinic)

    policy = api.http.get("/forms/contact").headers["content-security-policy"]

    assert f"frame-ancestors 'self' {' '.join(origins)}" in policy
    assert ask(api, "/forms", "GET", "https://b.example.com:8443").status_code == 204
    assert ask(api, "/forms", "GET").status_code == 405
