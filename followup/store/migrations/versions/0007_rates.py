"""How far each sender's tokens are taken, and until when a provider asked to be called less."""

import sqlalchemy as sa
from alembic import op

from followup.store.db import UtcDateTime

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rates",
        sa.Column("sender", sa.String(length=300), nullable=False),
        sa.Column("next_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("sender", name="pk_rates"),
    )
    with op.batch_alter_table("breakers") as table:
        table.add_column(sa.Column("slowed_until", UtcDateTime(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("breakers") as table:
        table.drop_column("slowed_until")
    op.drop_table("rates")
