"""`followup sandbox`: stands in for the providers."""

import typer

from followup.clinic import read_clinic
from followup.clock import Clock
from followup.config import ENV_FILE, read_settings
from followup.logs import configure_logging
from followup.sandbox.server import Sandbox, serve

app = typer.Typer()


@app.command()
def sandbox() -> None:
    """Stand-ins for Twilio and a mail server, with a page that shows phone and inbox."""
    settings = read_settings(ENV_FILE).checked("twilio_account_sid", "twilio_auth_tokens")
    configure_logging(settings)
    clock = Clock(settings.clock_start, settings.clock_anchor, settings.clock_rate)
    site = read_clinic(settings.clinic_file).site(None)
    serve(
        Sandbox(
            account_sid=settings.twilio_account_sid or "",
            auth_token=settings.twilio_auth_tokens[0].get_secret_value(),
            port=settings.sandbox_port,
            smtp_port=settings.sandbox_smtp_port,
            public_url=settings.public_url,
            now=clock.now,
            state_file=settings.data_dir / "sandbox.jsonl",
            zone=site.zone,
        )
    )
