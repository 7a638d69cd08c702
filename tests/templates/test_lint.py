"""What a message must say and must not, rule by rule."""

from pathlib import Path

import pytest

from followup.clinic import Clinic
from followup.templates.catalogue import check_templates

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
        pytest.param(ACK_TEXT, "{{ sender_label }}: ", "", "expected the clinic's name",
                     id="unnamed sender"),
        pytest.param(ALERT_TEXT, "{{ sender_label }}: ", "", "expected the clinic's name",
                     id="unnamed sender to staff"),
        pytest.param(ACK_TEXT, "STOP to opt out", "", "expected how to opt out", id="no STOP"),
        pytest.param(STOPPED_TEXT, "{{ sender_label }}: ", "", "expected the clinic's name",
                     id="unnamed sender of a confirmation"),
        pytest.param(HELP_TEXT, "Call/text 988", "Call us", "expected 988", id="no 988 in HELP"),
        pytest.param(CRISIS_TEXT, "988", "us", "expected 988", id="no 988 in a crisis"),
        pytest.param(HELP_TEXT, "{{ clinic_phone }}", "us", "expected the number to call",
                     id="no phone in HELP"),
        pytest.param(ACK_TEXT, "HELP for help", "", "expected how to get help", id="no HELP"),
        pytest.param(ACK_TEXT, "Msg & data rates may apply.", "", "expected the word about fees",
                     id="no fees"),
        pytest.param(ACK_TEXT, "{{ messages_per_request }}", "some", "expected how many texts",
                     id="no frequency"),
        pytest.param(ACK_TEXT, "{{ clinic_phone }}", "our number", "expected the number to call",
                     id="no phone in a text"),
        pytest.param(ACK_TEXT, "Call/text 988", "Call us", "expected 988", id="no 988 in a text"),
        pytest.param(FOOTER, "[988](tel:988)", "a line", "expected 988", id="no 988 in a mail"),
        pytest.param(FOOTER, "[911](tel:911)", "help", "expected 911", id="no 911 in a mail"),
        pytest.param(FOOTER, "{{ clinic_address }}", "", "expected {{ clinic_address }}",
                     id="no postal address"),
        pytest.param(FOOTER, "({{ unsubscribe_url }})", "(#)", "expected {{ unsubscribe_url }}",
                     id="no way out of mail"),
        pytest.param(LATER_TEXT, "We will call you", "We will call you {{ when }}",
                     "expected {{ when }} only in a step with acknowledges", id="promised again"),
        pytest.param(ACK_TEXT, "We got", "We\u2019ve got", "got \u2019: each makes it cost double",
                     id="curly quote"),
        pytest.param(ACK_TEXT, "request.", f"request{', and not one more' * 3}.",
                     "expected at most 2 parts and 320 characters, got 3 parts", id="too long"),
        pytest.param(ACK_TEXT, "your message", "your ketamine request",
                     ":1: expected no 'ketamine'", id="drug"),
        pytest.param(ALERT_TEXT, "is waiting", "asks about Spravato", ":1: expected no 'spravato'",
                     id="drug to staff"),
        pytest.param(ACK_TEXT, "your message", "your TMS request", ":1: expected no 'tms'",
                     id="treatment"),
        pytest.param(ACK_MAIL, "We got your message", "Your depression score",
                     ":1: expected no 'depression'", id="condition in a subject"),
        pytest.param(ACK_MAIL, "Your message has arrived", "Your anxiety test has arrived",
                     ":5: expected no 'anxiety'", id="condition in a mail"),
        pytest.param(FOOTER, "This inbox", "Our therapy inbox", "expected no 'therapy'",
                     id="treatment in a footer"),
        pytest.param("contact/acknowledgement.email.es.md", "Su mensaje nos", "Su DEPRESIÓN nos",
                     "expected no 'depresion'", id="condition with an accent"),
        pytest.param(ACK_MAIL, "one of us will call", "one of us will immediately call",
                     "expected no 'immediately'", id="a promise nobody can keep"),
        pytest.param(ACK_TEXT, "{{ clinic_phone }}", "{{ clinic_phone }} https://bit.ly/x",
                     "expected no link shortener, got 'bit.ly'", id="shortener"),
        pytest.param(ACK_MAIL, "our number is", "see https://203.0.113.7/x or",
                     "expected links by name", id="numeric link"),
        pytest.param(ACK_TEXT, "message and", "message!!! We", "expected fewer exclamation",
                     id="exclamation marks"),
        pytest.param(ACK_TEXT, "We got", "URGENT we got", "expected no words in capitals",
                     id="capitals"),
        pytest.param(ACK_MAIL, "Hello{% if first_name %} {{ first_name }}{% endif %},",
                     "Hello {{ first_name }},", "read well when a value is empty",
                     id="gap for a name"),
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
