"""Brings the schema to this version. The migrations themselves are in `migrations/`."""

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from followup.errors import Misconfigured
from followup.store.db import MIGRATIONS, cause_of


def migrate(engine: Engine) -> None:
    """Bring the schema to the newest revision; nothing to do is fine. Safe to run twice at once."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["engine"] = engine
    try:
        command.upgrade(config, "head")
    except OperationalError as error:
        raise _unreachable(engine, error) from None


def _unreachable(engine: Engine, error: OperationalError) -> Misconfigured:
    """One line for the operator, without the password."""
    where = engine.url.render_as_string(hide_password=True)
    return Misconfigured(
        f"FOLLOWUP_DATABASE_URL: cannot use the database {where}: {cause_of(error)}"
    )
