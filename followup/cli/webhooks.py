"""`followup webhooks …`: who is told what happened, and what nobody received."""

import uuid
from typing import Annotated

import typer

from followup.cli.opening import AsJson, open_store, print_json, who
from followup.domain.audit import Door
from followup.errors import Fault, Invalid
from followup.services import announcing
from followup.store.db import reading

app = typer.Typer(help="Who is told what happened.", no_args_is_help=True)

#: Of those that nobody received, so many are shown.
SHOWN = 200


@app.command("list")
def list_webhooks(as_json: AsJson = False) -> None:
    """The webhooks of clinic.toml, and how many events each is still owed."""
    service = open_store()
    with reading(service.engine) as session:
        found = announcing.list_webhooks(session, service.clinic.webhooks)
    if as_json:
        print_json(found)
        return
    for one in found:
        state = "  (stopped: it said that it is gone)" if one["stopped_at"] else ""
        typer.echo(f"{one['name']:<20}{one['owed']:>6} owed  {one['url']}{state}")


@app.command()
def dead(as_json: AsJson = False) -> None:
    """What nobody received after the last attempt, the latest first."""
    service = open_store()
    with reading(service.engine) as session:
        found = announcing.list_dead(session, SHOWN)
    if as_json:
        print_json(found)
        return
    for one in found:
        typer.echo(
            f"{one['id']}  {one['event']:<15}{one['webhook']:<20}{one['happened_at']}  "
            f"{one['problem'] or ''}"
        )


@app.command()
def resend(
    which: Annotated[str, typer.Argument(metavar="ID", help="As `dead` shows it, or: all")],
) -> None:
    """Begin anew with an event that nobody received; the receiver sees the same id."""
    service = open_store()
    count = announcing.resend(
        service.engine, _id(which), by=who(), now=service.now(), door=Door.command_line
    )
    typer.echo(f"{count} to be sent again")


def _id(which: str) -> uuid.UUID | None:
    if which == "all":
        return None
    try:
        return uuid.UUID(which.removeprefix("msg_"))
    except ValueError:
        raise Invalid(Fault("ID", "expected an id, as `followup webhooks dead` shows it")) from None


@app.command()
def start(name: Annotated[str, typer.Argument(help="The webhook's name in clinic.toml")]) -> None:
    """Tell a webhook again that had said it is gone (410)."""
    service = open_store()
    announcing.start(service.engine, name, by=who(), now=service.now(), door=Door.command_line)
    typer.echo(f"{name} is told again; `followup webhooks resend all` sends what it missed")
