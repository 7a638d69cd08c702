"""The outbox of webhooks: what a clinic's other systems are still owed."""

import sqlalchemy as sa
from alembic import op

from followup.store.db import UtcDateTime

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "announcements",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("webhook", sa.String(length=64), nullable=False),
        sa.Column("event", sa.String(length=32), nullable=False),
        sa.Column("lead_id", sa.Uuid(), nullable=True),
        sa.Column("delivery_id", sa.Uuid(), nullable=True),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("happened_at", UtcDateTime(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("problem", sa.String(length=200), nullable=True),
        sa.Column("died_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_announcements"),
    )
    op.create_index("ix_announcements_lead_id", "announcements", ["lead_id"])
    op.create_index("ix_announcements_happened_at", "announcements", ["happened_at"])
    for name, columns, condition in (
        ("ix_announcements_due", ["webhook", "due_at", "id"], "died_at IS NULL"),
        ("ix_announcements_dead", ["died_at", "id"], "died_at IS NOT NULL"),
    ):
        where = sa.text(condition)
        op.create_index(name, "announcements", columns, sqlite_where=where, postgresql_where=where)
    op.create_table(
        "webhook_stops",
        sa.Column("webhook", sa.String(length=64), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("stopped_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("webhook", name="pk_webhook_stops"),
    )


def downgrade() -> None:
    op.drop_table("webhook_stops")
    op.drop_table("announcements")
