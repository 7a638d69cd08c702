"""Indexes for what is due, open or old; vacuum in time; history by month."""

import sqlalchemy as sa
from alembic import op

from followup.store.db import UtcDateTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

FIRST_TEXT = "lane = 'ack' AND channel = 'sms' AND audience = 'patient' AND cadence IS NULL"
SENDING = "status = 'sending'"
#: By table and name: the columns, and of which rows.
INDEXES: dict[str, dict[str, tuple[list[str], str | None]]] = {
    "deliveries": {
        "ix_deliveries_leased": (["recipient_hash", "lease_until"], SENDING),
        "ix_deliveries_unknown_to": (["recipient_hash"], "status = 'unknown'"),
        "ix_deliveries_first_texts": (["recipient_hash", "arrived_at"], FIRST_TEXT),
        "ix_deliveries_over": (["due_at", "id"], "status NOT IN ('planned', 'sending')"),
        "ix_deliveries_came_back": (
            ["recipient_name", "attempted_at"],
            "audience = 'staff' AND status IN ('failed', 'undelivered')",
        ),
        "ix_deliveries_unfit": (["due_at"], "reason = 'unfit'"),
    },
    "alarms": {"ix_alarms_subject": (["kind", "subject", "cleared_at"], None)},
    "leads": {
        "ix_leads_status": (["status", "id"], None),
        "ix_leads_urgent": (["id"], "priority = 'urgent' AND status IN ('open', 'held')"),
        "ix_leads_over": (["arrived_at", "id"], "status NOT IN ('open', 'held')"),
        "ix_leads_contacted": (["contacted_at"], "contacted_at IS NOT NULL"),
    },
    "submissions": {
        "ix_submissions_ownerless": (["id"], "status = 'consumed' AND lead_id IS NULL"),
    },
    "consents": {
        "ix_consents_lead_id": (["lead_id"], None),
        "ix_consents_recorded_at": (["recorded_at"], None),
    },
    "suppressions": {"ix_suppressions_lifted": (["lifted_at"], "lifted_at IS NOT NULL")},
    "actions": {"ix_actions_at": (["at"], None)},
    "replies": {"ix_replies_strangers": (["id"], "lead_id IS NULL")},
}
ALARM_KEY = ["alarm_id", "step", "channel", "recipient_hash"]

# PostgreSQL's own settings wait until a fifth of a table is dead, and a tenth changed: with a
# million planned rows that is a day of sending, in which each claim walks over the dead entries of
# its index and the planner believes in a table that is no more. Dead rows are few at any time here,
# so they are collected every few thousand, whatever the table's size.
#
# No update of a delivery, submission or audit entry is a heap-only one, whatever the fillfactor:
# its status, due time or position is what indexes are about, in their columns or their WHERE. There
# the free space only keeps a new version on the page of the old one. It is of use where no index
# holds what changes: the counts, and a postponed decision that is counted once more.
EAGER = {
    "autovacuum_vacuum_scale_factor": 0.01,
    "autovacuum_vacuum_threshold": 1000,
    "autovacuum_vacuum_insert_scale_factor": 0.02,
    "autovacuum_analyze_scale_factor": 0.01,
    "autovacuum_analyze_threshold": 1000,
}
STORAGE: dict[str, dict[str, float]] = {
    "deliveries": {**EAGER, "fillfactor": 85},
    "decisions": {**EAGER, "fillfactor": 95},
    "submissions": {**EAGER, "fillfactor": 90},
    "leads": {**EAGER, "fillfactor": 90},
    "audit": {**EAGER, "fillfactor": 90},
    "receipts": EAGER,
    "intake_counts": {**EAGER, "fillfactor": 70},
    # A handful of rows, each changed with every batch.
    "send_counts": {"autovacuum_vacuum_scale_factor": 0, "fillfactor": 20},
    "breakers": {"autovacuum_vacuum_scale_factor": 0, "fillfactor": 20},
    "heartbeats": {"autovacuum_vacuum_scale_factor": 0, "fillfactor": 20},
    "audit_heads": {"autovacuum_vacuum_scale_factor": 0, "fillfactor": 20},
}


def upgrade() -> None:
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    if not is_postgresql:
        # The table is written anew, which in SQLite's usual 2 MB takes hours for a million rows.
        op.execute("PRAGMA cache_size = -262144")
    with op.batch_alter_table("deliveries") as table:
        table.drop_constraint("uq_deliveries_alarm", type_="unique")
    _index("deliveries", "uq_deliveries_alarm", ALARM_KEY, "alarm_id IS NOT NULL", unique=True)
    # Nothing ever looked for a delivery by it: a callback names the delivery.
    op.drop_index("ix_deliveries_provider_id", "deliveries")
    op.drop_index("ix_deliveries_leased", "deliveries")
    for name, indexes in INDEXES.items():
        for index, (columns, where) in indexes.items():
            _index(name, index, columns, where)
    _make_history()
    if not is_postgresql:
        op.execute("PRAGMA cache_size = -2000")
    if is_postgresql:
        for name, settings in STORAGE.items():
            chosen = ", ".join(f"{setting} = {value}" for setting, value in settings.items())
            op.execute(f"ALTER TABLE {name} SET ({chosen})")
        for statement in MONTHS:
            op.execute(statement)


def _index(
    table: str, name: str, columns: list[str], where: str | None, *, unique: bool = False
) -> None:
    rows = sa.text(where) if where else None
    op.create_index(name, table, columns, unique=unique, sqlite_where=rows, postgresql_where=rows)


def _make_history() -> None:
    op.create_table(
        "delivery_history",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("lead_id", sa.Uuid(), nullable=True),
        sa.Column("alarm_id", sa.Uuid(), nullable=True),
        sa.Column("reply_id", sa.Uuid(), nullable=True),
        sa.Column("cadence", sa.String(length=64), nullable=True),
        sa.Column("episode", sa.Integer(), nullable=False),
        sa.Column("step", sa.String(length=64), nullable=False),
        sa.Column("occurrence", sa.Integer(), nullable=False),
        sa.Column("audience", sa.String(length=32), nullable=False),
        sa.Column("channel", sa.String(length=32), nullable=False),
        sa.Column("lane", sa.String(length=32), nullable=False),
        sa.Column("recipient", sa.LargeBinary(), nullable=False),
        sa.Column("recipient_hash", sa.String(length=64), nullable=False),
        sa.Column("recipient_name", sa.String(length=200), nullable=True),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=True),
        sa.Column("arrived_at", UtcDateTime(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=True),
        sa.Column("claim", sa.Uuid(), nullable=True),
        sa.Column("lease_until", UtcDateTime(), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("ask_at", UtcDateTime(), nullable=True),
        sa.Column("asked", sa.Integer(), nullable=False),
        sa.Column("attempted_at", UtcDateTime(), nullable=True),
        sa.Column("sent_at", UtcDateTime(), nullable=True),
        sa.Column("provider_id", sa.String(length=200), nullable=True),
        sa.Column("provider_code", sa.String(length=64), nullable=True),
        sa.Column("subject", sa.LargeBinary(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("wording", sa.String(length=120), nullable=True),
        sa.Column("month", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("id", "month", name="pk_delivery_history"),
        postgresql_partition_by="RANGE (month)",
    )
    op.create_table(
        "decision_history",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("lead_id", sa.Uuid(), nullable=True),
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=True),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("last_at", UtcDateTime(), nullable=True),
        sa.Column("month", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("id", "month", name="pk_decision_history"),
        postgresql_partition_by="RANGE (month)",
    )
    for table, column in (
        ("delivery_history", "lead_id"),
        ("delivery_history", "month"),
        ("decision_history", "lead_id"),
        ("decision_history", "delivery_id"),
        ("decision_history", "month"),
    ):
        op.create_index(f"ix_{table}_{column}", table, [column])


# Months are made and dropped by the tables' owner on behalf of the service, whose role may only
# read and write rows (docs/operating.md). A month is attached and not made in place: that takes no
# lock that readers wait for. One that somebody is reading is dropped another night.
MONTHS = (
    """
    CREATE FUNCTION followup_add_month(history text, first_day date) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    DECLARE
        part text := history || to_char(first_day, '_YYYY_MM');
    BEGIN
        IF history NOT IN ('delivery_history', 'decision_history') THEN
            RAISE EXCEPTION 'no history is called %', history;
        END IF;
        IF to_regclass(part) IS NOT NULL THEN
            RETURN;
        END IF;
        PERFORM pg_advisory_xact_lock(7325002);
        IF to_regclass(part) IS NOT NULL THEN
            RETURN;
        END IF;
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', part, history);
        EXECUTE format(
            'ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            history, part, first_day, (first_day + interval '1 month')::date
        );
    END $$
    """,
    """
    CREATE FUNCTION followup_drop_month(history text, first_day date) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET lock_timeout = '1s' AS $$
    DECLARE
        part text := history || to_char(first_day, '_YYYY_MM');
    BEGIN
        IF history NOT IN ('delivery_history', 'decision_history') THEN
            RAISE EXCEPTION 'no history is called %', history;
        END IF;
        EXECUTE format('DROP TABLE IF EXISTS %I', part);
        RETURN true;
    EXCEPTION WHEN lock_not_available THEN
        RETURN false;
    END $$
    """,
)


def downgrade() -> None:
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    if is_postgresql:
        op.execute("DROP FUNCTION followup_add_month, followup_drop_month")
        for name, settings in STORAGE.items():
            op.execute(f"ALTER TABLE {name} RESET ({', '.join(settings)})")
    for source, history in (
        ("deliveries", "delivery_history"),
        ("decisions", "decision_history"),
    ):
        columns = [column["name"] for column in sa.inspect(op.get_bind()).get_columns(source)]
        names = ", ".join(columns)
        op.execute(f"INSERT INTO {source} ({names}) SELECT {names} FROM {history}")  # noqa: S608
        op.drop_table(history)
    for name, indexes in INDEXES.items():
        for index in indexes:
            op.drop_index(index, name)
    sending = sa.text(SENDING)
    op.create_index(
        "ix_deliveries_leased",
        "deliveries",
        ["lease_until"],
        sqlite_where=sending,
        postgresql_where=sending,
    )
    op.create_index("ix_deliveries_provider_id", "deliveries", ["provider_id"])
    op.drop_index("uq_deliveries_alarm", "deliveries")
    with op.batch_alter_table("deliveries") as table:
        table.create_unique_constraint("uq_deliveries_alarm", ALARM_KEY)
