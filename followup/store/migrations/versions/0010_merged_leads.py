"""Leads that staff merge: which one is a part of which, and what that means for consent."""

import sqlalchemy as sa
from alembic import op

from followup.store.db import UtcDateTime

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("leads", sa.Column("merged_into", sa.Uuid(), nullable=True))
    op.add_column("leads", sa.Column("merged_at", UtcDateTime(), nullable=True))
    op.add_column("leads", sa.Column("consent_from", UtcDateTime(), nullable=True))
    is_merged = sa.text("merged_into IS NOT NULL")
    op.create_index(
        "ix_leads_merged",
        "leads",
        ["merged_into"],
        sqlite_where=is_merged,
        postgresql_where=is_merged,
    )


def downgrade() -> None:
    """A lead that was a part of another is then one that was closed."""
    op.drop_index("ix_leads_merged", "leads")
    for name in ("consent_from", "merged_at", "merged_into"):
        op.drop_column("leads", name)
