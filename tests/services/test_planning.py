"""Who is owed what, where and when: the shipped cadence, lead by lead."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from followup.clinic import Recipient, StaffRole
from followup.domain.cadence import Audience, Channel
from followup.domain.delivery import Status
from followup.services import staffing
from followup.services.planning import Planner
from followup.store import deliveries
from followup.store.db import transaction
from followup.store.models import Lead
from tests.schema import KEYRING
from tests.services.cast import (
    ALICE,
    BOB,
    DAY,
    FRONT_DESK,
    FRONT_DESK_PHONE,
    HOUR,
    MANAGER,
    MANAGER_PHONE,
    MINUTE,
    TUESDAY_TEN,
    Desk,
    at,
    clinic,
    planner,
)


def hire(desk: Desk, name: str, role: staffing.StaffRole, **addresses: Any) -> None:
    with transaction(desk.engine) as session:
        staffing.add_person(session, KEYRING, name=name, role=role, now=desk.now, **addresses)


def recipients(desk: Desk, step: str, occurrence: int) -> list[str]:
    rows = desk.rows(step=step, occurrence=occurrence, channel=Channel.email)
    return sorted(row.recipient for row in rows)


def reminders_until(desk: Desk, end: datetime) -> list[datetime]:
    """Work off what falls due, at its instant; when each reminder came."""
    while True:
        waiting = [row.due_at for row in desk.rows(status=Status.planned) if row.due_at <= end]
        if not waiting:
            break
        desk.now = max(desk.now, min(waiting))
        desk.send()
    return sorted({row.due_at for row in desk.rows(step="reminder", status=Status.accepted)})


def test_a_new_lead_is_owed_the_first_occurrence_of_every_step(desk: Desk) -> None:
    lead = desk.submit(ALICE)

    owed = {(row.step, row.channel.value, row.recipient): row.due_at for row in desk.rows(lead)}
    assert owed == {
        ("acknowledgement", "email", "alice@example.com"): TUESDAY_TEN,
        ("acknowledgement", "sms", "+12125550101"): TUESDAY_TEN,
        ("alert", "email", FRONT_DESK): TUESDAY_TEN,
        ("alert", "sms", FRONT_DESK_PHONE): TUESDAY_TEN,
        ("reminder", "email", FRONT_DESK): TUESDAY_TEN + 5 * MINUTE,
        ("reminder", "sms", FRONT_DESK_PHONE): TUESDAY_TEN + 5 * MINUTE,
        ("not-forgotten", "email", "alice@example.com"): at("2026-10-21 10:00"),
        ("not-forgotten", "sms", "+12125550101"): at("2026-10-21 10:00"),
    }
    assert {row.occurrence for row in desk.rows(lead)} == {1}


def test_each_delivery_knows_when_it_is_no_longer_worth_sending(desk: Desk) -> None:
    lead = desk.submit(ALICE)

    lives = {(row.step, row.channel.value): row.expires_at for row in desk.rows(lead)}
    assert lives == {
        ("acknowledgement", "email"): TUESDAY_TEN + 12 * HOUR,
        ("acknowledgement", "sms"): TUESDAY_TEN + 30 * MINUTE,
        ("alert", "email"): TUESDAY_TEN + 2 * HOUR,
        ("alert", "sms"): TUESDAY_TEN + 2 * HOUR,
        ("reminder", "email"): TUESDAY_TEN + 15 * MINUTE,
        ("reminder", "sms"): TUESDAY_TEN + 15 * MINUTE,
        ("not-forgotten", "email"): at("2026-10-22 10:00"),
        ("not-forgotten", "sms"): at("2026-10-21 22:00"),
    }


@pytest.mark.parametrize(
    ("arrival", "reminders"),
    [
        pytest.param(
            "10-20 10:00",
            ["10-20 10:05", "10-20 10:15", "10-20 11:00", "10-20 13:00", "10-20 15:00"],
            id="on a Tuesday morning",
        ),
        pytest.param(
            "10-20 22:40",
            ["10-21 09:05", "10-21 09:15", "10-21 10:00", "10-21 12:00"],
            id="at night",
        ),
        pytest.param(
            "10-23 16:50",
            ["10-23 16:55", "10-26 09:05", "10-26 09:50", "10-26 11:50"],
            id="before a weekend",
        ),
        pytest.param(
            "11-25 16:30",
            ["11-25 16:35", "11-25 16:45", "11-30 09:30", "11-30 11:30"],
            id="before Thanksgiving and the day after it",
        ),
        pytest.param(
            "10-30 16:55",
            ["10-30 17:00", "11-02 09:10", "11-02 09:55", "11-02 11:55"],
            id="before the weekend on which the clocks change",
        ),
    ],
)
def test_staff_are_reminded_at_5_15_and_60_minutes_then_every_two_business_hours(
    desk: Desk, arrival: str, reminders: list[str]
) -> None:
    expected = [at(f"2026-{when}") for when in reminders]
    desk.now = at(f"2026-{arrival}")
    desk.submit(ALICE)

    assert reminders_until(desk, expected[-1]) == expected


def test_the_manager_hears_it_from_the_third_reminder_on(desk: Desk) -> None:
    desk.submit(ALICE)

    reminders_until(desk, TUESDAY_TEN + 3 * HOUR)

    assert recipients(desk, "alert", 1) == [FRONT_DESK]
    assert [recipients(desk, "reminder", number) for number in (1, 2)] == [[FRONT_DESK]] * 2
    both = [FRONT_DESK, MANAGER]
    assert [recipients(desk, "reminder", number) for number in (3, 4)] == [both] * 2
    assert len(desk.provider.to(MANAGER_PHONE)) == 2


def test_what_was_missed_in_an_outage_is_passed_over(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    desk.now = at("2026-10-22 12:30")

    desk.send()

    reminders = desk.rows(lead, step="reminder", channel=Channel.email, recipient=FRONT_DESK)
    assert [(row.occurrence, row.status) for row in reminders] == [
        (1, Status.expired),
        (12, Status.planned),
    ]
    assert reminders[1].due_at == at("2026-10-22 13:00")
    assert desk.provider.to(FRONT_DESK) == []


def test_the_next_reminder_is_planned_with_the_claim_and_once(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    desk.now += 5 * MINUTE

    desk.send()
    desk.send()

    mails = desk.rows(lead, step="reminder", channel=Channel.email)
    assert [(row.occurrence, row.due_at) for row in mails] == [
        (1, TUESDAY_TEN + 5 * MINUTE),
        (2, TUESDAY_TEN + 15 * MINUTE),
    ]


@pytest.mark.parametrize(
    ("role", "from_the_third_on", "always"),
    [
        (staffing.StaffRole.staff, True, True),
        (staffing.StaffRole.manager, True, False),
        (staffing.StaffRole.admin, False, False),
    ],
)
def test_people_of_the_staff_are_alerted_by_their_role(
    desk: Desk, role: staffing.StaffRole, from_the_third_on: bool, always: bool
) -> None:
    hire(desk, "Ann", role, email="ann@example.com")
    desk.submit(ALICE)

    reminders_until(desk, TUESDAY_TEN + HOUR)

    assert ("ann@example.com" in recipients(desk, "alert", 1)) is always
    assert ("ann@example.com" in recipients(desk, "reminder", 3)) is from_the_third_on


def test_who_left_is_no_longer_alerted(desk: Desk) -> None:
    hire(desk, "Ann", staffing.StaffRole.staff, email="ann@example.com")
    with transaction(desk.engine) as session:
        staffing.disable(session, "Ann", desk.now)

    desk.submit(ALICE)

    assert recipients(desk, "alert", 1) == [FRONT_DESK]


@pytest.mark.parametrize("spelling", ["frontdesk@example.com", "FrontDesk@example.com"])
def test_one_address_is_alerted_once(desk: Desk, spelling: str) -> None:
    hire(desk, "Ann", staffing.StaffRole.staff, email=spelling, phone=FRONT_DESK_PHONE)

    lead = desk.submit(ALICE)

    alerts = desk.rows(lead, step="alert")
    assert [(row.channel.value, row.recipient_name) for row in alerts] == [
        ("email", "Front desk"),
        ("sms", "Front desk"),
    ]


def test_staff_of_another_site_are_not_alerted(desk: Desk) -> None:
    elsewhere = Recipient(
        role=StaffRole.staff, name="M", email="mb@example.com", sites=("manhattan-beach",)
    )
    changed = clinic().model_copy(update={"escalation": (*clinic().escalation, elsewhere)})
    desk.with_planner(replace(planner(), clinic=changed))

    here = desk.submit(ALICE)
    there = desk.submit(BOB, location="manhattan-beach")

    def alerted(lead: Lead) -> list[str]:
        rows = desk.rows(lead, step="alert", channel=Channel.email)
        return [row.recipient for row in rows]

    assert alerted(here) == [FRONT_DESK]
    assert sorted(alerted(there)) == [FRONT_DESK, "mb@example.com"]


@pytest.mark.parametrize(
    ("person", "channels"),
    [
        pytest.param(ALICE, {"email", "sms"}, id="both"),
        pytest.param({**ALICE, "phone": None}, {"email"}, id="an email alone"),
        pytest.param({**ALICE, "email": None}, {"sms"}, id="a phone alone"),
    ],
)
def test_a_patient_is_owed_messages_where_there_is_an_address(
    desk: Desk, person: dict[str, str | None], channels: set[str]
) -> None:
    lead = desk.submit(person)

    patients = desk.rows(lead, audience=Audience.patient)
    assert {row.channel.value for row in patients} == channels


def test_a_step_that_the_cadence_no_longer_has_plans_nothing_more(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    cadence = planner().cadences["contact"]
    without = replace(cadence, steps=tuple(s for s in cadence.steps if s.name != "reminder"))
    desk.with_planner(Planner(clinic(), {"contact": without}, KEYRING))
    desk.now += 5 * MINUTE

    desk.send()

    assert {row.occurrence for row in desk.rows(lead, step="reminder")} == {1}


def test_a_lead_whose_cadence_is_gone_can_be_reopened_and_is_planned_nothing(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    desk.mark(lead)
    before = len(desk.rows(lead))
    desk.with_planner(Planner(clinic(), {}, KEYRING))

    desk.reopen(lead)

    assert len(desk.rows(lead)) == before


def test_who_writes_again_after_the_cadence_is_gone_is_still_taken(desk: Desk) -> None:
    lead = desk.submit({**ALICE, "phone": None})
    desk.with_planner(replace(planner(), cadences={}))
    desk.now += 2 * DAY

    submission_id = desk.receive(ALICE)
    desk.consume()

    assert desk.lead_of(submission_id).id == lead.id
    assert desk.lead(lead).phone == ALICE["phone"]


def test_a_new_version_of_the_cadence_makes_no_second_schedule(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    desk.send()
    before = len(desk.rows(lead))
    contact = replace(planner().cadences["contact"], version=2)
    desk.with_planner(replace(planner(), cadences={"contact": contact}))

    with transaction(desk.engine) as session:
        rows = desk.planner.first_rows(session, lead, lead.arrived_at)
        assert deliveries.plan(session, rows) == 0
    desk.send()

    assert len(desk.rows(lead)) == before
