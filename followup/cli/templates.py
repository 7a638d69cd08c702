"""`followup templates …`: check wording, look at it, and send one message to yourself."""

from typing import Annotated

import typer

from followup.bootstrap import make_transports, open_service
from followup.cli.opening import AsJson, own_settings, print_json
from followup.clinic import read_clinic
from followup.clock import Clock
from followup.config import SENDING
from followup.domain.cadence import Channel
from followup.domain.lead import Role
from followup.store.db import new_id
from followup.templates import Message, Templates, check_templates, sample_facts
from followup.transports.base import Outgoing

app = typer.Typer(help="Cadences and wording.", no_args_is_help=True)

Cadence = Annotated[str, typer.Argument(help="Folder below templates/, such as contact")]
Step = Annotated[str, typer.Argument(help="Such as acknowledgement")]
Language = Annotated[str | None, typer.Option(help="The clinic's default one otherwise")]
TheRole = Annotated[Role, typer.Option(help="Who wrote the form")]


@app.command()
def check(as_json: AsJson = False) -> None:
    """Every problem of cadences and wording, by file and line."""
    settings = own_settings()
    clinic = read_clinic(settings.clinic_file)
    problems = check_templates(settings.templates_dir, clinic, settings.public_url)
    if as_json:
        print_json([str(problem) for problem in problems])
    for problem in problems if not as_json else ():
        typer.echo(str(problem))
    if problems:
        raise typer.Exit(1)
    if not as_json:
        typer.echo("no problems")


@app.command()
def preview(
    cadence: Cadence,
    step: Step,
    channel: Annotated[Channel, typer.Option(help="email, sms or chat")] = Channel.email,
    language: Language = None,
    role: TheRole = Role.patient,
    html: Annotated[bool, typer.Option("--html", help="The HTML part of a mail")] = False,
) -> None:
    """One message with sample values, by the renderer that sends."""
    message = _render(cadence, step, channel, language, role)
    if html and message.html:
        typer.echo(message.html)
        return
    if message.subject:
        typer.echo(f"Subject: {message.subject}\n")
    typer.echo(message.text)


@app.command("send-test")
def send_test(
    cadence: Cadence,
    step: Step,
    to: Annotated[str, typer.Argument(help="Your own address or number, or a chat's name")],
    language: Language = None,
    role: TheRole = Role.patient,
) -> None:
    """Send one message with sample values, through the real provider."""
    settings = own_settings().checked(*SENDING)
    channel = Channel.email if "@" in to else Channel.chat if to in settings.chats else Channel.sms
    message = _render(cadence, step, channel, language, role)
    service = open_service(settings)
    delivery_id = new_id()
    provider_id = make_transports(service)[channel].send(
        Outgoing(
            delivery_id=delivery_id,
            to=to,
            text=message.text,
            subject=message.subject or "",
            html=message.html,
            message_id=f"<{delivery_id}@test>",
        )
    )
    typer.echo(f"accepted as {provider_id} at {Clock().now():%H:%M:%S}")


def _render(cadence: str, step: str, channel: Channel, language: str | None, role: Role) -> Message:
    settings = own_settings()
    clinic = read_clinic(settings.clinic_file)
    wanted = clinic.language(language)
    return Templates.read(settings.templates_dir, clinic, settings.public_url).render(
        cadence=cadence,
        step=step,
        channel=channel,
        language=wanted,
        role=role.value,
        facts=sample_facts(clinic, wanted, settings.public_url)[0],
    )
