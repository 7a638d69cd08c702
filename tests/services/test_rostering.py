"""Of a lead hears who is on duty; outside everybody's hours, and of danger, everybody does."""

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from followup.clinic import Recipient, StaffRole
from followup.clinic_fields import Week
from followup.domain.cadence import Channel, Lane
from followup.domain.delivery import Reason, Status
from followup.errors import TemporaryFailure
from followup.services.rostering import has_stand_in
from tests.services.cast import ALICE, BOB, MANAGER, MINUTE, Desk, at, clinic

EARLY, LATE = "early@example.com", "late@example.com"


def week(hours: str) -> Week:
    return Week.model_validate({day: [hours] for day in ("mon", "tue", "wed", "thu", "fri")})


def colleague(email: str, hours: str | None, **more: object) -> Recipient:
    given = {"role": "staff", "name": email, "email": email, "hours": hours and week(hours)}
    return Recipient.model_validate(given | more)


SHIFTS = (colleague(EARLY, "09:00-13:00"), colleague(LATE, "13:00-17:00"))
BOSS = Recipient(role=StaffRole.manager, name="Boss", email=MANAGER)


def with_shifts(desk: Desk, *escalation: Recipient) -> None:
    named = clinic().model_copy(update={"escalation": escalation or (*SHIFTS, BOSS)})
    desk.with_planner(replace(desk.planner, clinic=named))


def told(desk: Desk, *lanes: Lane) -> list[str]:
    desk.send(*lanes or (Lane.staff, Lane.reminder))
    found = sorted(one.to for one in desk.provider.sent)
    desk.provider.sent.clear()
    return found


@pytest.mark.parametrize(
    ("local", "heard"),
    [
        ("2026-10-20 09:00", [EARLY]),
        ("2026-10-20 12:59", [EARLY]),
        ("2026-10-20 13:00", [LATE]),
        ("2026-10-20 17:00", [EARLY, LATE]),
        ("2026-10-24 11:00", [EARLY, LATE]),
    ],
)
def test_an_alert_goes_to_who_is_on_duty_and_outside_all_hours_to_all(
    desk: Desk, local: str, heard: list[str]
) -> None:
    with_shifts(desk)
    desk.now = at(local)
    lead = desk.submit(ALICE)

    assert told(desk, Lane.staff) == heard

    passed_over = desk.rows(lead, step="alert", status=Status.skipped)
    assert {row.reason for row in passed_over} <= {Reason.off_duty}
    assert desk.tasks() == []


def test_a_reminder_that_was_planned_in_one_shift_goes_to_the_next(desk: Desk) -> None:
    """Case 80."""
    with_shifts(desk)
    desk.now = at("2026-10-20 12:58")
    lead = desk.submit(ALICE)
    told(desk)

    desk.now += 5 * MINUTE

    assert told(desk, Lane.reminder) == [LATE]
    assert {row.occurrence for row in desk.rows(lead, step="reminder")} == {1, 2}


def test_a_manager_is_told_whose_hours_are_over_when_no_other_manager_is_there(desk: Desk) -> None:
    with_shifts(desk, *SHIFTS, colleague(MANAGER, "09:00-10:00", role="manager"))
    desk.now = at("2026-10-20 11:00")
    desk.submit(ALICE)
    for minutes in (5, 10):
        desk.now += minutes * MINUTE
        assert MANAGER not in told(desk)

    desk.now += 45 * MINUTE

    assert told(desk) == [EARLY, MANAGER]


def test_who_was_due_before_a_change_of_shift_is_told_with_who_came_after(desk: Desk) -> None:
    """An outage: two may hear of it, and never nobody."""
    with_shifts(desk)
    desk.now = at("2026-10-20 12:58")
    desk.submit(ALICE)

    desk.now += 5 * MINUTE

    assert told(desk, Lane.staff) == [EARLY, LATE]


def test_a_retry_goes_to_who_was_on_duty_when_the_others_were_passed_over(desk: Desk) -> None:
    with_shifts(desk)
    desk.now = at("2026-10-20 12:59")
    desk.submit(ALICE)
    desk.provider.answer = lambda _: TemporaryFailure("busy", "451")
    told(desk, Lane.staff)
    desk.provider.answer = lambda _: None

    desk.now += 2 * MINUTE

    assert told(desk, Lane.staff) == [EARLY]


def test_of_danger_everybody_hears(desk: Desk) -> None:
    with_shifts(desk)
    desk.submit(ALICE)
    told(desk)

    desk.reply(ALICE["phone"], "I want to die")

    assert told(desk, Lane.staff) == [EARLY, LATE, MANAGER]


def test_of_a_patient_s_text_hears_who_is_on_duty(desk: Desk) -> None:
    with_shifts(desk)
    desk.submit(BOB)
    told(desk)

    desk.reply(BOB["phone"], "Can you call after four?")

    assert told(desk, Lane.staff) == [EARLY]


TEN = at("2026-10-20 10:00")
MAIL = Channel.email
HERE, THERE = ("newport-beach",), ("manhattan-beach",)


@pytest.mark.parametrize(
    ("others", "stands_in"),
    [
        pytest.param([colleague("x@example.com", None)], True, id="always on duty"),
        pytest.param([colleague("x@example.com", "09:00-17:00")], True, id="on duty"),
        pytest.param([colleague("x@example.com", "11:00-17:00")], False, id="off as well"),
        pytest.param([colleague("x@example.com", None, sites=THERE)], False, id="another site's"),
        pytest.param([colleague("x@example.com", None, sites=HERE)], True, id="the site's own"),
        pytest.param([colleague("x@example.com", None, role="manager")], False, id="manager"),
        pytest.param(
            [Recipient(role=StaffRole.staff, name="X", phone="+14155550179")],
            False,
            id="no mail",
        ),
        pytest.param([colleague(LATE, "09:00-11:00")], False, id="the same mailbox is watched"),
    ],
)
def test_a_stand_in_has_the_same_role_site_and_channel(
    others: list[Recipient], stands_in: bool
) -> None:
    named = clinic().model_copy(update={"escalation": (SHIFTS[1], *others)})

    assert has_stand_in(named, MAIL, LATE, named.site(None), TEN) is stands_in
    assert not has_stand_in(named, MAIL, "dana@example.com", named.site(None), TEN)


def test_hours_are_those_of_the_lead_s_site() -> None:
    site = clinic().site(None)
    named = clinic().model_copy(update={"escalation": SHIFTS})
    eastern = site.model_copy(update={"zone": ZoneInfo("America/New_York")})

    assert not has_stand_in(named, MAIL, EARLY, site, TEN)
    assert has_stand_in(named, MAIL, EARLY, eastern, TEN)


def test_channels_are_looked_at_each_by_itself(desk: Desk) -> None:
    other = Recipient(role=StaffRole.staff, name="P", phone="+14155550179", chat="all")
    late = colleague(LATE, "13:00-17:00", chat="late")
    with_shifts(desk, SHIFTS[0], late, other)
    desk.submit(ALICE)

    assert told(desk, Lane.staff) == ["+14155550179", "all", EARLY]
    passed_over = desk.rows(step="alert", status=Status.skipped)
    assert {(row.channel, row.recipient) for row in passed_over} == {
        (Channel.email, LATE),
        (Channel.chat, "late"),
    }
