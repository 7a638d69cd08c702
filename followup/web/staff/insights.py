"""Insights: how soon people were called and what became of the messages, as charts, as tables, and
as CSV. Counts alone: nobody who wrote is named, who of the staff called is."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import HTMLResponse
from markupsafe import Markup
from pydantic import BaseModel, ConfigDict

from followup.bootstrap import Service
from followup.domain.audit import Door
from followup.services import auditing, surveying
from followup.services.signing_in import SignedIn
from followup.services.surveying import PERIODS, Table, Unit
from followup.store.db import reading
from followup.web.deps import TheService
from followup.web.problems import Problem
from followup.web.staff.charts import draw
from followup.web.staff.shell import PageRoute, Reader, staff_page

INSIGHTS = "/staff/insights"

router = APIRouter(
    route_class=PageRoute, default_response_class=HTMLResponse, include_in_schema=False
)

#: Excel and others take a cell that begins so for a formula (owasp.org/www-community/attacks/
#: CSV_Injection); an apostrophe before it makes it text.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
#: Excel reads a CSV as Windows-1252 unless it begins with this.
_BYTE_ORDER_MARK = "\ufeff"
_UPRIGHT = ("weekday", "hour")
_NOTHING = "\u2013"


class Asked(BaseModel):
    """The period, in the address so that it can be bookmarked."""

    model_config = ConfigDict(extra="forbid")

    days: Literal["7", "30", "90"] = "30"


class AskedOfOne(Asked):
    what: str


@dataclass(frozen=True)
class Cell:
    """A number for who reads it, and for machines: minutes, percent, or a count."""

    text: str
    value: str


@dataclass(frozen=True)
class Worded:
    """A table in the words of the staff's language."""

    name: str
    columns: list[str]
    #: What the values of each column are counted in, where that is not plain.
    units: list[str]
    rows: list[tuple[str, list[Cell]]]
    #: What the chart's colours stand for, if there is to be one.
    legend: list[str]
    #: None when there is nothing to see.
    chart: Markup | None
    path: str


@router.get(INSIGHTS)
def show_insights(
    service: TheService, reader: Reader, asked: Annotated[Asked, Query()]
) -> Response:
    tables = _survey(service, reader, asked)
    return staff_page(
        service,
        "insights.html",
        reader,
        tables={name: _worded(service, table, asked) for name, table in tables.items()},
        periods=PERIODS,
        days=int(asked.days),
    )


@router.get(f"{INSIGHTS}.csv")
def download(
    service: TheService, reader: Reader, asked: Annotated[AskedOfOne, Query()]
) -> Response:
    """One of the page's tables, with the same numbers."""
    tables = _survey(service, reader, asked)
    if asked.what not in tables:
        raise Problem(404, f"what: must be one of {', '.join(tables)}")
    day = service.now().date().isoformat()
    return Response(
        _csv(_worded(service, tables[asked.what], asked)),
        media_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="{asked.what}-{asked.days}d-{day}.csv"'
        },
    )


def _survey(service: Service, reader: SignedIn, asked: Asked) -> dict[str, Table]:
    now = service.now()
    auditing.note(
        service.engine,
        now,
        "counted",
        by=reader.person.name,
        door=Door.page,
        facts={"days": int(asked.days)},
    )
    with reading(service.engine) as session:
        return surveying.survey(session, service.clinic, now, int(asked.days))


def _words(service: Service) -> Mapping[str, Any]:
    module: Any = service.pages.get_template(
        f"staff/text.{service.clinic.default_language}.html"
    ).module
    words: Mapping[str, Any] = module.t["insights"]
    return words


def _worded(service: Service, table: Table, asked: Asked) -> Worded:
    words = _words(service)
    said = {site.id: site.name for site in service.clinic.sites} if table.name == "site" else {}
    said |= words["rows"].get("classes" if table.name == "waiting" else table.name, {})
    names = [said.get(row, row) or words["unknown"] for row in table.rows]
    cells = [
        [_cell(value, unit) for value, unit in zip(row, table.columns.values(), strict=True)]
        for row in table.rows.values()
    ]
    return Worded(
        table.name,
        columns=[words["columns"][column] for column in table.columns],
        units=[words["units"][unit] for unit in table.columns.values()],
        rows=list(zip(names, cells, strict=True)),
        legend=[words["columns"][column] for column in table.drawn],
        chart=_chart(table, names, words),
        path=f"{INSIGHTS}.csv?what={table.name}&days={asked.days}",
    )


def _chart(table: Table, names: list[str], words: Mapping[str, Any]) -> Markup | None:
    """None where there is nothing to see."""
    places = [list(table.columns).index(column) for column in table.drawn]
    is_percent = Unit.share in {table.columns[column] for column in table.drawn}
    series = {
        words["columns"][column]: [
            (row[place] or 0) * (100 if is_percent else 1) for row in table.rows.values()
        ]
        for column, place in zip(table.drawn, places, strict=True)
    }
    if not any(map(any, series.values())):
        return None
    return draw(
        words["tables"][table.name]["heading"],
        names,
        series,
        upright=table.name in _UPRIGHT,
        percent=is_percent,
    )


def _cell(value: float | None, unit: Unit) -> Cell:
    if value is None:
        return Cell(_NOTHING, "")
    if unit is Unit.share:
        return Cell(f"{value:.0%}", f"{100 * value:.1f}")
    if unit is Unit.seconds:
        return Cell(_short(value), f"{value / 60:.1f}")
    return Cell(f"{value:,.0f}", f"{value:.0f}")


def _short(seconds: float) -> str:
    """`40 s`, `12 min`, `2 h 35 min`, `3 d 4 h`: units that English and Spanish share."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 24 * 60:
        return _two(minutes, 60, "h", "min")
    return _two(round(minutes / 60), 24, "d", "h")


def _two(count: int, per: int, large: str, small: str) -> str:
    whole, rest = divmod(count, per)
    return f"{whole} {large} {rest} {small}" if rest else f"{whole} {large}"


def _csv(table: Worded) -> str:
    lines = StringIO()
    writer = csv.writer(lines)
    heads = [
        f"{column} ({unit})" if unit else column
        for column, unit in zip(table.columns, table.units, strict=True)
    ]
    writer.writerow(map(_harmless, ["", *heads]))
    for name, cells in table.rows:
        writer.writerow([_harmless(name), *(cell.value for cell in cells)])
    return _BYTE_ORDER_MARK + lines.getvalue()


def _harmless(text: str) -> str:
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text
