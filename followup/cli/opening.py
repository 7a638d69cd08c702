"""What commands open: settings, the service, the store; and how they print."""

import json
import os
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import typer
from sqlalchemy.orm import Session

from followup.bootstrap import Service, open_service
from followup.config import ENV_FILE, STORING, Settings, read_settings
from followup.domain.audit import Door
from followup.errors import NotFound
from followup.services import auditing
from followup.store import leads
from followup.store.models import Lead

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def own_settings() -> Settings:
    """The settings, or those of the `followup up` that keeps its data here.

    Only for commands that a person types: a server must be told everything by its own settings.
    """
    settings = read_settings(ENV_FILE)
    kept = settings.data_dir / "up.env"
    if settings.database_url is None and kept.exists():
        return read_settings(ENV_FILE, kept)
    return settings


def open_store() -> Service:
    """The service for a command that reads or changes rows."""
    return open_service(own_settings().checked(*STORING))


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, default=str, ensure_ascii=False))


def who() -> str:
    """Whom an action by the command line is ascribed to, when nobody is named."""
    return f"{os.environ.get('USER', 'operator')} (command line)"


def note_seen(
    service: Service, verb: str, lead_id: uuid.UUID | None = None, **facts: Sequence[str]
) -> None:
    """In the audit trail: whoever sits at this terminal saw this."""
    auditing.note(
        service.engine,
        service.now(),
        verb,
        by=who(),
        door=Door.command_line,
        lead_id=lead_id,
        facts=facts,
    )


def find_lead(session: Session, which: str) -> Lead:
    """By reference or id. Raises NotFound."""
    lead = leads.find_by_reference(session, which)
    if lead is None:
        try:
            lead = leads.find_lead(session, uuid.UUID(which))
        except ValueError:
            lead = None
    if lead is None:
        raise NotFound(f"there is no lead {which}")
    return lead


def local(at: str | None, service: Service, site: str | None) -> str:
    """An ISO instant as the site's people read it."""
    if at is None:
        return ""
    zone = service.clinic.site(site).zone
    return datetime.fromisoformat(at).astimezone(zone).strftime("%a %Y-%m-%d %H:%M %Z")
