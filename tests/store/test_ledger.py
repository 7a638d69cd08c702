"""Rows of `decisions` and `actions`: in the order of their making, each with its facts."""

from sqlalchemy.orm import Session

from followup.domain.delivery import Reason, Status
from followup.store import ledger
from followup.store.db import new_id
from tests.store.rows import TUESDAY_TEN


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
