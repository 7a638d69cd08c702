"""`followup audit …`: who saw and changed what, and whether that record is as it was written."""

from datetime import datetime
from typing import Annotated, Any

import typer

from followup.bootstrap import Service
from followup.cli.opening import AsJson, find_lead, local, open_store, print_json
from followup.services import auditing
from followup.store import entries
from followup.store.db import reading

app = typer.Typer(help="Who saw and changed what; is that record whole?", no_args_is_help=True)

Instant = Annotated[datetime | None, typer.Option(help="Local time of the default site")]


@app.command()
def verify(
    head: Annotated[
        str | None,
        typer.Option("--head", help="A head that was noted before, which must still be there"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find every entry and every row of evidence that was changed, moved or removed."""
    service = open_store()
    verdict = auditing.verify(service.engine, service.now(), head)
    if as_json:
        print_json(
            {
                "ok": not verdict.flaws,
                "entries": verdict.entries,
                "rows": verdict.rows,
                "head": verdict.head,
                "flaws": [{"where": flaw.where, "says": flaw.says} for flaw in verdict.flaws],
            }
        )
    else:
        for flaw in verdict.flaws:
            typer.echo(f"FAIL  {flaw}")
        typer.echo(f"{verdict.entries} entries, {verdict.rows} rows of evidence")
        typer.echo(f"head: {verdict.head}")
    if verdict.flaws:
        raise typer.Exit(1)


@app.command("list")
def list_entries(
    lead: Annotated[str | None, typer.Option(help="Reference or id of a lead")] = None,
    by: Annotated[str | None, typer.Option("--by", help="What this person did")] = None,
    since: Instant = None,
    until: Instant = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most")] = 200,
    as_json: AsJson = False,
) -> None:
    """What was seen and done, newest first."""
    service = open_store()
    with reading(service.engine) as session:
        whose = find_lead(session, lead) if lead is not None else None
        found = entries.list_entries(
            session,
            lead_id=whose.id if whose else None,
            reference=whose.reference if whose else "",
            by=by,
            since=_in_zone(since, service),
            until=_in_zone(until, service),
            limit=limit,
        )
        shown = [auditing.show_entry(one) for one in found]
    if as_json:
        print_json(shown)
        return
    for one in shown:
        typer.echo(_line(one, service))


def _in_zone(at: datetime | None, service: Service) -> datetime | None:
    return at.replace(tzinfo=service.clinic.site(None).zone) if at else None


def _line(one: dict[str, Any], service: Service) -> str:
    about = " ".join(filter(None, (one["lead_id"] and f"lead {one['lead_id']}", one["row"])))
    facts = "; ".join(f"{name} {value}" for name, value in one["facts"].items())
    return (
        f"{local(one['at'], service, None)}  {one['verb']:<14}"
        f"{one['by'] or 'the service'} ({one['door']})  {about}{'  ' + facts if facts else ''}"
    )
