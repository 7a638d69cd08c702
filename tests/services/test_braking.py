"""Caps: past the most that anybody may be sent, messages wait and go on later by themselves."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import chain, repeat

import pytest
from sqlalchemy import Engine

from followup.clinic_limits import Caps
from followup.domain.alarm import AlarmKind
from followup.domain.cadence import Audience, Channel, Lane
from followup.domain.delivery import Reason, Status
from followup.services import sending
from followup.services.alarming import raise_alarm
from followup.store import counts
from followup.store.db import reading, transaction
from followup.store.models import Delivery
from tests.parallel import together
from tests.services.cast import ALICE, BOB, FRONT_DESK, HOUR, MINUTE, TUESDAY_TEN, Desk, at

DAY = timedelta(days=1)
MANAGER = "manager@example.com"


def cap(desk: Desk, **caps: int) -> None:
    desk.sender = replace(desk.sender, caps=Caps(**caps))


def had(desk: Desk, row: Delivery, *when: datetime) -> None:
    """The row's recipient had messages of the same kind at those times."""
    with transaction(desk.engine) as session:
        for number, sent_at in enumerate(when, 100):
            values = {
                name: getattr(row, name)
                for name in (
                    "lead_id", "episode", "step", "audience", "channel", "lane", "recipient",
                    "recipient_hash", "recipient_name", "arrived_at",
                )
            }  # fmt: skip
            values |= {"occurrence": number, "due_at": sent_at, "sent_at": sent_at}
            session.add(Delivery(**values, status=Status.delivered))


def now(desk: Desk, row: Delivery) -> Delivery:
    return desk.rows(id=row.id)[0]


def mail_to_alice(desk: Desk) -> Delivery:
    (row,) = desk.rows(step="acknowledgement", channel=Channel.email)
    return row


def submit_mails(desk: Desk, count: int) -> None:
    """So many people are owed one mail each, and staff an alert for each."""
    for number in range(count):
        desk.receive({"name": f"P {number}", "email": f"p{number}@example.com"})
    while desk.consume():
        pass


# An address and a lead.


def test_an_address_that_had_the_most_for_a_day_waits_until_the_first_is_a_day_old(
    desk: Desk,
) -> None:
    cap(desk, patient_per_day=2)
    desk.submit({**ALICE, "phone": None})
    row = mail_to_alice(desk)
    had(desk, row, desk.now - 20 * HOUR, desk.now - HOUR)

    desk.send(Lane.ack)
    found = now(desk, row)
    assert (found.status, found.reason) == (Status.planned, Reason.capped)
    assert found.due_at == desk.now + 4 * HOUR
    assert found.expires_at == row.expires_at

    desk.now = found.due_at
    desk.send(Lane.ack)
    assert now(desk, row).status is Status.accepted


def test_messages_of_a_day_ago_count_no_more(desk: Desk) -> None:
    cap(desk, patient_per_day=2)
    desk.submit(ALICE)
    row = mail_to_alice(desk)
    had(desk, row, desk.now - DAY, desk.now - DAY, desk.now - HOUR)

    desk.send(Lane.ack)

    assert now(desk, row).status is Status.accepted


def test_what_waits_for_a_cap_too_long_expires(desk: Desk) -> None:
    cap(desk, patient_per_day=1)
    desk.submit(ALICE)
    row = mail_to_alice(desk)
    had(desk, row, desk.now - HOUR)

    desk.send(Lane.ack)
    desk.now = now(desk, row).due_at
    desk.send(Lane.ack)

    assert now(desk, row).status is Status.expired


@pytest.mark.parametrize(
    ("phone", "status"),
    [
        pytest.param("+13055550101", Status.planned, id="Florida allows three a day"),
        pytest.param("+14055550101", Status.planned, id="so does Oklahoma"),
        pytest.param("+15035550101", Status.planned, id="so does Oregon"),
        pytest.param("+19495550101", Status.accepted, id="California has no such law"),
    ],
)
def test_the_law_of_a_state_may_allow_fewer_texts_than_the_clinic(
    desk: Desk, phone: str, status: Status
) -> None:
    cap(desk, patient_per_day=6)
    lead = desk.submit({**ALICE, "phone": phone})
    text, mail = (desk.row(lead, "acknowledgement", one) for one in (Channel.sms, Channel.email))
    reminder = desk.row(lead, "not-forgotten", Channel.sms)
    had(desk, reminder, *[desk.now - number * HOUR for number in (1, 2, 3)])
    had(desk, desk.row(lead, "not-forgotten", Channel.email), *[desk.now - HOUR] * 3)

    desk.send(Lane.ack)

    found = now(desk, text)
    assert found.status is status
    if status is Status.planned:
        assert (found.reason, found.due_at) == (Reason.capped, desk.now + 21 * HOUR)
    assert now(desk, mail).status is Status.accepted


def test_an_address_is_counted_for_each_channel_by_itself(desk: Desk) -> None:
    cap(desk, patient_per_day=1)
    desk.submit(ALICE)
    had(desk, mail_to_alice(desk), desk.now - HOUR)

    desk.send(Lane.ack)

    (text,) = desk.rows(step="acknowledgement", channel=Channel.sms)
    assert text.status is Status.accepted


def test_one_batch_holds_no_more_for_an_address_than_a_day(desk: Desk) -> None:
    cap(desk, patient_per_day=1)
    desk.submit({**ALICE, "phone": None})
    later = desk.rows(step="not-forgotten", channel=Channel.email)[0]
    desk.change(later, lane=Lane.ack, due_at=desk.now)

    desk.send(Lane.ack)

    statuses = sorted(one.status for one in desk.rows(channel=Channel.email, lane=Lane.ack))
    assert statuses == [Status.accepted, Status.planned]
    assert len(desk.provider.to(ALICE["email"])) == 1


def test_a_lead_is_counted_over_all_its_channels(desk: Desk) -> None:
    cap(desk, lead_per_day=2)
    lead = desk.submit(ALICE)
    had(desk, mail_to_alice(desk), desk.now - HOUR)
    text = desk.row(lead, "acknowledgement", Channel.sms)
    desk.change(text, due_at=desk.now + MINUTE)
    desk.send(Lane.ack)

    desk.now += MINUTE
    desk.send(Lane.ack)

    text = now(desk, text)
    assert (text.reason, text.due_at) == (Reason.capped, TUESDAY_TEN + 23 * HOUR)
    assert len(desk.provider.sent) == 1


@pytest.mark.parametrize("status", [Status.sending, Status.unknown])
def test_what_may_have_been_sent_counts_as_sent(desk: Desk, status: Status) -> None:
    cap(desk, lead_per_day=1)
    lead = desk.submit(ALICE)
    desk.change(mail_to_alice(desk), status=status, attempted_at=desk.now - HOUR)

    desk.send(Lane.ack)

    text = desk.row(lead, "acknowledgement", Channel.sms)
    assert (text.reason, text.due_at) == (Reason.capped, desk.now + 23 * HOUR)


def test_what_was_tried_and_not_sent_does_not_count(desk: Desk) -> None:
    cap(desk, lead_per_day=1)
    lead = desk.submit(ALICE)
    desk.change(mail_to_alice(desk), status=Status.failed, attempted_at=desk.now - HOUR)

    desk.send(Lane.ack)

    assert desk.row(lead, "acknowledgement", Channel.sms).status is Status.accepted


def test_what_staff_hear_of_a_lead_does_not_count_for_its_patient(desk: Desk) -> None:
    cap(desk, lead_per_day=1, patient_per_day=1)
    lead = desk.submit({**ALICE, "phone": None})
    desk.send(Lane.staff)

    desk.send(Lane.ack)

    assert desk.row(lead, "acknowledgement", Channel.email).status is Status.accepted


def test_the_last_of_several_caps_decides(desk: Desk) -> None:
    cap(desk, lead_per_day=1, patient_per_day=2)
    lead = desk.submit({**ALICE, "phone": None})
    row = mail_to_alice(desk)
    had(desk, row, desk.now - 3 * HOUR, desk.now - HOUR)
    other = desk.submit({**BOB, "phone": None})
    for one in desk.rows(lead, occurrence=100):
        desk.change(one, lead_id=other.id)

    desk.send(Lane.ack)

    # The address had two, the older three hours ago; the lead one, an hour ago.
    assert desk.row(lead, "acknowledgement", Channel.email, occurrence=1).due_at == (
        desk.now + 23 * HOUR
    )


# Staff.


def test_an_address_of_the_staff_is_counted_by_the_hour(desk: Desk) -> None:
    cap(desk, staff_per_hour=2)
    submit_mails(desk, 3)

    desk.send(Lane.staff)
    assert len(desk.provider.to(FRONT_DESK)) == 2

    desk.now += HOUR
    desk.send(Lane.staff)
    assert len(desk.provider.to(FRONT_DESK)) == 3


def test_staff_are_not_held_to_what_a_patient_may_get(desk: Desk) -> None:
    cap(desk, patient_per_day=1, lead_per_day=1)
    submit_mails(desk, 3)

    desk.send(Lane.staff)

    assert len(desk.provider.to(FRONT_DESK)) == 3


# The whole service.


def test_the_service_sends_no_more_than_its_most_in_an_hour_and_goes_on_in_the_next(
    desk: Desk,
) -> None:
    cap(desk, service_per_hour=3)
    submit_mails(desk, 5)

    desk.send(Lane.ack)
    assert len(desk.provider.sent) == 3
    waiting = desk.rows(lane=Lane.ack, status=Status.planned)
    assert {row.due_at for row in waiting} == {TUESDAY_TEN}

    desk.now += 59 * MINUTE
    desk.send(Lane.ack)
    assert len(desk.provider.sent) == 3

    desk.now += MINUTE
    desk.send(Lane.ack)
    assert len(desk.provider.sent) == 5


def test_the_lanes_share_the_services_hour(desk: Desk) -> None:
    cap(desk, service_per_hour=2)
    submit_mails(desk, 2)

    desk.send(Lane.ack)
    desk.send(Lane.staff)

    assert len(desk.provider.sent) == 2
    assert len(desk.rows(lane=Lane.staff, status=Status.planned)) == 4


def test_the_channels_share_the_services_hour(desk: Desk) -> None:
    cap(desk, service_per_hour=3)
    desk.submit(ALICE)
    desk.submit(BOB)

    desk.send(Lane.ack)

    assert len(desk.provider.sent) == 3
    assert len(desk.rows(lane=Lane.ack, status=Status.planned)) == 1


def test_what_did_not_go_after_all_gives_its_room_back_to_the_hour_of_its_claim(
    desk: Desk,
) -> None:
    cap(desk, service_per_hour=1)
    desk.now = at("2026-10-20 10:59")
    desk.submit({**ALICE, "email": None})
    clock = chain(repeat(desk.now, 2), repeat(desk.now + MINUTE))
    without_transport = replace(desk.sender, transports={})
    sending.send_due(without_transport, Lane.ack, lambda: next(clock))
    with reading(desk.engine) as session:
        assert counts.count_sends(session, desk.now + MINUTE) == 0

    desk.send(Lane.ack)

    assert len(desk.provider.sent) == 1


def test_workers_of_one_lane_count_together(desk: Desk, other_engine: Engine) -> None:
    cap(desk, service_per_hour=100)
    submit_mails(desk, 40)
    other = replace(desk.sender, engine=other_engine)

    together(
        lambda: sending.send_due(desk.sender, Lane.ack, lambda: desk.now),
        lambda: sending.send_due(other, Lane.ack, lambda: desk.now),
    )
    desk.send(Lane.ack)

    with reading(desk.engine) as session:
        assert counts.count_sends(session, desk.now) == len(desk.provider.sent) == 40


def raise_one(desk: Desk) -> None:
    with transaction(desk.engine) as session:
        raise_alarm(session, desk.planner, AlarmKind.problem, "", desk.now, {})


@pytest.mark.parametrize("leads", [1, 20], ids=["few wait", "more than a batch waits"])
def test_an_alarm_goes_whatever_the_caps(desk: Desk, leads: int) -> None:
    cap(desk, service_per_hour=1, staff_per_hour=1)
    submit_mails(desk, leads)
    desk.send(Lane.ack)
    desk.now += MINUTE

    raise_one(desk)
    desk.send(Lane.staff)

    assert len(desk.provider.to(MANAGER)) == 1


@pytest.mark.parametrize("leads", [1, 20], ids=["few wait", "more than a batch waits"])
def test_what_expires_does_so_whatever_the_caps(desk: Desk, leads: int) -> None:
    cap(desk, service_per_hour=1)
    submit_mails(desk, 1)
    desk.send(Lane.ack)
    submit_mails(desk, leads)
    alice = desk.submit({**ALICE, "email": None})

    # Her text lives for half an hour, their mails for half a day.
    desk.now += 40 * MINUTE
    desk.send(Lane.ack)

    assert desk.row(alice, "acknowledgement", Channel.sms).status is Status.expired
    assert len(desk.provider.sent) == 1


def test_without_caps_nobody_waits(desk: Desk) -> None:
    submit_mails(desk, 20)
    desk.now = at("2026-10-20 10:05")

    desk.send()

    assert not desk.rows(reason=Reason.capped)
    patients = desk.rows(audience=Audience.patient, lane=Lane.ack)
    assert {row.status for row in patients} == {Status.accepted}
