"""What Twilio's own STOP filter takes a text for, and what it has answered."""

import pytest

from followup.domain.consent import Meaning
from followup.transports.twilio_texts import is_answered, meaning_of


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        ("STOP", Meaning.opt_out),
        ("start", Meaning.opt_in),
        (" HELP ", Meaning.help),
        ("", None),
        ("PAUSE", None),
    ],
)
def test_what_the_provider_took_a_text_for(said: str, meaning: Meaning | None) -> None:
    assert meaning_of(said) is meaning


@pytest.mark.parametrize(
    ("body", "opt_out_type", "filter_on", "answered"),
    [
        pytest.param("arret", "STOP", True, True, id="Advanced Opt-Out"),
        pytest.param("arret", "STOP", False, True, id="its word counts whatever is set"),
        pytest.param(" stop ", "", True, True, id="the built-in filter"),
        pytest.param("YES", "", True, True, id="it takes a yes for START"),
        pytest.param("STOP", "", False, False, id="Message Redaction"),
        pytest.param("opt out", "", True, False, id="two words"),
        pytest.param("please stop", "", True, False, id="polite"),
        pytest.param("STOP.", "", True, False, id="with a full stop"),
    ],
)
def test_whether_the_person_has_the_provider_s_answer(
    body: str, opt_out_type: str, filter_on: bool, answered: bool
) -> None:
    assert is_answered(body, opt_out_type, filter_on=filter_on) is answered
