"""Other people's forms in our words: guessed, mapped, put aside; no consent is guessed."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from followup.domain.foreign import NO_NAME, Given, Rules, as_text, find_path, is_yes, translate
from followup.domain.instrument import is_urgent
from followup.domain.submission import Kind, read_submission
from followup.errors import Invalid


def read(sent: dict[str, Any], kind: Kind = Kind.contact, **rules: Any) -> dict[str, Any]:
    answered = [Given(name, value) for name, value in sent.items()]
    return dict(translate(kind, answered, Rules(**rules), document=sent).payload)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"Name": "Ana"}, "Ana"),
        ({"FULL NAME:": "Ana"}, "Ana"),
        ({"q3_fullName3": {"first": "Ana", "last": "Ruiz"}}, "Ana Ruiz"),
        ({"first_name": "Ana", "lastName": "Ruiz"}, "Ana Ruiz"),
        ({"Apellidos": "Ruiz", "Nombre": "Ana"}, "Ana Ruiz"),
        ({"last": "Ruiz"}, "Ruiz"),
        ({"your-name": "  Ana \n Ruiz "}, "Ana Ruiz"),
        ({"doctor's name": "Dr. No"}, NO_NAME),
        ({"name": ""}, NO_NAME),
        ({"name": "x" * 300}, NO_NAME),
    ],
)
def test_a_name_is_found_by_what_it_is_called(fields: dict[str, Any], name: str) -> None:
    payload = read({**fields, "email": "ana@example.org"})

    assert payload["name"] == name
    if name == NO_NAME:
        kept = [value for label, value in payload.items() if label not in ("name", "email")]
        assert kept == [value for value in fields.values() if value]


@pytest.mark.parametrize(
    ("label", "value", "ours", "read_as"),
    [
        ("Correo electrónico", "ana@example.org", "email", "ana@example.org"),
        ("Número de teléfono", {"area": "949", "phone": "555-0199"}, "phone", "949 555-0199"),
        ("Idioma", "Español", "language", "es"),
        ("Language", "en-US", "language", "en"),
        ("Treatment", "IV Ketamine", "interest", "ketamine"),
        ("Treatment", ["TMS", "Ketamine"], "interest", "unsure"),
        ("Location", "Newport Beach", "location", "newport-beach"),
        ("Preferred contact method", "Text message", "preferred_channel", "sms"),
    ],
)
def test_values_are_read_in_our_words(label: str, value: Any, ours: str, read_as: str) -> None:
    answered = [Given(label, value), Given("E-mail", "b@example.org"), Given("x", "")]
    sites = {"newport beach": "newport-beach"}

    payload = translate(Kind.contact, answered, Rules(), sites=sites).payload

    assert payload[ours] == read_as
    assert payload.get("interest (as sent)") == (value if ours == "interest" else None)


def test_a_mapping_goes_before_a_guess_and_what_is_left_keeps_its_name() -> None:
    payload = read(
        {"phone": "an old one", "Emergency phone": "x", "nested": {"a": [{"b": "949 555 0199"}]}},
        fields={"phone": ("$.nested.a[0].b",)},
    )

    assert payload == {
        "name": NO_NAME,
        "phone": "949 555 0199",
        "phone (as sent)": "an old one",
        "Emergency phone": "x",
        "nested": {"a": [{"b": "949 555 0199"}]},
    }


def test_the_answers_of_a_screening_are_read() -> None:
    words = ["Not at all", "Several days", "Más de la mitad de los días", "3", 0, 1, "", 2.0]
    payload = read(
        {
            "email": "ana@example.org",
            "what": "Depression, OCD",
            "tried": {"labels": ["Talk therapy"]},
            **{f"q{n}": word for n, word in enumerate([*words, "Nearly every day"])},
        },
        Kind.screening,
        fields={
            "answers.struggles": ("what",),
            "answers.tried_talk_therapy": ("tried=Talk therapy",),
            "answers.tried_medication": ("tried=A medicine",),
            "answers.provider_suggested_tms": ("never asked=Yes",),
            "answers.phq9": tuple(f"q{n}" for n in range(9)),
        },
    )

    assert payload["answers"] == {
        "struggles": ["depression", "ocd"],
        "tried_talk_therapy": True,
        "tried_medication": False,
        "phq9": [0, 1, 2, 3, 0, 1, None, 2, 3],
    }
    # Whatever we make of them, their own words are there.
    assert payload["answers.struggles (as sent)"] == "Depression, OCD"
    assert payload["answers.phq9 (as sent)"][:2] == ["Not at all", "Several days"]


@pytest.mark.parametrize(
    ("item_9", "urgent"),
    [("Not at all", False), ("0", False), ("", False), (None, False), (0, False)]
    + [(word, True) for word in ("Several days", "1", "often", "A veces", 3, 4)],
)
def test_an_answer_to_item_9_is_passed_over_in_no_words(item_9: Any, urgent: bool) -> None:
    payload = read(
        {"email": "ana@example.org", **{f"q{n}": "Not at all" for n in range(8)}, "q8": item_9},
        Kind.screening,
        fields={"answers.phq9": tuple(f"q{n}" for n in range(9))},
    )

    assert is_urgent(payload) is urgent


def test_an_answer_that_is_none_of_ours_is_kept_beside_them() -> None:
    payload = read(
        {"email": "ana@example.org", "what": "Migraine"},
        Kind.screening,
        fields={"answers.struggles": ("what",)},
    )

    assert payload["answers"] == {}
    assert payload["answers.struggles (as sent)"] == "Migraine"


@pytest.mark.parametrize(
    "fields",
    [{}, {"name": "Ana"}, {"email": "@"}, {"phone": "12"}, {"email": None, "phone": []}],
)
def test_nobody_to_be_called_is_refused_by_the_names_of_the_fields(fields: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as refused:
        read(fields)

    assert {fault.field for fault in refused.value.faults} <= {"email", "phone"}


@pytest.mark.parametrize("value", [True, 1, "1", " YES ", "I agree.", ["on"], {"value": "true"}])
def test_yes_is_a_word_that_says_so(value: object) -> None:
    assert is_yes(value)


@pytest.mark.parametrize(
    "value",
    [None, False, 0, 2, "", "no", "+19495550199", "I don't agree", ["yes", "no"], {}, [], "yes no"],
)
def test_everything_else_is_no(value: object) -> None:
    assert not is_yes(value)


def test_a_clinics_own_words_are_a_yes_and_no_others() -> None:
    assert is_yes("Text me, please!", ["text me please"])
    assert not is_yes("Text me", ["text me please"])


def test_without_a_mapped_box_there_is_no_consent_at_all() -> None:
    payload = read({"email": "a@example.org", "consent": "yes", "consent_sms": "yes"})

    assert "consent_sms" not in payload
    with_box = read({"email": "a@example.org"}, consent="box", consent_text_version="1")
    assert with_box["consent_sms"] is False


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["name", "phone", "email", "x", "message"]), JSON))
def test_whatever_is_sent_is_a_submission_or_has_nobody_to_call(fields: dict[str, Any]) -> None:
    try:
        payload = read(fields)
    except Invalid:
        return

    read_submission(Kind.contact, payload)


def test_what_lies_deep_or_is_half_a_character_can_be_kept() -> None:
    deep: Any = "x"
    for _ in range(900):
        deep = [deep]
    payload = read({"email": "a@example.org", "deep": deep, "half\ud800": "\ud800", "n": 1e999})

    read_submission(Kind.contact, payload)
    assert payload["half?"] == "?"


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a.b.0.c", 1),
        ("$.a.b[0].c", 1),
        ("a.b[1]", None),
        ("a.x.y", None),
        ("", None),
        ("a.b.c", None),
    ],
)
def test_a_path_leads_somewhere_or_nowhere(path: str, found: int | None) -> None:
    assert find_path({"a": {"b": [{"c": 1}]}}, path) == found


def test_a_value_in_parts_is_one_text() -> None:
    assert as_text({"labels": ["a", "b"]}) == "a, b"
    assert as_text({"prefix": "Dr.", "first": "Ana", "last": "Ruiz"}) == "Dr. Ana Ruiz"
    assert as_text({"x": 1}) == '{"x": 1}'
    assert as_text(True) == "yes"
