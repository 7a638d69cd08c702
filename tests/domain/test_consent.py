"""Which replies withdraw consent, give it again or ask for help, and which mean none of these."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from followup.domain.consent import Reading, SuppressionReason, read_reply
from followup.domain.delivery import Reason

OPT_OUTS = [
    *("STOP", " stop ", "Stop.", "STOP!!!", "\u201cStop\u201d", "stop please", "Please STOP"),
    *("STOP\nSent from my iPhone", "STOP\r\n\r\nSent from my iPhone", "\n stop\n", "*stop*"),
    *(
        "_STOP_",
        "\uff33\uff34\uff2f\uff30",
        "st\u200bop",
        "\ufeffstop",
        "STOP \U0001f6d1",
        "stop, thank you",
    ),
    *("quit", "end", "revoke", "cancel", "unsubscribe", "opt out", "OPT-OUT", "optout"),
    *("stopall", "stop all", "Stop  All!", "remove", "stop texting", "Please stop texting."),
    *("alto", "¡Alto!", "parar", "cancelar", "basta", "baja", "no más", "NO MAS", "no ma\u0301s"),
]
NOTHING = [
    *("we have got to STOP this bill!", "don't stop", "please don\u2019t stop texting me"),
    *("can I stop by tomorrow?", "I'll stop in at 3", "when does the program end?"),
    *("I quit smoking last year", "I need to cancel my appointment", "stopping", "unstoppable"),
    *("I want everything to stop", "make it stop", "I want to end it", "I want to end my life"),
    *("how do I stop feeling like this", "yes", "YES", "ok", "no", "no thanks"),
    *("not interested", "please", "thank you", "", "   ", "\n\n", "?", "\U0001f44d", "no, stop by"),
    *("the end", "can you help me?", "more info on TMS", "when do we start?", "cancela la cita"),
    *("Hello\nSTOP", "baja la voz"),
]


@pytest.mark.parametrize("text", OPT_OUTS)
def test_a_word_that_withdraws_consent_alone_is_an_opt_out(text: str) -> None:
    assert read_reply(text) is Reading.opt_out


@pytest.mark.parametrize("text", NOTHING)
def test_ordinary_words_mean_nothing_for_consent(text: str) -> None:
    assert read_reply(text) is Reading.none


@pytest.mark.parametrize("text", ["START", "start.", "Unstop", "please start", "START\nAlice"])
def test_only_start_and_unstop_give_consent_again(text: str) -> None:
    assert read_reply(text) is Reading.opt_in


@pytest.mark.parametrize("text", ["HELP", "info", "Help!", "ayuda", "help please"])
def test_help_is_answered_whatever_the_consent(text: str) -> None:
    assert read_reply(text) is Reading.help


@given(st.sampled_from(OPT_OUTS), st.sampled_from(["", " ", ".", "!", "\n-- \nAlice"]))
def test_case_and_what_follows_do_not_weaken_an_opt_out(text: str, ending: str) -> None:
    assert read_reply(text.swapcase() + ending) is Reading.opt_out


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    assert read_reply(text) in Reading


@given(st.text(st.characters(categories=["Cs", "Cc", "Cf", "Zl"])))
def test_a_text_without_words_means_nothing(text: str) -> None:
    assert read_reply(text) is Reading.none


@pytest.mark.parametrize("reason", SuppressionReason)
def test_a_suppression_is_the_reason_of_what_is_then_not_sent(reason: SuppressionReason) -> None:
    assert Reason(reason.value).value == reason.value
