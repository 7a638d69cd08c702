"""`followup import`: a preview, a report, and each row once."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from followup.store import entries
from followup.store.db import reading
from followup.store.models import Submission
from tests.cli.running import Run, one_line

SHEET = """Nombre,Apellidos,Correo electrónico,Teléfono,Notes
Ana,Ruiz,ana@example.org,(949) 555-0199,evenings
Bo,Ames,bo@example.org,not a number,
Ana,Ruiz,ana@example.org,(949) 555-0199,evenings
Cy,,,12,no address
"""
NO_PHONE = "expected a phone number such as (949) 555-0100"


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    path = tmp_path / "leads.csv"
    path.write_text(SHEET, encoding="cp1252")
    return path


def kept(engine: Engine) -> list[Submission]:
    with reading(engine) as session:
        return list(session.scalars(select(Submission).order_by(Submission.id)))


def test_a_preview_shows_how_rows_are_understood_and_takes_nothing(
    run: Run, engine: Engine, sheet: Path
) -> None:
    ran = run("import", sheet)

    assert ran.status == 1
    assert ran.out.splitlines() == [
        "4 rows (cp1252, separated by ,)",
        "  Nombre  ->  name",
        "  Apellidos  ->  name",
        "  Correo electrónico  ->  email",
        "  Teléfono  ->  phone",
        "  Notes  ->  kept under its own name",
        "line 2: name: Ana Ruiz, email: ana@example.org, phone: (949) 555-0199",
        "line 3: name: Bo Ames, email: bo@example.org",
        "without phone: 1",
        "without consent_sms: 2",
        f"line 3: phone: {NO_PHONE}; kept as it was written",
        "there before, not taken again: lines 4",
        "line 5: refused: email: give an email address or a phone number",
        f"line 5: refused: phone: {NO_PHONE}",
        "nobody is written to: the leads are open, on the board (--remind, --acknowledge)",
        "nothing was taken; 2 would be: add --yes",
    ]
    assert kept(engine) == []


def test_an_import_takes_each_row_once_and_is_in_the_audit_trail(
    run: Run, engine: Engine, sheet: Path
) -> None:
    first = run("import", sheet, "--yes", "--json")
    second = run("import", sheet, "--yes", "--json")

    assert (first.json["taken"], second.json["taken"]) == (2, 0)
    assert (first.json["duplicates"], second.json["duplicates"]) == ([4], [2, 3, 4])
    assert {one["line"] for one in first.json["refused"]} == {5}
    ana, bo = kept(engine)
    assert ana.payload == {
        "name": "Ana Ruiz",
        "email": "ana@example.org",
        "phone": "(949) 555-0199",
        "Notes": "evenings",
    }
    assert bo.payload["phone (as sent)"] == "not a number"
    assert (ana.source, ana.evidence["audiences"]) == ("import", [])
    with reading(engine) as session:
        noted = [(one.verb, one.facts["taken"]) for one in entries.list_entries(session)]
    assert sorted(noted) == [("imported", 0), ("imported", 2)]


def test_a_mapping_file_says_which_column_is_what(run: Run, engine: Engine, tmp_path: Path) -> None:
    sheet, naming = tmp_path / "x.csv", tmp_path / "x.toml"
    sheet.write_text("a,b,c\nAna,ana@example.org,agreed\n")
    naming.write_text(
        '[fields]\nname = "a"\nemail = "b"\n'
        '[consent]\nfield = "c"\nsays = ["agreed"]\ntext_version = "2026-11"\n'
    )

    assert run("import", sheet, "--map", naming, "--yes", "--acknowledge").status == 0
    (ana,) = kept(engine)
    assert (ana.payload["name"], ana.payload["consent_sms"]) == ("Ana", True)
    assert ana.evidence["audiences"] == ["patient", "staff"]


@pytest.mark.parametrize(
    ("naming", "problem"),
    [
        ('[fields]\nnmae = "a"', "fields: there is no field nmae"),
        ('[fields]\nname = "z"', "z: the file has no such column; it has a, b"),
        ('[fields]\nconsent_sms = "b"', "consent_sms belongs to [sources.consent]"),
        ('[consent]\nfield = "b"\ntext_version = "1"', "consent.text_version: expected one of"),
        ("[fields", "expected TOML"),
    ],
)
def test_a_wrong_mapping_is_named_in_one_line(
    run: Run, engine: Engine, tmp_path: Path, naming: str, problem: str
) -> None:
    sheet, path = tmp_path / "x.csv", tmp_path / "x.toml"
    sheet.write_text("a,b\nAna,ana@example.org\n")
    path.write_text(naming)

    ran = run("import", sheet, "--map", path)

    assert ran.status == 2
    assert problem in one_line(ran)


def test_what_cannot_be_read_is_named_in_one_line(run: Run, engine: Engine, tmp_path: Path) -> None:
    workbook = tmp_path / "x.xlsx"
    workbook.write_bytes(b"PK\x03\x04")

    assert "is a workbook: save it as CSV" in one_line(run("import", workbook))
    assert "expected a readable file" in one_line(run("import", "missing.csv"))
    assert run("import", workbook, "--yes", "--dry-run").status == 2
