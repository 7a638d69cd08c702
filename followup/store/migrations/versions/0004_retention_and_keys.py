"""The keys of hashes, which outlive encryption keys; erasures, and what they are still owed."""

import sqlalchemy as sa
from alembic import op

from followup.errors import Misconfigured
from followup.store.crypto import Keyring, keyring_of
from followup.store.db import UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def _keyring() -> Keyring:
    return keyring_of(op.get_bind().engine)


def upgrade() -> None:
    hash_keys = op.create_table(
        "hash_keys",
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("position", name="pk_hash_keys"),
    )
    # Until now each encryption key had a hash key derived from it. These are kept, so that every
    # hash there is goes on being found, and goes on being made.
    keyring = _keyring()
    op.bulk_insert(
        hash_keys,
        [
            {"position": position, "secret": keyring.encrypt(key.hex().encode())}
            for position, key in enumerate(keyring.derived_hash_keys)
        ],
    )
    op.create_table(
        "erasures",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("by", sa.String(length=200), nullable=False),
        sa.Column("requested_at", UtcDateTime(), nullable=False),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_erasures"),
    )
    op.create_table(
        "erased_leads",
        sa.Column("lead_id", sa.Uuid(), nullable=False),
        sa.Column("erasure_id", sa.Uuid(), nullable=False),
        sa.Column("removed_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["erasure_id"], ["erasures.id"], name="fk_erased_leads_erasure_id_erasures"
        ),
        sa.PrimaryKeyConstraint("lead_id", name="pk_erased_leads"),
    )
    op.create_index("ix_erased_leads_erasure_id", "erased_leads", ["erasure_id"])
    op.create_table(
        "provider_copies",
        sa.Column("channel", sa.String(length=32), nullable=False),
        sa.Column("provider_id", sa.String(length=200), nullable=False),
        sa.Column("erasure_id", sa.Uuid(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(
            ["erasure_id"], ["erasures.id"], name="fk_provider_copies_erasure_id_erasures"
        ),
        sa.PrimaryKeyConstraint("channel", "provider_id", name="pk_provider_copies"),
    )
    op.create_index("ix_provider_copies_erasure_id", "provider_copies", ["erasure_id"])
    op.create_index("ix_provider_copies_due_at", "provider_copies", ["due_at"])


def downgrade() -> None:
    _refuse_to_forget()
    op.drop_table("provider_copies")
    op.drop_table("erased_leads")
    op.drop_table("erasures")
    op.drop_table("hash_keys")


def _refuse_to_forget() -> None:
    """Older code derives the keys of hashes from the encryption keys alone: without these it would
    text people who said no."""
    keyring = _keyring()
    secrets = op.get_bind().execute(sa.text("SELECT secret FROM hash_keys")).scalars()
    kept = {bytes.fromhex(keyring.decrypt(bytes(secret)).decode()) for secret in secrets}
    if not kept <= set(keyring.derived_hash_keys):
        raise Misconfigured(
            "FOLLOWUP_ENCRYPTION_KEYS: addresses were hashed under a key that has left the list; "
            "put it back at the end before going back to the older schema"
        )
