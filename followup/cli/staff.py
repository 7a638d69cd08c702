"""`followup staff …`: who may act, and with which token."""

from typing import Annotated

import typer

from followup.cli.opening import AsJson, open_store, print_json, who
from followup.domain.audit import Door
from followup.services import staffing
from followup.store import people
from followup.store.crypto import keyring_of
from followup.store.db import reading, transaction

app = typer.Typer(help="Who may act on leads.", no_args_is_help=True)

Name = Annotated[str, typer.Option("--name", help="As it stands beside what the person did")]


@app.command()
def add(
    name: Name,
    role: Annotated[staffing.StaffRole, typer.Option(help="What the person may do")],
    email: Annotated[str | None, typer.Option(help="Alerts go there")] = None,
    phone: Annotated[str | None, typer.Option(help="Alerts go there by text")] = None,
    as_json: AsJson = False,
) -> None:
    """Add somebody; the token is shown this once."""
    service = open_store()
    with transaction(service.engine) as session:
        made = staffing.add_person(
            session,
            keyring_of(service.engine),
            name=name,
            role=role,
            now=service.now(),
            email=email,
            phone=phone,
            by=who(),
            door=Door.command_line,
        )
    _show(made, as_json)


@app.command("list")
def list_people(as_json: AsJson = False) -> None:
    """Everybody, with their role."""
    service = open_store()
    with reading(service.engine) as session:
        found = [
            {
                "id": str(person.id),
                "name": person.name,
                "role": person.role,
                "email": person.email,
                "phone": person.phone,
                "disabled": person.disabled_at is not None,
            }
            for person in people.list_people(session)
        ]
    if as_json:
        print_json(found)
        return
    for one in found:
        typer.echo(f"{one['role']:<9}{one['name']}{'  (disabled)' if one['disabled'] else ''}")


@app.command()
def disable(name: Name) -> None:
    """Their token stops working, and they are no longer alerted."""
    service = open_store()
    with transaction(service.engine) as session:
        staffing.disable(session, name, service.now(), by=who(), door=Door.command_line)
    typer.echo(f"{name} is disabled")


@app.command()
def token(name: Name, as_json: AsJson = False) -> None:
    """A new token; the old one stops working."""
    service = open_store()
    with transaction(service.engine) as session:
        made = staffing.renew_token(session, name, service.now(), by=who(), door=Door.command_line)
    _show(made, as_json)


def _show(made: staffing.Credential, as_json: bool) -> None:
    person = made.person
    if as_json:
        print_json(
            {
                "id": str(person.id),
                "name": person.name,
                "role": person.role,
                "token": made.token,
            }
        )
    else:
        typer.echo(f"{person.name} ({person.role}), token, shown only now: {made.token}")
