"""Rows of `replies` and `receipts`: each once by the provider's id."""

from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from followup.domain.cadence import Channel
from followup.store import replies
from followup.store.db import new_id, transaction
from tests.store.rows import TUESDAY_TEN, add_delivery, add_lead

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


def receipt(session: Session, **changes: Any) -> bool:
    usual = {"delivery_id": DELIVERY_ID, "provider_id": "SM1", "status": "sent", "code": ""}
    return replies.add_receipt(session, received_at=TUESDAY_TEN, **{**usual, **changes})


def test_replies_of_a_lead_come_in_order(session: Session) -> None:
    for provider_id in ("SM2", "SM1"):
        reply(session, provider_id)

    kept = replies.list_replies(session, LEAD_ID)

    assert [one.provider_id for one in kept] == ["SM2", "SM1"]


def test_receipts_of_what_went_to_an_address_come_newest_first(session: Session) -> None:
    lead = add_lead(session)
    email = {"channel": Channel.email, "recipient": "alice@example.com"}
    mails = [add_delivery(session, lead, **email) for _ in range(2)]
    others = [
        add_delivery(session, lead),
        add_delivery(session, lead, **{**email, "recipient": "bob@example.com"}),
    ]
    for number, row in enumerate([*mails, *others, mails[0]]):
        receipt(session, provider_id=f"test:{number}", delivery_id=row.id)
    hashes = [mails[0].recipient_hash]

    kept = replies.list_receipts_to(session, hashes)

    assert [one.provider_id for one in kept] == ["test:4", "test:1", "test:0"]
    newest = replies.list_receipts_to(session, hashes, newest=1)
    assert [one.provider_id for one in newest] == ["test:4"]


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
    assert receipt(session)
    assert receipt(session, **changes)


def test_the_same_report_is_kept_once(engine: Engine) -> None:
    with transaction(engine) as session:
        assert receipt(session)

    with transaction(engine) as session:
        assert not receipt(session)
