"""Rows of `consents` and `suppressions`: what permits and what forbids an address."""

from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from followup.domain.cadence import Channel
from followup.domain.consent import Act, SuppressionReason
from followup.store import consents
from followup.store.db import new_id
from followup.store.models import Consent, Suppression
from tests.store.rows import TUESDAY_TEN

ALICE, BOB = "a" * 64, "b" * 64
OPTED_OUT, UNREACHABLE = SuppressionReason.opted_out, SuppressionReason.unreachable


def agree(session: Session, **changes: Any) -> Consent:
    values = {
        "lead_id": new_id(),
        "submission_id": None,
        "channel": Channel.sms,
        "address_hash": ALICE,
        "given": True,
        "act": Act.ticked_box,
        "text": "May text me.",
        "text_version": "1",
        "language": "en",
        "evidence": {"address": "203.0.113.9"},
        "occurred_at": TUESDAY_TEN,
        "recorded_at": TUESDAY_TEN,
        **changes,
    }
    consent = consents.add_consent(session, **values)
    session.flush()
    return consent


@pytest.mark.parametrize(
    ("changes", "has_agreed"),
    [
        pytest.param({}, True, id="ticked"),
        pytest.param({"given": False}, False, id="not ticked"),
        pytest.param({"channel": Channel.email}, False, id="for another channel"),
        pytest.param({"address_hash": BOB}, False, id="for another number"),
    ],
)
def test_who_has_agreed(session: Session, changes: dict[str, Any], has_agreed: bool) -> None:
    agree(session, **changes)

    consented = consents.list_consented(session, Channel.sms, [ALICE])

    assert set(consented) == ({ALICE} if has_agreed else set())


def test_the_consents_of_a_lead_are_kept_with_their_words(session: Session) -> None:
    lead_id = new_id()
    kept = [agree(session, lead_id=lead_id), agree(session, lead_id=lead_id, given=False)]
    agree(session)

    assert consents.list_consents(session, lead_id) == kept


def test_the_first_reason_to_suppress_is_kept(session: Session) -> None:
    consents.suppress(session, Channel.sms, ALICE, UNREACHABLE, TUESDAY_TEN, "21614")
    consents.suppress(session, Channel.sms, ALICE, UNREACHABLE, TUESDAY_TEN, "21614")

    found = consents.list_forbidden(session, [ALICE, BOB])
    count = session.scalar(select(func.count()).select_from(Suppression))

    assert found == {(Channel.sms, ALICE): UNREACHABLE}
    assert count == 1


def test_a_suppression_is_of_one_channel(session: Session) -> None:
    consents.suppress(session, Channel.sms, ALICE, OPTED_OUT, TUESDAY_TEN)

    assert consents.list_forbidden(session, [ALICE]) == {(Channel.sms, ALICE): OPTED_OUT}


def test_lifting_ends_suppressions_of_that_reason_alone(session: Session) -> None:
    consents.suppress(session, Channel.sms, ALICE, OPTED_OUT, TUESDAY_TEN)
    consents.suppress(session, Channel.sms, BOB, UNREACHABLE, TUESDAY_TEN)

    lifted = consents.lift(session, Channel.sms, [ALICE, BOB], OPTED_OUT, TUESDAY_TEN)

    assert lifted == 1
    assert consents.list_forbidden(session, [ALICE, BOB]) == {(Channel.sms, BOB): UNREACHABLE}
    rows = session.scalars(select(Suppression).order_by(Suppression.id)).all()
    assert [row.lifted_at for row in rows] == [TUESDAY_TEN, None]


def test_lifting_one_reason_leaves_the_others_of_the_same_address(session: Session) -> None:
    consents.suppress(session, Channel.sms, ALICE, OPTED_OUT, TUESDAY_TEN)
    consents.suppress(session, Channel.sms, ALICE, UNREACHABLE, TUESDAY_TEN)
    assert consents.list_forbidden(session, [ALICE]) == {(Channel.sms, ALICE): OPTED_OUT}

    consents.lift(session, Channel.sms, [ALICE], OPTED_OUT, TUESDAY_TEN)

    assert consents.list_forbidden(session, [ALICE]) == {(Channel.sms, ALICE): UNREACHABLE}


def test_what_was_lifted_can_be_suppressed_again(session: Session) -> None:
    consents.suppress(session, Channel.sms, ALICE, OPTED_OUT, TUESDAY_TEN)
    consents.lift(session, Channel.sms, [ALICE], OPTED_OUT, TUESDAY_TEN)
    consents.suppress(session, Channel.sms, ALICE, OPTED_OUT, TUESDAY_TEN)

    assert consents.list_forbidden(session, [ALICE]) == {(Channel.sms, ALICE): OPTED_OUT}
