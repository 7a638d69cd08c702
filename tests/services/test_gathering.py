"""The facts by which a text is judged: where its number may be, and till when it is of use."""

from dataclasses import replace

from followup.domain.cadence import Channel, Lane
from followup.domain.delivery import Reason, Status
from followup.quiet_hours import QuietHours
from followup.store.models import Delivery, Lead
from tests.services.cast import ALICE, BOB, MANAGER, MINUTE, Desk, at, clinic, planner


def text_of(desk: Desk, lead: Lead) -> Delivery:
    return desk.row(lead, "acknowledgement", Channel.sms)


def test_a_text_waits_for_the_window_of_its_state(desk: Desk) -> None:
    desk.now = at("2026-11-25 20:00")
    lead = desk.submit({**ALICE, "phone": "+12055550101"})
    desk.now += 6 * MINUTE

    desk.send(Lane.ack)

    row = text_of(desk, lead)
    assert row.due_at == at("2026-11-27 09:00"), "Thanksgiving is a holiday in Alabama"
    facts = desk.decisions(row)[-1].facts
    assert (facts["states"], facts["window"][-21:]) == (["AL"], "not on holidays of US")


def test_a_clinic_may_have_the_first_text_wait_for_the_morning_as_well(desk: Desk) -> None:
    waiting = clinic().model_copy(update={"ack_sms_in_quiet_hours": False})
    desk.with_planner(replace(planner(), clinic=waiting))
    desk.now = at("2026-10-20 23:30")
    lead = desk.submit(ALICE)

    desk.send(Lane.ack)

    row = text_of(desk, lead)
    assert (row.reason, row.due_at) == (Reason.quiet_hours, at("2026-10-21 09:00"))
    assert len(desk.provider.to(ALICE["email"])) == 1, "mail never waits"


def test_a_text_whose_promise_is_past_when_its_window_opens_is_a_task_not_a_late_text(
    desk: Desk,
) -> None:
    desk.now = at("2026-12-04 15:00")
    lead = desk.submit({**ALICE, "email": None, "phone": "+12075550101"})
    desk.now += 6 * MINUTE

    desk.send(Lane.ack)

    row = text_of(desk, lead)
    assert (row.status, row.reason) == (Status.expired, Reason.window_too_late)
    assert [task.reason for task in desk.tasks()] == [Reason.window_too_late]


def test_a_number_that_no_hour_suits_is_a_task(desk: Desk) -> None:
    brief = QuietHours.model_validate({"states": {"NY": {"mon": "08:00-08:30"}}})
    never = clinic().model_copy(update={"text_hours": brief})
    desk.with_planner(replace(planner(), clinic=never))
    lead = desk.submit({**ALICE, "email": None})
    desk.now += 6 * MINUTE

    desk.send(Lane.ack)

    assert (text_of(desk, lead).status, text_of(desk, lead).reason) == ("skipped", "quiet_hours")
    assert [task.reason for task in desk.tasks()] == [Reason.quiet_hours]


def test_a_service_that_is_tried_out_writes_to_nobody_else(desk: Desk) -> None:
    desk.sender = replace(
        desk.sender, only_to=frozenset({"alice@example.com", BOB["phone"], MANAGER})
    )
    alice, bob = desk.submit({**ALICE, "email": "Alice@Example.com"}), desk.submit(BOB)

    desk.send()

    assert {message.to for message in desk.provider.sent} == {"Alice@example.com", BOB["phone"]}
    refused = text_of(desk, alice)
    assert (refused.status, refused.reason) == (Status.skipped, Reason.not_listed)
    assert text_of(desk, bob).status is Status.accepted
