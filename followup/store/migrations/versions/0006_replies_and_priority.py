"""Answers to texts, the priority of a lead, risk words that were found, evidence of a refusal."""

import sqlalchemy as sa
from alembic import op

from followup.store import append_only
from followup.store.db import UtcDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

UNHEEDED = sa.text("heeded_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "risk_matches",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("lead_id", sa.Uuid(), nullable=True),
        sa.Column("submission_id", sa.Uuid(), nullable=True),
        sa.Column("reply_id", sa.Uuid(), nullable=True),
        sa.Column("words", sa.LargeBinary(), nullable=False),
        sa.Column("list_version", sa.String(length=16), nullable=False),
        sa.Column("found_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_risk_matches"),
    )
    op.create_index("ix_risk_matches_lead_id", "risk_matches", ["lead_id"])
    op.add_column(
        "leads",
        sa.Column("priority", sa.String(length=32), nullable=False, server_default="normal"),
    )
    op.add_column("suppressions", sa.Column("matched_by", sa.String(length=32), nullable=True))
    op.add_column("suppressions", sa.Column("confirmed_at", UtcDateTime(), nullable=True))
    append_only.install(op.get_bind())
    with op.batch_alter_table("deliveries") as table:
        table.add_column(sa.Column("reply_id", sa.Uuid(), nullable=True))
        table.add_column(sa.Column("cadence", sa.String(length=64), nullable=True))
    with op.batch_alter_table("replies") as table:
        table.add_column(sa.Column("meaning", sa.String(length=32), nullable=True))
        table.add_column(sa.Column("matched_by", sa.String(length=32), nullable=True))
        for name in ("is_for_staff", "is_answerable"):
            table.add_column(
                sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false())
            )
        table.add_column(sa.Column("heeded_at", UtcDateTime(), nullable=True))
    # What came before is history, and nobody is to be alerted of it now.
    op.execute("UPDATE replies SET heeded_at = received_at")
    op.create_index(
        "ix_replies_unheeded",
        "replies",
        ["id"],
        sqlite_where=UNHEEDED,
        postgresql_where=UNHEEDED,
    )


def downgrade() -> None:
    op.execute("DELETE FROM deliveries WHERE lead_id IS NULL AND alarm_id IS NULL")
    op.drop_index("ix_replies_unheeded", "replies")
    with op.batch_alter_table("replies") as table:
        for name in ("heeded_at", "is_answerable", "is_for_staff", "matched_by", "meaning"):
            table.drop_column(name)
    with op.batch_alter_table("deliveries") as table:
        table.drop_column("cadence")
        table.drop_column("reply_id")
    # The triggers name the columns.
    append_only.remove(op.get_bind())
    op.drop_column("suppressions", "confirmed_at")
    op.drop_column("suppressions", "matched_by")
    append_only.install(op.get_bind())
    # Not by copying the table, to which others refer: SQLite 3.35 and later can do it in place.
    op.drop_column("leads", "priority")
    op.drop_table("risk_matches")
