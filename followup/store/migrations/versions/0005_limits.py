"""Limits of the intake: counts, why a submission was caught and a lead held."""

import sqlalchemy as sa
from alembic import op

from followup.store.db import UtcDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SPAM = sa.text("status = 'spam'")
HELD = sa.text("status = 'held'")


def upgrade() -> None:
    op.create_table(
        "intake_counts",
        sa.Column("likeness", sa.String(length=64), nullable=False),
        sa.Column("window", UtcDateTime(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("likeness", "window", name="pk_intake_counts"),
    )
    op.create_index("ix_intake_counts_window", "intake_counts", ["window"])
    op.add_column("submissions", sa.Column("caught", sa.String(length=32), nullable=True))
    op.add_column("leads", sa.Column("held_for", sa.String(length=32), nullable=True))
    # As text: for an expression, SQLite's table would be made anew.
    no = sa.text("false")
    op.add_column(
        "leads", sa.Column("is_unproven", sa.Boolean(), nullable=False, server_default=no)
    )
    op.create_index(
        "ix_submissions_spam", "submissions", ["id"], sqlite_where=SPAM, postgresql_where=SPAM
    )
    op.create_index(
        "ix_leads_held", "leads", ["created_at", "id"], sqlite_where=HELD, postgresql_where=HELD
    )


def downgrade() -> None:
    # The code before has no word for it; it shows these to staff, and sends nothing.
    op.execute(
        "UPDATE submissions SET status = 'problem', problem = 'kept as spam' WHERE status = 'spam'"
    )
    op.drop_index("ix_leads_held", "leads")
    op.drop_index("ix_submissions_spam", "submissions")
    # In place, too: SQLite refuses to make a table anew to which others refer.
    op.drop_column("leads", "is_unproven")
    op.drop_column("leads", "held_for")
    op.drop_column("submissions", "caught")
    op.drop_table("intake_counts")
