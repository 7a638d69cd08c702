"""Which words are found, in any spelling, and which are not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from followup.domain.plain import plain_words
from followup.domain.risk import STARTER_WORDS, find_risk, free_texts, list_version


@pytest.mark.parametrize("word", STARTER_WORDS)
@pytest.mark.parametrize("spelt", ["{}", "I {}!", "(\u201c{}\u201d)", "no\n{}\tnow"])
def test_every_word_of_the_list_is_found_in_any_spelling(word: str, spelt: str) -> None:
    assert find_risk([spelt.format(word.upper())], STARTER_WORDS) == [word]
    assert find_risk([plain_words(spelt.format(word))], STARTER_WORDS) == [word]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("I am not suicidal", ["suicidal"], id="a negation alerts all the same"),
        pytest.param("self-harm", ["self harm"], id="a hyphen"),
        pytest.param("I can\u2019t go on", ["can't go on"], id="a curly apostrophe"),
        pytest.param("suicidio", ["suicidio"], id="Spanish"),
        pytest.param("hacerme dano", ["hacerme daño"], id="without accents"),
        pytest.param("ha\u0301cerme DAN\u0303O", ["hacerme daño"], id="accents apart"),
        pytest.param("sui\u200bcide", ["suicide"], id="hidden signs"),
        pytest.param("I want to\n\ndie", ["want to die"], id="over two lines"),
        pytest.param("want to die, overdose", ["want to die", "overdose"], id="two"),
        pytest.param("overdoses", [], id="whole words only"),
        pytest.param("suicidee", [], id="misspelt"),
        pytest.param("kill my self", [], id="written apart: a known limit"),
        pytest.param("end my lifestyle habits", [], id="the beginning of another word"),
        pytest.param("I want to diet", [], id="diet"),
        pytest.param("", [], id="nothing"),
    ],
)
def test_what_is_found(text: str, found: list[str]) -> None:
    assert find_risk([text], STARTER_WORDS) == found


@given(st.text())
def test_any_text_can_be_looked_through(text: str) -> None:
    assert set(find_risk([text], STARTER_WORDS)) <= set(STARTER_WORDS)


def test_a_match_does_not_span_two_fields() -> None:
    assert find_risk(["I want to", "die"], STARTER_WORDS) == []


def test_what_somebody_wrote_in_a_form_is_looked_through_wherever_it_stands() -> None:
    payload = {
        "name": "Alice",
        "email": "alice@example.com",
        "source_url": "https://example.com/suicide",
        "message": "one",
        "answers": {"symptoms": ["two", "three"], "phq9": [1, 2]},
        "how did you hear of us": "four",
        "consent_sms": True,
    }

    assert free_texts(payload) == ["one", "two", "three", "four"]


def test_a_list_s_version_changes_with_its_words_alone() -> None:
    version = list_version(STARTER_WORDS)

    assert version == list_version([word.upper() for word in STARTER_WORDS])
    assert version != list_version([*STARTER_WORDS, "hopeless"])
    assert list_version(["a", "b"]) != list_version(["a b"])
