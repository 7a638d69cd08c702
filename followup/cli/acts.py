"""`followup leads VERB`: what staff do with a lead, by the same service functions as the API."""

from datetime import datetime
from typing import Annotated

import typer

from followup.bootstrap import Service
from followup.cli.opening import AsJson, find_lead, local, open_store, print_json, who
from followup.domain.audit import Door
from followup.domain.cadence import TO_PATIENTS, Channel
from followup.domain.lead import Closing, Outcome
from followup.domain.suspicion import Suspicion
from followup.errors import Fault, Invalid
from followup.services import reporting, reviewing, uniting, working
from followup.store.db import transaction
from followup.store.models import Lead

app = typer.Typer()

Which = Annotated[str, typer.Argument(help="The lead's reference, such as K7Q4, or its id")]
By = Annotated[str | None, typer.Option("--by", help="Who did it; you, by default")]
Channels = Annotated[
    list[Channel] | None, typer.Option(help="sms or email, again for both; both by default")
]
Note = Annotated[str | None, typer.Option(help="Kept with the lead")]


@app.command()
def contacted(
    which: Which,
    outcome: Annotated[Outcome, typer.Option(help="What came of it")] = Outcome.reached,
    by: By = None,
    note: Note = None,
    as_json: AsJson = False,
) -> None:
    """Staff reached the person: nothing more is sent."""
    service = open_store()
    with transaction(service.engine) as session:
        marked = working.mark_contacted(
            session,
            find_lead(session, which).id,
            by=by or who(),
            now=service.now(),
            door=Door.command_line,
            outcome=outcome,
            note=note,
        )
    in_flight = [str(delivery_id) for delivery_id in marked.in_flight]
    if as_json:
        print_json(
            {
                "lead": reporting.show_lead(marked.lead, service.now()),
                "cancelled": marked.cancelled,
                "in_flight": in_flight,
            }
        )
        return
    cancelled = marked.cancelled
    typer.echo(f"{marked.lead.reference} is contacted; {cancelled} planned deliveries cancelled")
    if in_flight:
        typer.echo(f"already on the way: {', '.join(in_flight)}")


@app.command()
def attempt(which: Which, by: By = None, note: Note = None) -> None:
    """Staff tried and did not reach the person: reminders rest for two business hours."""
    service = open_store()
    with transaction(service.engine) as session:
        lead = working.record_attempt(
            session,
            service.planner,
            find_lead(session, which).id,
            by=by or who(),
            now=service.now(),
            door=Door.command_line,
            note=note,
        )
    typer.echo(f"{lead.reference}: reminders rest until {_until(lead, service)}")


@app.command()
def note(which: Which, words: Annotated[str, typer.Argument(help="What")], by: By = None) -> None:
    """Keep words with the lead."""
    service = open_store()
    with transaction(service.engine) as session:
        lead = working.add_note(
            session,
            find_lead(session, which).id,
            by=by or who(),
            now=service.now(),
            door=Door.command_line,
            note=words,
        )
    typer.echo(f"{lead.reference}: noted")


@app.command()
def assign(
    which: Which,
    to: Annotated[
        str | None, typer.Option(help="Somebody of the staff; nobody when left out")
    ] = None,
    by: By = None,
) -> None:
    """Give the lead to somebody of the staff, or back."""
    service = open_store()
    with transaction(service.engine) as session:
        lead = find_lead(session, which)
        working.assign(
            session,
            lead.id,
            to=to,
            expected=lead.assigned_to,
            by=by or who(),
            now=service.now(),
            door=Door.command_line,
        )
    typer.echo(f"{lead.reference}: {to or 'nobody'} has it")


@app.command()
def close(
    which: Which,
    why: Annotated[Closing, typer.Argument(help="Why nobody is owed a call")],
    by: By = None,
    note: Note = None,
) -> None:
    """Spam or a wrong number: nothing more is sent, and a wrong number is silent for every lead."""
    service = open_store()
    with transaction(service.engine) as session:
        marked = working.close(
            session,
            service.planner,
            find_lead(session, which).id,
            why=why,
            by=by or who(),
            now=service.now(),
            door=Door.command_line,
            note=note,
        )
    cancelled = marked.cancelled
    typer.echo(f"{marked.lead.reference} is closed; {cancelled} planned deliveries cancelled")


@app.command()
def snooze(
    which: Which,
    until: Annotated[datetime, typer.Argument(help="Local time of the lead's site")],
    by: By = None,
) -> None:
    """Put the reminders of a lead off."""
    service = open_store()
    with transaction(service.engine) as session:
        lead = find_lead(session, which)
        zone = service.clinic.site(lead.site).zone
        lead = working.snooze(
            session,
            lead.id,
            until=until.replace(tzinfo=zone),
            by=by or who(),
            now=service.now(),
            door=Door.command_line,
        )
    typer.echo(f"{lead.reference}: reminders rest until {_until(lead, service)}")


@app.command()
def merge(which: Which, by: By = None) -> None:
    """The lead is of the same person as its noted possible duplicate; `reopen` takes them apart."""
    service = open_store()
    with transaction(service.engine) as session:
        merged = uniting.merge_duplicate(
            session,
            service.planner,
            find_lead(session, which).id,
            by=by or who(),
            now=service.now(),
            door=Door.command_line,
        )
    typer.echo(f"{merged.part.reference} is a part of {merged.lead.reference} now")


@app.command()
def reopen(which: Which, by: By = None) -> None:
    """The person is owed a call again; nothing that was sent is sent again."""
    service = open_store()
    with transaction(service.engine) as session:
        lead = working.reopen(
            session,
            service.planner,
            find_lead(session, which).id,
            by=by or who(),
            now=service.now(),
            door=Door.command_line,
        )
    typer.echo(f"{lead.reference} is open again")


@app.command("opt-out")
def opt_out(which: Which, channel: Channels = None, by: By = None, note: Note = None) -> None:
    """The person asked not to be written to: silence at once, for every lead that shares it."""
    service = open_store()
    with transaction(service.engine) as session:
        lead = working.record_opt_out(
            session,
            service.planner,
            find_lead(session, which).id,
            by=by or who(),
            now=service.now(),
            note=note,
            channels=channel or TO_PATIENTS,
            door=Door.command_line,
        )
    typer.echo(f"{lead.reference}: {_channels(channel)} to this person is over")


@app.command("opt-in")
def opt_in(
    which: Which,
    note: Annotated[str, typer.Option(help="What the person agreed to: when, where, which words")],
    channel: Channels = None,
    by: By = None,
) -> None:
    """The person told us that we may write again; a ticked box alone never lifts a refusal."""
    service = open_store()
    with transaction(service.engine) as session:
        lead = working.record_opt_in(
            session,
            service.planner,
            find_lead(session, which).id,
            by=by or who(),
            now=service.now(),
            note=note,
            channels=channel or TO_PATIENTS,
            door=Door.command_line,
        )
    typer.echo(f"{lead.reference}: {_channels(channel)} to this person may go again")


def _channels(chosen: list[Channel] | None) -> str:
    return " and ".join(one.value for one in chosen or TO_PATIENTS)


HeldLead = Annotated[str | None, typer.Argument(help="The lead's reference or id; or --all")]
AllHeld = Annotated[bool, typer.Option("--all", help="Every held lead")]
HeldFor = Annotated[Suspicion | None, typer.Option(help="With --all: only those held for this")]


@app.command()
def release(
    which: HeldLead = None, every: AllHeld = False, held_for: HeldFor = None, by: By = None
) -> None:
    """A held lead is a person: open, and written to as far as that is not too late."""
    service = open_store()
    if _is_all(which, every):
        count = reviewing.release_all(
            service.engine,
            service.planner,
            by=by or who(),
            now=service.now(),
            held_for=held_for,
            door=Door.command_line,
        )
        typer.echo(f"released: {count}")
        return
    with transaction(service.engine) as session:
        lead = reviewing.release(
            session,
            service.planner,
            find_lead(session, which or "").id,
            by=by or who(),
            now=service.now(),
            door=Door.command_line,
        )
    typer.echo(f"{lead.reference} is open")


@app.command()
def reject(
    which: HeldLead = None,
    every: AllHeld = False,
    held_for: HeldFor = None,
    by: By = None,
    note: Note = None,
) -> None:
    """A held lead is spam: closed, and nothing is sent."""
    service = open_store()
    if _is_all(which, every):
        count = reviewing.reject_all(
            service.engine,
            by=by or who(),
            now=service.now(),
            held_for=held_for,
            note=note,
            door=Door.command_line,
        )
        typer.echo(f"rejected: {count}")
        return
    with transaction(service.engine) as session:
        lead = reviewing.reject(
            session,
            find_lead(session, which or "").id,
            by=by or who(),
            now=service.now(),
            note=note,
            door=Door.command_line,
        )
    typer.echo(f"{lead.reference} is closed")


def _is_all(which: str | None, every: bool) -> bool:
    if (which is None) != every:
        raise Invalid(Fault("WHICH", "name one lead, or say --all"))
    return every


def _until(lead: Lead, service: Service) -> str:
    until = lead.snoozed_until
    return local(until.isoformat() if until else None, service, lead.site)
