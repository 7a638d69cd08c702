"""Faults put into the services on purpose: the chaos tests must find each of them."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from followup.domain import eligibility
from followup.domain.delivery import Reason, Status
from followup.services import settling
from followup.store import announcements, claims, deliveries, replies
from followup.store.models import Delivery


def expired_lease_means_send_again(patch: pytest.MonkeyPatch) -> None:
    """What a lost worker held is planned again, as if it had certainly not been sent."""

    def rescue(session: Session, real_now: datetime, ask_at: datetime) -> Sequence[Delivery]:
        lost = (Delivery.status == Status.sending, Delivery.lease_until < real_now)
        rows = session.scalars(select(Delivery).where(*lost)).all()
        for row in rows:
            row.status, row.reason, row.claim = Status.planned, Reason.not_found, None
        return rows

    patch.setattr(deliveries, "rescue", rescue)


def contacted_is_not_checked(patch: pytest.MonkeyPatch) -> None:
    """A mark changes the lead, and nobody looks at it before sending."""
    patch.setattr(eligibility, "_no_longer_owed", lambda _facts: None)
    patch.setattr(deliveries, "cancel_planned", lambda *_: 0)


def merged_goes_on(patch: pytest.MonkeyPatch) -> None:
    """A duplicate is merged, and its own messages go on."""
    patch.setattr(eligibility, "_no_longer_owed", lambda _facts: None)
    patch.setattr(deliveries, "cancel_cadence", lambda *_: 0)


def obeyed_each_time(patch: pytest.MonkeyPatch) -> None:
    """The provider brings a text of the staff's again, and it is obeyed and answered again."""
    patch.setattr(replies, "lock_unheeded", replies.find_reply)


def told_at_most_once(patch: pytest.MonkeyPatch) -> None:
    """Whatever a webhook answered, it is not told again."""
    patch.setattr(
        announcements,
        "note_failed",
        lambda session, announcement_id, *_, **__: announcements.note_received(
            session, announcement_id
        ),
    )


def told_for_ever(patch: pytest.MonkeyPatch) -> None:
    """A webhook that has heard is told again."""
    patch.setattr(announcements, "note_received", lambda *_: None)


def late_acks_alone(patch: pytest.MonkeyPatch) -> None:
    """A row is taken, sent, and only then written to: who dies between has done nothing."""
    patch.setattr(claims, "lease", lambda *_: None)
    _record_without_fence(patch)


def settled_without_asking(patch: pytest.MonkeyPatch) -> None:
    """An unknown outcome is taken for one that was not sent."""
    patch.setattr(settling, "_ask", lambda _sender, _channel, questions: [None] * len(questions))


def record_without_fence(patch: pytest.MonkeyPatch) -> None:
    """Whoever comes back writes, whoever else may have settled the row meanwhile."""
    _record_without_fence(patch)


def _record_without_fence(patch: pytest.MonkeyPatch) -> None:
    def record(
        session: Session,
        _claims: Mapping[uuid.UUID, uuid.UUID],
        values: Mapping[uuid.UUID, dict[str, Any]],
    ) -> set[uuid.UUID]:
        for delivery_id, columns in values.items():
            session.execute(update(Delivery).where(Delivery.id == delivery_id).values(**columns))
        return set(values)

    patch.setattr(claims, "record", record)
