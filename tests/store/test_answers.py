"""Answers and what staff are told of texts: found by number, by lead, by kind and by time."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from followup.domain.answer import Answer
from followup.domain.cadence import Audience, Channel
from followup.domain.delivery import Status
from followup.store import answers, deliveries
from tests.schema import KEYRING
from tests.store.rows import TUESDAY_TEN, add_delivery, add_lead, row_for

MINUTE = timedelta(minutes=1)
HASHES = [KEYRING.hash("+12125550101")]
HELP: dict[str, Any] = {"step": Answer.help, "cadence": "replies"}


@pytest.mark.parametrize(
    ("changes", "since", "is_answered"),
    [
        pytest.param(HELP, TUESDAY_TEN - MINUTE, True, id="since then"),
        pytest.param(HELP, None, True, id="ever"),
        pytest.param(HELP, TUESDAY_TEN, False, id="before"),
        pytest.param(HELP | {"step": Answer.received}, None, False, id="another answer"),
        pytest.param({"step": "help"}, None, False, id="a step of the lead's own cadence"),
        pytest.param(HELP | {"recipient": "+16025550102"}, None, False, id="another number"),
        pytest.param(HELP | {"audience": Audience.staff}, None, False, id="to staff"),
        pytest.param(HELP | {"status": Status.failed}, None, True, id="in vain"),
    ],
)
def test_whether_a_number_had_an_answer(
    session: Session, changes: dict[str, Any], since: Any, is_answered: bool
) -> None:
    add_delivery(session, add_lead(session), **changes)

    assert answers.was_answered(session, HASHES, Answer.help, since) is is_answered


def test_what_staff_are_still_to_hear_of_a_text(session: Session) -> None:
    lead, other = add_lead(session), add_lead(session, phone="+16025550102")
    told = {"step": "replied", "cadence": "replies", "audience": Audience.staff}
    add_delivery(session, lead, **told)
    add_delivery(session, lead, **told, channel=Channel.email, status=Status.sent)
    add_delivery(session, other, **told, channel=Channel.email)

    assert answers.find_untold_channels(session, lead.id, "replied") == {Channel.sms}
    assert answers.find_untold_channels(session, lead.id, "danger") == frozenset()
    assert answers.find_untold_channels(session, None, "replied") == frozenset()


def test_the_last_occurrence_of_a_step(session: Session) -> None:
    lead = add_lead(session)
    assert answers.last_occurrence(session, lead.id, "reminder") == 0
    for step, occurrence in (("reminder", 1), ("reminder", 4), ("alert", 7)):
        deliveries.plan(session, [row_for(lead, step=step, occurrence=occurrence)])

    assert answers.last_occurrence(session, lead.id, "reminder") == 4


def test_an_answer_is_no_first_text_and_no_acknowledgement(session: Session) -> None:
    lead = add_lead(session)
    add_delivery(session, lead, **HELP, status=Status.sent)

    assert deliveries.list_texted(session, HASHES, TUESDAY_TEN - MINUTE) == set()
    assert deliveries.last_acknowledged_at(session, lead.id) is None
