"""What a signed link opens: looking changes nothing, posting acts, a forged one is a dead end."""

import re
import uuid
from datetime import timedelta
from typing import Any

import pytest

from followup.domain.cadence import Lane
from followup.services import staffing
from followup.services.links import Links
from followup.store import deliveries
from followup.store.db import reading, transaction
from tests.schema import KEYRING
from tests.web.caller import NOW, PUBLIC_URL, Caller, faults

URLENCODED = {"Content-Type": "application/x-www-form-urlencoded"}


def act_link(api: Caller, to: str = "frontdesk@example.com") -> str:
    """The path of the newest link that went to one of the staff."""
    texts = [message.text for message in api.sent.messages if message.to == to]
    found: str = re.findall(rf"{PUBLIC_URL}(/act/[^\s)]+)", texts[-1])[-1]
    return found


def unsubscribe_link(api: Caller) -> str:
    mail = next(one for one in api.sent.messages if one.to == "alice@example.com")
    return mail.headers["List-Unsubscribe"].strip("<>").removeprefix(PUBLIC_URL)


@pytest.fixture
def lead(api: Caller, dana: dict[str, str]) -> dict[str, Any]:
    """Alice's lead, acknowledged and alerted."""
    lead = api.lead(dana)
    api.send_due()
    return lead


def status(api: Caller, dana: dict[str, str], lead: dict[str, Any]) -> str:
    found: str = api.whole(dana, lead["id"])["status"]
    return found


def test_opening_the_staff_link_shows_the_reference_and_changes_nothing(
    api: Caller, dana: dict[str, str], lead: dict[str, Any]
) -> None:
    before = api.whole(dana, lead["id"])
    for method in ("GET", "GET", "HEAD"):
        page = api.http.request(method, act_link(api))
        assert page.status_code == 200
    page = api.http.get(act_link(api))

    assert lead["reference"] in page.text
    assert 'method="post"' in page.text
    assert api.whole(dana, lead["id"]) == before


def test_the_staff_page_says_nothing_of_the_person(api: Caller, lead: dict[str, Any]) -> None:
    page = api.http.get(act_link(api)).text

    for secret in ("Alice", "alice@", "0101", "Please call me", "contact form"):
        assert secret not in page


def test_the_button_marks_the_lead_as_the_recipient(
    api: Caller, dana: dict[str, str], lead: dict[str, Any]
) -> None:
    page = api.http.post(act_link(api), data={"outcome": "booked"})
    marked = api.whole(dana, lead["id"])

    assert page.status_code == 200
    assert "Front desk" in page.text
    assert "today 9:05 AM" in page.text
    assert (marked["contacted_by"], marked["outcome"]) == ("Front desk", "booked")
    api.clock.pass_by(timedelta(days=2))
    assert api.send_due() == []


def test_a_post_without_an_outcome_is_reached(
    api: Caller, dana: dict[str, str], lead: dict[str, Any]
) -> None:
    api.http.post(act_link(api), headers=URLENCODED)

    assert api.whole(dana, lead["id"])["outcome"] == "reached"


def test_a_second_press_by_the_same_person_says_the_same(api: Caller, lead: dict[str, Any]) -> None:
    first = api.http.post(act_link(api), data={"outcome": "booked"})
    again = api.http.post(act_link(api), data={"outcome": "other"})

    assert (again.status_code, again.text) == (200, first.text)


def test_somebody_elses_press_is_told_who_was_first(
    api: Caller, dana: dict[str, str], lead: dict[str, Any]
) -> None:
    api.http.post(f"/admin/leads/{lead['id']}/contacted", headers=dana)
    page = api.http.post(act_link(api), headers=URLENCODED)

    assert page.status_code == 409
    assert "Dana" in page.text
    assert api.whole(dana, lead["id"])["contacted_by"] == "Dana"
    assert "Dana" in api.http.get(act_link(api)).text


def test_a_link_for_one_lead_marks_no_other(
    api: Caller, dana: dict[str, str], lead: dict[str, Any]
) -> None:
    other = api.lead(dana, name="Bob", email="bob@example.com", phone="(415) 555-0102")
    api.http.post(act_link(api), headers=URLENCODED)

    assert status(api, dana, other) == "open"


def test_a_link_works_for_a_week_and_not_longer(
    api: Caller, dana: dict[str, str], lead: dict[str, Any]
) -> None:
    link = act_link(api)
    api.clock.at = NOW + timedelta(days=7, seconds=-1)
    assert api.http.get(link).status_code == 200
    api.clock.at = NOW + timedelta(days=7)

    assert api.http.get(link).status_code == 404
    assert api.http.post(link, headers=URLENCODED).status_code == 404
    assert status(api, dana, lead) == "open"


def add_eve(api: Caller) -> None:
    with transaction(api.service.engine) as session:
        staffing.add_person(
            session,
            KEYRING,
            name="Eve",
            role=staffing.StaffRole.staff,
            now=NOW,
            email="eve@example.com",
        )


def test_the_link_of_somebody_who_left_ends_with_their_token(
    api: Caller, dana: dict[str, str]
) -> None:
    add_eve(api)
    lead = api.lead(dana)
    api.send_due()
    link = act_link(api, "eve@example.com")
    assert api.http.get(link).status_code == 200
    with transaction(api.service.engine) as session:
        staffing.disable(session, "Eve", NOW)

    assert api.http.post(link, headers=URLENCODED).status_code == 404
    assert status(api, dana, lead) == "open"


def test_a_link_to_an_earlier_address_of_somebody_who_left_ends_too(
    api: Caller, dana: dict[str, str]
) -> None:
    add_eve(api)
    api.lead(dana)
    api.send_due()
    link = act_link(api, "eve@example.com")
    with transaction(api.service.engine) as session:
        staffing.change_person(session, "Eve", NOW, email="eve.new@example.com")
        staffing.disable(session, "Eve", NOW)

    assert api.http.get(link).status_code == 404


def test_a_link_says_in_the_clinics_language_and_time_when_somebody_marked(
    api: Caller, lead: dict[str, Any], dana: dict[str, str]
) -> None:
    api.act(dana, lead, "contacted")
    spanish = api.service.clinic.model_copy(update={"default_language": "es"})
    object.__setattr__(api.service, "clinic", spanish)

    assert "hoy 9:05 AM" in api.http.get(act_link(api)).text


def forged(api: Caller) -> dict[str, str]:
    right = act_link(api).removeprefix("/act/")
    payload, signature = right.rsplit(".", 1)
    stranger = Links(["another key of at least 32 characters"], PUBLIC_URL)
    with reading(api.service.engine) as session:
        gone = deliveries.find_delivery(session, uuid.UUID(int=1))
    assert gone is None
    return {
        "nothing like it": "x",
        "no signature": payload,
        "another signature": f"{payload}.{signature[::-1]}",
        "another payload": f"{payload[:-2]}AA.{signature}",
        "another key": stranger.act_url(uuid.uuid4(), NOW).rsplit("/", 1)[1],
        "no such delivery": api.service.links.act_url(uuid.uuid4(), NOW).rsplit("/", 1)[1],
        "another purpose": unsubscribe_link(api).rsplit("/", 1)[1],
        "NUL": "%00",
        "not UTF-8": "%ff%fe",
        "letters": "%C3%A9.%E2%82%AC",
        "long": "A" * 5000,
    }


def test_a_forged_staff_link_is_a_dead_end_that_helps(api: Caller, lead: dict[str, Any]) -> None:
    for what, token in forged(api).items():
        for answer in (
            api.http.get(f"/act/{token}"),
            api.http.post(f"/act/{token}", headers=URLENCODED),
        ):
            assert answer.status_code == 404, what
            assert "(949) 555-0100" in answer.text, what


@pytest.mark.parametrize(
    ("sent", "status_code"),
    [
        pytest.param({"data": {"outcome": "gone"}}, 422, id="an unknown outcome"),
        pytest.param({"data": {"outcome": ["booked", "other"]}}, 422, id="two outcomes"),
        pytest.param({"json": {"outcome": "booked"}}, 415, id="JSON"),
        pytest.param({"content": b"x", "headers": {"Content-Type": "text/plain"}}, 415, id="text"),
        pytest.param({"content": b"a=%ff", "headers": URLENCODED}, 400, id="not UTF-8"),
    ],
)
def test_a_wrong_press_marks_nothing(
    api: Caller,
    dana: dict[str, str],
    lead: dict[str, Any],
    sent: dict[str, Any],
    status_code: int,
) -> None:
    answer = api.http.post(act_link(api), **sent)

    assert answer.status_code == status_code
    faults(answer)
    assert status(api, dana, lead) == "open"


def test_opening_the_unsubscribe_link_asks_and_changes_nothing(
    api: Caller, dana: dict[str, str], lead: dict[str, Any]
) -> None:
    before = api.whole(dana, lead["id"])
    page = api.http.get(unsubscribe_link(api))

    assert page.status_code == 200
    assert 'method="post"' in page.text
    assert "alice" not in page.text.lower()
    assert api.whole(dana, lead["id"]) == before


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param({"data": {"List-Unsubscribe": "One-Click"}}, id="RFC 8058"),
        pytest.param({}, id="no body"),
        pytest.param({"json": {}}, id="JSON"),
        pytest.param({"files": {"List-Unsubscribe": (None, "One-Click")}}, id="multipart"),
        pytest.param({"content": b"\xff\x00", "headers": {"Content-Type": "x"}}, id="rubbish"),
    ],
)
def test_posting_to_the_unsubscribe_link_stops_mail_whatever_is_in_the_body(
    api: Caller, dana: dict[str, str], lead: dict[str, Any], sent: dict[str, Any]
) -> None:
    page = api.http.post(unsubscribe_link(api), **sent)
    api.submit(message="Me again.")
    api.clock.pass_by(timedelta(days=2))
    api.submit(message="And again.")
    api.consume()

    assert page.status_code == 200
    assert "alice@example.com" not in [message.to for message in api.send_due()]
    mails = [
        (one["status"], one["reason"])
        for one in api.whole(dana, lead["id"])["deliveries"]
        if one["recipient"] == "alice@example.com" and one["sent_at"] is None
    ]
    assert mails
    assert {reason for _, reason in mails} <= {"unsubscribed"}


def test_the_second_button_stops_texts_too(
    api: Caller, dana: dict[str, str], lead: dict[str, Any]
) -> None:
    page = api.http.get(unsubscribe_link(api))
    assert "?everything=yes" in page.text

    answer = api.http.post(unsubscribe_link(api) + "?everything=yes")

    assert answer.status_code == 200
    assert "no more text messages" in answer.text
    found = api.whole(dana, lead["id"])["suppressions"]
    assert [(one["channel"], one["reason"], one["matched_by"]) for one in found] == [
        ("email", "unsubscribed", "link"),
        ("sms", "unsubscribed", "link"),
    ]
    assert faults(api.http.post(unsubscribe_link(api) + "?everything=maybe")).keys() == {
        "everything"
    }


def test_unsubscribing_twice_answers_the_same_and_never_expires(
    api: Caller, lead: dict[str, Any]
) -> None:
    first = api.http.post(unsubscribe_link(api))
    api.clock.pass_by(timedelta(days=400))
    again = api.http.post(unsubscribe_link(api))

    assert (again.status_code, again.text) == (200, first.text)


def test_unsubscribing_speaks_the_leads_language(api: Caller, dana: dict[str, str]) -> None:
    api.lead(dana, language="es")
    api.send_due(Lane.ack)

    assert '<html lang="es">' in api.http.get(unsubscribe_link(api)).text


def test_a_forged_unsubscribe_link_is_a_dead_end(api: Caller, lead: dict[str, Any]) -> None:
    staffs = next(o for o in lead["deliveries"] if o["audience"] == "staff")["id"]
    links = api.service.links
    tokens = {
        **forged(api),
        "another purpose": act_link(api).rsplit("/", 1)[1],
        "no such delivery": links.unsubscribe_url(uuid.uuid4()).rsplit("/", 1)[1],
        "a staff delivery": links.unsubscribe_url(uuid.UUID(staffs)).rsplit("/", 1)[1],
    }
    for what, token in tokens.items():
        for method in ("GET", "POST"):
            answer = api.http.request(method, f"/unsubscribe/{token}")
            assert answer.status_code == 404, what
            assert answer.headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize(
    ("path", "may_be_framed"),
    [
        ("/forms/contact", True),
        ("/forms/screening", True),
        ("/act/x", False),
        ("/unsubscribe/x", False),
    ],
)
def test_pages_take_nothing_from_elsewhere_and_are_framed_only_where_that_is_meant(
    api: Caller, path: str, may_be_framed: bool
) -> None:
    answer = api.http.get(path)
    policy = dict(
        part.strip().split(" ", 1)
        for part in answer.headers["content-security-policy"].split(";")
        if part.strip()
    )

    assert policy["default-src"] == "'none'"
    assert "script-src" not in policy
    assert policy["form-action"] == "'self'"
    assert policy["base-uri"] == "'none'"
    framing = "'self' https://www.example.com" if may_be_framed else "'none'"
    assert policy["frame-ancestors"] == framing
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert not re.search(r'(?:src|href)="(?:https?:)?//(?!www\.example\.com)', answer.text)
