"""Flat: what is done each second, each night and by staff looks at what is due, open or asked for,
however much else is planned or over. Read from the plans of the statements that really ran."""

from collections.abc import Mapping

import pytest

from followup.clinic_limits import Limits, Retention
from followup.domain.cadence import Channel
from followup.domain.delivery import Status
from followup.domain.lead import LeadStatus
from followup.services import (
    auditing,
    erasing,
    heeding,
    pruning,
    receiving,
    recounting,
    reporting,
    sending,
    settling,
    surveying,
    uniting,
)
from followup.services.erasing import Eraser
from followup.store import counts, deliveries, leads, submissions, summaries
from followup.store.db import reading, transaction
from followup.store.models import Delivery, Lead
from tests.plans import fill, recorded, wasteful
from tests.services.cast import ALICE, BOB, DAY, Desk


@pytest.fixture
def full(desk: Desk) -> Desk:
    """The desk of a clinic that has long been in business."""
    lead = desk.submit(ALICE)
    desk.send()
    desk.now += 60 * DAY
    fill(desk.engine, lead)
    auditing.seal(desk.engine, desk.now)
    return desk


def each_second(desk: Desk) -> None:
    desk.submit(BOB)
    sending.find_due(desk.engine, desk.now, rate=1.0)
    desk.send()
    assert desk.provider.to(BOB["phone"])


def upkeep(desk: Desk) -> None:
    desk.report(_text_of(desk, ALICE), "undelivered", Status.undelivered)
    desk.rescue()
    desk.settle()
    settling.reconcile(desk.sender, desk.now)
    desk.watch()
    heeding.heed_left(desk.engine, desk.planner, desk.now)
    auditing.seal(desk.engine, desk.now)
    erasing.finish_erasures(Eraser(desk.engine, desk.planner, {}), desk.now)


def _lead_of(desk: Desk, person: Mapping[str, str]) -> Lead:
    with reading(desk.engine) as session:
        hashes = desk.planner.hashes_of(Channel.email, person["email"])
        return leads.list_by_address(session, hashes)[0]


def _text_of(desk: Desk, person: Mapping[str, str]) -> Delivery:
    lead = _lead_of(desk, person)
    with reading(desk.engine) as session:
        rows = deliveries.list_of_lead(session, lead.id)
    return next(row for row in rows if row.recipient == person["phone"])


def staff_act(desk: Desk) -> None:
    lead = _lead_of(desk, BOB)
    desk.attempt(lead)
    desk.mark(lead)
    desk.reopen(lead)


def staff_merge(desk: Desk) -> None:
    part = desk.submit({**BOB, "name": "Bobby", "email": "bobby@example.com"})
    with transaction(desk.engine) as session:
        uniting.merge_duplicate(session, desk.planner, part.id, by="Ann", now=desk.now)
    desk.attempt(part)
    with reading(desk.engine) as session:
        recounting.recount(session, desk.planner, _lead_of(desk, BOB), desk.now)


def people_answer(desk: Desk) -> None:
    desk.reply(BOB["phone"], "Hello")
    desk.reply(BOB["phone"], "STOP")
    receiving.unsubscribe(desk.engine, _text_of(desk, BOB).id, desk.now)
    desk.send()


def staff_look(desk: Desk) -> None:
    lead = _lead_of(desk, BOB)
    with reading(desk.engine) as session:
        reporting.show_lead_whole(session, desk.planner, lead, desk.now)
        reporting.list_page(session, desk.now)
        reporting.list_page(session, desk.now, cursor=lead.id)
        for status in (LeadStatus.open, LeadStatus.held):
            reporting.list_page(session, desk.now, status=status)
        reporting.list_page(session, desk.now, overdue=True)
        reporting.stats(session, desk.now)
        surveying.survey(session, desk.planner.clinic, desk.now, 30)
        counts.oldest_due(session, desk.now)
        counts.count_due(session, desk.now)
        counts.count_unknown(session)
        submissions.count_problems(session)
        clinic = desk.planner.clinic
        summaries.count_waiting(session, clinic, clinic.sites[0], desk.now)
        summaries.list_references(session, clinic, clinic.sites[0], 20)
        for ask in (summaries.count_new, summaries.list_contacts):
            ask(session, clinic, clinic.sites[0], desk.now - 7 * DAY, desk.now)


def nightly(desk: Desk) -> None:
    assert pruning.prune(desk.engine, Retention(), desk.now)
    assert pruning.move_to_history(desk.engine, Retention(), desk.now)


def test_nothing_looks_at_what_is_not_due_or_not_open(full: Desk) -> None:
    full.limits = Limits()
    with recorded(full.engine) as statements:
        for work in (
            each_second,
            upkeep,
            staff_act,
            staff_merge,
            people_answer,
            staff_look,
            nightly,
        ):
            work(full)

    assert len(statements) > 100
    assert "\n".join(wasteful(full.engine, statements)) == ""
