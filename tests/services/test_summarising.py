"""Each morning who waits, each week how it went: once, in time, in numbers and references."""

from dataclasses import replace
from datetime import datetime

import pytest
from sqlalchemy import Engine

from followup.clinic import Recipient
from followup.domain.cadence import Audience, Channel
from followup.domain.delivery import Status
from followup.domain.lead import LeadStatus, Priority
from followup.services import staffing, summarising
from followup.store.db import transaction
from followup.store.models import Lead
from tests.parallel import together
from tests.schema import KEYRING
from tests.services.cast import ALICE, BOB, DAY, FRONT_DESK, HOUR, MANAGER, MINUTE, Desk, at, clinic

#: No holiday is near.
MONDAY = at("2026-10-19 10:00")


def summarise(desk: Desk) -> list[str]:
    """The subjects of what is made and sent now."""
    summarising.summarise(desk.engine, desk.planner, desk.now)
    desk.provider.sent.clear()
    desk.send()
    return sorted(
        f"{one.to}: {one.subject}"
        for one in desk.provider.sent
        if one.delivery_id in {row.id for row in desk.rows(cadence="summaries")}
    )


def mail(desk: Desk, to: str) -> str:
    (one,) = [
        one for one in desk.provider.to(to) if "Good morning" in one.text or "week" in one.text
    ]
    return f"{one.subject}\n{one.text}"


def two_waiting(desk: Desk) -> tuple[Lead, Lead]:
    desk.now = MONDAY
    pair = desk.submit(ALICE), desk.submit(BOB)
    desk.send()
    return pair


def test_staff_hear_each_morning_who_waits_by_reference_alone(desk: Desk) -> None:
    first, second = two_waiting(desk)
    with transaction(desk.engine) as session:
        later = session.get_one(Lead, first.id)
        later.promised_at, later.priority = at("2026-10-21 12:00"), Priority.urgent
    desk.now = at("2026-10-20 09:00")

    assert summarise(desk) == [
        f"{FRONT_DESK}: Newport Beach, Tuesday, October 20: 2 waiting for a call, 1 overdue"
    ]

    text = mail(desk, FRONT_DESK)
    assert f"The longest past the promise first: {first.reference}, {second.reference}." in text
    assert "https://followup.example.com/staff?site=newport-beach" in text
    for secret in (*ALICE.values(), *BOB.values(), "Alice", "Bob"):
        assert secret not in text


def test_it_is_told_once_a_day_however_many_ask_at_once(desk: Desk, other_engine: Engine) -> None:
    two_waiting(desk)
    desk.now = at("2026-10-20 09:00")

    made = together(
        *[
            lambda engine=engine: summarising.summarise(engine, desk.planner, desk.now)
            for engine in (desk.engine, other_engine) * 2
        ]
    )

    assert sum(made) == 1
    assert len(summarise(desk)) == 1
    desk.now += HOUR
    assert summarise(desk) == []
    desk.now = at("2026-10-21 09:30")
    assert len(summarise(desk)) == 1


@pytest.mark.parametrize(
    "when",
    [
        pytest.param(at("2026-10-20 08:59"), id="before the opening"),
        pytest.param(at("2026-10-20 11:00"), id="two hours late"),
        pytest.param(at("2026-10-24 09:00"), id="on a Saturday"),
        pytest.param(at("2026-11-26 09:00"), id="on a holiday"),
    ],
)
def test_nothing_is_told_before_the_opening_or_late_or_on_a_day_off(
    desk: Desk, when: datetime
) -> None:
    two_waiting(desk)
    desk.now = when

    assert summarise(desk) == []


def test_nobody_is_told_that_nobody_waits(desk: Desk) -> None:
    for lead in two_waiting(desk):
        desk.mark(lead)
    desk.now = at("2026-10-20 09:00")

    assert summarise(desk) == []


def test_a_summary_that_an_outage_held_up_does_not_go(desk: Desk) -> None:
    two_waiting(desk)
    desk.now = at("2026-10-20 09:00")
    summarising.summarise(desk.engine, desk.planner, desk.now)

    desk.now += 2 * HOUR
    desk.send()

    (row,) = desk.rows(cadence="summaries")
    assert row.status is Status.expired
    assert (desk.tasks(), desk.alarms()) == ([], [])


def test_each_site_hears_of_its_own(desk: Desk) -> None:
    there = Recipient.model_validate(
        {"role": "staff", "name": "M", "email": "mb@example.com", "sites": ["manhattan-beach"]}
    )
    named = clinic().model_copy(update={"escalation": (*clinic().escalation, there)})
    desk.with_planner(replace(desk.planner, clinic=named))
    desk.now = MONDAY
    desk.submit(ALICE)
    desk.submit(BOB, location="manhattan-beach")
    gone = desk.submit({**BOB, "email": "x@example.com", "phone": None})
    with transaction(desk.engine) as session:
        session.get_one(Lead, gone.id).site = "venice"
    desk.now = at("2026-10-20 09:00")

    assert summarise(desk) == [
        f"{FRONT_DESK}: Manhattan Beach, Tuesday, October 20: 1 waiting for a call, 1 overdue",
        f"{FRONT_DESK}: Newport Beach, Tuesday, October 20: 2 waiting for a call, 2 overdue",
        "mb@example.com: Manhattan Beach, Tuesday, October 20: 1 waiting for a call, 1 overdue",
    ]


def test_managers_hear_each_week_how_it_went_in_numbers(desk: Desk) -> None:
    with transaction(desk.engine) as session:
        staffing.add_person(
            session,
            KEYRING,
            name="Mia",
            role=staffing.StaffRole.manager,
            now=desk.now,
            email="mia@example.com",
        )
    first, second = two_waiting(desk)
    desk.now += 30 * MINUTE
    desk.mark(first)
    desk.now += 2 * DAY
    desk.mark(second)
    third = desk.submit({**ALICE, "email": "c@example.com", "phone": None})
    with transaction(desk.engine) as session:
        session.get_one(Lead, third.id).status = LeadStatus.closed
    desk.now = at("2026-10-25 23:00")
    desk.submit({**ALICE, "email": "d@example.com", "phone": None})
    desk.now = at("2026-10-26 09:05")
    desk.submit({**ALICE, "email": "e@example.com", "phone": None})

    told = summarise(desk)

    week = "Newport Beach: the week from Monday, October 19"
    assert f"{MANAGER}: {week}" in told
    assert f"mia@example.com: {week}" in told
    assert f"{FRONT_DESK}: {week}" not in told
    text = next(m.text for m in desk.provider.to(MANAGER) if m.subject == week)
    assert "new leads: 4" in text.replace("*", "")
    assert "contacted: 2, 1 of them in the time that was promised" in text.replace("*", "")
    assert "half of them within 24 hours" in text
    assert "waiting for a call now: 2, overdue: 0" in text.replace("*", "")
    assert not any(lead.reference in text for lead in (first, second, third))
    desk.now = at("2026-10-27 09:05")
    assert [one for one in summarise(desk) if "the week" in one] == []


def test_a_clinic_without_the_folder_tells_nothing(desk: Desk) -> None:
    two_waiting(desk)
    without = {name: one for name, one in desk.planner.cadences.items() if name != "summaries"}
    desk.with_planner(replace(desk.planner, cadences=without))
    desk.now = at("2026-10-20 09:00")

    assert summarise(desk) == []
    assert desk.rows(audience=Audience.staff, channel=Channel.email, cadence="summaries") == []
