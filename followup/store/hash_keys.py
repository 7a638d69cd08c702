"""Rows of `hash_keys`: what addresses are hashed with."""

from collections.abc import Sequence

from sqlalchemy import Engine, inspect, select

from followup.store.db import reading
from followup.store.models import HashKey


def find_hash_keys(engine: Engine) -> Sequence[bytes] | None:
    """The first one hashes, all find; None before the migration that keeps them."""
    with reading(engine) as session:
        if not inspect(session.connection()).has_table(HashKey.__tablename__):
            return None
        secrets = session.scalars(select(HashKey.secret).order_by(HashKey.position))
        return [bytes.fromhex(secret) for secret in secrets]
