"""`followup leads …`: the same service functions as the API's, for the operator's terminal."""

from datetime import datetime
from typing import Annotated, Any

import typer

from followup.bootstrap import Service
from followup.cli.opening import (
    AsJson,
    find_lead,
    local,
    note_seen,
    open_store,
    print_json,
    who,
)
from followup.domain.audit import Door
from followup.domain.cadence import Channel
from followup.domain.lead import LeadStatus, Outcome, Priority
from followup.domain.suspicion import Suspicion
from followup.errors import Fault, Invalid
from followup.services import explaining, reporting, reviewing, working
from followup.store import submissions
from followup.store.db import reading, transaction
from followup.store.models import Lead

app = typer.Typer(help="Look at leads, and mark what was done.", no_args_is_help=True)

Which = Annotated[str, typer.Argument(help="The lead's reference, such as K7Q4, or its id")]
By = Annotated[str | None, typer.Option("--by", help="Who did it; you, by default")]
Channels = Annotated[
    list[Channel] | None, typer.Option(help="sms or email, again for both; both by default")
]
Note = Annotated[str | None, typer.Option(help="Kept with the lead")]


@app.command("list")
def list_leads(
    status: Annotated[LeadStatus | None, typer.Option(help="Only these")] = None,
    overdue: Annotated[bool, typer.Option("--overdue", help="Only past the promise")] = False,
    as_json: AsJson = False,
) -> None:
    """Leads: the urgent first, then the newest."""
    service = open_store()
    with reading(service.engine) as session:
        page, _ = reporting.list_page(
            session, service.now(), status=status, overdue=overdue or None
        )
        shown = [reporting.show_lead(lead, service.now()) for lead in page]
        problems = len(submissions.list_problems(session))
    note_seen(service, "listed", leads=[lead.reference for lead in page])
    if as_json:
        print_json(shown)
        return
    for lead in shown:
        typer.echo(_line(lead, service))
    if problems:
        typer.echo(f"{problems} submission(s) could not be consumed: see `followup replay --help`")


def _line(lead: dict[str, Any], service: Service) -> str:
    late = "  OVERDUE" if lead["overdue"] else ""
    late += "  URGENT" if lead["priority"] == Priority.urgent else ""
    came = local(lead["created_at"], service, lead["site"])
    return (
        f"{lead['reference']:<6}{lead['status']:<11}{lead['kind']:<11}{came}  {lead['name']}{late}"
    )


@app.command()
def show(which: Which, as_json: AsJson = False) -> None:
    """All of one lead: what came in, what was sent or not and why, what was done."""
    service = open_store()
    with reading(service.engine) as session:
        found = find_lead(session, which)
        lead = reporting.show_lead_whole(session, service.planner, found, service.now())
    note_seen(service, "seen", found.id)
    if as_json:
        print_json(lead)
        return
    typer.echo(_line(lead, service))
    for name in (
        "id",
        "priority",
        "email",
        "phone",
        "role",
        "language",
        "site",
        "contacted_by",
        "outcome",
    ):
        if lead[name]:
            typer.echo(f"  {name}: {lead[name]}")
    for one in (score for came in lead["submissions"] for score in came["scores"]):
        typer.echo(f"  {one['instrument']}: {_score(one)} ({one['note']})")
    for row in lead["deliveries"]:
        due = local(row["sent_at"] or row["due_at"], service, lead["site"])
        why = f": {row['explanation']}" if row["explanation"] else ""
        typer.echo(
            f"  {due}  {row['status']:<11}{row['audience']:<8}{row['channel']:<6}"
            f"{row['step']} {row['occurrence']}{why}"
        )
    for action in lead["actions"]:
        at = local(action["at"], service, lead["site"])
        typer.echo(f"  {at}  {action['verb']} by {action['by']}")


def _score(one: dict[str, Any]) -> str:
    if one["total"] is None:
        return f"no score, without answer {', '.join(map(str, one['missing']))}"
    said = f"{one['total']} of {one['highest']}"
    said += f", {one['band']}" if one["band"] else ""
    return f"{said}, screen {'positive' if one['positive'] else 'negative'}"


@app.command()
def explain(which: Which, as_json: AsJson = False) -> None:
    """Why each message was sent, or was not, and what comes next and when."""
    service = open_store()
    with reading(service.engine) as session:
        lead = find_lead(session, which)
        explained = explaining.explain(session, lead, service.now())
        site = lead.site
    note_seen(service, "seen", lead.id)
    if as_json:
        print_json(explained)
        return
    if explained["held"]:
        typer.echo(f"Held for review. {explained['held']}")
    for row in explained["deliveries"]:
        why = f". {row['explanation']}" if row["explanation"] else ""
        typer.echo(f"{_message(row)}: {row['happened']}{why}")
        for one in row["decisions"]:
            typer.echo(f"  {local(one['at'], service, site)}  {_decision(one, service, site)}")
    if explained["task"]:
        typer.echo(f"To do: call this person. {explained['task']['explanation']}")
    typer.echo("Next:" if explained["next"] else f"Next: nothing; the lead is {lead.status}.")
    for row in explained["next"]:
        why = f". {row['explanation']}" if row["explanation"] else ""
        typer.echo(f"  {local(row['due_at'], service, site)}  {_message(row)}{why}")


def _message(row: dict[str, Any]) -> str:
    kind = "mail" if row["channel"] == "email" else "text"
    to = row["recipient"] or f"the {row['audience']}"
    return f"{row['step']} {row['occurrence']}, {kind} to {to}"


def _decision(one: dict[str, Any], service: Service, site: str) -> str:
    said = one["happened"] + (f". {one['explanation']}" if one["explanation"] else "")
    if one["times"] > 1:
        said += f" ({one['times']} times, last {local(one['last_at'], service, site)})"
    facts = "; ".join(f"{name} {_plain(value)}" for name, value in one["facts"].items())
    return f"{said} [{facts}]" if facts else said


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


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
        lead = find_lead(session, which)
        marked = working.mark_contacted(
            session,
            lead.id,
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
    typer.echo(f"{lead.reference} is contacted; {marked.cancelled} planned deliveries cancelled")
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
            channels=channel or list(Channel),
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
            channels=channel or list(Channel),
            door=Door.command_line,
        )
    typer.echo(f"{lead.reference}: {_channels(channel)} to this person may go again")


def _channels(chosen: list[Channel] | None) -> str:
    return " and ".join(one.value for one in chosen or Channel)


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
