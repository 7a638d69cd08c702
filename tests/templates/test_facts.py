"""Values are made harmless before a wording sees them."""

import pytest

from followup.clinic import Clinic
from followup.domain.cadence import Channel
from followup.domain.sms import count_segments
from followup.templates.facts import (
    VARIABLES,
    Exposure,
    Place,
    Variable,
    clinic_facts,
    exposure_of,
    greeting_name,
    harmless,
)


@pytest.mark.parametrize(
    ("typed", "greeted"),
    [
        pytest.param("Alice Smith", "Alice", id="first of two"),
        pytest.param("  Alice ", "Alice", id="spaces"),
        pytest.param("Jean-Luc Picard", "Jean-Luc", id="hyphen"),
        pytest.param("D\u2019Arcy Jones", "D'Arcy", id="curly apostrophe"),
        pytest.param("José", "José", id="accent"),
        pytest.param("Zoe\u0301", "Zoe\u0301", id="combining accent"),
        pytest.param("李 明", "李", id="one letter that is a name"),
        pytest.param("שלומית לוי", "שלומית", id="right to left"),
        pytest.param("W" * 40, "W" * 40, id="forty letters"),
        pytest.param("W" * 41, "", id="more than a name"),
        pytest.param("", "", id="empty"),
        pytest.param("   ", "", id="only spaces"),
        pytest.param("Dr Smith", "", id="title"),
        pytest.param("Dr. Smith", "", id="title with its point"),
        pytest.param("J. Smith", "", id="initial"),
        pytest.param("Smith, Alice", "", id="surname first"),
        pytest.param("'); DROP", "", id="no letter first"),
        pytest.param("🙂 Alice", "", id="emoji"),
        pytest.param("\u202eecilA", "", id="turned direction"),
        pytest.param("https://example.com", "", id="link"),
        pytest.param("example.com/win", "", id="link without scheme"),
        pytest.param("4155550123", "", id="number"),
        pytest.param("*x*", "", id="markup"),
        pytest.param("<b>Alice</b>", "", id="html"),
        pytest.param("{{clinic_name}}", "", id="template"),
        pytest.param("A\r\nBcc: x@example.com", "A", id="line break"),
    ],
)
def test_only_a_plain_first_name_is_greeted(typed: str, greeted: str) -> None:
    assert greeting_name(typed) == greeted


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        pytest.param("today by 4:30\u202fPM", "today by 4:30 PM", id="narrow space"),
        pytest.param("a\r\nBcc: x", "a Bcc: x", id="line break"),
        pytest.param("a\x00\x1bb", "a b", id="control characters"),
        pytest.param("a\u202eb", "a b", id="turned direction"),
        pytest.param(3, 3, id="number"),
        pytest.param("*b* <i>", "*b* <i>", id="markup is left to escaping"),
    ],
)
def test_a_value_is_one_line_without_control_characters(given: object, shown: object) -> None:
    assert harmless({"when": given}, Channel.email)["when"] == shown


@pytest.mark.parametrize(
    ("given", "spelled"),
    [
        pytest.param("el sábado", "el sabado", id="costly accent"),
        pytest.param("mañana", "mañana", id="letter of GSM-7"),
        pytest.param(
            "Harbor\u2019s \u2013 \u201clight\u201d\u2026",
            'Harbor\'s - "light"...',
            id="typography",
        ),
        pytest.param("Café ☕", "Café ☕", id="what has no other spelling"),
    ],
)
def test_a_text_spells_values_in_gsm7_where_it_can(given: str, spelled: str) -> None:
    assert harmless({"when": given}, Channel.sms)["when"] == spelled
    assert harmless({"when": given}, Channel.email)["when"] == given


@pytest.mark.parametrize(
    ("typed", "in_text"),
    [
        pytest.param("María", "Maria", id="spelled without accent"),
        pytest.param("李 明", "", id="left out"),
    ],
)
def test_a_name_never_makes_a_text_cost_double(typed: str, in_text: str) -> None:
    name = harmless({"first_name": typed}, Channel.sms)["first_name"]

    assert name == in_text
    assert not count_segments(str(name)).forces_ucs2


@pytest.mark.parametrize(
    ("typed", "greeted"),
    [
        pytest.param("Ketamine", "", id="drug"),
        pytest.param("KETAMINE Smith", "", id="in capitals"),
        pytest.param("K\u00e9tamine", "", id="with an accent"),
        pytest.param("\uff2b\uff45\uff54\uff41\uff4d\uff49\uff4e\uff45", "", id="wide letters"),
        pytest.param("TMS", "", id="treatment"),
        pytest.param("Depression", "", id="condition"),
        pytest.param("Anxious-Al", "", id="part of a name"),
        pytest.param("Guaranteed", "", id="promise"),
        pytest.param("Tomas", "Tomas", id="letters that only look alike"),
        pytest.param("Therapon", "Therapon", id="a word within another"),
    ],
)
def test_a_name_that_no_message_may_hold_is_no_greeting(typed: str, greeted: str) -> None:
    assert greeting_name(typed) == greeted


#: privacy-and-safety, variable classes: what may stand where, whatever a variable is called.
STANDS = {
    Exposure.public: set(Place),
    Exposure.contact: {Place.sms, Place.body},
    Exposure.clinical: set(),
}


@pytest.mark.parametrize("exposure", Exposure)
@pytest.mark.parametrize("place", Place)
def test_how_much_a_value_tells_decides_where_it_stands(exposure: Exposure, place: Place) -> None:
    variable = Variable("anything", exposure=exposure)

    assert (place in variable.places) is (place in STANDS[exposure])


@pytest.mark.parametrize(
    ("exposure", "names"),
    [
        (Exposure.public, ["sender_label", "clinic_phone", "site_name", "website", "when"]),
        (Exposure.contact, ["first_name", "unsubscribe_url", "name", "email", "phone", "location"]),
        (
            Exposure.clinical,
            [
                *("answers", "message", "interest", "score", "phq2", "phq9", "gad7", "symptoms"),
                *("struggles", "tried_medication", "provider", "diagnosis"),
            ],
        ),
        (None, ["fist_name"]),
    ],
)
def test_what_a_variable_would_tell_is_known_by_its_name(
    exposure: Exposure | None, names: list[str]
) -> None:
    assert {exposure_of(name) for name in names} == {exposure}


def test_no_variable_is_clinical() -> None:
    assert all(variable.places for variable in VARIABLES.values())


def test_no_variable_tells_staff_who_the_person_is() -> None:
    staff_may_see = {name for name, one in VARIABLES.items() if Place.staff in one.places}

    assert not staff_may_see & {"first_name", "when", "unsubscribe_url"}


def test_the_subject_of_a_patients_mail_holds_public_values_only() -> None:
    assert "first_name" not in {n for n, one in VARIABLES.items() if Place.subject in one.places}


def test_the_clinics_facts_are_all_variables(clinic: Clinic) -> None:
    facts = clinic_facts(clinic, clinic.site(None))

    assert set(facts) <= set(VARIABLES)
    assert facts["clinic_phone"] == "(949) 555-0100"
