"""History: old messages of leads that are over move there, and the lead's story is whole all the
same: shown, exported, reported on, opted out of, erased, forgotten."""

import uuid
from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import Table, func, select, text

from followup.clinic_limits import Retention
from followup.domain.cadence import Channel
from followup.domain.delivery import Status
from followup.services import erasing, exporting, pruning, receiving, reporting
from followup.services.erasing import Eraser
from followup.services.identifying import Identified, identify
from followup.services.tracing import trace
from followup.store import deliveries, history
from followup.store.db import reading, transaction
from followup.store.models import (
    Base,
    Decision,
    Delivery,
    Lead,
    Receipt,
    decision_history,
    delivery_history,
)
from tests.services.cast import ALICE, BOB, DAY, Desk
from tests.services.dying import Died, dying_at_commit

KEPT = Retention()
#: Later than anything that Alice was owed is kept among the others.
LATER = 100 * DAY
DELIVERIES = Base.metadata.tables[Delivery.__tablename__]
DECISIONS = Base.metadata.tables[Decision.__tablename__]


def move(desk: Desk) -> None:
    assert pruning.move_to_history(desk.engine, KEPT, desk.now)


def count(desk: Desk, *tables: Table) -> list[int]:
    with reading(desk.engine) as session:
        return [session.scalar(select(func.count()).select_from(one)) or 0 for one in tables]


def show(desk: Desk, lead: Lead) -> dict[str, Any]:
    with reading(desk.engine) as session:
        return reporting.show_lead_whole(session, desk.planner, desk.lead(lead), desk.now)


def alice(desk: Desk) -> Identified:
    with reading(desk.engine) as session:
        return identify(session, desk.planner, email=ALICE["email"])


def alice_called_long_ago(desk: Desk) -> Lead:
    lead = desk.submit(ALICE)
    desk.send()
    desk.mark(lead)
    desk.now += LATER
    return lead


@pytest.fixture
def past(desk: Desk) -> Lead:
    """Alice, who was called three months ago, and whose messages are history."""
    lead = alice_called_long_ago(desk)
    move(desk)
    return lead


def test_what_moves_is_shown_and_exported_as_before(desk: Desk) -> None:
    lead = alice_called_long_ago(desk)
    before, rows = show(desk, lead), count(desk, DELIVERIES, DECISIONS)
    assert all(rows)

    move(desk)

    assert count(desk, DELIVERIES, DECISIONS) == [0, 0]
    assert count(desk, delivery_history, decision_history) == rows
    assert show(desk, lead) == before
    with transaction(desk.engine) as session:
        whole = exporting.export(session, desk.planner, alice(desk), by="Ann", now=desk.now)
    assert {one["status"] for one in whole["leads"][0]["deliveries"]} == {"accepted", "cancelled"}
    assert whole["leads"][0]["decisions"]


@pytest.mark.parametrize("stays", ["open", "called of late", "asked about", "told of late"])
def test_what_may_still_matter_stays(desk: Desk, stays: str) -> None:
    lead = desk.submit(ALICE)
    desk.send()
    row = desk.row(lead, "acknowledgement", Channel.sms)
    lately = desk.now + LATER - 89 * DAY
    if stays == "asked about":
        desk.change(row, status=Status.unknown, ask_at=desk.now)
    if stays == "told of late":
        desk.change(row, sent_at=lately)
    if stays == "called of late":
        desk.now = lately
    if stays != "open":
        desk.mark(lead)
    desk.now = lately + 89 * DAY

    move(desk)

    assert row.id in {one.id for one in desk.rows(lead)}


def test_killed_amid_a_move_nothing_is_in_two_places_or_in_none(desk: Desk) -> None:
    alice_called_long_ago(desk)
    before = count(desk, DELIVERIES, DECISIONS)

    with pytest.raises(Died), dying_at_commit(desk.engine, 0):
        move(desk)
    assert count(desk, DELIVERIES, DECISIONS) == before
    assert count(desk, delivery_history, decision_history) == [0, 0]

    move(desk)
    move(desk)
    assert count(desk, delivery_history, decision_history) == before


def test_a_walk_goes_on_behind_what_must_stay(desk: Desk) -> None:
    """In parts of two: those of Bob, who waits, are looked at once each."""
    bob = desk.submit(BOB)
    desk.send()
    alice_called_long_ago(desk)

    place, moved, looks = None, 0, 0
    while looks == 0 or place is not None:
        with transaction(desk.engine) as session:
            place, some = history.move_old(session, desk.now - 90 * DAY, place, 2)
        moved, looks = moved + some, looks + 1

    left = desk.rows()
    assert {row.lead_id for row in left} == {bob.id}
    over = [row for row in left if row.status is not Status.planned]
    assert moved == count(desk, delivery_history)[0] > 0
    assert looks == (moved + len(over)) // 2 + 1


def test_a_late_receipt_brings_its_delivery_back_until_the_next_night(
    desk: Desk, past: Lead
) -> None:
    rows = show(desk, past)["deliveries"]
    (sent,) = [
        one
        for one in rows
        if (one["step"], one["channel"], one["audience"]) == ("acknowledgement", "sms", "patient")
    ]
    with reading(desk.engine) as session:
        row = deliveries.find_delivery(session, _id(sent))
    assert row is not None

    assert desk.report(row, "undelivered", Status.undelivered, "30003")

    assert [one.status for one in desk.rows(past)] == [Status.undelivered]
    assert len(show(desk, past)["deliveries"]) == len(rows)
    said = [one["status"] for one in show(desk, past)["decisions"]]
    assert said.count("undelivered") == 1
    move(desk)
    assert count(desk, DELIVERIES, DECISIONS) == [0, 0]
    assert not desk.report(row, "delivered", Status.delivered)
    assert [one["status"] for one in show(desk, past)["decisions"]] == said


def _id(shown: Mapping[str, Any]) -> uuid.UUID:
    return uuid.UUID(shown["id"])


def test_the_link_in_an_old_mail_still_ends_mail(desk: Desk, past: Lead) -> None:
    (mail,) = [
        one
        for one in show(desk, past)["deliveries"]
        if (one["channel"], one["audience"], one["status"]) == ("email", "patient", "accepted")
    ]

    assert receiving.unsubscribe(desk.engine, _id(mail), desk.now)

    assert [one["reason"] for one in show(desk, past)["suppressions"]] == ["unsubscribed"]


def test_a_lead_that_is_reopened_keeps_its_history_and_gets_new_reminders(
    desk: Desk, past: Lead
) -> None:
    before = show(desk, past)["deliveries"]

    desk.reopen(past)

    now = show(desk, past)["deliveries"]
    assert [one for one in now if one in before] == before
    assert len(now) > len(before)
    move(desk)
    assert show(desk, past)["deliveries"] == now


def test_answers_go_on_counting_behind_those_in_history(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    desk.mark(lead)
    desk.reply(ALICE["phone"], "Hello")
    desk.send()
    desk.now += LATER
    move(desk)

    desk.reply(ALICE["phone"], "Hello again")

    assert {row.occurrence for row in desk.rows(lead)} == {2}


def test_an_erased_person_is_gone_from_history_and_from_the_provider(
    desk: Desk, past: Lead
) -> None:
    whom = alice(desk)
    texts = {
        one["provider_id"]
        for one in show(desk, past)["deliveries"]
        if one["channel"] == "sms" and one["audience"] == "patient" and one["provider_id"]
    }
    assert texts

    eraser = Eraser(desk.engine, desk.planner, {Channel.sms: desk.provider})
    erasing.erase(eraser, whom, by="Ann", now=desk.now)

    with reading(desk.engine) as session:
        assert not trace(session, desk.planner, whom).copies
    assert set(desk.provider.deleted) == texts
    assert count(desk, DELIVERIES, delivery_history) == [0, 0]
    assert count(desk, decision_history)[0] > 0


def test_history_goes_with_its_lead_and_decisions_after_seven_years(desk: Desk) -> None:
    lead = alice_called_long_ago(desk)
    (row, *_) = [one for one in desk.rows(lead) if one.channel is Channel.sms]
    desk.report(row, "delivered", Status.delivered)
    move(desk)

    desk.now += 311 * DAY
    assert pruning.prune(desk.engine, KEPT, desk.now)
    receipts = Base.metadata.tables[Receipt.__tablename__]
    assert count(desk, delivery_history, receipts) == [0, 0]
    assert count(desk, decision_history)[0] > 0

    desk.now += 7 * 366 * DAY
    assert pruning.prune(desk.engine, KEPT, desk.now)
    assert count(desk, decision_history) == [0]
    with reading(desk.engine) as session:
        assert not history.list_months(session, decision_history)


def test_a_role_that_may_only_read_and_write_rows_can_move_them(desk: Desk) -> None:
    if desk.engine.dialect.name == "sqlite":
        return  # has no roles
    alice_called_long_ago(desk)
    role = f"followup_{desk.engine.url.database}"[:60]
    with desk.engine.begin() as connection:
        connection.execute(text(f"CREATE ROLE {role}"))
        rights = "SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public"
        connection.execute(text(f"GRANT {rights} TO {role}"))
    try:
        with transaction(desk.engine) as session:
            session.execute(text(f"SET LOCAL ROLE {role}"))
            _, moved = history.move_old(session, desk.now - 90 * DAY, None, 100)
        assert moved
    finally:
        with desk.engine.begin() as connection:
            connection.execute(text(f"DROP OWNED BY {role}"))
            connection.execute(text(f"DROP ROLE {role}"))
