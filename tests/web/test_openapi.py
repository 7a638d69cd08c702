"""The API against its own description: every operation, every check, and who may do what."""

import uuid
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from starlette.types import ASGIApp, Receive, Scope, Send

from followup.services.staffing import StaffRole
from followup.web.access import ACCESS
from tests.web.caller import Caller

#: Whoever comes may call these, and nothing else.
PUBLIC = {
    ("GET", "/"),
    ("GET", "/docs"),
    ("GET", "/openapi.json"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("GET", "/forms"),
    ("GET", "/forms/contact"),
    ("GET", "/forms/screening"),
    ("POST", "/forms/contact"),
    ("POST", "/forms/screening"),
    ("GET", "/forms/received/{submission_id}"),
    ("POST", "/submissions/contact"),
    ("POST", "/submissions/screening"),
    ("GET", "/embed.js"),
    ("GET", "/logo/{name}"),
    # By a signature in the address.
    ("GET", "/act/{token}"),
    ("POST", "/act/{token}"),
    ("GET", "/unsubscribe/{token}"),
    ("POST", "/unsubscribe/{token}"),
    # By a signature in a header.
    ("POST", "/webhooks/twilio/inbound"),
    ("POST", "/webhooks/twilio/status/{delivery_id}"),
    # By a signature or a password, as the provider has it.
    ("POST", "/webhooks/mail/{provider}"),
    ("POST", "/webhooks/forms/{source}"),
    ("POST", "/webhooks/forms/{source}/{key}"),
}
#: Only with a token of the staff.
STAFF = {
    ("GET", "/admin/leads"),
    ("POST", "/admin/leads/search"),
    ("GET", "/admin/leads/{lead_id}"),
    ("POST", "/admin/leads/{lead_id}/contacted"),
    ("POST", "/admin/leads/{lead_id}/attempts"),
    ("POST", "/admin/leads/{lead_id}/notes"),
    ("POST", "/admin/leads/{lead_id}/snooze"),
    ("POST", "/admin/leads/{lead_id}/assign"),
    ("POST", "/admin/leads/{lead_id}/close"),
    ("POST", "/admin/leads/{lead_id}/merge"),
    ("POST", "/admin/leads/{lead_id}/reopen"),
    ("POST", "/admin/leads/{lead_id}/opt-out"),
    ("POST", "/admin/leads/{lead_id}/release"),
    ("POST", "/admin/leads/{lead_id}/reject"),
    ("POST", "/admin/held/release"),
    ("POST", "/admin/held/reject"),
    ("GET", "/admin/submissions/spam"),
    ("POST", "/admin/submissions/{submission_id}/release"),
    ("POST", "/admin/submissions/{submission_id}/reject"),
    ("POST", "/admin/leads/{lead_id}/opt-in"),
    ("GET", "/admin/replies/unassigned"),
    ("GET", "/admin/stats"),
    ("GET", "/admin/submissions/problems"),
}
#: Pages of the staff, who are signed in; `test_access.py` has who may use which.
PAGES = {
    (method, path)
    for method, path in (name.split() for name in ACCESS)
    if path.startswith("/staff")
}
#: Pages about the API itself, and pages for people.
UNDESCRIBED = {("GET", "/"), ("GET", "/docs"), ("GET", "/openapi.json"), *PAGES}
#: Rules that a schema cannot say: what is an address, one of two, an instant that lies ahead,
#: words that are not blank, somebody who works here.
MORE_RULES = {
    "/submissions/contact",
    "/submissions/screening",
    "/admin/leads/{lead_id}/notes",
    "/admin/leads/{lead_id}/snooze",
    "/admin/leads/{lead_id}/assign",
}
#: They take nothing, or any text.
NOTHING_TO_GET_WRONG = {
    ("GET", "/forms"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("GET", "/embed.js"),
    ("GET", "/logo/{name}"),
    ("GET", "/act/{token}"),
    ("GET", "/unsubscribe/{token}"),
    ("POST", "/unsubscribe/{token}"),
    ("POST", "/webhooks/forms/{source}"),
    ("POST", "/webhooks/forms/{source}/{key}"),
}


@pytest.fixture
def dana(api: Caller) -> dict[str, str]:
    """Who may use every route."""
    return api.staff("Dana", StaffRole.admin)


@pytest.fixture
def described(api: Caller) -> Any:
    app: ASGIApp = api.http.app

    async def running(scope: Scope, receive: Receive, send: Send) -> None:
        """The application that runs already: schemathesis would start it for every request."""
        if scope["type"] == "lifespan":
            for done in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{done}.complete"})
        else:
            await app(scope, receive, send)

    return schemathesis.openapi.from_asgi("/openapi.json", running)


def leaves(routes: Iterable[Any]) -> Iterator[tuple[str, str]]:
    """Method and path of each route, also of those that the description leaves out."""
    for route in routes:
        if hasattr(route, "original_router"):
            yield from leaves(route.original_router.routes)
        else:
            yield from ((method, route.path) for method in route.methods - {"HEAD"})


def test_what_the_public_may_call_is_exactly_this(api: Caller) -> None:
    assert set(leaves(api.http.app.routes)) == PUBLIC | STAFF | PAGES  # type: ignore[attr-defined]


def test_the_description_names_every_route_and_who_may_call_it(api: Caller) -> None:
    paths = api.http.get("/openapi.json").json()["paths"]
    named = {
        (method.upper(), path): bool(route.get("security"))
        for path, methods in paths.items()
        for method, route in methods.items()
    }

    assert {route for route, needs_token in named.items() if needs_token} == STAFF
    assert {route for route, needs_token in named.items() if not needs_token} == (
        PUBLIC - UNDESCRIBED
    )


@pytest.mark.parametrize(("method", "path"), sorted(STAFF))
def test_every_route_of_staff_is_closed_to_the_public(api: Caller, method: str, path: str) -> None:
    answer = api.http.request(method, path.format(lead_id=uuid.uuid4(), submission_id=uuid.uuid4()))

    assert answer.status_code == 401


def keep_to_description(
    operation: Any, headers: dict[str, str], mode: GenerationMode, excluded: list[Any]
) -> None:
    @settings(
        max_examples=10,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def keeps(case: Case[Any]) -> None:
        case.call_and_validate(headers=headers, excluded_checks=excluded)

    keeps()


@pytest.mark.parametrize(("method", "path"), sorted((PUBLIC | STAFF) - UNDESCRIBED))
def test_what_the_description_allows_is_answered_as_it_says(
    described: Any, dana: dict[str, str], method: str, path: str
) -> None:
    headers = dana if (method, path) in STAFF else {}
    excluded = [schemathesis.checks.positive_data_acceptance] if path in MORE_RULES else []

    keep_to_description(described[path][method], headers, GenerationMode.POSITIVE, excluded)


@pytest.mark.parametrize(
    ("method", "path"), sorted((PUBLIC | STAFF) - UNDESCRIBED - NOTHING_TO_GET_WRONG)
)
def test_what_the_description_forbids_is_refused_as_it_says(
    described: Any, dana: dict[str, str], method: str, path: str
) -> None:
    headers = dana if (method, path) in STAFF else {}

    keep_to_description(described[path][method], headers, GenerationMode.NEGATIVE, [])
