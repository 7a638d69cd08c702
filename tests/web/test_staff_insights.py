"""The insights: charts, the same numbers as tables and as CSV, in both languages, for managers."""

import csv
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from html import unescape
from io import StringIO
from typing import Any

import pytest
from sqlalchemy import update

from followup.domain.delivery import Reason
from followup.store import entries
from followup.store.db import reading, transaction
from followup.store.models import Person, Submission
from tests.web.caller import Caller
from tests.web.test_staff_board import Browser

Rows = list[list[str]]


def manager(api: Caller) -> Browser:
    browser = Browser(api, "Mia")
    with transaction(api.service.engine) as session:
        session.execute(update(Person).where(Person.name == "Mia").values(role="manager"))
    return browser


def fill(api: Caller) -> None:
    """Alice, reached after seven minutes; Bob, tried; and Carol, who wrote just now."""
    bearer = api.staff("Somebody with a token")
    leads = [
        api.lead(bearer, name=name, email=f"{name}@example.com", phone=f"415 555 010{number}")
        for number, name in enumerate(("Alice", "Bob"), 1)
    ]
    api.send_due()
    api.clock.pass_by(timedelta(minutes=7))
    api.act(bearer, leads[0], "contacted")
    api.act(bearer, leads[1], "attempts")
    api.lead(bearer, "screening", name="Carol", email="c@example.com", phone=None, message=None)


def tables(page: str) -> Iterator[tuple[str, str, Rows]]:
    """Of each section: its name, the address of its CSV, and the table's cells for machines."""
    for name, section in re.findall(
        r'<section [^>]*labelledby="(\w+)">(.*?)</section>', page, re.S
    ):
        found = re.search(r'href="(/staff/insights\.csv[^"]*)"', section)
        if found is None:
            continue
        rows = [
            [unescape(name), *re.findall(r'<data value="([^"]*)">', row)]
            for name, row in re.findall(r'<tr><th scope="row">(.*?)</th>(.*?)</tr>', section, re.S)
        ]
        yield name, unescape(found[1]), rows


def read_csv(text: str) -> Rows:
    return list(csv.reader(StringIO(text.removeprefix("\ufeff"))))


def test_the_csv_has_the_numbers_of_the_table(api_everywhere: Caller) -> None:
    mia = manager(api_everywhere)
    fill(api_everywhere)
    page = mia.get("/staff/insights?days=7").text

    found = list(tables(page))

    assert len(found) == 13, "all but the failures, of which there are none"
    for name, path, rows in found:
        answer = mia.get(path)
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert answer.headers["content-disposition"].startswith(f'attachment; filename="{name}-7d-')
        assert read_csv(answer.text)[1:] == rows, name
    by_name = {name: rows for name, _, rows in found}
    assert by_name["within"][0] == ["In 5 minutes", "0.0", "0.0"]
    assert by_name["times"][0] == ["Median", "7.0", "7.0"]
    assert by_name["classes"][1] == ["5 to 15 minutes", "2", "1"]
    assert by_name["kind"][0][:4] == ["Contact", "2", "2", "1"]
    people = [row[:4] for row in by_name["person"]]
    assert people == [["Nobody yet", "2", "1", "0"], ["Somebody with a token", "1", "1", "1"]]


def test_a_chart_is_a_picture_that_runs_and_fetches_nothing(api: Caller) -> None:
    mia = manager(api)
    fill(api)

    answer = mia.get("/staff/insights")

    pictures = re.findall(r"<svg.*?</svg>", answer.text, re.S)
    assert len(pictures) == 11
    for picture in pictures:
        assert re.match(r'<svg class="chart" viewBox="[\d ]+" role="img" aria-label="\w', picture)
        assert not re.search(r"<(?!/?(?:svg|g|rect|line|text)\b)|style=|href|url\(", picture)
    assert "script-src" not in answer.headers["content-security-policy"]
    assert "Alice" not in answer.text


def test_without_anybody_there_is_no_chart_and_nothing_breaks(api: Caller) -> None:
    page = manager(api).get("/staff/insights?days=90").text

    assert "<svg" not in page
    assert page.count("Nothing in this period.") == 13


@pytest.mark.parametrize("path", ["?days=8", "?days=x", "?from=1", ".csv?what=people", ".csv"])
def test_what_is_spelled_wrong_is_not_found(api: Caller, path: str) -> None:
    assert manager(api).get(f"/staff/insights{path}").status_code == 404


@pytest.mark.parametrize("source", ["=HYPERLINK(1)", "+1", "-1", "@SUM(1)", "\t=1", " =1"])
def test_no_cell_is_a_formula(api: Caller, source: str) -> None:
    """owasp.org/www-community/attacks/CSV_Injection"""
    mia = manager(api)
    fill(api)
    with transaction(api.service.engine) as session:
        session.execute(update(Submission).values(source=source))

    rows = read_csv(mia.get("/staff/insights.csv?what=source").text)

    assert rows[1][0] == f"'{source}"


def test_a_site_that_is_called_like_markup_is_text(api: Caller) -> None:
    mia = manager(api)
    fill(api)
    with transaction(api.service.engine) as session:
        session.execute(update(Submission).values(source="<b>x</b>"))

    page = mia.get("/staff/insights").text

    assert "<b>" not in page
    assert page.count("&lt;b&gt;x&lt;/b&gt;") == 2, "in the chart and in the table"


def test_it_is_read_in_spanish_too(api: Caller) -> None:
    mia = manager(api)
    fill(api)
    service = api.service
    app: Any = api.http.app
    app.state.service = replace(
        service, clinic=service.clinic.model_copy(update={"default_language": "es"})
    )

    page = mia.get("/staff/insights").text
    lines = read_csv(mia.get("/staff/insights.csv?what=times").text)

    assert "Cuánto esperó la gente" in page
    assert not re.search(r"First attempt|Reached|Up to|Waiting", page)
    assert lines[:2] == [
        ["", "Primer intento (min)", "Contactado (min)"],
        ["Mediana", "7.0", "7.0"],
    ]


@pytest.mark.parametrize("language", ["en", "es"])
def test_every_reason_has_its_words(api: Caller, language: str) -> None:
    module: Any = api.service.pages.get_template(f"staff/text.{language}.html").module

    assert set(module.t["insights"]["rows"]["failures"]) >= {reason.value for reason in Reason}


@pytest.mark.parametrize("path", ["", ".csv?what=times"])
def test_it_is_for_managers(api: Caller, path: str) -> None:
    assert Browser(api, "Dana").get(f"/staff/insights{path}").status_code == 403
    assert manager(api).get(f"/staff/insights{path}").status_code == 200


def test_who_looked_is_in_the_trail(api: Caller) -> None:
    mia = manager(api)

    mia.get("/staff/insights?days=7")

    with reading(api.service.engine) as session:
        last = entries.list_entries(session)[0]
    assert (last.verb, last.by, last.door, last.facts) == ("counted", "Mia", "page", {"days": 7})
