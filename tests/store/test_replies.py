"""Rows of `replies` and `receipts`: each once by the provider's id."""

from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from followup.store import replies
from followup.store.db import new_id, transaction
from tests.store.rows import TUESDAY_TEN

LEAD_ID, DELIVERY_ID = new_id(), new_id()


def reply(session: Session, provider_id: str) -> None:
    replies.add_reply(
        session,
        provider_id=provider_id,
        sender="+12125550101",
        sender_hash="a" * 64,
        body="Please call after four",
        lead_id=LEAD_ID,
        received_at=TUESDAY_TEN,
    )


def receipt(session: Session, **changes: Any) -> None:
    values = {"provider_id": "SM1", "status": "sent", "code": "", **changes}
    replies.add_receipt(session, delivery_id=DELIVERY_ID, received_at=TUESDAY_TEN, **values)


def test_replies_of_a_lead_come_in_order(session: Session) -> None:
    for provider_id in ("SM2", "SM1"):
        reply(session, provider_id)

    kept = replies.list_replies(session, LEAD_ID)

    assert [one.provider_id for one in kept] == ["SM2", "SM1"]


def test_the_same_reply_is_kept_once(engine: Engine) -> None:
    with transaction(engine) as session:
        reply(session, "SM1")

    with pytest.raises(IntegrityError), transaction(engine) as session:
        reply(session, "SM1")


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"status": "delivered"}, id="another status"),
        pytest.param({"code": "30003"}, id="another code"),
        pytest.param({"provider_id": "SM2"}, id="another message"),
    ],
)
def test_another_report_is_another_receipt(session: Session, changes: dict[str, Any]) -> None:
    receipt(session)
    receipt(session, **changes)


def test_the_same_report_is_kept_once(engine: Engine) -> None:
    with transaction(engine) as session:
        receipt(session)

    with pytest.raises(IntegrityError), transaction(engine) as session:
        receipt(session)
