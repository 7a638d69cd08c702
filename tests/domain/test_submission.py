"""The two forms: what is taken as it is meant, what is refused, and that every fault is named."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from followup.domain.lead import Role
from followup.domain.submission import (
    DEEPEST,
    YES_OR_NO,
    Answers,
    ContactForm,
    Form,
    Kind,
    ScreeningForm,
    read_submission,
)
from followup.errors import Fault, Invalid

ALICE = {"name": "Alice Ng", "email": "alice@example.com"}
HALF_PAIR = "\ud800"


def contact(**fields: Any) -> ContactForm | ScreeningForm:
    return read_submission(Kind.contact, ALICE | fields)


def screening(**answers: Any) -> ScreeningForm:
    form = read_submission(Kind.screening, ALICE | {"answers": answers})
    assert isinstance(form, ScreeningForm)
    return form


def faults_of(payload: Mapping[str, Any], kind: Kind = Kind.contact) -> dict[str, str]:
    with pytest.raises(Invalid) as caught:
        read_submission(kind, payload)
    return {fault.field: fault.problem for fault in caught.value.faults}


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        pytest.param("Alice", "Alice", id="plain"),
        pytest.param("  Alice   van  Ng ", "Alice van Ng", id="spaces"),
        pytest.param("Jose\u0301", "José", id="accents apart"),
        pytest.param("O'Brien-Ng, Jr.", "O'Brien-Ng, Jr.", id="punctuation"),
        pytest.param("{{ 7 * 7 }} <b>%s</b>", "{{ 7 * 7 }} <b>%s</b>", id="data, not a template"),
        pytest.param("Al\u200cireza", "Al\u200cireza", id="joiners that Persian needs"),
        pytest.param("A" * 200, "A" * 200, id="longest"),
    ],
)
def test_a_name_is_kept_as_one_tidy_line(typed: str, kept: str) -> None:
    assert contact(name=typed).name == kept


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        pytest.param("", "must not be empty", id="empty"),
        pytest.param("   ", "must not be empty", id="blank"),
        pytest.param("\u200b\u2060", "must not be empty", id="nothing visible"),
        pytest.param("A" * 201, "must have at most 200 characters", id="too long"),
        pytest.param("Al\r\nBcc: x@example.com", "must be one line", id="header injection"),
        pytest.param("Al\x00ice", "must be one line", id="zero byte"),
        pytest.param("Al\u202eice", "must be one line", id="turned around"),
        pytest.param("Al\u2066ice", "must be one line", id="isolated"),
        pytest.param(HALF_PAIR, "must be valid Unicode text", id="half a surrogate pair"),
        pytest.param(None, "must be text", id="null"),
        pytest.param(["Alice"], "must be text", id="list"),
        pytest.param(10**400, "must be text", id="huge number"),
    ],
)
def test_what_is_no_name_is_refused(name: Any, problem: str) -> None:
    faults = faults_of(ALICE | {"name": name})

    assert list(faults) == ["name"]
    assert faults["name"].startswith(problem)


@pytest.mark.parametrize("typed", ["(415) 555-0101", "415.555.0101", "+1 415 555 0101"])
def test_a_phone_is_kept_in_e164(typed: str) -> None:
    assert contact(phone=typed).phone == "+14155550101"


def test_an_email_is_trimmed_and_its_domain_is_small() -> None:
    assert contact(email=" Alice@EXAMPLE.com ").email == "Alice@example.com"


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"email": "alice@example.com"}, id="email only"),
        pytest.param({"phone": "415 555 0101"}, id="phone only"),
        pytest.param({"email": " ", "phone": "415 555 0101"}, id="blank email and phone"),
        pytest.param({"email": "alice@example.com", "phone": None}, id="email and null phone"),
    ],
)
def test_one_address_is_enough(given: dict[str, Any]) -> None:
    assert read_submission(Kind.contact, {"name": "Alice", **given}).name == "Alice"


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({}, id="absent"),
        pytest.param({"email": "", "phone": "  "}, id="blank"),
        pytest.param({"email": None, "phone": None}, id="null"),
    ],
)
def test_without_any_address_both_fields_are_named(given: dict[str, Any]) -> None:
    assert list(faults_of({"name": "Alice", **given})) == ["email", "phone"]


def test_a_wrong_address_is_the_only_fault_when_the_other_is_absent() -> None:
    assert list(faults_of({"name": "Alice", "email": "alice at home"})) == ["email"]


@pytest.mark.parametrize(
    ("value", "meant"),
    [
        *[pytest.param(word, True, id=word) for word in ("true", "1", "on", "YES", " Sí ")],
        *[pytest.param(word, False, id=word) for word in ("false", "0", "off", "No", "n")],
        pytest.param(True, True, id="JSON true"),
        pytest.param(False, False, id="JSON false"),
        pytest.param("", None, id="empty"),
        pytest.param(None, None, id="null"),
    ],
)
def test_consent_is_what_the_person_said_and_nothing_else(value: object, meant: object) -> None:
    assert contact(consent_sms=value).consent_sms is meant


@pytest.mark.parametrize("value", ["perhaps", 1, 0, 2.5, [], [True], {}, "true story"])
def test_what_is_neither_yes_nor_no_is_no_consent(value: object) -> None:
    assert faults_of(ALICE | {"consent_sms": value}) == {"consent_sms": "must be yes or no"}


def test_without_a_box_there_is_no_word_of_consent() -> None:
    assert contact().consent_sms is None


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("role", "friend"),
        ("interest", "surgery"),
        ("language", "fr"),
        ("preferred_channel", "fax"),
        ("role", {}),
        ("interest", ["tms"]),
        ("location", "a\nb"),
        ("consent_text_version", []),
        ("source_url", "x" * 2001),
        ("message", "x" * 5001),
        ("message", 7),
    ],
)
def test_a_wrong_value_names_its_field(field: str, wrong: object) -> None:
    faults = faults_of(ALICE | {field: wrong})

    assert list(faults) == [field]
    assert faults[field].startswith("must ")


@pytest.mark.parametrize(
    "field", ["role", "interest", "location", "language", "preferred_channel", "message"]
)
def test_a_field_that_a_browser_posts_empty_is_absent(field: str) -> None:
    assert getattr(contact(**{field: "  "}), field) is None


def test_a_referrer_is_told_from_a_patient() -> None:
    assert contact(role="referrer").role is Role.referrer


def test_a_message_keeps_its_lines_and_loses_its_control_characters() -> None:
    form = contact(message=" Hello\r\nthere\x00\x1b[31m\tAlice\r ")

    assert isinstance(form, ContactForm)
    assert form.message == "Hello\nthere[31m\tAlice"


def test_every_wrong_field_is_named_at_once() -> None:
    faults = faults_of(
        {
            "name": "",
            "email": "alice at home",
            "phone": "12",
            "role": "friend",
            "consent_sms": "perhaps",
            "message": 1,
            "utm": HALF_PAIR,
            "answers": {"phq9": [4], "tried_medication": 3, "symptoms": [1]},
        },
        Kind.screening,
    )

    assert set(faults) == {
        *("name", "email", "phone", "role", "consent_sms", "message", "utm"),
        *("answers.phq9.0", "answers.tried_medication", "answers.symptoms.0"),
    }


def test_unknown_fields_are_kept() -> None:
    form = contact(utm_source="ad", nested={"a": [1, None, 2.5]}, __class__="x", model_config=1)

    assert form.model_extra == {
        "utm_source": "ad",
        "nested": {"a": [1, None, 2.5]},
        "__class__": "x",
        "model_config": 1,
    }


@pytest.mark.parametrize(
    ("payload", "named"),
    [
        pytest.param({HALF_PAIR: "x"}, r"\ud800", id="name"),
        pytest.param({"utm": HALF_PAIR}, "utm", id="value"),
        pytest.param({"utm": [{"a": HALF_PAIR}]}, "utm", id="deep value"),
        pytest.param({"utm": {HALF_PAIR: 1}}, "utm", id="deep name"),
    ],
)
def test_half_a_surrogate_pair_is_refused_under_a_name_that_can_be_printed(
    payload: dict[str, Any], named: str
) -> None:
    for kind in Kind:
        assert list(faults_of(ALICE | payload, kind)) == [named]


def test_nesting_is_kept_up_to_a_limit() -> None:
    kept = _nested(DEEPEST - 1)

    assert contact(utm=kept).model_extra == {"utm": kept}
    assert faults_of(ALICE | {"utm": _nested(DEEPEST)}) == {
        "utm": "must not be nested deeper than 20 levels"
    }
    assert list(faults_of(ALICE | {"utm": _nested(50_000)})) == ["utm"]


def _nested(levels: int) -> object:
    value: object = "x"
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        pytest.param("yes", True, id="yes"),
        pytest.param(False, False, id="no"),
        pytest.param("ocd", ["ocd"], id="one of them, as a browser posts it"),
        pytest.param(["depression", "anxiety"], ["depression", "anxiety"], id="two of them"),
        pytest.param([], [], id="none of them"),
        pytest.param("", None, id="left empty"),
        pytest.param(None, None, id="null"),
    ],
)
def test_struggles_is_yes_no_or_which(given: object, kept: object) -> None:
    assert screening(struggles=given).answers.struggles == kept


@pytest.mark.parametrize(
    "statement", ["tried_medication", "tried_talk_therapy", "provider_suggested_tms"]
)
@pytest.mark.parametrize(("said", "kept"), [("yes", True), ("no", False), ("", None)])
def test_a_statement_left_empty_is_not_a_no(statement: str, said: str, kept: object) -> None:
    assert getattr(screening(**{statement: said}).answers, statement) is kept


@pytest.mark.parametrize(
    ("given", "kept"), [("tired", ["tired"]), (["tired", "sad"], ["tired", "sad"]), ("", None)]
)
def test_symptoms_are_a_list_of_lines(given: object, kept: object) -> None:
    assert screening(symptoms=given).answers.symptoms == kept


@pytest.mark.parametrize(
    ("scale", "items"), [("phq2", 2), ("phq8", 8), ("phq9", 9), ("gad2", 2), ("gad7", 7)]
)
def test_scores_are_as_many_as_the_instrument_has_items(scale: str, items: int) -> None:
    scores = [0, 3, None, 1, 2, 3, 0, 1, 2][:items]

    assert getattr(screening(**{scale: scores}).answers, scale) == scores
    assert getattr(screening(**{scale: ""}).answers, scale) is None
    for wrong in (scores[1:], [*scores, 0]):
        faults = faults_of(ALICE | {"answers": {scale: wrong}}, Kind.screening)
        assert list(faults) == [f"answers.{scale}"]


@pytest.mark.parametrize("score", [-1, 4, 1.5, True, "2", 10**400, [], HALF_PAIR])
def test_a_score_is_a_whole_number_from_0_to_3(score: object) -> None:
    faults = faults_of(ALICE | {"answers": {"phq2": [0, score]}}, Kind.screening)

    assert "answers.phq2.1" in faults


@pytest.mark.parametrize("answers", [[], "yes", 7, None, True])
def test_answers_are_an_object(answers: object) -> None:
    assert faults_of(ALICE | {"answers": answers}, Kind.screening) == {
        "answers": "must be an object"
    }


def test_unknown_answers_are_kept() -> None:
    assert screening(sleeps_badly="often").answers.model_extra == {"sleeps_badly": "often"}


KNOWN = [*ScreeningForm.model_fields, *ContactForm.model_fields]
ANSWERS = ["struggles", "symptoms", "tried_medication", "phq2", "phq9", "gad7"]
texts = st.text(max_size=12) | st.text(st.characters(categories=["Cs", "Cc", "Cf"]), max_size=3)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**4000, -(10**4000), 0, 1])
    | st.floats(allow_nan=False)
    | texts
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
answers = st.dictionaries(st.sampled_from(ANSWERS) | texts, values, max_size=4)
payloads = st.dictionaries(st.sampled_from(KNOWN) | texts, values, max_size=8).flatmap(
    lambda fields: st.just(fields) | st.builds(lambda said: fields | {"answers": said}, answers)
)


@given(st.sampled_from(Kind), payloads)
def test_any_payload_is_read_or_its_faults_are_named(kind: Kind, payload: dict[str, Any]) -> None:
    form: ContactForm | ScreeningForm | None = None
    faults: tuple[Fault, ...] = ()
    try:
        form = read_submission(kind, payload)
    except Invalid as error:
        faults = error.faults

    assert (form is None) is bool(faults)
    assert form is None or (form.name.strip() and (form.email or form.phone))
    for fault in faults:
        assert fault.problem
        assert _is_ours(fault.field, payload)
        str(fault).encode()


def _is_ours(field: str, payload: Mapping[str, Any]) -> bool:
    given = {name.encode(errors="backslashreplace").decode() for name in payload}
    return field in given or field.partition(".")[0] in {*given, "name", "email", "phone"}


def test_what_is_answered_by_yes_or_no_is_named() -> None:
    def is_yes(part: type[Form] | type[Answers], name: str) -> bool:
        try:
            read = part.model_validate(ALICE | {name: "yes"})
        except ValueError:
            return False
        return getattr(read, name) is True

    found = {name for name in Form.model_fields if is_yes(Form, name)}
    found |= {f"answers.{name}" for name in Answers.model_fields if is_yes(Answers, name)}
    assert found == YES_OR_NO
