"""Who may do what: the table is what the server does, for each role and each route."""

import re
import uuid

import pytest
from fastapi import APIRouter, Depends, FastAPI

from followup.services import staffing
from followup.services.staffing import StaffRole
from followup.store.db import transaction
from followup.web.access import ACCESS, Access, check_access
from followup.web.deps import current_person
from tests.schema import KEYRING
from tests.web.caller import NOW, Caller

PASSWORD = "a sentence to remember"
GUARDED = sorted(name for name, access in ACCESS.items() if access >= Access.staff)


@pytest.fixture
def tokens(api: Caller) -> dict[StaffRole, str]:
    with transaction(api.service.engine) as session:
        return {
            role: staffing.add_person(session, KEYRING, name=role, role=role, now=NOW).token
            for role in StaffRole
        }


def sign_in(api: Caller, token: str) -> None:
    api.http.cookies.clear()
    answer = api.http.post("/staff/welcome", data={"token": token, "password": PASSWORD})
    assert answer.status_code == 303


def status_of(api: Caller, name: str, token: str = "") -> int:
    """What the route answers to nothing in particular; of a page's form, with its mark."""
    method, path = read(name)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    is_page = path.startswith("/staff")
    body = {"data": {"csrf": csrf_of(api)}} if is_page else {"json": {}}
    answer = api.http.request(method, path, headers=headers, **(body if method == "POST" else {}))  # type: ignore[arg-type]
    return int(answer.status_code)


def read(name: str) -> tuple[str, str]:
    """Its method, and a path of it to nothing in particular."""
    method, _, path = name.partition(" ")
    return method, re.sub(r"\{\w+\}", str(uuid.uuid4()), path)


def csrf_of(api: Caller) -> str:
    found = re.search(r'name="csrf" value="(\w+)"', api.http.get("/staff/account").text)
    return found[1] if found else ""


def api_routes() -> list[str]:
    return [name for name in GUARDED if "/admin/" in name]


#: One ends what the others need, the other never ends.
APART = {"POST /staff/sign-out", "GET /staff/events"}


def page_routes() -> list[str]:
    return [name for name in GUARDED if "/staff" in name and name not in APART]


def test_nobody_gets_in_without_a_token_or_a_sign_in(api: Caller) -> None:
    assert {status_of(api, name) for name in api_routes()} == {401}
    assert {status_of(api, name) for name in [*page_routes(), *APART]} == {303}


@pytest.mark.parametrize("role", StaffRole)
def test_each_role_may_do_what_the_table_says(
    api: Caller, tokens: dict[StaffRole, str], role: StaffRole
) -> None:
    refused = {name for name in api_routes() if status_of(api, name, tokens[role]) == 403}
    sign_in(api, tokens[role])
    refused |= {name for name in page_routes() if status_of(api, name) == 403}

    assert refused == {name for name in GUARDED if ACCESS[name] > Access[role.value]}


def test_no_form_is_taken_without_the_mark_of_its_sign_in(
    api: Caller, tokens: dict[StaffRole, str]
) -> None:
    sign_in(api, tokens[StaffRole.admin])
    forms = [path for method, path in map(read, [*page_routes(), *APART]) if method == "POST"]

    assert len(forms) > 20
    assert {api.http.post(path).status_code for path in forms} == {403}
    assert csrf_of(api)


@pytest.fixture
def strange() -> FastAPI:
    app = FastAPI()
    router = APIRouter()
    router.add_api_route("/new", lambda: None, methods=["POST"])
    app.include_router(router)
    return app


def test_a_route_that_nobody_thought_of_stops_the_start(
    strange: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(AssertionError, match="who may use POST /new"):
        check_access(strange, current_person)


@pytest.mark.parametrize("access", [Access.staff, Access.admin])
def test_a_role_that_nobody_checks_stops_the_start(
    strange: FastAPI, monkeypatch: pytest.MonkeyPatch, access: Access
) -> None:
    monkeypatch.setattr("followup.web.access.ACCESS", {"POST /new": access})

    with pytest.raises(AssertionError, match="POST /new"):
        check_access(strange, current_person)


def test_a_check_that_the_table_knows_nothing_of_stops_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = FastAPI()
    app.add_api_route("/x", lambda: None, dependencies=[Depends(current_person)])
    monkeypatch.setattr("followup.web.access.ACCESS", {"GET /x": Access.anybody})

    with pytest.raises(AssertionError, match="GET /x"):
        check_access(app, current_person)
