"""Rows of the audit trail: sealed in an order that holds, by however many at once."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from followup.domain.audit import Door
from followup.domain.cadence import Channel
from followup.domain.consent import SuppressionReason
from followup.store import consents, entries
from followup.store.db import new_id, reading, transaction
from followup.store.models import AuditEntry, Suppression
from tests.parallel import together
from tests.store.rows import TUESDAY_TEN
from tests.store.test_consents import ALICE

OPTED_OUT = SuppressionReason.opted_out


def note(session: Session, **about: Any) -> None:
    entries.add_entry(session, **{"at": TUESDAY_TEN, "verb": "seen", "by": "Ann", **about})


def test_two_who_seal_at_once_make_one_chain(engine: Engine) -> None:
    with transaction(engine) as session:
        for _ in range(2 * entries.SEAL_BATCH + 1):
            note(session)

    def seal_all() -> None:
        while True:
            with transaction(engine) as session:
                if not entries.seal(session, TUESDAY_TEN):
                    return

    together(*[seal_all] * 3)

    with reading(engine) as session:
        positions = session.scalars(select(AuditEntry.position).order_by(AuditEntry.position)).all()
        head = entries.get_head(session).position
    assert list(positions) == list(range(1, 2 * entries.SEAL_BATCH + 2))
    assert head == len(positions)


def test_what_is_said_of_a_row_later_is_sealed_later_though_a_machines_clock_is_behind(
    session: Session,
) -> None:
    consents.suppress(session, Channel.sms, ALICE, OPTED_OUT, TUESDAY_TEN)
    (row,) = session.scalars(select(Suppression))
    hour = 3_600_000 << 80
    session.flush()
    # The entry of a machine whose clock is an hour ahead.
    ahead = uuid.UUID(int=new_id().int + hour)
    first = session.scalars(select(AuditEntry).where(AuditEntry.row_id == row.id)).one()
    session.expunge(first)
    session.add(AuditEntry(**{**entries.values_of(first), "id": ahead, "mac": first.mac}))
    session.flush()

    consents.lift(session, Channel.sms, [ALICE], OPTED_OUT, TUESDAY_TEN)

    lifted = session.scalars(select(AuditEntry).where(AuditEntry.verb == "lifted")).one()
    assert lifted.id > ahead


@pytest.mark.parametrize(
    ("wanted", "verbs"),
    [
        pytest.param({}, ["listed", "added", "seen"], id="everything, newest first"),
        pytest.param({"by": "Ben"}, ["added"], id="of one person"),
        pytest.param({"since": TUESDAY_TEN + timedelta(hours=1)}, ["listed"], id="since then"),
        pytest.param(
            {"until": TUESDAY_TEN + timedelta(hours=1)}, ["added", "seen"], id="until then"
        ),
        pytest.param({"limit": 1}, ["listed"], id="no more than that"),
        pytest.param({"lead": "K7Q4"}, ["listed", "seen"], id="of a lead, among others too"),
        pytest.param({"lead": "K7Q"}, ["seen"], id="of a lead whose reference begins another's"),
    ],
)
def test_entries_are_found_by_lead_person_and_time(
    session: Session, wanted: dict[str, Any], verbs: list[str]
) -> None:
    lead_id = new_id()
    note(session, lead_id=lead_id, door=Door.api)
    note(session, verb="added", by="Ben")
    later = TUESDAY_TEN + timedelta(hours=1)
    note(session, verb="listed", at=later, facts={"leads": ["B2X9", "K7Q4"]})
    session.flush()
    if "lead" in wanted:
        wanted = {"lead_id": lead_id, "reference": wanted["lead"]}

    assert [one.verb for one in entries.list_entries(session, **wanted)] == verbs
