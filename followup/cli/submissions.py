"""Commands about what came in: submit, replay, simulate."""

import json
import sys
import uuid
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from followup.cli.opening import AsJson, local, note_seen, open_store, own_settings, print_json, who
from followup.clinic import read_clinic
from followup.clock import Clock
from followup.domain.audit import Door
from followup.domain.submission import Kind
from followup.errors import Fault, Invalid
from followup.services import intake, reporting, reviewing, simulating
from followup.store import submissions
from followup.store.db import reading, transaction
from followup.templates import Templates

app = typer.Typer()
caught = typer.Typer(
    help="Look at what the door kept as spam, and what could not be worked on.",
    no_args_is_help=True,
)


@app.command()
def submit(
    file: Annotated[Path, typer.Argument(help="JSON with the form's fields; - is standard input")],
    kind: Annotated[
        Kind | None, typer.Option(help="Which form; screening when there are answers")
    ] = None,
    key: Annotated[str | None, typer.Option(help="Idempotency key")] = None,
    as_json: AsJson = False,
) -> None:
    """Take one submission from a file, as if it had been posted."""
    fields = _read(file)
    service = open_store()
    form = kind or (Kind.screening if "answers" in fields else Kind.contact)
    received = intake.receive(
        service.engine,
        service.clinic,
        form,
        fields,
        now=service.now(),
        source="command line",
        idempotency_key=key,
    )
    if as_json:
        print_json({"submission_id": received.submission_id, "status": "accepted"})
    else:
        typer.echo(f"accepted: {received.submission_id}")


def _read(file: Path) -> dict[str, Any]:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        fields = json.loads(text)
    except RecursionError:
        raise Invalid(Fault(str(file), "expected a JSON file: it is nested too deep")) from None
    except (OSError, ValueError) as error:
        raise Invalid(Fault(str(file), f"expected a JSON file: {error}")) from None
    if not isinstance(fields, dict):
        raise Invalid(Fault(str(file), "expected a JSON object with the form's fields"))
    return fields


@app.command()
def replay(
    submission: Annotated[
        uuid.UUID | None, typer.Argument(help="Its id; all that failed when left out")
    ] = None,
) -> None:
    """Consume again what could not be consumed."""
    service = open_store()
    count = intake.replay(service.engine, service.now(), submission)
    typer.echo(f"to be consumed again: {count}")
    if submission is not None and count == 0:
        raise typer.Exit(1)


@app.command()
def simulate(
    kind: Annotated[Kind, typer.Option(help="Which form")] = Kind.contact,
    at: Annotated[
        str | None, typer.Option(help="When it comes in, such as 2026-11-20T16:55; now by default")
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=60, help="How far to look")] = 3,
    site: Annotated[str | None, typer.Option(help="Site; the default one otherwise")] = None,
    phone: Annotated[str, typer.Option(help="The patient's number")] = "+14155550101",
    as_json: AsJson = False,
) -> None:
    """Show what a lead would be sent, and when, if nobody ever called. Sends nothing."""
    settings = own_settings()
    clinic = read_clinic(settings.clinic_file)
    templates = Templates.read(settings.templates_dir, clinic)
    known = [place.id for place in clinic.sites]
    if site is not None and site not in known:
        raise Invalid(Fault("--site", f"expected one of {', '.join(known)}"))
    place = clinic.site(site)
    arrived_at = Clock().now() if at is None else _in_zone(at, place.zone)
    events = simulating.simulate(
        clinic,
        templates.cadences,
        kind,
        site=place,
        phone=phone,
        arrived_at=arrived_at,
        until=arrived_at + timedelta(days=days),
    )
    if as_json:
        print_json([event.shown() for event in events])
        return
    for event in events:
        typer.echo(event.line(place.zone))


def _in_zone(text: str, zone: ZoneInfo) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Invalid(Fault("--at", "expected an instant such as 2026-11-20T16:55")) from None
    return at if at.tzinfo else at.replace(tzinfo=zone)


@caught.command("spam")
def list_spam(as_json: AsJson = False) -> None:
    """What was caught at the door, newest first: why, and what it says."""
    service = open_store()
    with reading(service.engine) as session:
        shown = [reporting.show_spam(one) for one in submissions.list_spam(session)]
    note_seen(service, "spam", submissions=[one["id"] for one in shown])
    if as_json:
        print_json(shown)
        return
    for one in shown:
        came = local(one["received_at"], service, None)
        typer.echo(f"{one['id']}  {came}  {one['fields'].get('name')}  {one['explanation']}")


@caught.command("problems")
def list_problems(as_json: AsJson = False) -> None:
    """What could not be worked on: from where, and why."""
    service = open_store()
    with reading(service.engine) as session:
        shown = [reporting.show_problem(one) for one in submissions.list_problems(session)]
    note_seen(service, "problems", submissions=[one["id"] for one in shown])
    if as_json:
        print_json(shown)
        return
    for one in shown:
        came = local(one["received_at"], service, None)
        typer.echo(f"{one['id']}  {came}  {one['source']}  {one['problem']}")


@caught.command("reject")
def reject(
    submission: Annotated[uuid.UUID, typer.Argument(help="Its id")],
    by: Annotated[str | None, typer.Option("--by", help="Who did it; you, by default")] = None,
) -> None:
    """What could not be worked on needs no more work: it is kept as spam is."""
    service = open_store()
    with transaction(service.engine) as session:
        reviewing.reject_submission(
            session, submission, by=by or who(), now=service.now(), door=Door.command_line
        )
    typer.echo(f"rejected: {submission}")


@caught.command("release")
def release(
    submission: Annotated[uuid.UUID, typer.Argument(help="Its id")],
    by: Annotated[str | None, typer.Option("--by", help="Who did it; you, by default")] = None,
) -> None:
    """What was caught is a person's: it becomes a lead."""
    service = open_store()
    with transaction(service.engine) as session:
        reviewing.release_submission(
            session, submission, by=by or who(), now=service.now(), door=Door.command_line
        )
    typer.echo(f"to be consumed: {submission}")
