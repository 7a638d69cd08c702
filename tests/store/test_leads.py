"""Rows of `leads`: found by hash, merged under a lock, marked by compare and swap."""

from datetime import timedelta
from itertools import cycle, pairwise
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from followup.domain.lead import LeadStatus, Outcome, Priority
from followup.domain.submission import Kind
from followup.errors import NotFound
from followup.store import deliveries, leads
from followup.store.db import (
    lock_addresses,
    new_id,
    reading,
    transaction,
    try_lock_addresses,
)
from tests.parallel import together
from tests.schema import KEYRING
from tests.store.rows import TUESDAY_TEN, add_lead, add_submission, row_for
from tests.store.waiting_for_locks import meanwhile, until_blocked

MINUTE = timedelta(minutes=1)
ALICE = [KEYRING.hash("alice@example.com")]
ALICES_PHONE = [KEYRING.hash("+12125550101")]


def test_a_lead_is_found_by_its_id_and_by_its_reference_as_spoken(session: Session) -> None:
    lead = add_lead(session)

    assert leads.find_lead(session, lead.id) is lead
    assert leads.get_lead(session, lead.id) is lead
    assert leads.find_by_reference(session, f" {lead.reference.lower()} ") is lead


def test_a_lead_that_is_not_there_is_not_found(engine: Engine) -> None:
    with transaction(engine) as session:
        assert leads.find_lead(session, new_id()) is None
        assert leads.find_by_reference(session, "K7Q4") is None
        with pytest.raises(NotFound):
            leads.get_lead(session, new_id(), lock=True)


def test_references_differ_and_grow_as_the_short_ones_run_out(session: Session) -> None:
    references = {add_lead(session).reference for _ in range(60)}

    assert len(references) == 60
    assert {len(one) for one in references} <= {4, 6, 8}


def test_two_at_once_never_take_the_same_reference(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else one of them would fail when it commits."""
    if engine.dialect.name == "sqlite":
        return
    numbers = cycle("2346789")
    monkeypatch.setattr(leads, "new_reference", lambda _, pairs: next(numbers) * pairs)

    with transaction(engine) as one, transaction(engine) as other:
        taken = leads.find_free_references(one, 3) + leads.find_free_references(other, 3)

    assert len(set(taken)) == 6
    assert {len(reference) for reference in taken} == {2, 3}


def test_a_lead_that_breaks_another_rule_is_not_tried_again(engine: Engine) -> None:
    with pytest.raises(IntegrityError), transaction(engine) as session:
        add_lead(session, language=None)


@pytest.mark.parametrize(
    ("changes", "is_alike"),
    [
        pytest.param({}, True, id="both addresses"),
        pytest.param({"phone": None}, True, id="the email alone"),
        pytest.param({"email": None}, True, id="the phone alone"),
        pytest.param({"status": LeadStatus.held}, True, id="held"),
        pytest.param({"email": None, "phone": None}, False, id="no address"),
        pytest.param({"email": "b@example.com", "phone": "+16025550102"}, False, id="others"),
        pytest.param({"status": LeadStatus.contacted}, False, id="contacted"),
        pytest.param({"status": LeadStatus.closed}, False, id="closed"),
    ],
)
def test_open_leads_that_share_an_address_are_alike(
    session: Session, changes: dict[str, Any], is_alike: bool
) -> None:
    add_lead(session, **changes)

    assert bool(leads.list_open_alike(session, ALICE, ALICES_PHONE)) is is_alike


def test_without_addresses_nobody_is_alike(session: Session) -> None:
    add_lead(session, email=None, phone=None)

    assert leads.list_open_alike(session, [], []) == []


def test_alike_leads_come_oldest_first(session: Session) -> None:
    ids = [add_lead(session).id for _ in range(3)]

    assert [lead.id for lead in leads.list_open_alike(session, ALICE, [])] == ids


@pytest.mark.parametrize(
    ("status", "is_marked"),
    [
        (LeadStatus.open, True),
        (LeadStatus.held, True),
        (LeadStatus.contacted, False),
        (LeadStatus.closed, False),
    ],
)
def test_only_a_lead_that_waits_is_marked(
    session: Session, status: LeadStatus, is_marked: bool
) -> None:
    lead_id = add_lead(session, status=status).id

    assert leads.mark(session, lead_id, outcome=Outcome.booked) is is_marked

    session.expire_all()
    outcome = leads.get_lead(session, lead_id).outcome
    assert outcome is (Outcome.booked if is_marked else None)


def test_of_parallel_marks_one_wins(engine: Engine) -> None:
    with transaction(engine) as session:
        lead_id = add_lead(session).id

    def mark(name: str) -> bool:
        with transaction(engine) as session:
            return leads.mark(session, lead_id, status=LeadStatus.contacted, contacted_by=name)

    names = [f"person {number}" for number in range(6)]
    won = together(*[lambda name=name: mark(name) for name in names])

    with reading(engine) as session:
        assert [leads.get_lead(session, lead_id).contacted_by] == [
            name for name, first in zip(names, won, strict=True) if first
        ]


def test_a_locked_lead_can_still_be_planned_for(engine: Engine) -> None:
    """Else a claim that plans the next reminder and a mark would wait for each other for ever."""
    if engine.dialect.name == "sqlite":
        return
    with transaction(engine) as session:
        lead = add_lead(session)

    def plan() -> int:
        with transaction(engine) as session:
            return deliveries.plan(session, [row_for(lead)])

    with transaction(engine) as marking:
        leads.get_lead(marking, lead.id, lock=True)
        leads.list_open_alike(marking, ALICE, [])
        with meanwhile(plan) as planning:
            assert planning.result(5) == 1


def test_one_person_is_decided_about_by_one_at_a_time(engine: Engine) -> None:
    def count_and_add() -> None:
        with transaction(engine) as session:
            lock_addresses(session, [*ALICES_PHONE, *ALICE])
            if not leads.list_open_alike(session, ALICE, ALICES_PHONE):
                add_lead(session)

    together(*[count_and_add] * 6)

    with reading(engine) as session:
        assert len(list(leads.list_open_names(session))) == 1


def test_many_addresses_are_locked_in_one_order(engine: Engine) -> None:
    """However they are given: who waits for one has those before it, and none behind it."""
    low, middle, high = (digit * 64 for digit in "123")

    def lock_all() -> None:
        with transaction(engine) as session:
            lock_addresses(session, [high, middle, low])

    if engine.dialect.name == "sqlite":
        return
    with transaction(engine) as holding:
        lock_addresses(holding, [middle])
        with meanwhile(lock_all) as locking:
            until_blocked(engine, locking)
            with transaction(engine) as looking:
                free = try_lock_addresses(looking, [low, high])
            holding.commit()
            locking.result(5)

    assert free == {high}


def test_two_people_are_decided_about_at_the_same_time(engine: Engine) -> None:
    def add_bob() -> None:
        with transaction(engine) as session:
            lock_addresses(session, [KEYRING.hash("bob@example.com")])
            add_lead(session, email="bob@example.com")

    if engine.dialect.name == "sqlite":
        return
    with transaction(engine) as session:
        lock_addresses(session, ALICE)
        with meanwhile(add_bob) as adding:
            until_blocked(engine, adding)
            adding.result(5)


@pytest.mark.parametrize(
    ("promised", "snoozed", "status", "is_late"),
    [
        pytest.param(-1, None, LeadStatus.open, True, id="the promise is over"),
        pytest.param(0, None, LeadStatus.open, False, id="the promise ends now"),
        pytest.param(1, None, LeadStatus.open, False, id="in time"),
        pytest.param(-1, 1, LeadStatus.open, False, id="put off"),
        pytest.param(-1, 0, LeadStatus.open, True, id="put off until now"),
        pytest.param(-1, None, LeadStatus.contacted, False, id="contacted"),
        pytest.param(-1, None, LeadStatus.held, False, id="held"),
    ],
)
def test_who_is_overdue(
    session: Session, promised: int, snoozed: int | None, status: LeadStatus, is_late: bool
) -> None:
    snoozed_until = None if snoozed is None else TUESDAY_TEN + snoozed * MINUTE
    add_lead(
        session,
        promised_at=TUESDAY_TEN + promised * MINUTE,
        snoozed_until=snoozed_until,
        status=status,
    )

    assert bool(leads.list_leads(session, TUESDAY_TEN, overdue=True)) is is_late
    assert bool(leads.list_leads(session, TUESDAY_TEN, overdue=False)) is not is_late
    waiting, late = leads.count_waiting(session, TUESDAY_TEN)

    assert (waiting, late) == (status is LeadStatus.open, is_late)


def test_leads_are_filtered_and_come_newest_first(session: Session) -> None:
    first, second = add_lead(session), add_lead(session, kind=Kind.screening)
    third = add_lead(session, status=LeadStatus.contacted)
    submission = add_submission(session, lead_id=second.id)

    def found(**filters: Any) -> list[Any]:
        return list(leads.list_leads(session, TUESDAY_TEN, **filters))

    assert found() == [third, second, first]
    assert found(limit=2) == [third, second]
    assert found(before=second.id) == [first]
    assert found(status=LeadStatus.open) == [second, first]
    assert found(kind=Kind.screening) == [second]
    assert found(reference=f"{first.reference.lower()} ") == [first]
    assert found(submission=submission.id) == [second]
    assert found(submission=new_id()) == []


def test_leads_are_listed_by_either_address_newest_first(session: Session) -> None:
    by_email = add_lead(session, phone=None)
    by_phone = add_lead(session, email=None)
    add_lead(session, email="bob@example.com", phone="+16025550102")

    found = leads.list_by_address(session, [*ALICE, *ALICES_PHONE])

    assert found == [by_phone, by_email]


def test_who_waits_the_longest_past_the_promise_comes_first(session: Session) -> None:
    later = add_lead(session, promised_at=TUESDAY_TEN + MINUTE)
    sooner = add_lead(session, promised_at=TUESDAY_TEN)
    add_lead(session, status=LeadStatus.closed)

    assert [lead_id for lead_id, _ in leads.list_open_names(session)] == [sooner.id, later.id]


def test_times_to_contact_are_of_those_contacted_since(session: Session) -> None:
    hour = timedelta(hours=1)
    for contacted_at in (None, TUESDAY_TEN - MINUTE, TUESDAY_TEN):
        add_lead(session, contacted_at=contacted_at)

    times = leads.list_contact_times(session, TUESDAY_TEN)

    assert times == [(TUESDAY_TEN, TUESDAY_TEN + hour, TUESDAY_TEN)]


def test_the_urgent_who_wait_come_first_page_after_page(session: Session) -> None:
    urgent = {"priority": Priority.urgent}
    leads_ = [
        add_lead(session, **urgent),
        add_lead(session),
        add_lead(session, **urgent, status=LeadStatus.contacted),
        add_lead(session, **urgent, status=LeadStatus.held),
        add_lead(session),
    ]
    expected = [leads_[index] for index in (3, 0, 4, 2, 1)]

    assert list(leads.list_leads(session, TUESDAY_TEN)) == expected
    for before, after in pairwise(expected):
        assert leads.list_leads(session, TUESDAY_TEN, before=before.id, limit=1) == [after]
    assert next(leads.list_open_names(session))[0] == leads_[0].id
