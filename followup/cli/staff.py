"""`followup staff …`: who may act, and with which token."""

from typing import Annotated

import typer

from followup.cli.opening import AsJson, open_store, print_json, who
from followup.domain.audit import Door
from followup.services import signing_in, staffing
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


@app.command()
def change(
    name: Name,
    role: Annotated[staffing.StaffRole | None, typer.Option(help="Another role")] = None,
    email: Annotated[str | None, typer.Option(help='Another address; "" for none')] = None,
    phone: Annotated[str | None, typer.Option(help='Another number; "" for none')] = None,
) -> None:
    """Give somebody another role or address; alerts that are planned go to the new one."""
    service = open_store()
    with transaction(service.engine) as session:
        person = staffing.change_person(
            session,
            name,
            service.now(),
            role=role,
            email=email,
            phone=phone,
            by=who(),
            door=Door.command_line,
        )
    typer.echo(f"{person.name} ({person.role}) is changed")


@app.command("list")
def list_people(as_json: AsJson = False) -> None:
    """Everybody, with their role."""
    service = open_store()
    present = signing_in.list_present(service.engine, service.clinic.signing_in)
    with reading(service.engine) as session:
        found = [
            {
                "id": str(person.id),
                "name": person.name,
                "role": person.role,
                "email": person.email,
                "phone": person.phone,
                "codes": person.totp_secret is not None,
                "browsers": present[person.id].browsers if person.id in present else 0,
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


@app.command("reset-codes")
def reset_codes(name: Name) -> None:
    """No codes from an app are asked for any more, because the phone is lost."""
    service = open_store()
    with transaction(service.engine) as session:
        staffing.reset_codes(session, name, service.now(), by=who(), door=Door.command_line)
    typer.echo(f"{name} signs in without codes")


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
