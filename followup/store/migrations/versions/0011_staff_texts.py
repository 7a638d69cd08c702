"""What a text of the staff's own is answered; summaries are told once a day and week."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_IS_SUMMARY = "kind IN ('morning', 'weekly')"


def upgrade() -> None:
    op.add_column("replies", sa.Column("told", sa.JSON(), nullable=True))
    op.create_index("ix_leads_created", "leads", ["created_at"])
    op.create_index(
        "uq_alarms_summary",
        "alarms",
        ["kind", "subject"],
        unique=True,
        sqlite_where=sa.text(_IS_SUMMARY),
        postgresql_where=sa.text(_IS_SUMMARY),
    )


def downgrade() -> None:
    op.drop_index("uq_alarms_summary", "alarms")
    op.drop_index("ix_leads_created", "leads")
    op.drop_column("replies", "told")
