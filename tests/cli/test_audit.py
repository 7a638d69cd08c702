"""`followup audit …`: who saw and changed what, and whether that record is whole."""

import pytest
from sqlalchemy import Engine, text

from followup.store import append_only
from tests.cli.running import Run, one_line


def test_what_was_seen_and_done_is_listed_with_who_and_by_which_door(
    run: Run, engine: Engine, lead: str
) -> None:
    run("leads", "show", lead)
    run("leads", "list")
    run("leads", "attempt", lead, "--by", "Ana")
    run("leads", "contacted", lead, "--by", "Ana")
    run("staff", "add", "--name", "Ben", "--role", "staff")

    listed = run("audit", "list", "--json").json
    said = [(one["verb"], one["door"]) for one in listed]
    assert said == [
        ("staff added", "command line"),
        ("contacted", "command line"),
        ("attempt", "command line"),
        ("listed", "command line"),
        ("seen", "command line"),
    ]
    of_ana = run("audit", "list", "--by", "Ana", "--json").json
    assert [one["verb"] for one in of_ana] == ["contacted", "attempt"]
    of_lead = run("audit", "list", "--lead", lead, "--json").json
    assert [one["verb"] for one in of_lead] == ["contacted", "attempt", "listed", "seen"]
    assert "Ben" in run("audit", "list").out


@pytest.mark.parametrize(("option", "count"), [("--since", 0), ("--until", 1)])
def test_a_list_is_cut_by_time(run: Run, lead: str, option: str, count: int) -> None:
    run("leads", "show", lead)

    listed = run("audit", "list", option, "2100-01-01T00:00:00", "--json").json

    assert len(listed) == count


def test_the_list_of_a_lead_that_is_not_there_is_refused(run: Run, engine: Engine) -> None:
    assert "there is no lead ZZZZ" in one_line(run("audit", "list", "--lead", "ZZZZ"))


def test_a_whole_trail_is_verified_and_a_changed_one_is_not(
    run: Run, engine: Engine, lead: str
) -> None:
    run("leads", "show", lead)
    run("leads", "attempt", lead)
    whole = run("audit", "verify", "--json")
    assert (whole.status, whole.json["ok"], whole.json["entries"]) == (0, True, 2)
    assert run("audit", "verify", "--head", whole.json["head"]).status == 0
    with engine.begin() as connection:
        append_only.remove(connection)
        connection.execute(text("UPDATE audit SET verb = 'seem' WHERE verb = 'seen'"))

    changed = run("audit", "verify")

    assert changed.status == 1
    assert "FAIL  entry 1: was changed" in changed.out
    assert run("audit", "verify", "--json").json["flaws"][0]["where"] == "entry 1"


def test_a_head_that_is_none_is_wrong_usage(run: Run, engine: Engine) -> None:
    ran = run("audit", "verify", "--head", "nonsense")

    assert ran.status == 2
    assert "--head: expected" in one_line(ran)
