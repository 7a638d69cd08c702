"""Runs migrations on the engine that is handed in; two runs at once wait for each other."""

from alembic import context
from sqlalchemy import text

from followup.store.models import Base

#: Any number; whoever migrates holds this advisory lock of PostgreSQL.
LOCK = 7_325_001

engine = context.config.attributes["engine"]

with engine.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=True,
        compare_type=True,
    )
    with context.begin_transaction():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
        context.run_migrations()
