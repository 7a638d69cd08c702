"""`followup beat`: rings by the clock."""

import typer

from followup.beat import app as celery_app
from followup.config import ENV_FILE, read_settings

app = typer.Typer()


@app.command()
def beat() -> None:
    """Ring every lane each second; two of them are as good as one."""
    read_settings(ENV_FILE).checked("broker_url")
    # Not by Celery's own command line, which would import all of its other commands.
    celery_app.Beat(loglevel="INFO").run()
