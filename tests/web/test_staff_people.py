"""Admins manage who of the staff may act: each change is in the trail, and one admin stays."""

import re
import uuid

import pyotp
import pytest

from followup.services import signing_in, staffing
from followup.store import entries, people
from followup.store.db import reading, transaction
from followup.store.models import Person
from tests.web.caller import NOW, Caller
from tests.web.test_staff_board import PASSWORD, Browser

PEOPLE = "/staff/people"


@pytest.fixture
def adam(api: Caller) -> Browser:
    """An admin."""
    return make_admin(api, "Adam")


def make_admin(api: Caller, name: str) -> Browser:
    browser = Browser(api, name)
    with transaction(api.service.engine) as session:
        staffing.change_person(session, name, NOW, role=staffing.StaffRole.admin)
    return browser


def person(api: Caller, name: str) -> Person:
    with reading(api.service.engine) as session:
        found = people.find_by_name(session, name)
    assert found is not None
    return found


def page_of(api: Caller, name: str) -> str:
    return f"{PEOPLE}/{person(api, name).id}"


def verbs(api: Caller) -> list[str]:
    with reading(api.service.engine) as session:
        return [
            one.verb
            for one in entries.list_entries(session)
            if (one.by, one.door) == ("Adam", "page")
        ]


def test_who_is_added_gets_a_token_that_is_shown_once(api: Caller, adam: Browser) -> None:
    answer = adam.post(PEOPLE, name="Ana <b>", role="manager", email="ana@example.com", phone="")

    token = re.search(r"fu_[\w-]+", answer.text)
    assert token is not None
    assert "Ana &lt;b&gt;" in answer.text
    assert answer.headers["cache-control"] == "no-store"
    listed = adam.get(PEOPLE).text
    assert "ana@example.com" in listed
    assert token[0] not in listed
    api.http.cookies.clear()
    welcome = {"token": token[0], "password": PASSWORD}
    assert api.http.post("/staff/welcome", data=welcome).headers["location"] == "/staff"
    assert "staff added" in verbs(api)
    assert "staff listed" in verbs(api)


@pytest.mark.parametrize(
    ("fields", "status", "says"),
    [
        ({"name": "", "role": "staff"}, 422, 'id="name-error"'),
        ({"name": "Adam", "role": "staff"}, 409, "Somebody has this name already"),
        ({"name": "aDAM", "role": "staff"}, 409, "Somebody has this name already"),
        ({"name": "B", "role": "staff", "email": "no"}, 422, 'id="email-error"'),
        ({"name": "B", "role": "staff", "phone": "12"}, 422, 'id="phone-error"'),
        ({"name": "B", "role": "owner"}, 422, "role"),
    ],
)
def test_what_is_wrong_is_said_beside_the_field(
    api: Caller, adam: Browser, fields: dict[str, str], status: int, says: str
) -> None:
    answer = adam.post(PEOPLE, **fields)

    assert answer.status_code == status
    assert says in answer.text
    with reading(api.service.engine) as session:
        assert len(people.list_people(session)) == 1


def test_a_role_and_addresses_change(api: Caller, adam: Browser) -> None:
    dana = Browser(api, "Dana")
    path = page_of(api, "Dana")

    answer = adam.post(path, role="manager", email="d@example.com", phone="(415) 555-0103")

    assert answer.headers["location"] == f"{path}?done=changed"
    page = adam.get(answer.headers["location"]).text
    assert "Saved." in page
    assert 'value="(415) 555-0103"' in page
    changed = person(api, "Dana")
    assert (changed.role, changed.email) == ("manager", "d@example.com")
    assert dana.get("/staff/account").status_code == 200
    assert "staff changed" in verbs(api)


def test_an_invitation_ends_the_old_token_and_codes_are_reset(api: Caller, adam: Browser) -> None:
    dana = api.staff("Dana")
    path = page_of(api, "Dana")
    secret = signing_in.new_totp_secret()
    code = pyotp.TOTP(secret).now()
    signing_in.begin_codes(api.service.engine, person(api, "Dana"), secret, code, NOW)
    assert "Codes from an app: on" in adam.get(PEOPLE).text
    assert "Reset the codes" in adam.get(path).text

    token = re.search(r"fu_[\w-]+", adam.post(f"{path}/token").text)

    assert api.http.get("/admin/leads", headers=dana).status_code == 401
    assert token is not None
    assert api.http.get("/admin/leads", headers={"Authorization": f"Bearer {token[0]}"}).is_success
    adam.post(f"{path}/codes/end")
    assert person(api, "Dana").totp_secret is None
    assert {"token renewed", "codes reset"} <= set(verbs(api))


def test_an_admin_signs_somebody_out_of_a_browser_that_was_lost(api: Caller, adam: Browser) -> None:
    dana = Browser(api, "Dana")
    path = page_of(api, "Dana")
    assert dana.get("/staff").status_code == 200
    assert "Sign out everywhere" in adam.get(path).text

    adam.post(f"{path}/sign-ins/end")

    assert dana.get("/staff").status_code == 303
    assert adam.get("/staff").status_code == 200
    assert "Sign out everywhere" not in adam.get(path).text
    assert "staff signed out" in verbs(api)


def test_who_is_disabled_is_out_at_once(api: Caller, adam: Browser) -> None:
    dana = Browser(api, "Dana")
    path = page_of(api, "Dana")
    assert "Signed in, 1 browser" in adam.get(path).text

    assert adam.post(f"{path}/disable").headers["location"] == f"{PEOPLE}?done=disabled"

    assert dana.get("/staff").headers["location"].startswith("/staff/sign-in")
    present = signing_in.list_present(api.service.engine, api.service.clinic.signing_in)
    assert present.keys() == {person(api, "Adam").id}
    assert adam.get("/staff/account").status_code == 200
    assert "Disabled: may no longer sign in" in adam.get(path).text
    assert adam.post(f"{path}/token").status_code == 409
    assert adam.get(f"{PEOPLE}/{uuid.uuid4()}").status_code == 404


def test_the_last_admin_stays_and_nobody_disables_themselves(api: Caller, adam: Browser) -> None:
    mine = page_of(api, "Adam")

    assert adam.post(mine, role="staff", email="", phone="").status_code == 409
    assert adam.post(f"{mine}/disable").status_code == 409
    make_admin(api, "Eve")
    assert adam.post(f"{mine}/disable").status_code == 409
    assert person(api, "Adam").disabled_at is None

    assert adam.post(mine, role="staff", email="", phone="").headers["location"] == "/staff"
    assert adam.get(PEOPLE).status_code == 403
    assert adam.get("/staff").status_code == 200


def test_a_manager_neither_sees_nor_changes_people(api: Caller, adam: Browser) -> None:
    dana = Browser(api, "Dana")
    with transaction(api.service.engine) as session:
        staffing.change_person(session, "Dana", NOW, role=staffing.StaffRole.manager)

    assert dana.get(PEOPLE).status_code == 403
    assert dana.post(page_of(api, "Dana"), role="admin").status_code == 403
    assert PEOPLE not in dana.get("/staff").text
