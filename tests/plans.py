"""A database as years of work would have left it, and what statements look at in it: read from the
plans of those that really ran."""

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, event, select, text
from sqlalchemy.orm import Session

from followup.domain.cadence import Audience
from followup.store.append_only import GUARDED
from followup.store.db import transaction
from followup.store.models import Action, Base, Consent, Decision, Delivery, Lead, Submission

#: Leads that wait, each with as many planned messages; and leads that are over, each with as many
#: that went to the same staff.
WAITING, PLANNED = 20, 100
CALLED, SENT = 1500, 3
#: Rows that one statement may look at: those of one lead, of a batch, of all who wait.
MOST = 250
#: Tables that grow with what is planned or over.
GROWING = (
    *("deliveries", "decisions", "leads", "submissions", "consents", "receipts"),
    *("actions", "suppressions"),
)

Statement = tuple[str, Any]


def fill(engine: Engine, alice: Lead) -> None:
    """Of Alice, her form and an alert to staff, many: as old as she is, and the alerts to one
    person."""
    lead = {"email_hash": "'c' || i", "phone_hash": "'c' || i"}
    over = {"status": "'contacted'", "contacted_at": "t.arrived_at", "reference": "'C' || i"}
    of_lead = {"lead_id": "l.id"}
    sent = of_lead | {"occurrence": "i", "status": "'accepted'"}
    never = dict.fromkeys(("sent_at", "attempted_at", "expires_at", "reason"), "NULL")
    owed = of_lead | never | {"occurrence": "i", "status": "'planned'"}
    is_sqlite = engine.dialect.name == "sqlite"
    owed["due_at"] = "t.due_at + " + ("10000000000000" if is_sqlite else "interval '115 days'")
    with transaction(engine) as session:
        alert = session.scalars(
            select(Delivery).where(
                Delivery.lead_id == alice.id, Delivery.audience == Audience.staff
            )
        ).first()
        assert alert is not None
        _copy(session, "leads", alice.id, CALLED, lead | over)
        _copy(session, "leads", alice.id, WAITING, lead | {"reference": "'W' || i"})
        _copy(session, "deliveries", alert.id, SENT, sent, "leads l", "l.reference LIKE 'C%'")
        _copy(session, "deliveries", alert.id, PLANNED, owed, "leads l", "l.reference LIKE 'W%'")
        same_step = f"d.step = '{alert.step}' AND d.status = 'accepted'"
        of_delivery = {"lead_id": "d.lead_id", "delivery_id": "d.id"}
        first = _first(session, Decision, alice)
        _copy(session, "decisions", first, 1, of_delivery, "deliveries d", same_step)
        for model in (Submission, Consent, Action):
            first, table = _first(session, model, alice), model.__tablename__
            theirs = of_lead | {"address_hash": "l.phone_hash"}
            if first is not None:
                _copy(session, table, first, 1, theirs, "leads l", "l.reference LIKE 'C%'")
    if not is_sqlite:
        with engine.begin() as connection:
            connection.execute(text("ANALYZE"))


def _first(session: Session, model: Any, alice: Lead) -> Any:
    return session.scalars(select(model.id).where(model.lead_id == alice.id)).first()


def _copy(
    session: Session,
    table: str,
    row_id: uuid.UUID,
    times: int,
    changes: dict[str, str],
    beside: str = "",
    where: str = "",
) -> None:
    """The row again, so many times for each row beside it, with an id of its own."""
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    fresh = {"id": "lower(hex(randomblob(16)))" if is_sqlite else "gen_random_uuid()", **changes}
    names = [column.name for column in Base.metadata.tables[table].columns]
    columns = ", ".join(f'"{name}"' for name in names)
    values = ", ".join(fresh.get(name, f't."{name}"') for name in names)
    sources = ", ".join(filter(None, (f"{table} t", "n", beside)))
    statement = f"""
        INSERT INTO {table} ({columns})
        WITH RECURSIVE n (i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 999 + :times)
        SELECT {values} FROM {sources} WHERE t.id = :id{f" AND {where}" if where else ""}
    """  # noqa: S608
    key = row_id.hex if is_sqlite else row_id
    session.execute(text(statement), {"id": key, "times": times})


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
    asks = re.compile(rf"(?:FROM|UPDATE|JOIN) (?:{'|'.join(GROWING)})\b")
    # Counted up to a limit; and the statistics, for which a table as small as here is read whole.
    is_count = re.compile(
        r"count\(\*\).*(status = 'consumed'|GROUP BY deliveries.channel)", re.DOTALL
    )
    with engine.connect() as connection:
        found = [
            f"{why}: {' '.join(statement.split())}"
            for statement, values in statements
            if asks.search(statement)
            and not is_count.search(statement)
            # Which takes no change a second time.
            and not re.match(rf"UPDATE (?:{'|'.join(GUARDED)})\b", statement)
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
