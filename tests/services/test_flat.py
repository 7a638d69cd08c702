"""Flat: what is done each second, each night and by staff looks at what is due, open or asked for,
however much else is planned or over. Read from the plans of the statements that really ran."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text

from followup.clinic_limits import Limits, Retention
from followup.domain.cadence import Audience, Channel, Lane
from followup.domain.consent import Act
from followup.domain.delivery import Status
from followup.domain.lead import LeadStatus
from followup.services import (
    auditing,
    erasing,
    heeding,
    pruning,
    receiving,
    reporting,
    settling,
)
from followup.services.erasing import Eraser
from followup.store import counts, deliveries, leads
from followup.store.db import reading, transaction
from followup.store.models import Consent, Decision, Delivery, Lead, Submission
from followup.store.words import SubmissionStatus
from tests.schema import KEYRING
from tests.services.cast import ALICE, BOB, DAY, FRONT_DESK_PHONE, Desk
from tests.store.rows import add_lead, row_for

#: Leads that wait, each with as many planned messages; and leads that are over, each with as many
#: that went to the same staff.
WAITING, PLANNED = 20, 60
CALLED, SENT = 400, 3
#: Rows that one statement may look at: those of one lead, of a batch, of all who wait.
MOST = 250
#: Tables that grow with what is planned or over.
GROWING = ("deliveries", "decisions", "leads", "submissions", "consents", "receipts")

Statement = tuple[str, Any]


@pytest.fixture
def full(desk: Desk) -> Desk:
    """The desk of a clinic that has long been in business."""
    with transaction(desk.engine) as session:
        _fill(session, desk)
    with desk.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("ANALYZE"))
    return desk


def _fill(session: Any, desk: Desk) -> None:
    staff = KEYRING.hash(FRONT_DESK_PHONE)
    first = add_lead(session)
    same = {
        column.name: getattr(first, column.name)
        for column in Lead.__table__.columns
        if column.name not in ("id", "reference", "status", "email_hash", "phone_hash")
    }
    past = desk.now - 60 * DAY
    waiting = [
        Lead(**same, reference=f"W{n}", status=LeadStatus.open, email_hash=f"w{n}")
        for n in range(WAITING)
    ]
    over = [
        Lead(
            **{**same, "created_at": past, "arrived_at": past, "contacted_at": past},
            reference=f"C{n}",
            status=LeadStatus.contacted,
            email_hash=f"c{n}",
        )
        for n in range(CALLED)
    ]
    session.add_all([*waiting, *over])
    session.flush()
    to_staff = {"audience": Audience.staff, "recipient": "x", "recipient_hash": staff}
    planned = [
        row_for(lead, **to_staff, lane=Lane.staff, occurrence=n, due_at=desk.now + 3 * DAY)
        | {"recipient_name": "Front desk", "expires_at": None}
        for lead in waiting
        for n in range(PLANNED)
    ]
    deliveries.plan(session, planned)
    sent = [
        Delivery(
            **row_for(lead, **to_staff, occurrence=n, arrived_at=past, due_at=past),
            status=Status.accepted,
            sent_at=past,
            attempted_at=past,
            provider_id=f"SM{lead.reference}{n}",
        )
        for lead in over
        for n in range(SENT)
    ]
    session.add_all(sent)
    session.flush()
    session.add_all(
        Decision(lead_id=row.lead_id, delivery_id=row.id, at=past, status=Status.accepted, facts={})
        for row in sent
        for _ in range(2)
    )
    for lead in over:
        session.add(
            Submission(
                kind=lead.kind,
                source="form",
                received_at=past,
                content_hash="",
                payload={},
                evidence={},
                status=SubmissionStatus.consumed,
                due_at=past,
                lead_id=lead.id,
            )
        )
        session.add(
            Consent(
                lead_id=lead.id,
                channel=Channel.sms,
                address_hash=lead.email_hash,
                given=True,
                act=Act.ticked_box,
                text="",
                text_version="1",
                language="en",
                evidence={},
                occurred_at=past,
                recorded_at=past,
            )
        )


@contextmanager
def recorded(engine: Engine) -> Iterator[list[Statement]]:
    """Each statement once, with the values that it first ran with."""
    ran: dict[str, Any] = {}

    def note(_c: Connection, _k: Any, statement: str, values: Any, _x: Any, many: bool) -> None:
        if not many and re.match(r"\s*(SELECT|UPDATE|DELETE)", statement):
            ran.setdefault(statement, values)

    found: list[Statement] = []
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", note)
        found += ran.items()


def wasteful(engine: Engine, statements: list[Statement]) -> list[str]:
    """Statements whose plan looks at more than it is asked for, with why."""
    look = _on_sqlite if engine.dialect.name == "sqlite" else _on_postgresql
    with engine.connect() as connection:
        found = [
            f"{why}: {' '.join(statement.split())}"
            for statement, values in statements
            for why in look(connection, statement, values)
        ]
        connection.rollback()
    return found


def _on_sqlite(connection: Connection, statement: str, values: Any) -> Iterator[str]:
    """A table is walked over as a whole, or the whole of an index that has every row."""
    plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
    partial = connection.exec_driver_sql(
        "SELECT name FROM sqlite_master WHERE type = 'index' AND sql LIKE '% WHERE %'"
    )
    names = set(partial.scalars())
    for *_, step in plan:
        walked = re.match(r"SCAN (\w+)(?: USING (?:COVERING )?INDEX (\w+))?", step)
        # The newest first, as many as are shown: that walk ends soon.
        is_page = walked and walked[2] and "LIMIT" in statement
        if walked and walked[1] in GROWING and walked[2] not in names and not is_page:
            yield step


def _on_postgresql(connection: Connection, statement: str, values: Any) -> Iterator[str]:
    """More rows are looked at than `MOST`; counted, not estimated."""
    explain = f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}"
    with connection.begin_nested() as savepoint:
        (plan,) = connection.exec_driver_sql(explain, values).scalar_one()
        savepoint.rollback()
    for node in _nodes(plan["Plan"]):
        table = str(node.get("Relation Name", ""))
        removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Join Filter", 0)
        rows = (node["Actual Rows"] + removed) * node["Actual Loops"]
        if table.startswith(GROWING) and rows > MOST:
            yield f"{node['Node Type']} on {table}, {rows} rows"


def _nodes(node: Any) -> Iterator[Any]:
    yield node
    for inner in node.get("Plans", ()):
        yield from _nodes(inner)


def each_second(desk: Desk) -> None:
    desk.submit(ALICE)
    desk.submit(BOB)
    desk.send()
    assert desk.provider.to(ALICE["phone"])


def upkeep(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    desk.send()
    row = desk_row(desk, lead)
    desk.report(row, "undelivered", Status.undelivered)
    desk.rescue()
    desk.settle()
    settling.reconcile(desk.sender, desk.now)
    desk.watch()
    heeding.heed_left(desk.engine, desk.planner, desk.now)
    auditing.seal(desk.engine, desk.now)
    erasing.finish_erasures(Eraser(desk.engine, desk.planner, {}), desk.now)


def desk_row(desk: Desk, lead: Lead) -> Delivery:
    with reading(desk.engine) as session:
        rows = deliveries.list_of_lead(session, lead.id)
    return next(row for row in rows if row.channel is Channel.sms and row.sent_at)


def nightly(desk: Desk) -> None:
    assert pruning.prune(desk.engine, Retention(), desk.now)
    assert pruning.move_to_history(desk.engine, Retention(), desk.now)


def staff_act(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    desk.send()
    desk.attempt(lead)
    desk.mark(lead)
    desk.reopen(lead)


def people_answer(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    desk.send()
    desk.reply(ALICE["phone"], "Hello")
    desk.reply(ALICE["phone"], "STOP")
    receiving.unsubscribe(desk.engine, desk.rows(lead)[0].id, desk.now)


def staff_look(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    desk.send()
    with reading(desk.engine) as session:
        reporting.show_lead_whole(session, desk.planner, desk.lead(lead), desk.now)
        reporting.list_page(session, desk.now)
        reporting.list_page(session, desk.now, cursor=lead.id)
        for status in (LeadStatus.open, LeadStatus.held):
            reporting.list_page(session, desk.now, status=status)
        reporting.list_page(session, desk.now, overdue=True)
        reporting.stats(session, desk.now)


def scraped(desk: Desk) -> None:
    with reading(desk.engine) as session:
        counts.oldest_due(session, desk.now)
        counts.count_due(session, desk.now)
        counts.count_unknown(session)
        leads.count_waiting(session, desk.now)


@pytest.mark.parametrize(
    "work", [each_second, upkeep, nightly, staff_act, people_answer, staff_look, scraped]
)
def test_nothing_looks_at_what_is_not_due_or_not_open(
    full: Desk, work: Callable[[Desk], None]
) -> None:
    full.limits = Limits()
    with recorded(full.engine) as statements:
        work(full)

    assert len(statements) > 3
    assert wasteful(full.engine, statements) == []
