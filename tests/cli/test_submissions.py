"""Commands about what came in: submit, replay, simulate."""

import io
import json
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, update

from followup.domain.submission import Kind
from followup.domain.suspicion import Suspicion
from followup.services import intake
from followup.services.planning import Planner
from followup.store import entries
from followup.store.db import reading, transaction
from followup.store.models import Submission
from followup.store.words import SubmissionStatus
from tests.cli.running import ALICE, TUESDAY, Run, one_line


def test_a_submission_from_a_file_is_accepted(run: Run, engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "alice.json"
    file.write_text(json.dumps(ALICE))

    ran = run("submit", file, "--json")

    assert ran.status == 0
    assert ran.json["status"] == "accepted"
    assert uuid.UUID(ran.json["submission_id"]).version == 7
    assert run("submit", file).out.startswith("accepted: ")


def test_a_submission_comes_by_standard_input_too(
    run: Run, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(ALICE | {"answers": {}})))

    assert run("submit", "-", "--json").json["status"] == "accepted"


def test_a_key_that_was_used_gives_the_same_answer_or_a_no(
    run: Run, engine: Engine, tmp_path: Path
) -> None:
    alice, bob = tmp_path / "alice.json", tmp_path / "bob.json"
    alice.write_text(json.dumps(ALICE))
    bob.write_text(json.dumps(ALICE | {"name": "Bob"}))

    first = run("submit", alice, "--key", "k", "--json")
    again = run("submit", alice, "--key", "k", "--json")
    other = run("submit", bob, "--key", "k")

    assert first.json == again.json
    assert other.status == 1
    assert "Idempotency-Key" in one_line(other)


RUBBISH = {
    "no JSON": (b"name: Alice", "expected a JSON file"),
    "no text": (b"\xff\xfe\x00", "expected a JSON file"),
    "nothing": (b"", "expected a JSON file"),
    "a list": (b"[]", "expected a JSON object"),
    "a text": (b'"Alice"', "expected a JSON object"),
    "without end": (b"[" * 100_000, "expected a JSON file: it is nested too deep"),
    "a number without end": (b'{"x": ' + b"9" * 5000 + b"}", "expected a JSON file"),
    "wrong fields": (b'{"name": "", "email": "x"}', "name: must not be empty; email: expected"),
    "half a surrogate pair": (
        json.dumps(ALICE | {"\ud800": 1}).encode(),
        r"\ud800: must have a name in valid Unicode",
    ),
    "an unknown consent": (
        json.dumps(ALICE | {"consent_text_version": "1999"}).encode(),
        "consent_text_version: expected one of",
    ),
}


@pytest.mark.parametrize(("content", "problem"), RUBBISH.values(), ids=RUBBISH)
def test_rubbish_is_refused_in_one_line(
    run: Run, engine: Engine, tmp_path: Path, content: bytes, problem: str
) -> None:
    file = tmp_path / "rubbish.json"
    file.write_bytes(content)

    ran = run("submit", file)

    assert ran.status == 2
    assert problem in one_line(ran)


@pytest.mark.parametrize("path", ["missing.json", "."])
def test_a_file_that_cannot_be_read_is_named(run: Run, path: str) -> None:
    ran = run("submit", path)

    assert ran.status == 2
    assert one_line(ran).startswith(f"followup: {path}: expected a JSON file")


def test_replay_hands_over_what_could_not_be_consumed(
    run: Run, engine: Engine, planner: Planner
) -> None:
    now = datetime.now(UTC)
    taken = intake.receive(engine, planner.clinic, Kind.contact, ALICE, now=now)
    with transaction(engine) as session:
        session.execute(update(Submission).values(status=SubmissionStatus.problem))

    first = run("replay", taken.submission_id)
    again = run("replay", taken.submission_id)

    assert (first.status, first.out) == (0, "to be consumed again: 1\n")
    assert (again.status, again.out) == (1, "to be consumed again: 0\n")


def test_replay_of_nothing_is_done(run: Run, engine: Engine) -> None:
    assert run("replay").out == "to be consumed again: 0\n"
    assert run("replay", "rubbish").status == 2


def test_simulate_shows_what_would_be_sent_without_a_database(run: Run) -> None:
    ran = run("simulate", "--at", TUESDAY, "--days", "1", "--json")

    assert ran.status == 0
    assert ran.json[0] == {
        "at": "2026-12-01T10:00:00-08:00",
        "step": "acknowledgement",
        "occurrence": 1,
        "audience": "patient",
        "channel": "email",
        "sent": True,
        "reason": None,
    }
    text = run("simulate", "--at", TUESDAY, "--days", "1", "--kind", "screening").out
    assert text.startswith("Tue 2026-12-01 10:00  patient email acknowledgement 1   sent\n")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--at", "tomorrow"], "--at: expected an instant"),
        (["--phone", "12"], "phone: expected a phone number"),
        (["--site", "nowhere"], "--site: expected one of newport-beach, manhattan-beach"),
    ],
    ids=["instant", "phone", "site"],
)
def test_simulate_names_what_it_cannot_read(run: Run, options: list[str], problem: str) -> None:
    ran = run("simulate", *options)

    assert ran.status == 2
    assert problem in one_line(ran)


@pytest.mark.parametrize("days", ["0", "61", "many"])
def test_simulate_looks_at_most_sixty_days_ahead(run: Run, days: str) -> None:
    assert run("simulate", "--days", days).status == 2


def test_spam_is_listed_and_made_a_lead_of(run: Run, engine: Engine, planner: Planner) -> None:
    now = datetime.now(UTC)
    caught = Suspicion.honeypot
    taken = intake.receive(engine, planner.clinic, Kind.contact, ALICE, now=now, caught=caught)

    listed = run("submissions", "spam").out
    (shown,) = run("submissions", "spam", "--json").json
    with reading(engine) as session:
        noted = [(one.verb, one.facts) for one in entries.list_entries(session)]
    assert noted == [("spam", {"submissions": [shown["id"]]})] * 2
    released = run("submissions", "release", taken.submission_id)

    assert "Alice Ng  A field that people do not see was filled in." in listed
    assert (shown["id"], shown["caught"]) == (str(taken.submission_id), "honeypot")
    assert released.out == f"to be consumed: {taken.submission_id}\n"
    assert run("submissions", "spam").out == ""
    assert run("submissions", "release", taken.submission_id).status == 1


def test_what_could_not_be_worked_on_is_listed_and_rejected(
    run: Run, engine: Engine, planner: Planner
) -> None:
    now = datetime.now(UTC)
    taken = intake.receive(
        engine, planner.clinic, Kind.contact, {}, now=now, source="website", problem="of no use"
    )

    listed = run("submissions", "problems").out
    (shown,) = run("submissions", "problems", "--json").json
    rejected = run("submissions", "reject", taken.submission_id)

    assert "website  of no use" in listed
    assert (shown["id"], shown["source"]) == (str(taken.submission_id), "website")
    assert rejected.out == f"rejected: {taken.submission_id}\n"
    assert run("submissions", "problems").out == ""
    assert run("submissions", "reject", taken.submission_id).status == 1
    assert [one["id"] for one in run("submissions", "spam", "--json").json] == [shown["id"]]
