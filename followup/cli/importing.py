"""`followup import`: leads from a spreadsheet, looked at before they are taken."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from followup.cli.opening import AsJson, open_store, print_json, who
from followup.clinic_sources import Naming
from followup.domain.audit import Door
from followup.domain.cadence import Audience
from followup.domain.sheet import Sheet, read_sheet
from followup.domain.submission import Kind
from followup.errors import Fault, Invalid
from followup.services import auditing, importing
from followup.services.importing import Examined

app = typer.Typer()

#: Rows that are shown as they are understood.
SHOWN = 5
_FIELDS = ("name", "email", "phone", "language", "location", "consent_sms", "message")


@app.command("import")
def import_leads(
    file: Annotated[Path, typer.Argument(help="The spreadsheet, saved as CSV")],
    kind: Annotated[Kind, typer.Option(help="As which form's submissions")] = Kind.contact,
    naming: Annotated[
        Path | None,
        typer.Option("--map", help="TOML: which column is which field; else by their names"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Look only; the default.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Take them.")] = False,
    remind: Annotated[
        bool, typer.Option("--remind", help="Alert and remind staff of each, as of any lead.")
    ] = False,
    acknowledge: Annotated[
        bool, typer.Option("--acknowledge", help="And write to the patients, as if they wrote now.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Take leads from a spreadsheet. They are open, on the board; by default nobody is written to.

    Without --yes nothing is taken: it shows how the first rows are understood,
    what is missing and what is there twice. A row that was imported before is not
    taken again. Risk words in a row alert staff all the same. Exit status 1: some
    rows were refused.
    """
    if dry_run and yes:
        raise Invalid(Fault("--dry-run", "expected this or --yes, not both"))
    service = open_store()
    sheet = _read(file)
    mapping = importing.read_naming(naming, service.clinic, kind) if naming else Naming()
    examined = importing.examine(service.engine, service.planner, kind, sheet, mapping)
    audiences = list(Audience) if acknowledge else [Audience.staff] if remind else []
    taken = None
    if yes:
        taken = importing.take(
            service.engine,
            service.clinic,
            kind,
            examined,
            audiences=audiences,
            by=who(),
            now=service.now(),
        )
        auditing.note(
            service.engine,
            service.now(),
            "imported",
            by=who(),
            door=Door.command_line,
            facts={"taken": taken, "rows": len(examined)},
        )
    report = _report(sheet, examined, audiences, taken)
    if as_json:
        print_json(report)
    else:
        for line in _lines(report):
            typer.echo(line)
    if report["refused"]:
        raise typer.Exit(1)


def _read(file: Path) -> Sheet:
    try:
        return read_sheet(file.read_bytes(), str(file))
    except OSError as error:
        problem = f"expected a readable file ({error.strerror})"
        raise Invalid(Fault(str(file), problem)) from None


def _report(
    sheet: Sheet, examined: Sequence[Examined], audiences: Sequence[Audience], taken: int | None
) -> dict[str, Any]:
    read: dict[str, str | None] = dict.fromkeys(sheet.columns)
    for one in examined:
        read |= one.translated.read if one.translated else {}
    welcome = [one for one in examined if one.is_welcome]
    return {
        "dry_run": taken is None,
        "rows": len(examined),
        "new": len(welcome),
        "taken": taken,
        "encoding": sheet.encoding,
        "separator": sheet.separator,
        "columns": read,
        "preview": [{"line": one.row.line, **_shown(one)} for one in welcome[:SHOWN]],
        "missing": {
            field: count
            for field in ("name", "email", "phone", "consent_sms")
            if (count := sum(not _has(one, field) for one in welcome))
        },
        "duplicates": [one.row.line for one in examined if one.is_duplicate],
        "known": [{"line": one.row.line, "leads": list(one.known)} for one in welcome if one.known],
        "refused": [
            {"line": one.row.line, "field": fault.field, "problem": fault.problem}
            for one in examined
            if one.translated is None and not one.is_duplicate
            for fault in one.faults
        ],
        "as_sent": [
            {"line": one.row.line, "field": fault.field, "problem": fault.problem}
            for one in welcome
            if one.translated
            for fault in one.translated.aside
        ],
        "written_to": [audience.value for audience in audiences],
    }


def _shown(one: Examined) -> dict[str, Any]:
    payload = one.translated.payload if one.translated else {}
    return {field: payload[field] for field in _FIELDS if field in payload}


def _has(one: Examined, field: str) -> bool:
    """Whether the row itself brought it."""
    translated = one.translated
    if translated is None:
        return False
    if field == "consent_sms":
        return bool(translated.payload.get(field))
    return field in translated.read.values() and field in translated.payload


def _lines(report: dict[str, Any]) -> Iterator[str]:
    separator = {"\t": "tabs"}.get(report["separator"], report["separator"])
    yield f"{report['rows']} rows ({report['encoding']}, separated by {separator})"
    for column, ours in report["columns"].items():
        yield f"  {column}  ->  {ours or 'kept under its own name'}"
    for row in report["preview"]:
        said = ", ".join(f"{name}: {value}" for name, value in row.items() if name != "line")
        yield f"line {row['line']}: {said}"
    for field, count in report["missing"].items():
        yield f"without {field}: {count}"
    for one in report["known"]:
        yield f"line {one['line']}: has the email or phone of {', '.join(one['leads'])}"
    for one in report["as_sent"]:
        yield f"line {one['line']}: {one['field']}: {one['problem']}; kept as it was written"
    if report["duplicates"]:
        yield f"there before, not taken again: lines {', '.join(map(str, report['duplicates']))}"
    for one in report["refused"]:
        yield f"line {one['line']}: refused: {one['field']}: {one['problem']}"
    yield _written_to(report["written_to"])
    if report["dry_run"]:
        yield f"nothing was taken; {report['new']} would be: add --yes"
    else:
        yield f"taken: {report['taken']}"


def _written_to(audiences: Sequence[str]) -> str:
    match list(audiences):
        case []:
            return (
                "nobody is written to: the leads are open, on the board (--remind, --acknowledge)"
            )
        case ["staff"]:
            return "staff are alerted and reminded; nothing is sent to patients (--acknowledge)"
        case _:
            return "patients get an acknowledgement, and staff are alerted and reminded"
