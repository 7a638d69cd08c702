"""`followup leads`: the lead in all its states, by reference or by id."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, select

from followup.clinic_limits import Limits
from followup.domain.submission import Kind
from followup.services import intake
from followup.services.planning import Planner
from followup.store import leads
from followup.store.db import reading
from followup.store.models import Lead
from tests.cli.running import ALICE, LOS_ANGELES, NOBODY, Run, one_line


def test_leads_are_listed_and_shown(run: Run, lead: str) -> None:
    listed = run("leads", "list", "--json").json
    shown = run("leads", "show", lead, "--json").json

    assert [one["reference"] for one in listed] == [lead]
    assert shown.items() >= listed[0].items()
    assert {"submissions", "consents", "decisions", "deliveries", "actions"} <= shown.keys()
    assert run("leads", "show", shown["id"], "--json").json["reference"] == lead
    assert lead in run("leads", "list").out
    assert "acknowledgement 1" in run("leads", "show", lead).out


def test_a_lead_is_shown_with_the_scores_of_its_answers(
    run: Run, engine: Engine, planner: Planner
) -> None:
    now = datetime.now(UTC)
    answers = {"phq9": [2] * 9, "phq2": [1, 1], "gad7": [0, None] + [3] * 5}
    payload = {"name": "Al", "email": "al@example.com", "answers": answers}
    received = intake.receive(engine, planner.clinic, Kind.screening, payload, now=now)
    intake.consume(engine, planner, now)
    with reading(engine) as session:
        (lead,) = leads.list_leads(session, now, submission=received.submission_id)

    shown = run("leads", "show", lead.reference).out

    assert "PHQ-9: 18 of 27, moderately severe, screen positive" in shown
    assert "PHQ-2: 2 of 6, screen negative" in shown
    assert "GAD-7: no score, without answer 2" in shown
    assert shown.count("(screening, not a diagnosis)") == 3


def test_a_lead_explains_what_comes_next_and_why_nothing_does(run: Run, lead: str) -> None:
    explained = run("leads", "explain", lead)

    assert "Next:\n" in explained.out
    assert "acknowledgement 1, mail to the patient" in explained.out
    assert run("leads", "explain", lead, "--json").json["next"]

    run("leads", "contacted", lead)

    told = run("leads", "explain", lead)
    assert "Next: nothing; the lead is contacted." in told.out
    assert "cancelled. The lead was marked contacted." in told.out
    assert run("leads", "explain", "Z9Z9").status == 1


@pytest.mark.parametrize(
    ("options", "count"),
    [
        pytest.param(["--status", "open"], 1, id="open"),
        pytest.param(["--status", "contacted"], 0, id="contacted"),
        pytest.param(["--overdue"], 0, id="overdue"),
    ],
)
def test_leads_are_filtered(run: Run, lead: str, options: list[str], count: int) -> None:
    assert len(run("leads", "list", *options, "--json").json) == count


@pytest.mark.parametrize(
    ("command", "which"),
    [("show", "Z9Z9"), ("show", NOBODY), ("contacted", "x" * 50), ("attempt", NOBODY)],
)
def test_a_lead_that_does_not_exist_is_a_no(
    run: Run, engine: Engine, command: str, which: str
) -> None:
    ran = run("leads", command, which)

    assert ran.status == 1
    assert one_line(ran) == f"followup: there is no lead {which}"


def test_contacted_cancels_once_and_tells_another_who_was_first(run: Run, lead: str) -> None:
    first = run("leads", "contacted", lead.lower(), "--by", "Ana", "--outcome", "booked", "--json")
    again = run("leads", "contacted", lead, "--by", "Ana", "--json")
    other = run("leads", "contacted", lead, "--by", "Ben")

    assert first.json["lead"].items() >= {"status": "contacted", "outcome": "booked"}.items()
    assert first.json["cancelled"] > 0
    assert first.json["in_flight"] == []
    assert again.json == first.json
    assert other.status == 1
    assert one_line(other) == "followup: already marked contacted by Ana"


def test_an_attempt_rests_the_reminders_and_a_contacted_lead_has_none(run: Run, lead: str) -> None:
    attempted = run("leads", "attempt", lead, "--by", "Ana")
    run("leads", "contacted", lead, "--by", "Ana")

    assert re.match(rf"{lead}: reminders rest until \w{{3}} \d{{4}}-", attempted.out)
    assert run("leads", "attempt", lead, "--by", "Ana").status == 1


def test_reopen_opens_what_is_closed_only(run: Run, lead: str) -> None:
    assert run("leads", "reopen", lead).status == 1
    run("leads", "contacted", lead)

    assert run("leads", "reopen", lead).out == f"{lead} is open again\n"
    assert run("leads", "show", lead, "--json").json["status"] == "open"


def test_a_snooze_lies_ahead(run: Run, lead: str) -> None:
    next_week = (datetime.now(LOS_ANGELES) + timedelta(days=7)).strftime("%Y-%m-%dT10:00:00")

    snoozed = run("leads", "snooze", lead, next_week)
    refused = run("leads", "snooze", lead, "2020-01-01")

    assert (
        f"reminders rest until {datetime.fromisoformat(next_week):%a %Y-%m-%d 10:00}" in snoozed.out
    )
    assert refused.status == 2
    assert one_line(refused).startswith("followup: until: must be in the future")


@pytest.fixture
def held(engine: Engine, planner: Planner) -> str:
    """The reference of a lead that is held."""
    now = datetime.now(UTC)
    person = {**ALICE, "name": "www.win.example"}
    intake.receive(engine, planner.clinic, Kind.contact, person, now=now)
    intake.consume(engine, planner, now, limits=Limits())
    with reading(engine) as session:
        return session.execute(select(Lead.reference)).scalar_one()


def test_a_held_lead_says_why_and_is_released(run: Run, held: str) -> None:
    explained = run("leads", "explain", held).out
    released = run("leads", "release", held, "--by", "Ana")

    assert explained.startswith("Held for review. There is a web address in the name.")
    assert released.out == f"{held} is open\n"
    assert run("leads", "release", held).status == 1


def test_a_held_lead_is_rejected(run: Run, held: str) -> None:
    assert run("leads", "reject", held, "--note", "spam").out == f"{held} is closed\n"


def test_all_held_leads_are_released_or_rejected_at_once(run: Run, held: str) -> None:
    assert run("leads", "reject", "--all", "--held-for", "burst").out == "rejected: 0\n"
    assert run("leads", "release", "--all").out == "released: 1\n"


def test_one_is_named_or_all_are_meant(run: Run, lead: str) -> None:
    for arguments in (("release",), ("reject",), ("release", lead, "--all")):
        ran = run("leads", *arguments)
        assert ran.status == 2
        assert "name one lead, or say --all" in one_line(ran)


def test_what_the_person_said_about_being_written_to_is_recorded(run: Run, lead: str) -> None:
    said = run("leads", "opt-out", lead, "--channel", "sms", "--note", "no texts, please")
    assert said.out == f"{lead}: sms to this person is over\n"
    (held,) = run("leads", "show", lead, "--json").json["suppressions"]
    assert (held["channel"], held["evidence"]) == ("sms", "no texts, please")

    again = run("leads", "opt-in", lead, "--note", "asked for them on the phone")
    assert again.out == f"{lead}: email and sms to this person may go again\n"
    (held,) = run("leads", "show", lead, "--json").json["suppressions"]
    assert held["lifted_at"] is not None
    assert run("leads", "opt-in", lead).status == 2
    assert run("leads", "opt-out", "Z9Z9").status == 1


def test_a_lead_is_noted_given_and_closed(run: Run, lead: str) -> None:
    run("staff", "add", "--name", "Eve", "--role", "staff")

    assert run("leads", "note", lead, "works nights").out == f"{lead}: noted\n"
    assert run("leads", "assign", lead, "--to", "Eve").out == f"{lead}: Eve has it\n"
    assert run("leads", "assign", lead).out == f"{lead}: nobody has it\n"
    closed = run("leads", "close", lead, "wrong_number", "--note", "a bakery").out
    assert closed.startswith(f"{lead} is closed")
    assert run("leads", "show", lead, "--json").json["suppressions"][0]["reason"] == "wrong_number"
    assert run("leads", "assign", lead, "--to", "Nobody").status == 2
