"""`followup leads …`: looks at leads, as the API does; what is done with them is in `acts.py`."""

from typing import Annotated, Any

import typer

from followup.bootstrap import Service
from followup.cli import acts
from followup.cli.acts import Which
from followup.cli.opening import AsJson, find_lead, local, note_seen, open_store, print_json
from followup.domain.lead import LeadStatus, Priority
from followup.services import explaining, reporting
from followup.store import submissions
from followup.store.db import reading

app = typer.Typer(help="Look at leads, and mark what was done.", no_args_is_help=True)
app.add_typer(acts.app)


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
