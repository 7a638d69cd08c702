"""Triggers that hold evidence and the audit trail append-only, on SQLite and on PostgreSQL.

Migrations install them. One that makes a guarded table anew (Alembic's batch mode on SQLite) or
gives it a column installs them again: what may change is named here, and all else is refused.
"""

from collections.abc import Iterator, Mapping

from sqlalchemy import Connection, inspect, text

from followup.domain.audit import PRUNED

#: Columns that may be changed: what is encrypted is encrypted anew when keys are rotated, or
#: erased; hashes are made anew with a new key; a suppression is confirmed, and lifted.
_MAY_CHANGE: dict[str, set[str]] = {
    "consents": {"address_hash", "evidence"},
    "suppressions": {"address_hash", "evidence", "lifted_at", "confirmed_at"},
    "actions": {"note"},
    "audit": {"position", "seal"},
    "audit_heads": {"key", "position", "seal", "mac"},
}
GUARDED = tuple(_MAY_CHANGE)
#: Columns that are set once, and the condition under which they are.
_ONCE = {
    "suppressions": {
        "lifted_at": "OLD.lifted_at IS NOT NULL",
        "confirmed_at": "OLD.confirmed_at IS NOT NULL",
    },
    "audit": {"position, seal": "OLD.position IS NOT NULL"},
}
#: Rows may go when the trail says so, which their removal cannot take back.
_MAY_GO = {"consents", "suppressions", "actions"}
_IS_NOT_PRUNED = f"NOT EXISTS (SELECT 1 FROM audit WHERE row_id = OLD.id AND verb = '{PRUNED}')"  # noqa: S608
_REFUSAL = "rows of {} are evidence and stay as they are"


def install(connection: Connection) -> None:
    """Nothing to do is fine."""
    remove(connection)
    make = _on_sqlite if connection.dialect.name == "sqlite" else _on_postgresql
    for table in _MAY_CHANGE:
        columns = {column["name"] for column in inspect(connection).get_columns(table)}
        fixed = ", ".join(sorted(columns - _MAY_CHANGE[table]))
        once = {
            names: was_set
            for names, was_set in _ONCE.get(table, {}).items()
            if columns >= set(names.split(", "))
        }
        for statement in make(table, fixed, once):
            connection.execute(text(statement))


def remove(connection: Connection) -> None:
    is_sqlite = connection.dialect.name == "sqlite"
    for table in _MAY_CHANGE:
        for what in ("fixed", "once", "once_2", "kept", "whole"):
            place = "" if is_sqlite else f" ON {table}"
            connection.execute(text(f"DROP TRIGGER IF EXISTS {table}_{what}{place}"))
    if not is_sqlite:
        connection.execute(text("DROP FUNCTION IF EXISTS followup_refuse, followup_keep"))


def _named(table: str, once: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """A trigger's name, its columns, and when they were set before."""
    names = (f"{table}_once", f"{table}_once_2")
    return ((name, *one) for name, one in zip(names, once.items(), strict=False))


def _on_sqlite(table: str, fixed: str, once: Mapping[str, str]) -> Iterator[str]:
    refuse = f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL.format(table)}'); END"
    yield f"CREATE TRIGGER {table}_fixed BEFORE UPDATE OF {fixed} ON {table} {refuse}"
    for name, columns, was_set in _named(table, once):
        yield (
            f"CREATE TRIGGER {name} BEFORE UPDATE OF {columns} ON {table} WHEN {was_set} {refuse}"
        )
    when = f"WHEN {_IS_NOT_PRUNED} " if table in _MAY_GO else ""
    yield f"CREATE TRIGGER {table}_kept BEFORE DELETE ON {table} {when}{refuse}"


def _on_postgresql(table: str, fixed: str, once: Mapping[str, str]) -> Iterator[str]:
    message = _REFUSAL.format("%")
    refuse = f"RAISE EXCEPTION '{message}', TG_TABLE_NAME USING ERRCODE = 'restrict_violation'"
    for name, body in (
        ("followup_refuse", f"{refuse};"),
        ("followup_keep", f"IF {_IS_NOT_PRUNED} THEN {refuse}; END IF; RETURN OLD;"),
    ):
        yield (
            f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN {body} END $$"
        )
    each = "FOR EACH ROW EXECUTE FUNCTION followup_refuse()"
    yield f"CREATE TRIGGER {table}_fixed BEFORE UPDATE OF {fixed} ON {table} {each}"
    for name, columns, was_set in _named(table, once):
        yield (
            f"CREATE TRIGGER {name} BEFORE UPDATE OF {columns} ON {table} "
            f"FOR EACH ROW WHEN ({was_set}) EXECUTE FUNCTION followup_refuse()"
        )
    function = "followup_keep" if table in _MAY_GO else "followup_refuse"
    yield (
        f"CREATE TRIGGER {table}_kept BEFORE DELETE ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION {function}()"
    )
    yield (
        f"CREATE TRIGGER {table}_whole BEFORE TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION followup_refuse()"
    )
