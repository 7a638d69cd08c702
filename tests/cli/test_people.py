"""`followup erase` and `followup export`: one person's data, asked for, proven gone, given out."""

import io
import json
import stat
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from followup.store.db import reading
from followup.store.models import Action, Lead
from tests.cli.running import ALICE, NOBODY, Run, one_line


def count_leads(engine: Engine) -> int:
    with reading(engine) as session:
        return len(session.scalars(select(Lead)).all())


def test_a_rehearsal_lists_where_copies_are_and_changes_nothing(
    run: Run, engine: Engine, lead: str
) -> None:
    ran = run("erase", lead, "--rehearse")

    assert ran.status == 1
    assert ran.out.startswith(f"{lead}: nothing was changed\n")
    assert "  copies: submissions.payload 1\n" in ran.out
    assert "backups" in ran.out
    assert "400 days" in ran.out
    assert "Alice" not in ran.out
    assert count_leads(engine) == 1


def test_a_person_is_erased_and_a_rehearsal_afterwards_finds_nothing(
    run: Run, engine: Engine, lead: str
) -> None:
    ran = run("erase", lead, "--yes", "--json")

    assert ran.status == 0
    assert (ran.json["left"], ran.json["left_at_provider"]) == ({}, 0)
    assert ran.json["removed"]["leads"] == 1
    assert count_leads(engine) == 0
    after = run("erase", "--email", ALICE["email"], "--rehearse")
    assert after.status == 0
    assert "nothing of this person is left here" in after.out


def test_nobody_is_erased_without_being_asked(
    run: Run, engine: Engine, lead: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))

    ran = run("erase", lead)

    assert ran.status == 1
    assert count_leads(engine) == 1


def test_whoever_was_erased_is_said_to_be(run: Run, lead: str) -> None:
    run("erase", lead, "--yes")

    ran = run("erase", lead, "--yes")

    assert ran.status == 1
    assert f"{lead} was erased on" in one_line(ran)


def test_a_reference_that_nobody_has_is_said_to_be(run: Run, engine: Engine) -> None:
    ran = run("export", "Z9Z9")

    assert ran.status == 1
    assert "there is no lead Z9Z9" in one_line(ran)


@pytest.mark.parametrize("command", ["erase", "export"])
def test_a_person_is_named_in_exactly_one_way(run: Run, engine: Engine, command: str) -> None:
    none = run(command)
    two = run(command, NOBODY, "--email", ALICE["email"])

    assert none.status == two.status == 2
    assert "give a reference, or --email, or --phone" in one_line(two)


def test_an_address_that_is_none_is_named(run: Run, engine: Engine) -> None:
    ran = run("erase", "--phone", "12", "--yes")

    assert ran.status == 2
    assert "phone" in one_line(ran)


def test_an_export_is_a_file_for_its_owner_alone(run: Run, lead: str, tmp_path: Path) -> None:
    ran = run("export", lead, "--by", "Ann")

    file = tmp_path / f"export-{lead}.json"
    assert ran.status == 0
    assert "Alice" not in ran.out
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    whole = json.loads(file.read_text())
    assert (whole["exported_by"], whole["leads"][0]["name"]) == ("Ann", "Alice Ng")


def test_an_export_never_takes_the_place_of_a_file(
    run: Run, engine: Engine, lead: str, tmp_path: Path
) -> None:
    file = tmp_path / "there.json"
    file.write_text("mine")

    ran = run("export", lead, "--out", file)

    assert ran.status == 1
    assert "there already" in one_line(ran)
    assert file.read_text() == "mine"
    with reading(engine) as session:
        assert session.scalars(select(Action)).all() == []


def test_an_export_that_cannot_be_written_was_not_given_out(
    run: Run, engine: Engine, lead: str, tmp_path: Path
) -> None:
    ran = run("export", lead, "--out", tmp_path / "no such place" / "a.json")

    assert ran.status == 2
    assert "--out" in one_line(ran)
    with reading(engine) as session:
        assert session.scalars(select(Action)).all() == []


def test_standard_output_gets_it_when_asked_for(run: Run, lead: str) -> None:
    ran = run("export", "--phone", ALICE["phone"], "--out", "-")

    assert ran.status == 0
    assert ran.json["leads"][0]["reference"] == lead
