"""What commands open: settings, the service, the store; and how they print."""

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from followup.bootstrap import Service, open_service
from followup.config import STORING, Settings, read_settings

ENV_FILE = Path(".env")

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


def local(at: str | None, service: Service, site: str | None) -> str:
    """An ISO instant as the site's people read it."""
    if at is None:
        return ""
    zone = service.clinic.site(site).zone
    return datetime.fromisoformat(at).astimezone(zone).strftime("%a %Y-%m-%d %H:%M %Z")
