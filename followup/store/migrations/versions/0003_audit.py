"""The audit trail, its head with a key of its own, and triggers that keep evidence as it is."""

import secrets

import sqlalchemy as sa
from alembic import op

from followup.domain.audit import head_mac
from followup.store import append_only
from followup.store.crypto import EncryptedText
from followup.store.db import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

UNSEALED = sa.text("position IS NULL")


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("by", sa.String(length=200), nullable=False),
        sa.Column("door", sa.String(length=32), nullable=False),
        sa.Column("verb", sa.String(length=32), nullable=False),
        sa.Column("lead_id", sa.Uuid(), nullable=True),
        sa.Column("row_table", sa.String(length=32), nullable=True),
        sa.Column("row_id", sa.Uuid(), nullable=True),
        sa.Column("digest", sa.String(length=64), nullable=True),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("mac", sa.String(length=64), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=True),
        sa.Column("seal", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
        sa.UniqueConstraint("position", name="uq_audit_position"),
    )
    op.create_index(
        "ix_audit_unsealed", "audit", ["id"], sqlite_where=UNSEALED, postgresql_where=UNSEALED
    )
    op.create_index("ix_audit_lead", "audit", ["lead_id", "id"])
    op.create_index("ix_audit_row", "audit", ["row_id", "position"])
    heads = op.create_table(
        "audit_heads",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key", EncryptedText(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("seal", sa.String(length=64), nullable=False),
        sa.Column("mac", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_heads"),
    )
    key = secrets.token_bytes(32)
    head = {"id": 1, "key": key.hex(), "position": 0, "seal": "", "mac": head_mac(key, 0, "")}
    op.bulk_insert(heads, [head])
    # The words stand in `replies`, encrypted, by the provider's id that the evidence has.
    op.execute("UPDATE consents SET text = '' WHERE act = 'texted_start'")
    append_only.install(op.get_bind())


def downgrade() -> None:
    append_only.remove(op.get_bind())
    op.drop_table("audit_heads")
    op.drop_table("audit")
