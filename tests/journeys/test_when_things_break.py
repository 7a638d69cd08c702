"""Outages: late is not sent, what can still be sent is, and nothing comes twice."""

from tests.journeys.clinic_day import ClinicDay
from tests.journeys.doors import ALICE, BOB, FRONT_DESK, FRONT_DESKS_PHONE


def test_after_an_outage_what_is_late_is_not_sent_and_what_is_not_is(day: ClinicDay) -> None:
    day.it_is("2026-11-17 10:00")
    alice = day.takes("contact", ALICE)

    day.it_is("2026-11-17 12:30")
    day.goes_on_until("2026-11-17 15:30")

    assert day.mails(ALICE.email) == ["Tue 12:30 We got your message"]
    assert day.texts(ALICE.phone) == []
    assert day.texts(FRONT_DESKS_PHONE) == ["Tue 13:00", "Tue 15:00"]
    assert day.why_not(alice) == {("acknowledgement", "sms"): "expired"}


def test_after_an_outage_of_the_weekends_alert_staff_get_no_stale_text(day: ClinicDay) -> None:
    day.it_is("2026-11-21 22:00")
    day.screening_from(BOB)

    day.it_is("2026-11-23 15:10")
    day.goes_on_until("2026-11-23 16:00")

    assert day.texts(FRONT_DESKS_PHONE) == ["Mon 16:00"]


def test_with_a_broken_mail_server_the_text_goes_and_the_mail_follows_once(day: ClinicDay) -> None:
    day.it_is("2026-11-17 10:00")
    day.sandbox.mail_script("drop_before_dot", to=ALICE.email, times=3)

    day.contact_from(ALICE)

    assert day.texts(ALICE.phone) == ["Tue 10:00"]
    assert day.mails(ALICE.email) == []
    day.goes_on_until("2026-11-17 12:00")
    (mail,) = day.sent(ALICE.email)
    assert "Tue 10:05" <= mail.when <= "Tue 10:07"


def test_an_address_that_does_not_exist_costs_neither_the_text_nor_the_reminders(
    day: ClinicDay,
) -> None:
    day.it_is("2026-11-17 10:00")
    day.sandbox.mail_script("rcpt_550_5.1.1", to=ALICE.email)

    alice = day.contact_from(ALICE)
    day.goes_on_until("2026-11-18 10:00")

    assert day.mails(ALICE.email) == []
    assert day.texts(ALICE.phone) == ["Tue 10:00", "Wed 10:00"]
    assert len(day.mails(FRONT_DESK)) == 7
    assert day.why_not(alice) == {
        ("acknowledgement", "email"): "refused",
        ("not-forgotten", "email"): "unreachable",
    }


def test_a_text_whose_answer_was_lost_is_not_sent_again(day: ClinicDay) -> None:
    day.it_is("2026-11-17 10:00")
    day.sandbox.script("accept_then_drop", to=ALICE.phone)

    alice = day.contact_from(ALICE)
    day.goes_on_until("2026-11-17 12:00")

    assert day.texts(ALICE.phone) == ["Tue 10:00"]
    statuses = [
        row["status"]
        for row in day.lead_of(alice)["deliveries"]
        if (row["step"], row["channel"]) == ("acknowledgement", "sms")
    ]
    assert statuses == ["delivered"]
