"""Rows of `decisions` and `actions`: in the order of their making, each with its facts."""

from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from followup.domain.delivery import Reason, Status
from followup.store import ledger
from followup.store.db import new_id
from followup.store.models import Decision
from tests.store.rows import TUESDAY_TEN

MINUTE = timedelta(minutes=1)


def test_decisions_of_a_lead_come_in_order_with_their_reasons(session: Session) -> None:
    lead_id, delivery_id = new_id(), new_id()
    for status, reason in (
        (Status.planned, Reason.quiet_hours),
        (Status.sending, None),
        (Status.accepted, None),
    ):
        ledger.add_decision(
            session,
            lead_id=lead_id,
            delivery_id=delivery_id,
            at=TUESDAY_TEN,
            status=status,
            reason=reason,
            facts={"consent": True},
        )
    ledger.add_decision(
        session, lead_id=new_id(), delivery_id=new_id(), at=TUESDAY_TEN, status=Status.failed
    )
    session.flush()

    kept = ledger.list_decisions(session, lead_id)

    assert [one.status for one in kept] == ["planned", "sending", "accepted"]
    assert [one.reason for one in kept] == ["quiet_hours", None, None]
    assert {one.delivery_id for one in kept} == {delivery_id}
    assert kept[0].facts == {"consent": True}


def kept(session: Session, *answers: tuple[Status, Reason | None]) -> list[Decision]:
    """What the ledger holds after those answers about one delivery, a minute apart."""
    lead_id, delivery_id = new_id(), new_id()
    for number, (status, reason) in enumerate(answers):
        ledger.add_decision(
            session,
            lead_id=lead_id,
            delivery_id=delivery_id,
            at=TUESDAY_TEN + number * MINUTE,
            status=status,
            reason=reason,
            facts={"number": number},
        )
        session.flush()
    return list(ledger.list_decisions(session, lead_id))


WAITS = (Status.planned, Reason.quiet_hours)
RETRIES = (Status.planned, Reason.will_retry)


def test_the_same_postponement_again_is_counted_and_not_written_again(session: Session) -> None:
    (one,) = kept(session, WAITS, WAITS, WAITS)

    assert (one.times, one.at, one.last_at) == (3, TUESDAY_TEN, TUESDAY_TEN + 2 * MINUTE)
    assert one.facts == {"number": 2}


def test_a_postponement_is_written_once_by_itself(session: Session) -> None:
    (one,) = kept(session, WAITS)

    assert (one.times, one.last_at) == (1, None)


def test_a_postponement_for_another_reason_is_written(session: Session) -> None:
    found = kept(session, WAITS, RETRIES, WAITS)

    assert [one.reason for one in found] == ["quiet_hours", "will_retry", "quiet_hours"]
    assert {one.times for one in found} == {1}


def test_a_postponement_after_an_attempt_is_written(session: Session) -> None:
    """Or it would look as if there had been one attempt."""
    found = kept(session, RETRIES, (Status.sending, None), RETRIES)

    assert [one.status for one in found] == ["planned", "sending", "planned"]


@pytest.mark.parametrize(
    "answer",
    [(Status.sending, None), (Status.accepted, None), (Status.unknown, Reason.answer_lost)],
    ids=["sending", "accepted", "unknown"],
)
def test_what_is_no_postponement_is_written_each_time(
    session: Session, answer: tuple[Status, Reason | None]
) -> None:
    assert len(kept(session, answer, answer)) == 2


def test_postponements_of_two_deliveries_are_counted_apart(session: Session) -> None:
    lead_id = new_id()
    for delivery_id in (new_id(), new_id()):
        ledger.add_decision(
            session,
            lead_id=lead_id,
            delivery_id=delivery_id,
            at=TUESDAY_TEN,
            status=Status.planned,
            reason=Reason.quiet_hours,
        )
        session.flush()

    assert [one.times for one in ledger.list_decisions(session, lead_id)] == [1, 1]


def test_the_last_action_of_a_kind_is_found(session: Session) -> None:
    lead_id = new_id()
    for verb, by in (("contacted", "Ann"), ("contacted", "Ben"), ("reopened", "Cleo")):
        ledger.add_action(session, lead_id=lead_id, verb=verb, by=by, at=TUESDAY_TEN)
        session.flush()

    last = ledger.find_last_action(session, lead_id, "contacted")

    assert last is not None
    assert (last.by, last.note, last.facts) == ("Ben", None, {})
    assert ledger.find_last_action(session, lead_id, "snooze") is None
    assert [one.by for one in ledger.list_actions(session, lead_id)] == ["Ann", "Ben", "Cleo"]
