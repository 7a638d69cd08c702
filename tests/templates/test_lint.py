"""What a message must say and must not, rule by rule."""

from pathlib import Path

import pytest

from followup.clinic import Clinic
from followup.domain.cadence import Audience
from followup.templates.catalogue import check_templates
from followup.templates.lint import lint_words
from followup.templates.wording import Source

ACK_TEXT = "contact/acknowledgement.sms.en.txt"
ACK_MAIL = "contact/acknowledgement.email.en.md"
LATER_TEXT = "contact/not-forgotten.sms.en.txt"
REFERRER_TEXT = "contact/acknowledgement.sms.en.referrer.txt"
STOPPED_TEXT = "replies/opted-out.sms.en.txt"
HELP_TEXT = "replies/help.sms.en.txt"
CRISIS_TEXT = "replies/crisis.sms.en.txt"
ALERT_TEXT = "contact/alert.sms.en.txt"
ALERT_MAIL = "contact/alert.email.en.md"
FOOTER = "footer.en.md"


def _complaints(folder: Path, clinic: Clinic) -> list[str]:
    return [str(one).removeprefix(f"{folder}/") for one in check_templates(folder, clinic)]


def test_the_shipped_wording_breaks_no_rule(shipped: Path, shipped_clinic: Clinic) -> None:
    assert check_templates(shipped, shipped_clinic) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        pytest.param(STOPPED_TEXT, "{{ sender_label }}: ", "", "expected the clinic's name",
                     id="unnamed sender of a confirmation"),
        pytest.param(HELP_TEXT, "Call/text 988", "Call us", "expected 988", id="no 988 in HELP"),
        pytest.param(CRISIS_TEXT, "988", "us", "expected 988", id="no 988 in a crisis"),
        pytest.param(HELP_TEXT, "{{ clinic_phone }}", "us", "expected the number to call",
                     id="no phone in HELP"),
        pytest.param(FOOTER, "[988](tel:988)", "a line", "expected 988", id="no 988 in a mail"),
        pytest.param(FOOTER, "[911](tel:911)", "help", "expected 911", id="no 911 in a mail"),
        pytest.param(FOOTER, "{{ clinic_address }}", "", "expected {{ clinic_address }}",
                     id="no postal address"),
        pytest.param(FOOTER, "({{ unsubscribe_url }})", "(#)", "expected {{ unsubscribe_url }}",
                     id="no way out of mail"),
        pytest.param(ALERT_TEXT, "is waiting", "asks about Spravato", ":1: expected no 'spravato'",
                     id="drug to staff"),
        pytest.param(FOOTER, "This inbox", "Our therapy inbox", "expected no 'therapy'",
                     id="treatment in a footer"),
        pytest.param("contact/acknowledgement.email.es.md", "Su mensaje nos", "Su DEPRESIÓN nos",
                     "expected no 'depresion'", id="condition with an accent"),
        pytest.param(ACK_MAIL, "one of us will call", "one of us will immediately call",
                     "expected no 'immediately'", id="a promise nobody can keep"),
    ],
)  # fmt: skip
def test_a_broken_rule_is_named(
    folder: Path, clinic: Clinic, file: str, old: str, new: str, expected: str
) -> None:
    path = folder / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")

    complaints = _complaints(folder, clinic)

    assert any(expected in complaint for complaint in complaints)
    assert file == FOOTER or all(complaint.startswith(file) for complaint in complaints)


SPANISH_TEXT = "contact/acknowledgement.sms.es.txt"
SPANISH_REFERRER = "contact/acknowledgement.sms.es.referrer.txt"
SPANISH_LATER = "contact/not-forgotten.sms.es.txt"
REFERRER_LATER = "contact/not-forgotten.sms.en.referrer.txt"
LATER_MAIL = "contact/not-forgotten.email.en.md"
REMINDER_TEXT, REMINDER_MAIL = "contact/reminder.sms.en.txt", "contact/reminder.email.en.md"
ALARM_TEXT = "alarms/raised.sms.en.txt"

#: One fault for each rule: the file, what is put in the place of what, and the line to be named.
FAULTS = [
    # Treatments, conditions, scores, answers.
    (ACK_TEXT, "your message", "your TMS message", 1, "expected no 'tms' in a message"),
    (ACK_MAIL, "We got your message", "Your depression", 1, "expected no 'depression'"),
    (ACK_MAIL, "has arrived", "and symptoms have arrived", 5, "expected no 'symptom'"),
    (LATER_MAIL, "sorry", 'sorry for the {{ "ketamine" }}', 5, "expected no 'ketamine'"),
    (REMINDER_MAIL, "nobody has", "keta**mine** has", 3, "expected no 'ketamine' in a message"),
    (ALERT_MAIL, "[Open it", "{{ phq9 }} [Open it", 5, "'phq9' is clinical: no message holds it"),
    # Who the person is.
    ("contact/acknowledgement.email.en.referrer.md", "Subject: ", "Subject: {{ first_name }} ", 1,
     "'first_name' may not stand in a mail subject"),
    (ALARM_TEXT, "{{ alarm }}", "{{ first_name }} {{ alarm }}", 1,
     "'first_name' may not stand in a message to staff"),
    # Who writes, and how it ends.
    (ALERT_TEXT, "{{ sender_label }}: ", "", 1, "expected the clinic's name"),
    (SPANISH_TEXT, "STOP", "No", 5, "expected how to opt out in the first text"),
    (SPANISH_TEXT, "HELP", "Llame", 5, "expected how to get help in the first text"),
    (SPANISH_TEXT, "Pueden aplicarse tarifas.", "", 5, "expected the word about fees"),
    (SPANISH_TEXT, "{{ messages_per_request }}", "pocos", 5, "expected how many texts follow"),
    (SPANISH_LATER, "{{ clinic_phone }}", "ya", 3, "expected the number to call"),
    (SPANISH_LATER, "988", "998", 3, "expected 988 in every message"),
    (LATER_TEXT, "for the wait", "for {{ when }}", 1, "expected {{ when }} only in a step"),
    # What it costs, and what carriers drop.
    (SPANISH_REFERRER, "escribe", "escribi\u00f3", 1, "got \u00f3: it makes the text UCS-2, "),
    (REMINDER_TEXT, "Lead", f"Lead{' and lead' * 20}", 1, "expected at most 2 parts and 320"),
    (ACK_TEXT, "{{ clinic_phone }}.", "{{ clinic_phone }} https://go.bit.ly/x", 2,
     "expected no link shortener, got 'go.bit.ly'"),
    (ACK_TEXT, "Crisis?", "https://203.0.113.7/x", 3, "expected links by name"),
    (REFERRER_LATER, "wait.", "wait!!!", 1, "expected fewer exclamation"),
    (REFERRER_LATER, "Is now better?", "Is now BETTER?", 2, "expected no words in capitals"),
    ("contact/acknowledgement.email.es.md", "{% if first_name %}, {{ first_name }}{% endif %}",
     " {{ first_name }}", 3, "expected words that read well when a value is empty"),
]  # fmt: skip


def test_every_planted_fault_is_found_with_its_file_and_line(folder: Path, clinic: Clinic) -> None:
    for file, old, new, _, _ in FAULTS:
        path = folder / file
        text = path.read_text(encoding="utf-8")
        assert old in text, (file, old)
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
    missing = folder / "contact/not-forgotten.email.es.md"
    missing.unlink()

    complaints = _complaints(folder, clinic)

    for file, _, _, line, expected in FAULTS:
        place = f"{file}:{line}: "
        assert any(one.startswith(place) and expected in one for one in complaints), (
            *(place, expected),
            [one for one in complaints if one.startswith(file)],
        )
    assert "contact/not-forgotten.email.es.md: is missing" in complaints


@pytest.mark.parametrize(
    ("said", "line"),
    [
        pytest.param("ketamine", 1, id="plainly"),
        pytest.param("KETAMINES", 1, id="in capitals, and several"),
        pytest.param("ket\u00e1mine", 1, id="with an accent"),
        pytest.param("keta\u200bmine", 1, id="with a space that nobody sees"),
        pytest.param("receta\nm\u00e9dica", 1, id="over two lines"),
        pytest.param("\n\nTMS", 3, id="on a later line"),
        pytest.param("ketaminex", None, id="within another word"),
        pytest.param("{# no ketamine #}", None, id="in a remark to authors"),
    ],
)
def test_a_word_is_found_however_it_is_written(
    shipped_clinic: Clinic, said: str, line: int | None
) -> None:
    found = lint_words(shipped_clinic, Source(Path("x.md"), said), Audience.staff)

    assert [one.line for one in found if "expected no words in capitals" not in one.message] == (
        [line] if line else []
    )


def test_the_name_of_every_site_is_looked_at(folder: Path, clinic: Clinic) -> None:
    """Also a short one: what no sample has is found when the message is sent, and not before."""
    long, short = clinic.sites
    sites = (long, short.model_copy(update={"name": "TMS"}))

    complaints = _complaints(folder, clinic.model_copy(update={"sites": sites}))

    assert any(
        one.startswith("contact/alert.sms.en.txt:1: expected no 'tms'") for one in complaints
    )


def test_links_are_as_long_as_the_service_makes_them(folder: Path, clinic: Clinic) -> None:
    far_away = f"https://{'followup.' * 14}example.com"

    assert check_templates(folder, clinic) == []
    complaints = [str(one) for one in check_templates(folder, clinic, far_away)]
    assert any(
        "alert.sms.en.txt" in one and "expected at most 2 parts" in one for one in complaints
    )


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        pytest.param(ACK_TEXT, "We got", "Hola señora ¿é? We got", id="letters of GSM-7"),
        pytest.param(ACK_MAIL, "We got your message", "We\u2019ve got your message \u2013 thanks",
                     id="typography in a mail"),
        pytest.param(REFERRER_TEXT, "Thank you", "Many thanks", id="no crisis line to a referrer"),
        pytest.param(ACK_MAIL, "Your message", "Your story about autumns", id="parts of words"),
        pytest.param(ALERT_MAIL, "is waiting for a call", "is waiting for a call today",
                     id="staff need no phone of ours"),
        pytest.param("contact/acknowledgement.sms.es.txt", "ayuda", "AYUDA", id="keyword"),
    ],
)  # fmt: skip
def test_what_breaks_no_rule_is_left_alone(
    folder: Path, clinic: Clinic, file: str, old: str, new: str
) -> None:
    path = folder / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")

    assert _complaints(folder, clinic) == []


def test_a_revealing_name_asks_for_a_discreet_one(folder: Path, clinic: Clinic) -> None:
    revealing = clinic.model_copy(update={"sender_label": "Coast TMS"})

    complaints = _complaints(folder, revealing)

    assert all("expected no 'tms'" in one and "sender_label" in one for one in complaints)
    assert complaints


def test_a_clinic_may_allow_its_own_name(folder: Path, clinic: Clinic) -> None:
    allowing = clinic.model_copy(
        update={"sender_label": "Coast TMS", "allowed_words": frozenset({"TMS"})}
    )

    assert check_templates(folder, allowing) == []


def test_no_clinic_may_allow_a_drug(folder: Path, clinic: Clinic) -> None:
    allowing = clinic.model_copy(
        update={"sender_label": "Ketamine Coast", "allowed_words": frozenset({"ketamine"})}
    )

    assert "expected no 'ketamine'" in " ".join(_complaints(folder, allowing))
