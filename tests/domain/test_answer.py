"""Which one answer a text gets."""

import pytest

from followup.domain.answer import Answer, choose_answer
from followup.domain.consent import Meaning


@pytest.mark.parametrize(
    ("meaning", "in_danger", "is_known", "answer"),
    [
        (Meaning.none, False, True, Answer.received),
        (Meaning.none, False, False, None),
        (Meaning.none, True, True, Answer.crisis),
        (Meaning.none, True, False, Answer.crisis),
        (Meaning.help, False, False, Answer.help),
        (Meaning.help, True, True, Answer.crisis),
        (Meaning.opt_in, False, True, Answer.opted_in),
        (Meaning.opt_out, False, False, Answer.opted_out),
        (Meaning.opt_out, True, True, Answer.opted_out),
    ],
)
def test_a_text_gets_one_answer_and_after_an_opt_out_its_confirmation_alone(
    meaning: Meaning, in_danger: bool, is_known: bool, answer: Answer | None
) -> None:
    assert choose_answer(meaning, in_danger=in_danger, is_known=is_known) is answer


@pytest.mark.parametrize(("is_known", "answer"), [(False, Answer.help), (True, Answer.received)])
def test_what_only_staff_would_text_is_answered_as_if_there_were_no_such_command(
    is_known: bool, answer: Answer
) -> None:
    none = Meaning.none

    assert choose_answer(none, in_danger=False, is_known=is_known, is_command=True) is answer
