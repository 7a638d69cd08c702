"""Which replies withdraw consent, give it again or ask for help, and which mean none of these."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from followup.domain.consent import (
    Act,
    MatchedBy,
    Meaning,
    Reading,
    SuppressionReason,
    permits,
    read_reply,
    read_with_provider,
)
from followup.domain.delivery import Reason

#: The reference's first two rows, and more of their kind (cases 54 and 57).
PER_SE = [
    *("STOP", " stop ", "Stop.", "STOP!!!", "\u201cStop\u201d", "stop please", "Please STOP"),
    *("STOP\nSent from my iPhone", "STOP\r\n\r\nSent from my iPhone", "\n stop\n", "*stop*"),
    *("_STOP_", "\uff33\uff34\uff2f\uff30", "st\u200bop", "\ufeffstop", "STOP \U0001f6d1"),
    *("stop, thank you", "quit", "end", "revoke", "cancel", "unsubscribe", "opt out", "OPT-OUT"),
    *("optout", "stopall", "stop all", "Stop  All!", "remove", "stop texting"),
    *("Please stop texting.", "alto", "¡Alto!", "parar", "cancelar", "basta", "baja", "no más"),
    *("NO MAS", "no ma\u0301s", "Basta, por favor"),
]
#: Those of the reference (cases 56 and 62), then others that a reasonable person understands so.
INTENT = [
    *("please opt me out", "opt me out"),
    *("please stop texting me", "please stop all messages", "please stop sending text reminders"),
    *("take me off your list", "please don't contact me again", "remove me from this"),
    *("don't text me anymore", "do not message this number", "no more texts", "leave me alone"),
    *("lose my number", "unsubscribe me", "I withdraw my consent", "I don't want these messages"),
    *("no más mensajes", "ya no me escriban", "deje de mandarme mensajes", "quíteme de la lista"),
    *("PLEASE STOP TEXTING ME!!", "Stop sending me these texts.", "Can you stop texting me?"),
    *("I asked you to stop texting me", "stop texting me about the form", "Hello\nSTOP"),
    *("I'm not interested, please stop texting me", "not interested. stop", "No thanks. Stop"),
    *("stop texting me i am not interested", "please stop texting me because I found a doctor"),
    *(
        "Don\u2019t text me. Call me instead.",
        "do not text me but call me",
        "dont ever contact me again",
    ),
    *("never text me again", "stop it", "just stop", "I said stop", "please no more reminders"),
    *("remove my number from your list", "delete my number", "take me out of your database"),
    *("please remove me from all lists", "I want to unsubscribe", "I'd like to opt out of texts"),
    *("I would like to be removed from this list", "unsubscribe from all messages"),
    *("I never signed up for this", "I did not agree to receive texts", "I do not consent"),
    *("I revoke my consent to be contacted", "I no longer want to receive messages from you"),
    *("I don't want to be contacted", "I want these texts to stop", "cancel my reminders"),
    *("stop harassing me", "stop spamming my phone", "don't bother me again", "leave us alone"),
    *("I want to stop getting these texts", "no longer text me", "Thanks but stop messaging me"),
    *("no quiero más mensajes", "Ya no quiero recibir mensajes de ustedes", "no me escriban más"),
    *("Por favor no me manden mensajes", "dejen de escribirme", "deja de textearme por favor"),
    *("bórrenme de la lista", "denme de baja", "déjenme en paz", "retiro mi consentimiento"),
    *("borren mi número", "no quiero que me contacten", "cancelar mensajes", "No me molesten más."),
]
WRONG_NUMBERS = [
    *("wrong number", "this isn't her phone, stop texting", "Sorry, wrong number", "Wrong number!"),
    *("you have the wrong number", "I think you have the wrong person", "not her phone"),
    *("This is not Alice's number", "this is no longer his number", "número equivocado"),
    *("se equivocó de número", "este no es su teléfono", "She no longer has this number"),
]
#: The reference's must-not-match rows (cases 56 and 57), then more of what people write.
NOTHING = [
    *("we have got to STOP this bill!", "don't stop", "please don\u2019t stop texting me"),
    *("can I stop by tomorrow?", "I'll stop in at 3", "when does the program end?"),
    *("I quit smoking last year", "I need to cancel my appointment", "I want everything to stop"),
    *(
        "make it stop",
        "I want to end it",
        "I want to end my life",
        "how do I stop feeling like this",
    ),
    *("yes", "YES", "ok", "no", "no thanks", "not interested"),
    *("stopping", "unstoppable", "please", "thank you", "", "   ", "\n\n", "?", "\U0001f44d"),
    *("no, stop by", "the end", "can you help me?", "more info on TMS", "when do we start?"),
    *("cancela la cita", "baja la voz", "no gracias", "no me interesa", "sí", "mañana no puedo"),
    *("Why did you stop texting me?", "I don't want you to stop texting me", "You can text me"),
    *("please don't stop, I need this", "don't give up on me", "I can't stop crying"),
    *("please make it all stop", "I just want the pain to stop", "Make this end. Please. Stop."),
    *("I want to end it all", "end it", "que todo pare", "Leave me alone, I want to die"),
    *("don't text me after 9pm", "please don't text me at work, use email", "text me at 3"),
    *("don't bother, I'll come in", "I don't want to bother you", "don't call me, text me"),
    *("please don't call me again, text me instead", "stop calling me, just text"),
    *("I did not receive your message", "I didn't get the text", "what number do I call?"),
    *("I gave you the wrong number, it is 949 555 0199", "is this the right number?"),
    *("I want to stop my medication", "take me off this medication", "get me out of this"),
    *("can you stop by the pharmacy", "I missed your call, call again", "I don't agree with him"),
    *("I wrote down the wrong date", "we never text", "no más dolor", "no puedo más"),
    *("no me escribieron ayer", "quiero dejar de fumar", "alto, pelo negro, 40 años"),
    *("Don't remove me from the list", "please do not unsubscribe me", "do not opt me out"),
]


@pytest.mark.parametrize("text", PER_SE)
def test_a_word_that_withdraws_consent_alone_is_an_opt_out_per_se(text: str) -> None:
    reading = read_reply(text)

    assert (reading.meaning, reading.matched_by) == (Meaning.opt_out, MatchedBy.per_se)


@pytest.mark.parametrize("text", INTENT)
def test_words_that_a_reasonable_person_understands_as_a_refusal_are_one(text: str) -> None:
    assert read_reply(text) == Reading(Meaning.opt_out, MatchedBy.intent)


@pytest.mark.parametrize("text", WRONG_NUMBERS)
def test_whoever_says_that_the_number_is_wrong_is_left_alone(text: str) -> None:
    assert read_reply(text) == Reading(Meaning.opt_out, MatchedBy.intent, is_wrong_number=True)


@pytest.mark.parametrize("text", NOTHING)
def test_ordinary_words_mean_nothing_for_consent(text: str) -> None:
    assert read_reply(text) == Reading(Meaning.none)


@pytest.mark.parametrize("text", ["START", "start.", "Unstop", "please start", "START\nAlice"])
def test_only_start_and_unstop_give_consent_again(text: str) -> None:
    assert read_reply(text).meaning is Meaning.opt_in


@pytest.mark.parametrize("text", ["HELP", "info", "Help!", "ayuda", "help please"])
def test_help_is_answered_whatever_the_consent(text: str) -> None:
    assert read_reply(text).meaning is Meaning.help


@pytest.mark.parametrize(
    ("text", "is_for_staff"),
    [("STOP", False), ("unsubscribe", False), ("START", False), ("end", True), ("cancel", True),
     ("stop texting me", True), ("HELP", True), ("Call me", True), ("", True)],
)  # fmt: skip
def test_what_may_mean_more_than_one_thing_is_for_staff_to_read(
    text: str, is_for_staff: bool
) -> None:
    assert read_reply(text).is_for_staff is is_for_staff


@pytest.mark.parametrize(
    ("text", "provider", "meaning", "matched_by"),
    [
        ("arret", Meaning.opt_out, Meaning.opt_out, MatchedBy.provider),
        ("START", Meaning.opt_out, Meaning.opt_out, MatchedBy.provider),
        ("STOP", Meaning.opt_out, Meaning.opt_out, MatchedBy.per_se),
        ("stop texting me", Meaning.opt_in, Meaning.opt_out, MatchedBy.intent),
        ("stop texting me", None, Meaning.opt_out, MatchedBy.intent),
        ("join", Meaning.opt_in, Meaning.opt_in, None),
        ("YES", Meaning.opt_in, Meaning.none, None),
        ("sí", Meaning.opt_in, Meaning.none, None),
        ("hello", Meaning.help, Meaning.help, None),
        ("don't stop", None, Meaning.none, None),
    ],
)
def test_of_the_provider_s_reading_and_ours_the_stricter_counts(
    text: str, provider: Meaning | None, meaning: Meaning, matched_by: MatchedBy | None
) -> None:
    reading = read_with_provider(text, provider)

    assert (reading.meaning, reading.matched_by) == (meaning, matched_by)


@given(st.sampled_from(PER_SE), st.sampled_from(["", " ", ".", "!", "\n-- \nAlice"]))
def test_case_and_what_follows_do_not_weaken_an_opt_out(text: str, ending: str) -> None:
    assert read_reply(text.swapcase() + ending).matched_by is MatchedBy.per_se


@given(st.sampled_from(INTENT), st.sampled_from(["", " please", ". Thanks!", "\nAlice"]))
def test_politeness_does_not_weaken_a_refusal(text: str, ending: str) -> None:
    assert read_reply(text.swapcase() + ending).meaning is Meaning.opt_out


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    assert read_reply(text).meaning in Meaning


@given(st.text(st.characters(categories=["Cs", "Cc", "Cf", "Zl"])))
def test_a_text_without_words_means_nothing(text: str) -> None:
    assert read_reply(text) == Reading(Meaning.none)


@pytest.mark.parametrize(
    "unit",
    ["no thanks ", "stop texting me ", "please ", "me us here ", "not ", "de mas los ", "stop "],
)
def test_nobody_can_make_the_reading_slow(unit: str) -> None:
    began = time.process_time()

    read_reply(unit * 2000 + "x")

    assert time.process_time() - began < 1


@pytest.mark.parametrize("reason", SuppressionReason)
def test_a_suppression_is_the_reason_of_what_is_then_not_sent(reason: SuppressionReason) -> None:
    assert Reason(reason.value).value == reason.value


@pytest.mark.parametrize("act", Act)
def test_any_consent_permits_what_informs(act: Act) -> None:
    assert permits(act, informational=True)


def test_a_number_alone_permits_nothing_that_promotes() -> None:
    assert [act for act in Act if not permits(act, informational=False)] == [Act.gave_number]
