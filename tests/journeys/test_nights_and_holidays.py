"""Hours: what goes at once at any hour, what waits for the morning, and what a holiday moves."""

from tests.journeys.clinic_day import ClinicDay
from tests.journeys.doors import ALICE, BOB, FRONT_DESK, FRONT_DESKS_PHONE, MANAGERS_PHONE


def test_a_screening_on_saturday_night_is_answered_at_once_and_staffs_phone_rings_on_monday(
    day: ClinicDay,
) -> None:
    day.it_is("2026-11-21 22:00")
    bob = day.screening_from(BOB)
    reference = day.lead_of(bob)["reference"]

    assert day.mails(BOB.email) == ["Sat 22:00 We got your answers"]
    (text,) = day.sent(BOB.phone)
    assert (text.when, "Monday by 10:00 AM" in text.text) == ("Sat 22:00", True)

    day.goes_on_until("2026-11-23 10:00")

    assert day.texts(FRONT_DESKS_PHONE) == ["Mon 09:00", "Mon 09:05", "Mon 09:15", "Mon 10:00"]
    assert day.texts(MANAGERS_PHONE) == ["Mon 10:00"]
    assert day.mails(FRONT_DESK) == [
        f"Sat 22:00 New lead {reference}, Newport Beach",
        f"Mon 09:05 Lead {reference} has waited 35 hours",
        f"Mon 09:15 Lead {reference} has waited 35 hours",
        f"Mon 10:00 Lead {reference} has waited 36 hours",
    ]
    assert len(day.texts(BOB.phone)) == 1


def test_over_thanksgiving_nobody_is_reminded(day: ClinicDay) -> None:
    day.it_is("2026-11-25 16:50")
    day.contact_from(ALICE)

    day.goes_on_until("2026-11-30 12:00")

    assert "Monday by 9:50 AM" in day.sent(ALICE.phone)[0].text
    assert day.texts(FRONT_DESKS_PHONE) == [
        *("Wed 16:50", "Wed 16:55"),
        *("Mon 09:05", "Mon 09:50", "Mon 11:50"),
    ]
    assert day.mails(ALICE.email) == ["Wed 16:50 We got your message"]
    day.goes_on_until("2026-11-30 17:00")
    assert day.mails(ALICE.email)[1:] == ["Mon 16:50 We have not forgotten you"]


def test_when_the_clocks_go_back_business_hours_stay_where_the_walls_clock_is(
    day: ClinicDay,
) -> None:
    day.it_is("2026-10-30 16:30")
    day.contact_from(ALICE)

    day.goes_on_until("2026-11-02 17:00")

    assert day.texts(FRONT_DESKS_PHONE) == [
        *("Fri 16:30", "Fri 16:35", "Fri 16:45"),
        *("Mon 09:30", "Mon 11:30", "Mon 13:30", "Mon 15:30"),
    ]
    assert [mail.at.isoformat() for mail in day.sent(ALICE.email)] == [
        "2026-10-30T23:30:00+00:00",
        "2026-11-03T00:30:00+00:00",
    ]


def test_when_the_clocks_go_forward_business_hours_stay_where_the_walls_clock_is(
    day: ClinicDay,
) -> None:
    day.it_is("2027-03-12 16:30")
    day.contact_from(ALICE)

    day.goes_on_until("2027-03-15 12:00")

    assert day.texts(FRONT_DESKS_PHONE)[-2:] == ["Mon 09:30", "Mon 11:30"]
    assert day.sent(FRONT_DESK)[-1].at.isoformat() == "2027-03-15T18:30:00+00:00"


def test_we_have_not_forgotten_you_is_texted_only_when_it_is_no_night_where_the_phone_is(
    day: ClinicDay,
) -> None:
    day.it_is("2026-11-17 09:30")

    day.contact_from(ALICE, phone="(212) 555-0101")
    day.goes_on_until("2026-11-18 12:00")

    assert day.mails(ALICE.email)[1:] == ["Wed 09:30 We have not forgotten you"]
    assert day.texts("+12125550101") == ["Tue 09:30", "Wed 09:30"]
    day.it_is("2026-11-19 16:30")
    day.contact_from(BOB, phone="(212) 555-0102", name="Carol Example")
    day.goes_on_until("2026-11-23 12:00")
    assert day.texts("+12125550102") == ["Thu 16:30", "Fri 16:30"]
