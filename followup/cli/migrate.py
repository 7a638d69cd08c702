"""`followup migrate`: the schema, and for `followup up` the first of the staff."""

import json
from typing import Annotated

import typer

from followup.bootstrap import Service
from followup.cli.opening import open_store, who
from followup.domain.audit import Door
from followup.errors import Conflict
from followup.services import staffing
from followup.store.crypto import keyring_of
from followup.store.db import transaction
from followup.store.migrating import migrate as bring_up_to_date

app = typer.Typer()


@app.command()
def migrate(
    first_admin: Annotated[
        str | None,
        typer.Option(help="Also add an admin of that name, unless there is one; prints as JSON"),
    ] = None,
) -> None:
    """Bring the database's schema to this version. Safe to run again, and twice at once."""
    service = open_store()
    bring_up_to_date(service.engine)
    if first_admin is None:
        typer.echo("the schema is up to date")
    else:
        typer.echo(json.dumps({"token": _add_admin(service, first_admin)}))


def _add_admin(service: Service, name: str) -> str | None:
    """The token; None when there is somebody of that name already."""
    try:
        with transaction(service.engine) as session:
            made = staffing.add_person(
                session,
                keyring_of(service.engine),
                name=name,
                role=staffing.StaffRole.admin,
                now=service.now(),
                by=who(),
                door=Door.command_line,
            )
    except Conflict:
        return None
    return made.token
