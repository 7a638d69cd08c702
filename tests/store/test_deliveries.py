"""Rows of `deliveries`: planned once, claimed once, cancelled for good, every change fenced."""

import uuid
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from followup.domain.cadence import Audience, Channel, Lane
from followup.domain.delivery import Reason, Status
from followup.store import claims, counts, deliveries
from followup.store.db import new_id, reading, transaction
from followup.store.models import Delivery, Lead
from tests.parallel import flat, together
from tests.schema import KEYRING
from tests.store.rows import TUESDAY_TEN, add_delivery, add_lead, row_for
from tests.store.waiting_for_locks import meanwhile, until_blocked

MINUTE = timedelta(minutes=1)
ALICES, BOBS = KEYRING.hash("+12125550101"), KEYRING.hash("+16025550102")


def add_many(engine: Engine, count: int) -> Lead:
    with transaction(engine) as session:
        lead = add_lead(session)
        deliveries.plan(session, [row_for(lead, occurrence=number) for number in range(count)])
    return lead


def statuses(engine: Engine, lead: Lead) -> list[Status]:
    with reading(engine) as session:
        return [row.status for row in deliveries.list_of_lead(session, lead.id)]


def set_off(rows: list[claims.Due]) -> list[claims.Due]:
    for row in rows:
        row.status = Status.sending
    return rows


def take(engine: Engine, limit: int = 4) -> list[uuid.UUID]:
    """Claim as a worker does, until nothing is due."""
    taken: list[uuid.UUID] = []
    while True:
        with transaction(engine) as session:
            rows = claims.claim_due(session, Lane.ack, TUESDAY_TEN, limit, Channel.sms)
            claims.lease(session, set_off(rows), new_id(), TUESDAY_TEN, TUESDAY_TEN)
        if not rows:
            return taken
        taken += [row.id for row in rows]


def test_planning_twice_plans_once(session: Session) -> None:
    lead = add_lead(session)

    first = deliveries.plan(session, [row_for(lead)])
    second = deliveries.plan(session, [row_for(lead), row_for(lead, channel=Channel.email)])

    assert (first, second) == (1, 1)
    assert len(deliveries.list_of_lead(session, lead.id)) == 2


def test_planning_at_once_plans_once(engine: Engine) -> None:
    lead = add_many(engine, 0)

    def plan() -> int:
        with transaction(engine) as session:
            rows = [row_for(lead, occurrence=number) for number in range(5)]
            return deliveries.plan(session, rows)

    counts = together(*[plan] * 4)

    assert sum(counts) == 5
    assert len(statuses(engine, lead)) == 5


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"episode": 1}, id="another episode"),
        pytest.param({"step": "alert"}, id="another step"),
        pytest.param({"occurrence": 2}, id="another occurrence"),
        pytest.param({"channel": Channel.email}, id="another channel"),
        pytest.param({"recipient": "+16025550102"}, id="another recipient"),
    ],
)
def test_what_differs_in_the_key_is_another_delivery(
    session: Session, changes: dict[str, Any]
) -> None:
    lead = add_lead(session)
    deliveries.plan(session, [row_for(lead)])

    assert deliveries.plan(session, [row_for(lead, **changes)]) == 1


def test_nothing_to_plan_plans_nothing(session: Session) -> None:
    assert deliveries.plan(session, []) == 0


@pytest.mark.parametrize(
    ("changes", "is_due"),
    [
        pytest.param({}, True, id="due now"),
        pytest.param({"due_at": TUESDAY_TEN - timedelta(days=3)}, True, id="long overdue"),
        pytest.param({"due_at": TUESDAY_TEN + timedelta(microseconds=1)}, False, id="not yet"),
        pytest.param({"lane": Lane.staff}, False, id="of another lane"),
        *(
            pytest.param({"status": status}, False, id=status.value)
            for status in Status
            if status is not Status.planned
        ),
    ],
)
def test_only_what_is_planned_and_due_in_the_lane_is_claimed(
    session: Session, changes: dict[str, Any], is_due: bool
) -> None:
    add_delivery(session, add_lead(session), **changes)

    session.expire_all()
    claimed = claims.claim_due(session, Lane.ack, TUESDAY_TEN, 16, Channel.sms)

    assert bool(claimed) is is_due


def test_the_most_overdue_is_claimed_first(session: Session) -> None:
    lead = add_lead(session)
    for late in (1, 3, 2):
        add_delivery(session, lead, due_at=TUESDAY_TEN - late * MINUTE)

    session.expire_all()
    claimed = claims.claim_due(session, Lane.ack, TUESDAY_TEN, 2, Channel.sms)

    assert [TUESDAY_TEN - row.due_at for row in claimed] == [3 * MINUTE, 2 * MINUTE]


def test_parallel_claims_never_take_the_same_row_and_leave_none(engine: Engine) -> None:
    lead = add_many(engine, 40)

    taken = flat(together(*[lambda: take(engine)] * 4))

    assert len(taken) == len(set(taken)) == 40
    assert set(statuses(engine, lead)) == {Status.sending}


def test_cancelling_waits_for_a_claim_in_progress(engine: Engine) -> None:
    lead = add_many(engine, 3)

    def cancel() -> tuple[int, list[uuid.UUID]]:
        with transaction(engine) as session:
            count = deliveries.cancel_planned(session, lead.id, Reason.contacted)
            return count, deliveries.list_in_flight(session, lead.id)

    with transaction(engine) as claiming:
        rows = claims.claim_due(claiming, Lane.ack, TUESDAY_TEN, 2, Channel.sms)
        with meanwhile(cancel) as cancelling:
            until_blocked(engine, cancelling)
            assert not cancelling.done()
            claims.lease(claiming, set_off(rows), new_id(), TUESDAY_TEN, TUESDAY_TEN)
            claiming.commit()
            cancelled, in_flight = cancelling.result(10)

    assert cancelled == 1
    assert in_flight == sorted(row.id for row in rows)


@pytest.mark.parametrize("status", [one for one in Status if one is not Status.planned])
def test_only_what_is_planned_is_cancelled(session: Session, status: Status) -> None:
    row = add_delivery(session, add_lead(session), status=status)

    assert deliveries.cancel_planned(session, row.lead_id, Reason.contacted) == 0

    session.expire_all()
    assert (row.status, row.reason) == (status, None)


@pytest.mark.parametrize(
    ("changes", "is_cancelled"),
    [
        pytest.param({}, True, id="to that number"),
        pytest.param({"recipient": "+16025550102"}, False, id="to another number"),
        pytest.param({"channel": Channel.email}, False, id="on another channel"),
        pytest.param({"audience": Audience.staff}, False, id="to staff at that number"),
        pytest.param({"status": Status.sending}, False, id="under way"),
    ],
)
def test_cancelling_an_address_reaches_its_patient_on_that_channel(
    session: Session, changes: dict[str, Any], is_cancelled: bool
) -> None:
    add_delivery(session, add_lead(session), **changes)
    count = deliveries.cancel_addressed(session, Channel.sms, [ALICES], Reason.opted_out)

    assert count == is_cancelled


def test_cancelling_an_address_of_one_lead_leaves_the_others(session: Session) -> None:
    row, other = (add_delivery(session, add_lead(session)) for _ in range(2))

    deliveries.cancel_addressed(session, Channel.sms, [ALICES], Reason.superseded, row.lead_id)

    session.expire_all()
    assert (row.status, row.reason) == (Status.cancelled, Reason.superseded)
    assert other.status is Status.planned


@pytest.mark.parametrize(
    ("status", "is_mine", "is_recorded"),
    [
        pytest.param(Status.sending, True, True, id="the claim holds"),
        pytest.param(Status.sending, False, False, id="another holds it"),
        pytest.param(Status.unknown, True, False, id="the rescue was first"),
        pytest.param(Status.delivered, True, False, id="a callback was first"),
    ],
)
def test_an_outcome_is_recorded_only_while_the_claim_holds(
    session: Session, status: Status, is_mine: bool, is_recorded: bool
) -> None:
    mine = new_id()
    row = add_delivery(session, add_lead(session), status=status, claim=mine)
    claim = mine if is_mine else new_id()

    values = {row.id: {"status": Status.accepted}}
    written = claims.record(session, {row.id: claim}, values)

    session.expire_all()
    now = deliveries.find_delivery(session, row.id)
    assert written == ({row.id} if is_recorded else set())
    assert now is not None
    assert now.status is (Status.accepted if is_recorded else status)


@pytest.mark.parametrize(
    ("status", "lease_until", "is_lost"),
    [
        pytest.param(Status.sending, -MINUTE, True, id="the lease ran out"),
        pytest.param(Status.sending, MINUTE, False, id="the lease holds"),
        pytest.param(Status.accepted, -MINUTE, False, id="it was recorded"),
        pytest.param(Status.planned, -MINUTE, False, id="it was given back"),
    ],
)
def test_the_rescue_takes_what_a_lost_worker_held(
    session: Session, status: Status, lease_until: timedelta, is_lost: bool
) -> None:
    until = TUESDAY_TEN + lease_until
    lead = add_lead(session)
    row = add_delivery(session, lead, status=status, claim=new_id(), lease_until=until)

    session.expire_all()
    lost = deliveries.rescue(session, TUESDAY_TEN, TUESDAY_TEN + MINUTE)

    assert [one.id for one in lost] == ([row.id] if is_lost else [])
    for one in lost:
        assert (one.status, one.reason) == (Status.unknown, Reason.worker_lost)
        assert (one.claim, one.ask_at) == (None, TUESDAY_TEN + MINUTE)


def test_parallel_rescues_find_each_row_once(engine: Engine) -> None:
    with transaction(engine) as session:
        lead = add_lead(session)
        for _ in range(6):
            add_delivery(session, lead, status=Status.sending).lease_until = TUESDAY_TEN - MINUTE

    def rescue() -> list[uuid.UUID]:
        with transaction(engine) as session:
            return [row.id for row in deliveries.rescue(session, TUESDAY_TEN, TUESDAY_TEN)]

    found = flat(together(*[rescue] * 3))

    assert len(found) == len(set(found)) == 6


def test_an_unknown_outcome_is_asked_about_by_one(engine: Engine) -> None:
    again_at = TUESDAY_TEN + 5 * MINUTE
    with transaction(engine) as session:
        lead = add_lead(session)
        for ask_at in (TUESDAY_TEN, TUESDAY_TEN + MINUTE, None):
            add_delivery(session, lead, status=Status.unknown).ask_at = ask_at

    def claim() -> list[datetime | None]:
        with transaction(engine) as session:
            rows = deliveries.claim_unknown(session, TUESDAY_TEN, again_at, 16)
            return [row.ask_at for row in rows]

    assert flat(together(*[claim] * 3)) == [again_at]


@pytest.mark.parametrize(
    ("changes", "was_texted"),
    [
        pytest.param({"status": Status.planned}, False, id="planned"),
        pytest.param({"status": Status.skipped}, False, id="skipped"),
        pytest.param({"status": Status.failed}, False, id="refused"),
        pytest.param({"status": Status.sending}, True, id="under way"),
        pytest.param({"status": Status.unknown}, True, id="unknown"),
        pytest.param({"status": Status.delivered}, True, id="delivered"),
        pytest.param({"status": Status.accepted, "channel": Channel.email}, False, id="by mail"),
        pytest.param({"status": Status.accepted, "lane": Lane.reminder}, False, id="a later text"),
        pytest.param(
            {"status": Status.accepted, "arrived_at": TUESDAY_TEN - timedelta(days=31)},
            False,
            id="too long ago",
        ),
    ],
)
def test_who_had_a_first_text(session: Session, changes: dict[str, Any], was_texted: bool) -> None:
    since = TUESDAY_TEN - timedelta(days=30)
    add_delivery(session, add_lead(session), **changes)

    texted = deliveries.list_texted(session, [ALICES, BOBS], since)

    assert texted == ({ALICES} if was_texted else set())


def test_a_delivery_is_found_by_its_id(session: Session) -> None:
    row = add_delivery(session, add_lead(session))

    assert deliveries.find_delivery(session, row.id) is row
    assert deliveries.find_delivery(session, row.id, lock=True) is row
    assert deliveries.find_delivery(session, new_id()) is None


def test_a_locked_delivery_is_read_afresh(engine: Engine) -> None:
    with transaction(engine) as session:
        row = add_delivery(session, add_lead(session))
    with reading(engine) as stale:
        deliveries.find_delivery(stale, row.id)
        stale.commit()
        with transaction(engine) as session:
            deliveries.cancel_planned(session, row.lead_id, Reason.contacted)
        locked = deliveries.find_delivery(stale, row.id, lock=True)

        assert locked is not None
        assert locked.status is Status.cancelled


def test_when_the_last_acknowledged_submission_arrived(session: Session) -> None:
    lead = add_lead(session)
    assert deliveries.last_acknowledged_at(session, lead.id) is None
    add_delivery(session, lead)
    add_delivery(session, lead, arrived_at=TUESDAY_TEN + MINUTE)
    add_delivery(session, lead, arrived_at=TUESDAY_TEN + 2 * MINUTE, lane=Lane.staff)

    assert deliveries.last_acknowledged_at(session, lead.id) == TUESDAY_TEN + MINUTE


def test_how_much_is_due_in_each_lane_and_since_when(session: Session) -> None:
    lead = add_lead(session)
    for due_at, changes in (
        (TUESDAY_TEN, {}),
        (TUESDAY_TEN - MINUTE, {}),
        (TUESDAY_TEN + MINUTE, {"lane": Lane.staff}),
        (TUESDAY_TEN, {"lane": Lane.reminder, "status": Status.cancelled}),
    ):
        add_delivery(session, lead, due_at=due_at, **changes)

    assert counts.oldest_due(session, TUESDAY_TEN) == {Lane.ack: TUESDAY_TEN - MINUTE}
    assert counts.count_due(session, TUESDAY_TEN) == {Lane.ack: 2}


def test_outcomes_are_counted_by_channel_and_status(session: Session) -> None:
    lead = add_lead(session)
    for status in (Status.accepted, Status.accepted, Status.unknown):
        add_delivery(session, lead, status=status)
    add_delivery(session, lead, status=Status.accepted, due_at=TUESDAY_TEN - MINUTE)

    assert counts.count_unknown(session) == 1
    assert counts.count_by_status(session, TUESDAY_TEN) == {
        (Channel.sms, Status.accepted): 2,
        (Channel.sms, Status.unknown): 1,
    }


def test_a_delivery_belongs_to_a_lead(engine: Engine) -> None:
    stray = Delivery(**row_for(Lead(id=new_id())))

    with pytest.raises(Exception, match=r"(?i)foreign key"), transaction(engine) as session:
        session.add(stray)


@pytest.mark.parametrize(
    ("status", "before"),
    [
        (Status.accepted, Status.planned),
        (Status.delivered, Status.sent),
        (Status.cancelled, Status.planned),
        (Status.expired, Status.sending),
    ],
)
def test_a_row_refuses_a_step_back(engine: Engine, status: Status, before: Status) -> None:
    with transaction(engine) as session:
        row = add_delivery(session, add_lead(session), status=status)

        with pytest.raises(ValueError, match=f"{status} cannot become {before}"):
            row.status = before
