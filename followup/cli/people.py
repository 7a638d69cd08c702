"""Commands about one person's data: erase, export."""

import json
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy.orm import Session

from followup.bootstrap import Service, make_transports
from followup.cli.opening import AsJson, local, open_store, print_json, who
from followup.domain.cadence import Channel
from followup.errors import Conflict, Fault, Invalid, Misconfigured, NotFound
from followup.private_file import write_private
from followup.services import erasing, exporting, tracing
from followup.services.erasing import Eraser
from followup.services.identifying import Identified, identify
from followup.services.tracing import Found, Keeping
from followup.store import deliveries, erasures, removals
from followup.store.db import reading, transaction
from followup.transports.base import Transport

app = typer.Typer()

Reference = Annotated[str | None, typer.Argument(help="A lead's reference, such as K7Q4")]
Email = Annotated[str | None, typer.Option(help="Everybody with this address instead")]
Phone = Annotated[str | None, typer.Option(help="Everybody with this number instead")]
By = Annotated[str | None, typer.Option("--by", help="Who did it; you, by default")]

#: What no command of ours reaches.
BEYOND_US = (
    "mail that was delivered, in the recipient's mailbox",
    "backups, until they are overwritten",
    "Twilio's own message log, for 400 days",
)


@app.command()
def erase(
    reference: Reference = None,
    email: Email = None,
    phone: Phone = None,
    rehearse: Annotated[
        bool, typer.Option("--rehearse", help="Only list where copies are; exit status 1 for any")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask")] = False,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Remove a person everywhere, at the text provider too; evidence of consent stays as hashes.

    Exit status 1 while anything is left.
    """
    service = open_store()
    person = _identify(service, reference, email, phone)
    erasure_id = None
    if not rehearse:
        if not yes:
            typer.confirm(f"Erase {_named(person)}? This cannot be undone", abort=True)
        eraser = Eraser(service.engine, service.planner, _transports(service))
        erasure_id = erasing.erase(eraser, person, by=by or who(), now=service.now())
    with reading(service.engine) as session:
        found = tracing.trace(session, service.planner, person)
        if erasure_id is None:
            at_provider, facts = _count_at_provider(session, person), {}
        else:
            at_provider = erasures.count_copies(session, erasure_id)
            facts = erasures.get_facts(session, erasure_id)
    told = _told(found, at_provider, facts)
    if as_json:
        print_json(told)
    else:
        _print(person, told, rehearse)
    if found.copies or at_provider:
        raise typer.Exit(1)


def _count_at_provider(session: Session, person: Identified) -> int:
    """Texts that the provider has, as far as we know their names there."""
    ids = [lead.id for lead in person.leads]
    rows = [row for lead_id in ids for row in deliveries.list_of_lead(session, lead_id)]
    ours = erasures.list_provider_ids(session, rows)
    return len(ours | removals.list_reply_ids(session, ids))


def _told(found: Found, at_provider: int, facts: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "removed": {name: facts[name] for name in sorted(facts) if name != "references"},
        "left": dict(found.copies),
        "left_at_provider": at_provider,
        "evidence": dict(found.rows[Keeping.evidence]),
        "others": dict(found.rows[Keeping.others]),
        "other_leads": sorted(found.others),
        "beyond_us": BEYOND_US,
    }


def _print(person: Identified, told: Mapping[str, Any], rehearse: bool) -> None:
    typer.echo(f"{_named(person)}: {'nothing was changed' if rehearse else 'erased'}")
    for title, name in (
        ("removed", "removed"),
        ("copies" if rehearse else "LEFT", "left"),
        ("stays as evidence, by keyed hash", "evidence"),
        ("belongs to others", "others"),
    ):
        for place, count in told[name].items():
            typer.echo(f"  {title}: {place} {count}")
    if told["other_leads"]:
        typer.echo(f"  of the leads {', '.join(told['other_leads'])}; see them by their reference")
    if told["left_at_provider"] and rehearse:
        typer.echo(f"  copies: texts at the provider {told['left_at_provider']}")
    elif told["left_at_provider"]:
        typer.echo(
            f"  LEFT: texts at the provider {told['left_at_provider']}; the upkeep worker deletes "
            "each within an hour of its end"
        )
    for place in told["beyond_us"]:
        typer.echo(f"  cannot be removed by us: {place}")
    if not (told["left"] or told["left_at_provider"]):
        typer.echo("  nothing of this person is left here")


def _transports(service: Service) -> Mapping[Channel, Transport]:
    """None where the providers' settings are not: the upkeep worker, which has them, goes on."""
    try:
        return make_transports(service)
    except Misconfigured:
        return {}


@app.command()
def export(
    reference: Reference = None,
    email: Email = None,
    phone: Phone = None,
    out: Annotated[
        Path | None,
        typer.Option(help="File for its owner alone; export-REFERENCE.json here, - is stdout"),
    ] = None,
    by: By = None,
) -> None:
    """Write all that is kept of a person as JSON, into a file: a terminal has a history."""
    service = open_store()
    now = service.now()
    person = _identify(service, reference, email, phone)
    path = out or Path(f"export-{'-'.join(person.references) or 'no-lead'}.json")
    if str(path) != "-":
        _check_writable(path)
    with transaction(service.engine) as session:
        whole = exporting.export(session, service.planner, person, by=by or who(), now=now)
        # Before the commit: what could not be written was not given out.
        _write(path, json.dumps(whole, indent=2, default=str, ensure_ascii=False) + "\n")
    if str(path) != "-":
        typer.echo(f"{_named(person)}: written to {path}, readable by you alone")


def _check_writable(path: Path) -> None:
    if path.exists():
        raise Conflict(f"{path} is there already; --out names another file")
    if not path.parent.is_dir():
        raise Invalid(Fault("--out", f"there is no directory {path.parent}"))


def _write(path: Path, text: str) -> None:
    if str(path) == "-":
        sys.stdout.write(text)
        return
    try:
        write_private(path, text)
    except OSError as error:
        raise Invalid(Fault("--out", f"cannot write {path}: {error.strerror}")) from None


def _identify(
    service: Service, reference: str | None, email: str | None, phone: str | None
) -> Identified:
    if sum(one is not None for one in (reference, email, phone)) != 1:
        raise Invalid(Fault("REFERENCE", "give a reference, or --email, or --phone"))
    with reading(service.engine) as session:
        try:
            return identify(session, service.planner, reference=reference, email=email, phone=phone)
        except NotFound:
            erasure = erasures.find_of_reference(session, reference or "")
            if erasure is None:
                raise
            raise NotFound(_was_erased(service, reference, erasure.requested_at)) from None


def _was_erased(service: Service, reference: str | None, at: datetime) -> str:
    when = local(at.isoformat(), service, None)
    return f"{reference} was erased on {when}; look by --email or --phone for what came since"


def _named(person: Identified) -> str:
    return ", ".join(person.references) or "a person without a lead"
