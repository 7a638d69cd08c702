"""A message that says what may not be said is not sent, but reported."""

from dataclasses import replace

import pytest

from followup.domain.alarm import AlarmKind
from followup.domain.cadence import Channel, Lane
from followup.domain.delivery import Reason, Status
from followup.store.models import Delivery, Lead
from tests.services.cast import ALICE, HOUR, Desk, clinic, planner


def text_of(desk: Desk, lead: Lead) -> Delivery:
    return desk.row(lead, "acknowledgement", Channel.sms)


def renamed(desk: Desk, **names: str) -> None:
    """The clinic's file names its first site, or itself, in a way that no text may."""
    first, *others = clinic().sites
    sites = (first.model_copy(update={"name": names.pop("site", first.name)}), *others)
    changed = clinic().model_copy(update={"sites": sites, **names})
    desk.with_planner(replace(planner(), clinic=changed))


def test_a_value_that_no_text_or_subject_may_hold_stops_the_message_and_is_reported(
    desk: Desk,
) -> None:
    renamed(desk, site="Ketamine Center")
    lead = desk.submit(ALICE)

    desk.send(Lane.staff)

    rows = desk.rows(lead, step="alert")
    assert {(row.status, row.reason) for row in rows} == {(Status.skipped, Reason.unfit)}
    assert not [message for message in desk.provider.sent if "Ketamine" in message.text]
    facts = desk.decisions(rows[0])[-1].facts
    assert facts["wording"].startswith("contact/alert.")
    assert "expected no 'ketamine' in a text or subject" in facts["problem"]
    assert set(desk.alarms()) == {
        (AlarmKind.unfit, "contact/alert.email.en"),
        (AlarmKind.unfit, "contact/alert.sms.en"),
    }
    assert [task.reason for task in desk.tasks()] == [Reason.unfit]


def test_what_a_patient_may_not_be_told_by_text_goes_by_mail_alone(desk: Desk) -> None:
    renamed(desk, sender_label="Coast TMS")
    lead = desk.submit(ALICE)

    desk.send(Lane.ack)

    assert (text_of(desk, lead).status, text_of(desk, lead).reason) == ("skipped", "unfit")
    assert desk.provider.to(ALICE["phone"]) == []
    assert len(desk.provider.to(ALICE["email"])) == 1
    assert desk.tasks() == [], "the mail told them"


def test_a_text_that_values_make_too_long_is_not_sent(desk: Desk) -> None:
    renamed(desk, sender_label="Harbor Light Wellness and " * 6)
    lead = desk.submit({**ALICE, "email": None})

    desk.send(Lane.ack)

    assert text_of(desk, lead).reason is Reason.unfit
    problem = desk.decisions(text_of(desk, lead))[-1].facts["problem"]
    assert "expected at most 2 parts and 320 characters" in problem
    assert [task.reason for task in desk.tasks()] == [Reason.unfit]


@pytest.mark.parametrize("name", ["Ketamine", "TMS Smith", "Depresi\u00f3n"])
def test_whoever_types_a_word_that_no_message_may_hold_as_a_name_is_answered(
    desk: Desk, name: str
) -> None:
    desk.submit({**ALICE, "name": name})

    desk.send(Lane.ack)

    assert len(desk.provider.to(ALICE["phone"])) == 1
    (mail,) = desk.provider.to(ALICE["email"])
    assert "Hello," in mail.text
    assert name not in mail.text


def test_the_alarm_of_a_held_back_message_is_over_after_a_day_without_another(desk: Desk) -> None:
    renamed(desk, sender_label="Coast TMS")
    desk.submit(ALICE)
    desk.send(Lane.ack)
    subject = "contact/acknowledgement.sms.en"

    desk.now += 23 * HOUR
    desk.watch()
    assert (AlarmKind.unfit, subject) in desk.alarms()

    desk.now += 2 * HOUR
    desk.watch()
    assert (AlarmKind.unfit, subject) not in desk.alarms()


def test_an_alarm_that_may_not_be_said_raises_no_further_one(desk: Desk) -> None:
    renamed(desk, sender_label="Coast TMS")
    desk.submit(ALICE)

    for _ in range(3):
        desk.send()

    assert {subject for _, subject in desk.alarms()} == {
        "contact/acknowledgement.sms.en",
        "contact/alert.sms.en",
    }
