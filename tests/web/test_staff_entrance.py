"""Signing in to the staff's pages: who gets in, for how long, and what no other site can do."""

import re
from datetime import UTC, datetime, timedelta

import pyotp
import pytest
from httpx2 import Response

from followup.services import signing_in, staffing
from followup.store import entries, people, sign_ins
from followup.store.db import reading, transaction
from tests.web.caller import NOW, Caller

PASSWORD = "a sentence to remember"


@pytest.fixture
def token(api: Caller) -> str:
    """Of Dana, who has no password yet."""
    return api.staff("Dana")["Authorization"].removeprefix("Bearer ")


def post(api: Caller, path: str, **fields: str) -> Response:
    return api.http.post(path, data=fields)


def welcome(api: Caller, token: str) -> None:
    answer = post(api, "/staff/welcome", token=token, password=PASSWORD)
    assert (answer.status_code, answer.headers["location"]) == (303, "/staff")


def csrf_of(api: Caller, page: str = "/staff/account") -> str:
    found = re.search(r'name="csrf" value="(\w+)"', api.http.get(page).text)
    assert found is not None
    return found[1]


def is_in(api: Caller) -> bool:
    return api.http.get("/staff/account").status_code == 200


def test_a_token_opens_the_first_time_and_the_password_from_then_on(
    api: Caller, token: str
) -> None:
    welcome(api, token)
    assert is_in(api)
    post(api, "/staff/sign-out", csrf=csrf_of(api))
    assert not is_in(api)

    for name in ("Dana", "  dana "):
        api.http.cookies.clear()
        answer = post(api, "/staff/sign-in", name=name, password=PASSWORD)
        assert answer.status_code == 303
        assert is_in(api)


def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_hosts(api: Caller, token: str) -> None:
    answer = post(api, "/staff/welcome", token=token, password=PASSWORD)

    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-followup=")
    assert {"HttpOnly", "Path=/", "SameSite=lax", "Secure"} <= set(cookie.split("; "))


@pytest.mark.parametrize(
    ("name", "password"), [("Dana", "another sentence"), ("Nobody", PASSWORD), ("", PASSWORD)]
)
def test_a_wrong_name_and_a_wrong_password_are_answered_alike(
    api: Caller, token: str, name: str, password: str
) -> None:
    welcome(api, token)
    api.http.cookies.clear()

    answer = post(api, "/staff/sign-in", name=name, password=password)

    assert answer.status_code == 401
    assert "Name, password or code is not right." in answer.text
    assert "set-cookie" not in answer.headers


def test_guessing_ends_after_some_attempts_also_for_the_right_password(
    api: Caller, token: str
) -> None:
    welcome(api, token)
    api.http.cookies.clear()

    answers = [
        post(api, "/staff/sign-in", name="Dana", password="wrong")
        for _ in range(signing_in.PER_NAME)
    ]
    last = post(api, "/staff/sign-in", name="DANA", password=PASSWORD)

    assert {one.status_code for one in answers} == {401}
    assert last.status_code == 429
    assert 0 < int(last.headers["retry-after"]) <= 900


@pytest.mark.parametrize("path", ["/staff/account", "/staff/account?done=password"])
def test_who_is_not_signed_in_comes_back_to_the_page_afterwards(
    api: Caller, token: str, path: str
) -> None:
    welcome(api, token)
    api.http.cookies.clear()

    sent_away = api.http.get(path)
    assert sent_away.status_code == 303
    form = api.http.get(sent_away.headers["location"]).text
    back = re.search(r'name="next" value="([^"]+)"', form)
    assert back is not None
    answer = post(api, "/staff/sign-in", name="Dana", password=PASSWORD, next=back[1])

    assert answer.headers["location"] == path


@pytest.mark.parametrize(
    "elsewhere",
    ["https://evil.example/staff/", "//evil.example/staff/", "/staffx", "/\\evil.example", "x:y"],
)
def test_nobody_is_sent_to_another_site(api: Caller, token: str, elsewhere: str) -> None:
    welcome(api, token)

    answer = post(api, "/staff/sign-in", name="Dana", password=PASSWORD, next=elsewhere)

    assert answer.headers["location"] == "/staff"


def test_a_sign_in_ends_after_idleness_and_an_open_page_does_not_keep_it(
    api: Caller, token: str
) -> None:
    welcome(api, token)
    rules = api.service.clinic.signing_in
    cookie = api.http.cookies["__Host-followup"]
    engine = api.service.engine

    def age(by: timedelta) -> None:
        with transaction(engine) as session:
            found = sign_ins.find_sign_in(session, signing_in._hash(cookie))
            assert found is not None
            sign_ins.touch(session, found[0].id, found[0].seen_at - by)

    age(rules.idle - timedelta(minutes=1))
    assert signing_in.find_signed_in(engine, cookie, rules, acts=False) is not None
    age(timedelta(minutes=1))
    assert signing_in.find_signed_in(engine, cookie, rules) is None
    assert not is_in(api)


def test_what_somebody_does_keeps_the_sign_in(api: Caller, token: str) -> None:
    welcome(api, token)
    rules = api.service.clinic.signing_in
    cookie = api.http.cookies["__Host-followup"]
    with transaction(api.service.engine) as session:
        found = sign_ins.find_sign_in(session, signing_in._hash(cookie))
        assert found is not None
        sign_ins.touch(session, found[0].id, found[0].seen_at - rules.idle / 2)

    assert is_in(api)

    with reading(api.service.engine) as session:
        seen_again = sign_ins.find_sign_in(session, signing_in._hash(cookie))
        assert seen_again is not None
        assert seen_again[0].seen_at >= found[0].begun_at


def test_who_left_is_out_at_once(api: Caller, token: str) -> None:
    welcome(api, token)

    with transaction(api.service.engine) as session:
        staffing.disable(session, "Dana", NOW)

    assert not is_in(api)
    answer = post(api, "/staff/sign-in", name="Dana", password=PASSWORD)
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("headers", "csrf"),
    [({}, "0" * 64), ({}, ""), ({"Sec-Fetch-Site": "cross-site"}, None)],
)
def test_no_other_site_can_act(
    api: Caller, token: str, headers: dict[str, str], csrf: str | None
) -> None:
    welcome(api, token)
    given = csrf_of(api) if csrf is None else csrf

    answer = api.http.post("/staff/sign-out", data={"csrf": given}, headers=headers)

    assert answer.status_code == 403
    assert is_in(api)


def test_a_code_is_asked_for_once_it_is_set_up_and_opens_once(api: Caller, token: str) -> None:
    welcome(api, token)
    secret = pyotp.random_base32()
    now_code = pyotp.TOTP(secret).now()
    wrong = f"{(int(now_code) + 1) % 1_000_000:06}"
    csrf = csrf_of(api)
    refused = post(api, "/staff/account/codes", csrf=csrf, secret=secret, code=wrong)
    begun = post(api, "/staff/account/codes", csrf=csrf, secret=secret, code=now_code)
    assert (refused.status_code, begun.status_code) == (422, 303)
    api.http.cookies.clear()

    def sign_in(code: str) -> int:
        answer = post(api, "/staff/sign-in", name="Dana", password=PASSWORD, code=code)
        return int(answer.status_code)

    next_code = pyotp.TOTP(secret).at(datetime.now(UTC), counter_offset=1)
    assert [sign_in(""), sign_in(now_code), sign_in(next_code), sign_in(next_code)] == [
        401,
        401,
        303,
        401,
    ]


@pytest.fixture
def secret(api: Caller, token: str) -> str:
    """Of the app that Dana's codes come from."""
    welcome(api, token)
    secret = signing_in.new_totp_secret()
    assert begin_codes(api, secret) == 303
    return secret


def begin_codes(api: Caller, secret: str, code: str = "") -> int:
    code = code or pyotp.TOTP(secret).now()
    path = "/staff/account/codes"
    return int(post(api, path, csrf=csrf_of(api), secret=secret, code=code).status_code)


def codes_of(api: Caller) -> str | None:
    with reading(api.service.engine) as session:
        person = people.find_by_name(session, "Dana")
    assert person is not None
    return person.totp_secret


def test_a_browser_that_was_left_open_neither_ends_the_codes_nor_changes_their_app(
    api: Caller, secret: str
) -> None:
    csrf, path = csrf_of(api), "/staff/account/codes/end"

    answers = [post(api, path, csrf=csrf), post(api, path, csrf=csrf, password="no")]

    assert [one.status_code for one in answers] == [401, 401]
    assert "That is not your password." in answers[1].text
    assert begin_codes(api, signing_in.new_totp_secret()) == 409
    assert codes_of(api) == secret
    assert post(api, path, csrf=csrf, password=PASSWORD).status_code == 303
    assert codes_of(api) is None


@pytest.mark.parametrize("secret", ["", "A", "0" * 32, "ñ" * 32])
def test_a_secret_that_is_none_of_ours_begins_no_codes(
    api: Caller, token: str, secret: str
) -> None:
    welcome(api, token)

    assert begin_codes(api, secret, code="000000") == 422
    assert codes_of(api) is None


def test_a_new_password_signs_out_everywhere_else(api: Caller, token: str) -> None:
    welcome(api, token)
    elsewhere = api.http.cookies["__Host-followup"]
    api.http.cookies.clear()
    post(api, "/staff/sign-in", name="Dana", password=PASSWORD)
    csrf = csrf_of(api)

    wrong = post(api, "/staff/account/password", csrf=csrf, old="no", password=PASSWORD + "!")
    short = post(api, "/staff/account/password", csrf=csrf, old=PASSWORD, password="short")
    right = post(api, "/staff/account/password", csrf=csrf, old=PASSWORD, password=PASSWORD + "!")

    assert [wrong.status_code, short.status_code, right.status_code] == [401, 422, 303]
    assert is_in(api)
    rules = api.service.clinic.signing_in
    assert signing_in.find_signed_in(api.service.engine, elsewhere, rules) is None


def test_the_trail_knows_who_came_and_who_was_refused(api: Caller, token: str) -> None:
    welcome(api, token)
    post(api, "/staff/sign-in", name="Dana", password="wrong")
    post(api, "/staff/sign-in", name="Mallory", password="wrong")
    post(api, "/staff/welcome", token="wrong", password=PASSWORD)
    csrf = csrf_of(api)
    post(api, "/staff/account/password", csrf=csrf, old="wrong", password=PASSWORD)

    with reading(api.service.engine) as session:
        told = [(one.verb, one.by) for one in entries.list_entries(session)][:5]

    assert told == [
        ("password refused", "Dana"),
        ("sign-in refused", "somebody unknown"),
        ("sign-in refused", "somebody unknown"),
        ("sign-in refused", "Dana"),
        ("password chosen", "Dana"),
    ]
