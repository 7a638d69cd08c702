"""From a submission to the call: what the patient gets, and who is reminded until when."""

from tests.journeys.clinic_day import ClinicDay
from tests.journeys.doors import (
    ALICE,
    BOB,
    FRONT_DESK,
    FRONT_DESKS_PHONE,
    MANAGER,
    MANAGERS_PHONE,
)


def test_a_message_on_a_tuesday_is_answered_at_once_and_staff_hear_of_it_until_they_call(
    day: ClinicDay,
) -> None:
    """Cases 79 and 80."""
    day.it_is("2026-11-17 10:00")
    alice = day.contact_from(ALICE)
    reference = day.lead_of(alice)["reference"]

    assert day.mails(ALICE.email) == ["Tue 10:00 We got your message"]
    assert day.texts(ALICE.phone) == ["Tue 10:00"]
    for message in day.sent(ALICE.email) + day.sent(ALICE.phone):
        assert "today by 11:00 AM" in message.text
        assert "(949) 555-0100" in message.text
        assert "988" in message.text

    day.goes_on_until("2026-11-18 12:00")

    reminders = ["Tue 10:05", "Tue 10:15", "Tue 11:00", "Tue 13:00", "Tue 15:00", "Tue 17:00"]
    reminders += ["Wed 11:00"]
    assert day.mails(FRONT_DESK) == [
        f"Tue 10:00 New lead {reference}, Newport Beach",
        f"Tue 10:05 Lead {reference} has waited 5 minutes",
        f"Tue 10:15 Lead {reference} has waited 15 minutes",
        f"Tue 11:00 Lead {reference} has waited 60 minutes",
        f"Tue 13:00 Lead {reference} has waited 3 hours",
        f"Tue 15:00 Lead {reference} has waited 5 hours",
        f"Tue 17:00 Lead {reference} has waited 7 hours",
        f"Wed 11:00 Lead {reference} has waited 25 hours",
    ]
    assert day.texts(FRONT_DESKS_PHONE) == ["Tue 10:00", *reminders]
    assert [mail.when for mail in day.sent(MANAGER)] == reminders[2:]
    assert day.texts(MANAGERS_PHONE) == reminders[2:]
    assert day.mails(ALICE.email)[1:] == ["Wed 10:00 We have not forgotten you"]
    assert day.texts(ALICE.phone)[1:] == ["Wed 10:00"]


def test_the_link_in_a_reminder_only_shows_until_its_button_is_pressed_then_a_week_is_silent(
    day: ClinicDay,
) -> None:
    day.it_is("2026-11-17 10:00")
    alice = day.contact_from(ALICE)
    day.goes_on_until("2026-11-17 10:06")
    link = day.sent(FRONT_DESK)[-1].link

    assert day.lead_of(alice)["reference"] in day.opens(link)
    assert "Alice" not in day.opens(link)
    assert day.lead_of(alice)["status"] == "open"

    assert day.presses_the_button(link).status == 200
    before = day.sent()
    day.goes_on_until("2026-11-24 10:06")

    lead = day.lead_of(alice)
    assert (lead["status"], lead["contacted_by"]) == ("contacted", "Front desk")
    assert day.sent() == before


def test_staff_who_did_not_reach_somebody_are_left_alone_for_two_business_hours(
    day: ClinicDay,
) -> None:
    day.it_is("2026-11-17 15:50")
    alice = day.contact_from(ALICE)
    day.goes_on_until("2026-11-17 16:10")
    day.staff_does("attempts", alice, note="voicemail")

    day.goes_on_until("2026-11-18 12:00")

    assert day.texts(FRONT_DESKS_PHONE) == [
        *("Tue 15:50", "Tue 15:55", "Tue 16:05"),
        *("Wed 10:10", "Wed 10:50"),
    ]


def test_what_is_reopened_is_reminded_of_again_and_nothing_is_repeated(day: ClinicDay) -> None:
    day.it_is("2026-11-17 10:00")
    alice = day.contact_from(ALICE)
    day.goes_on_until("2026-11-18 10:10")
    day.staff_does("contacted", alice)
    day.goes_on_until("2026-11-18 10:20")
    before = day.sent()

    day.staff_does("reopen", alice)
    day.goes_on_until("2026-11-18 12:30")

    again = day.sent()[len(before) :]
    assert {one.when for one in again} == {"Wed 11:00"}
    assert sorted(one.to for one in again) == sorted(
        [FRONT_DESK, FRONT_DESKS_PHONE, MANAGER, MANAGERS_PHONE]
    )


def test_contact_and_screening_of_one_person_are_one_lead_and_answered_once(day: ClinicDay) -> None:
    day.it_is("2026-11-17 10:00")
    contact = day.contact_from(BOB)
    day.goes_on_until("2026-11-17 10:03")
    screening = day.screening_from(BOB)
    day.goes_on_until("2026-11-17 10:10")

    lead = day.lead_of(contact)
    assert lead == day.lead_of(screening)
    assert [one["id"] for one in lead["submissions"]] == [contact, screening]
    assert len(day.leads()) == 1
    assert day.mails(BOB.email) == ["Tue 10:00 We got your message"]
    assert day.texts(BOB.phone) == ["Tue 10:00"]
    assert day.texts(FRONT_DESKS_PHONE) == ["Tue 10:00", "Tue 10:05"]


def test_of_two_who_mark_at_once_one_is_first_and_the_other_is_told_who(day: ClinicDay) -> None:
    day.it_is("2026-11-17 10:00")
    alice = day.contact_from(ALICE)
    tokens = {name: day.hires(name) for name in ("Erin", "Finn")}

    answers = day.mark_at_the_same_moment(alice, *tokens.values())

    by_name = dict(zip(tokens, answers, strict=True))
    (winner,) = [name for name, answer in by_name.items() if answer.status == 200]
    (loser,) = [name for name in by_name if name != winner]
    assert by_name[loser].status == 409
    assert by_name[loser].json["contacted_by"] == winner
    assert day.lead_of(alice)["contacted_by"] == winner


def test_a_post_that_is_tried_again_with_its_key_is_one_lead(day: ClinicDay) -> None:
    day.it_is("2026-11-17 10:00")

    first = day.takes("contact", ALICE, key="b7f1")
    again = day.takes("contact", ALICE, key="b7f1")
    day.works()

    assert first == again
    assert len(day.leads()) == 1
    assert day.mails(ALICE.email) == ["Tue 10:00 We got your message"]


def test_who_writes_again_after_the_lead_was_reopened_is_answered_once(day: ClinicDay) -> None:
    day.it_is("2026-11-17 10:00")
    alice = day.contact_from(ALICE)
    day.goes_on_until("2026-11-18 11:00")
    day.staff_does("contacted", alice)
    day.goes_on_until("2026-11-19 10:00")
    day.staff_does("reopen", alice)

    again = day.contact_from(ALICE)
    day.goes_on_until("2026-11-20 12:00")

    assert day.lead_of(again)["id"] == day.lead_of(alice)["id"]
    assert day.mails(ALICE.email) == [
        "Tue 10:00 We got your message",
        "Wed 10:00 We have not forgotten you",
        "Thu 10:00 We got your message",
    ]
    assert day.texts(ALICE.phone) == ["Tue 10:00", "Wed 10:00"]
