"""The message of a delivery: its facts, its links, its headers, and whose wording it has."""

from dataclasses import replace
from typing import Any

import pytest

from followup.clinic import Recipient, StaffRole
from followup.domain.cadence import Channel
from followup.domain.lead import Role
from followup.errors import FollowupError
from followup.services.composing import Composer
from followup.store.models import Delivery, Lead
from followup.transports.base import Outgoing
from tests.services.cast import (
    ALICE,
    FRONT_DESK,
    FRONT_DESK_PHONE,
    HOUR,
    LINKS,
    MINUTE,
    TUESDAY_TEN,
    Desk,
    at,
    clinic,
    planner,
    templates,
)


def composed(desk: Desk, lead: Lead, step: str, channel: Channel) -> tuple[Outgoing, Delivery]:
    row = desk.row(lead, step, channel)
    return desk.sender.composer.compose(row, lead, desk.now), row


def test_a_text_to_a_patient_says_who_when_and_where_to_call(desk: Desk) -> None:
    lead = desk.submit(ALICE)

    message, row = composed(desk, lead, "acknowledgement", Channel.sms)

    assert (message.to, message.delivery_id) == ("+12125550101", row.id)
    for part in ("Harbor Light Wellness", "today by 11:00 AM", "(949) 555-0100", "STOP", "988"):
        assert part in message.text
    assert (message.subject, message.html, message.message_id) == ("", None, "")
    assert message.headers == {}


def test_a_mail_to_a_patient_greets_by_name_and_can_be_ended(desk: Desk) -> None:
    lead = desk.submit(ALICE)

    message, row = composed(desk, lead, "acknowledgement", Channel.email)

    assert "Hello Alice" in message.text
    assert message.html is not None
    assert "Alice" in message.html
    assert message.message_id == f"<{row.id}@example.com>"
    unsubscribe = LINKS.unsubscribe_url(row.id)
    assert message.headers == {
        "Auto-Submitted": "auto-replied",
        "X-Auto-Response-Suppress": "All",
        "List-Unsubscribe": f"<{unsubscribe}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
    assert unsubscribe in message.text


@pytest.mark.parametrize(
    ("step", "submitted"),
    [("not-forgotten", "auto-generated"), ("alert", "auto-generated")],
)
def test_only_an_acknowledgement_is_an_automatic_reply(
    desk: Desk, step: str, submitted: str
) -> None:
    lead = desk.submit(ALICE)

    message, _ = composed(desk, lead, step, Channel.email)

    assert message.headers["Auto-Submitted"] == submitted


@pytest.mark.parametrize(
    ("step", "channel"),
    [
        ("alert", Channel.email),
        ("alert", Channel.sms),
        ("reminder", Channel.email),
        ("reminder", Channel.sms),
        ("alert", Channel.chat),
        ("reminder", Channel.chat),
    ],
)
def test_staff_are_told_the_reference_and_nothing_of_the_person(
    desk: Desk, step: str, channel: Channel
) -> None:
    chat = Recipient(role=StaffRole.staff, name="Chat", chat="front-desk")
    named = clinic().model_copy(update={"escalation": (*clinic().escalation, chat)})
    desk.with_planner(replace(desk.planner, clinic=named))
    lead = desk.submit(ALICE, message="I despair", interest="ketamine")
    desk.now += 15 * MINUTE

    message, row = composed(desk, lead, step, channel)

    desks = dict(zip(Channel, (FRONT_DESK, FRONT_DESK_PHONE, "front-desk"), strict=True))
    assert message.to == desks[channel]
    whole = message.subject + message.text + (message.html or "") + str(message.headers)
    assert lead.reference in whole
    assert LINKS.act_url(row.id, row.due_at) in message.text
    for personal in ("Alice", "Ames", "0101", "alice@", "despair", "ketamine"):
        assert personal not in whole
    assert "List-Unsubscribe" not in message.headers
    if step == "reminder":
        assert "15 minutes" in message.text


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        pytest.param({}, "We got your message", id="a patient"),
        pytest.param({"role": "referrer"}, "the person you wrote for", id="a referrer"),
        pytest.param({"language": "es"}, "Recibimos su mensaje", id="in Spanish"),
        pytest.param(
            {"language": "es", "role": "referrer"},
            "la persona por quien escribe",
            id="a referrer in Spanish",
        ),
    ],
)
def test_each_is_written_to_in_their_own_words(
    desk: Desk, fields: dict[str, Any], part: str
) -> None:
    lead = desk.submit(ALICE, **fields)

    message, row = composed(desk, lead, "acknowledgement", Channel.sms)

    assert part in message.text
    assert row.wording is not None


def test_a_referrer_is_not_greeted_by_a_first_name(desk: Desk) -> None:
    lead = desk.submit({**ALICE, "name": "Quentin Quill"}, role="referrer")
    assert lead.role is Role.referrer

    message, _ = composed(desk, lead, "acknowledgement", Channel.email)

    assert "Quentin" not in message.text


@pytest.mark.parametrize(
    ("arrival", "promise"),
    [
        pytest.param("2026-10-20 10:00", "today by 11:00 AM", id="in the morning"),
        pytest.param("2026-10-20 16:30", "tomorrow by 9:30 AM", id="before closing"),
        pytest.param("2026-10-24 12:00", "Monday by 10:00 AM", id="on a Saturday"),
    ],
)
def test_the_promise_is_in_words_of_the_sites_clock(desk: Desk, arrival: str, promise: str) -> None:
    desk.now = at(arrival)
    lead = desk.submit(ALICE)

    message, _ = composed(desk, lead, "acknowledgement", Channel.sms)

    assert promise in message.text


def test_the_provider_may_try_until_the_message_is_worth_nothing(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    desk.now = TUESDAY_TEN + 20 * MINUTE

    text, _ = composed(desk, lead, "acknowledgement", Channel.sms)
    mail, _ = composed(desk, lead, "acknowledgement", Channel.email)

    assert text.valid_for == 10 * MINUTE
    assert mail.valid_for == 12 * HOUR - 20 * MINUTE


@pytest.mark.parametrize(
    "name",
    [
        "https://evil.example",
        "{{ clinic_phone }}",
        "<b>Al</b>",
        "Al\N{RIGHT-TO-LEFT OVERRIDE}ice",
    ],
)
def test_a_name_is_never_more_than_a_name(desk: Desk, name: str) -> None:
    lead = desk.submit(ALICE)
    lead.name = name

    message, _ = composed(desk, lead, "acknowledgement", Channel.email)

    assert "Hello," in message.text
    assert name not in message.text + (message.html or "")


def test_asking_about_a_message_needs_what_was_sent(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    message, row = composed(desk, lead, "acknowledgement", Channel.email)

    again = desk.sender.composer.again(row)

    assert (again.to, again.text, again.message_id) == (
        message.to,
        message.text,
        message.message_id,
    )


def test_a_step_that_is_gone_has_no_wording(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    row = desk.row(lead, "alert", Channel.email)
    row.step = "no-longer-there"

    with pytest.raises(FollowupError):
        desk.sender.composer.compose(row, lead, desk.now)


@pytest.mark.parametrize(
    ("sender", "domain"),
    [("Clinic <a@mail.example.com>", "mail.example.com"), ("a@example.org", "example.org")],
)
def test_message_ids_end_with_the_senders_domain(desk: Desk, sender: str, domain: str) -> None:
    lead = desk.submit(ALICE)
    row = desk.row(lead, "alert", Channel.email)
    composer = Composer(replace(planner()), templates(), LINKS, sender)

    message = composer.compose(row, lead, desk.now)

    assert message.message_id.endswith(f"@{domain}>")


def test_a_mail_can_be_ended_by_a_mail_where_a_mailbox_is_read(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    row = desk.row(lead, "not-forgotten", Channel.email)
    composer = Composer(desk.planner, templates(), LINKS, "c@example.com", "hello@example.com")

    message = composer.compose(row, lead, desk.now)

    link = LINKS.unsubscribe_url(row.id)
    token = link.rpartition("/")[2]
    mailto = f"mailto:hello@example.com?subject=unsubscribe%20{token}"
    assert message.headers["List-Unsubscribe"] == f"<{mailto}>, <{link}>"
    assert message.headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
