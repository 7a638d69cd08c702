"""The board's question whose leads these are, of those too that are done."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    where = sa.text("assigned_to IS NOT NULL")
    columns = ["assigned_to", "id"]
    op.create_index(
        "ix_leads_assigned", "leads", columns, sqlite_where=where, postgresql_where=where
    )


def downgrade() -> None:
    op.drop_index("ix_leads_assigned", "leads")
