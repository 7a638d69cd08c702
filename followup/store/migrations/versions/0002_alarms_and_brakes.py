"""Alarms, tasks, circuit breakers, counts of what was sent, heartbeats, and a folded ledger."""

import sqlalchemy as sa
from alembic import op

from followup.store.db import UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

UNRECEIPTED = sa.text("status IN ('accepted', 'sent') AND channel = 'sms'")
DUE = sa.text("status = 'planned'")
UNTOLD = sa.text("told_at IS NULL")
PROBLEM = sa.text("status = 'problem'")
OPEN = sa.text("cleared_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "alarms",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("raised_at", UtcDateTime(), nullable=False),
        sa.Column("cleared_at", UtcDateTime(), nullable=True),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_alarms"),
    )
    op.create_index(
        "uq_alarms_open",
        "alarms",
        ["kind", "subject"],
        unique=True,
        sqlite_where=OPEN,
        postgresql_where=OPEN,
    )
    op.create_table(
        "tasks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("lead_id", sa.Uuid(), nullable=False),
        sa.Column("episode", sa.Integer(), nullable=False),
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("told_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["lead_id"], ["leads.id"], name="fk_tasks_lead_id_leads"),
        sa.PrimaryKeyConstraint("id", name="pk_tasks"),
        sa.UniqueConstraint("lead_id", "episode", name="uq_tasks_once"),
    )
    op.create_index(
        "ix_tasks_untold", "tasks", ["id"], sqlite_where=UNTOLD, postgresql_where=UNTOLD
    )
    op.create_table(
        "breakers",
        sa.Column("channel", sa.String(length=32), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("paused_at", UtcDateTime(), nullable=True),
        sa.Column("probe_at", UtcDateTime(), nullable=True),
        sa.Column("probes", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=True),
        sa.Column("code", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("channel", name="pk_breakers"),
    )
    op.create_table(
        "send_counts",
        sa.Column("hour", UtcDateTime(), nullable=False),
        sa.Column("lane", sa.String(length=32), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("hour", "lane", name="pk_send_counts"),
    )
    op.create_table(
        "heartbeats",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_heartbeats"),
    )
    op.create_index(
        "ix_submissions_problems",
        "submissions",
        ["id"],
        sqlite_where=PROBLEM,
        postgresql_where=PROBLEM,
    )
    with op.batch_alter_table("decisions") as table:
        table.add_column(sa.Column("times", sa.Integer(), nullable=False, server_default="1"))
        table.add_column(sa.Column("last_at", UtcDateTime(), nullable=True))
        table.alter_column("lead_id", existing_type=sa.Uuid(), nullable=True)
    with op.batch_alter_table("deliveries") as table:
        table.add_column(sa.Column("alarm_id", sa.Uuid(), nullable=True))
        table.alter_column("lead_id", existing_type=sa.Uuid(), nullable=True)
        table.create_foreign_key("fk_deliveries_alarm_id_alarms", "alarms", ["alarm_id"], ["id"])
        table.create_unique_constraint(
            "uq_deliveries_alarm", ["alarm_id", "step", "channel", "recipient_hash"]
        )
    op.drop_index("ix_deliveries_due", "deliveries")
    op.create_index(
        "ix_deliveries_due",
        "deliveries",
        ["lane", "channel", "due_at", "id"],
        sqlite_where=DUE,
        postgresql_where=DUE,
    )
    op.create_index(
        "ix_deliveries_unreceipted",
        "deliveries",
        ["sent_at"],
        sqlite_where=UNRECEIPTED,
        postgresql_where=UNRECEIPTED,
    )


def downgrade() -> None:
    op.execute("DELETE FROM decisions WHERE lead_id IS NULL")
    op.execute("DELETE FROM deliveries WHERE lead_id IS NULL")
    op.drop_index("ix_deliveries_unreceipted", "deliveries")
    op.drop_index("ix_deliveries_due", "deliveries")
    op.create_index(
        "ix_deliveries_due",
        "deliveries",
        ["lane", "due_at", "id"],
        sqlite_where=DUE,
        postgresql_where=DUE,
    )
    with op.batch_alter_table("deliveries") as table:
        table.drop_constraint("uq_deliveries_alarm", type_="unique")
        table.drop_constraint("fk_deliveries_alarm_id_alarms", type_="foreignkey")
        table.alter_column("lead_id", existing_type=sa.Uuid(), nullable=False)
        table.drop_column("alarm_id")
    with op.batch_alter_table("decisions") as table:
        table.alter_column("lead_id", existing_type=sa.Uuid(), nullable=False)
        table.drop_column("last_at")
        table.drop_column("times")
    op.drop_index("ix_submissions_problems", "submissions")
    op.drop_table("heartbeats")
    op.drop_table("send_counts")
    op.drop_table("breakers")
    op.drop_table("tasks")
    op.drop_table("alarms")
