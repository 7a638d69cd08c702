"""`followup up`: everything on this machine, under a supervisor that holds little itself."""

import os
from datetime import UTC, datetime
from typing import Annotated

import typer

from followup import local
from followup.config import ENV_FILE, Settings, read_settings
from followup.local_settings import FastClock, fast_clock, gather_environment

app = typer.Typer()


@app.command()
def up(
    fast: Annotated[
        bool, typer.Option("--fast", help="A day passes in about two minutes, from a weekday at 9.")
    ] = False,
) -> None:
    """Run everything on this machine: broker, database, api, worker, beat, and a sandbox."""
    environment = gather_environment(os.environ, ENV_FILE)
    settings = read_settings(ENV_FILE)
    clock = _fast_clock(settings) if fast else None
    local.up(environment, data_dir=settings.data_dir, clock=clock, out=typer.echo)


def _fast_clock(settings: Settings) -> FastClock:
    # Not above: every country's holidays would stay in the supervisor's memory for nothing.
    from followup.clinic import read_clinic

    site = read_clinic(settings.clinic_file).site(None)
    return fast_clock(datetime.now(UTC), site.zone, site.business_hours.is_open)
