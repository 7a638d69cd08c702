"""Who is written to, in which words, and who is not: consent, language, role, STOP."""

from tests.journeys.clinic_day import ClinicDay
from tests.journeys.doors import ALICE, BOB, FRONT_DESK, FRONT_DESKS_PHONE


def test_a_referring_clinician_gets_a_referrers_wording(day: ClinicDay) -> None:
    day.it_is("2026-11-17 10:00")

    day.contact_from(ALICE, name="Dr. Grace Example", role="referrer")

    (mail,) = day.sent(ALICE.email)
    (text,) = day.sent(ALICE.phone)
    for message in (mail, text):
        assert "about the person you wrote for" in message.text
        assert "Grace" not in message.text
        assert "(949) 555-0100" in message.text
    assert "988" in mail.text


def test_who_writes_in_spanish_is_answered_in_spanish_and_staff_in_their_own_language(
    day: ClinicDay,
) -> None:
    day.it_is("2026-11-17 10:00")

    bob = day.screening_from(BOB, language="es")

    assert day.mails(BOB.email) == ["Tue 10:00 Recibimos sus respuestas"]
    (text,) = day.sent(BOB.phone)
    assert "Le llamaremos hoy antes de las 11:00 AM" in text.text
    reference = day.lead_of(bob)["reference"]
    assert day.mails(FRONT_DESK) == [f"Tue 10:00 New lead {reference}, Newport Beach"]


def test_nothing_that_is_sent_says_what_the_person_wrote_or_suffers_from(day: ClinicDay) -> None:
    day.it_is("2026-11-17 10:00")
    day.contact_from(ALICE, message="I am depressed", interest="ketamine")
    day.screening_from(BOB)

    day.goes_on_until("2026-11-18 12:00")

    everything = [one.words.casefold() for one in day.sent()]
    to_staff = [one.words for one in day.sent() if one.to in (FRONT_DESK, FRONT_DESKS_PHONE)]
    assert to_staff
    for ours in ("depress", "ketamine", "tms", "medication"):
        assert not any(ours in words for words in everything)
    for theirs in ("Alice", "Bob", "example.com", "555-0101", "555-0102"):
        assert not any(theirs in words for words in to_staff)


def test_without_consent_there_is_mail_only_and_the_lead_says_why(day: ClinicDay) -> None:
    day.it_is("2026-11-17 10:00")

    alice = day.contact_from(ALICE, consent_sms=False)
    day.goes_on_until("2026-11-18 10:00")

    assert day.texts(ALICE.phone) == []
    assert day.mails(ALICE.email) == [
        "Tue 10:00 We got your message",
        "Wed 10:00 We have not forgotten you",
    ]
    assert day.why_not(alice) == {
        ("acknowledgement", "sms"): "no_consent",
        ("not-forgotten", "sms"): "no_consent",
    }


def test_who_gave_a_number_alone_is_texted_and_who_gave_an_address_alone_is_mailed(
    day: ClinicDay,
) -> None:
    day.it_is("2026-11-17 10:00")

    day.contact_from(ALICE, email="")
    day.contact_from(BOB, phone="", consent_sms=None)

    assert [(one.to, one.channel) for one in day.sent() if one.to in _PATIENTS] == [
        (ALICE.phone, "sms"),
        (BOB.email, "email"),
    ]


_PATIENTS = (ALICE.phone, ALICE.email, BOB.phone, BOB.email)


def test_after_stop_nobody_is_reminded_but_staff_and_one_text_confirms_it(
    day: ClinicDay,
) -> None:
    day.it_is("2026-11-17 10:00")
    alice = day.contact_from(ALICE)
    day.goes_on_until("2026-11-17 10:07")

    day.texts_back(ALICE, "Stop.")
    day.goes_on_until("2026-11-18 10:00")

    assert day.texts(ALICE.phone) == ["Tue 10:00", "Tue 10:07"]
    assert day.mails(ALICE.email)[1:] == []
    assert day.texts(FRONT_DESKS_PHONE)[-2:] == ["Tue 15:00", "Tue 17:00"]
    assert day.why_not(alice) == {
        ("not-forgotten", "sms"): "opted_out",
        ("not-forgotten", "email"): "replied",
    }


def test_a_stop_holds_for_the_next_submission_too(day: ClinicDay) -> None:
    day.it_is("2026-11-17 10:00")
    first = day.contact_from(ALICE)
    day.texts_back(ALICE, "STOP")
    day.staff_does("contacted", first)
    day.goes_on_until("2027-02-16 10:00")

    again = day.contact_from(ALICE)

    assert day.texts(ALICE.phone) == ["Tue 10:00"]
    assert len(day.mails(ALICE.email)) == 2
    assert day.why_not(again) == {("acknowledgement", "sms"): "opted_out"}


def test_a_number_gets_one_first_text_in_thirty_days_whatever_the_forms_say(
    day: ClinicDay,
) -> None:
    day.it_is("2026-11-17 10:00")
    day.staff_does("contacted", day.contact_from(ALICE))

    day.goes_on_until("2026-11-30 10:00")
    second = day.screening_from(ALICE)
    day.staff_does("contacted", second)
    day.goes_on_until("2026-12-18 10:00")
    day.contact_from(ALICE)

    assert day.mails(ALICE.email) == [
        "Tue 10:00 We got your message",
        "Mon 10:00 We got your answers",
        "Fri 10:00 We got your message",
    ]
    assert day.texts(ALICE.phone) == ["Tue 10:00", "Fri 10:00"]
    assert day.why_not(second)["acknowledgement", "sms"] == "already_texted"


def test_a_new_address_is_answered_too_and_the_old_one_hears_nothing_more(day: ClinicDay) -> None:
    day.it_is("2026-11-17 10:00")
    day.contact_from(ALICE)
    day.goes_on_until("2026-11-17 11:00")

    day.contact_from(ALICE, email="alice@example.org")
    day.goes_on_until("2026-11-18 12:00")

    assert len(day.leads()) == 1
    assert day.mails(ALICE.email) == ["Tue 10:00 We got your message"]
    assert day.mails("alice@example.org") == [
        "Tue 11:00 We got your message",
        "Wed 11:00 We have not forgotten you",
    ]


def test_an_address_in_other_letters_is_the_same_address(day: ClinicDay) -> None:
    day.it_is("2026-11-17 10:00")
    day.contact_from(ALICE)

    day.contact_from(ALICE, email="Alice@example.com")
    day.goes_on_until("2026-11-18 12:00")

    both = [one for one in day.sent() if one.to.casefold() == ALICE.email]
    assert [f"{mail.when} {mail.subject}" for mail in both] == [
        "Tue 10:00 We got your message",
        "Wed 10:00 We have not forgotten you",
    ]
