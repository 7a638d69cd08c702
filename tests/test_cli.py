"""The command line: what it prints, as text and as JSON, and its exit status of 0, 1 or 2."""

import io
import json
import re
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, select, update

from followup.cli import main
from followup.clinic import read_clinic
from followup.config import PREFIX, Settings
from followup.domain.submission import Kind
from followup.services import intake, staffing
from followup.services.planning import Planner
from followup.store.db import make_engine, reading, transaction
from followup.store.models import Lead, Submission
from followup.store.words import SubmissionStatus
from followup.templates import Templates
from tests.databases import SQLiteDatabases
from tests.schema import ENCRYPTION_KEYS, KEYRING, create

ROOT = Path(__file__).parents[1]
ALICE = {"name": "Alice Ng", "email": "alice@example.com", "phone": "(415) 555-0101"}
TUESDAY = "2026-12-01T10:00"
LOS_ANGELES = ZoneInfo("America/Los_Angeles")
NOBODY = "01900000-0000-7000-8000-000000000000"


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs one command in a directory of its own, with the shipped clinic and nothing set."""
    for name in Settings.model_fields:
        monkeypatch.delenv(PREFIX + name.upper(), raising=False)
    monkeypatch.setenv(f"{PREFIX}CLINIC_FILE", str(ROOT / "clinic.toml"))
    monkeypatch.setenv(f"{PREFIX}TEMPLATES_DIR", str(ROOT / "templates"))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["followup", *map(str, arguments)])
        status = 0
        try:
            main()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        told = capsys.readouterr()
        return Ran(status, told.out, told.err)

    return run


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> SQLiteDatabases:
    return SQLiteDatabases(tmp_path_factory.mktemp("template"), create)


@pytest.fixture
def engine(
    databases: SQLiteDatabases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Engine]:
    """The store that the commands open: SQLite, for what they call is tested on both."""
    database_url = databases.create(tmp_path, with_schema=True)
    monkeypatch.setenv(f"{PREFIX}DATABASE_URL", database_url)
    monkeypatch.setenv(f"{PREFIX}ENCRYPTION_KEYS", ",".join(ENCRYPTION_KEYS))
    made = make_engine(database_url, KEYRING)

    yield made

    made.dispose()


@pytest.fixture(scope="module")
def planner() -> Planner:
    clinic = read_clinic(ROOT / "clinic.toml")
    return Planner(clinic, Templates.read(ROOT / "templates", clinic).cadences, KEYRING)


@pytest.fixture
def lead(engine: Engine, planner: Planner) -> str:
    """The reference of Alice's lead, which came in just now."""
    now = datetime.now(UTC)
    intake.receive(engine, planner.clinic, Kind.contact, ALICE, now=now)
    intake.consume(engine, planner, now)
    with reading(engine) as session:
        return session.execute(select(Lead.reference)).scalar_one()


@pytest.fixture
def ana(engine: Engine) -> str:
    """The token of Ana, who is of the staff."""
    now = datetime.now(UTC)
    with transaction(engine) as session:
        made = staffing.add_person(
            session, KEYRING, name="Ana", role=staffing.StaffRole.admin, now=now
        )
        return made.token


def one_line(ran: Ran) -> str:
    lines = ran.err.splitlines()
    assert len(lines) == 1, ran.err
    assert lines[0].startswith("followup: ")
    assert not ran.out
    return lines[0]


@pytest.mark.parametrize(
    "arguments",
    [
        *[(name,) for name in ("up", "api", "worker", "beat", "migrate", "doctor", "submit")],
        *[(name,) for name in ("replay", "simulate", "sandbox", "leads", "staff", "templates")],
        *[("leads", name) for name in ("list", "show", "contacted", "attempt", "reopen")],
        *[("staff", name) for name in ("add", "list", "disable", "token")],
        *[("templates", name) for name in ("check", "preview", "send-test")],
        (),
    ],
    ids=" ".join,
)
def test_every_command_has_its_help(run: Run, arguments: tuple[str, ...]) -> None:
    ran = run(*arguments, "--help")

    assert ran.status == 0
    assert f"followup {' '.join(arguments)}".strip() in ran.out


@pytest.mark.parametrize(
    "arguments",
    [("rubbish",), ("leads", "rubbish"), ("submit",), ("leads", "list", "--status", "x")],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(run: Run, arguments: tuple[str, ...]) -> None:
    assert run(*arguments).status == 2


@pytest.mark.parametrize("command", ["migrate", "leads list", "api", "worker", "beat", "sandbox"])
def test_what_is_not_set_is_named_in_one_line(run: Run, command: str) -> None:
    ran = run(*command.split())

    assert ran.status == 2
    assert "missing setting" in one_line(ran)


@pytest.mark.parametrize("command", ["leads list", "templates check", "simulate", "api"])
def test_a_wrong_setting_is_named_in_one_line(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("FOLLOWUP_PORT", "http")

    ran = run(*command.split())

    assert ran.status == 2
    assert one_line(ran).startswith("followup: FOLLOWUP_PORT ")


@pytest.mark.parametrize(
    "url",
    ["sqlite:///{directory}/f.db", "postgresql://127.0.0.1:1/followup"],
    ids=["empty", "gone"],
)
def test_a_database_that_cannot_be_used_is_named_in_one_line(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("FOLLOWUP_DATABASE_URL", url.format(directory=tmp_path))
    monkeypatch.setenv("FOLLOWUP_ENCRYPTION_KEYS", ENCRYPTION_KEYS[0])

    ran = run("leads", "list")

    assert ran.status == 2
    assert one_line(ran).startswith("followup: FOLLOWUP_DATABASE_URL: cannot use the database")


def test_migrate_may_be_run_again(run: Run, engine: Engine) -> None:
    assert run("migrate").status == run("migrate").status == 0


def test_commands_find_the_store_of_followup_up(run: Run, tmp_path: Path) -> None:
    (tmp_path / ".followup").mkdir()
    (tmp_path / ".followup" / "up.env").write_text(
        f"FOLLOWUP_DATABASE_URL='sqlite:///{tmp_path}/f.db'\n"
        f"FOLLOWUP_ENCRYPTION_KEYS='{ENCRYPTION_KEYS[0]}'\n"
    )

    assert run("migrate").status == 0
    assert run("leads", "list", "--json").json == []
    assert one_line(run("worker")).startswith("followup: missing settings: FOLLOWUP_DATABASE_URL")


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


def test_leads_are_listed_and_shown(run: Run, lead: str) -> None:
    listed = run("leads", "list", "--json").json
    shown = run("leads", "show", lead, "--json").json

    assert [one["reference"] for one in listed] == [lead]
    assert shown.items() >= listed[0].items()
    assert {"submissions", "consents", "decisions", "deliveries", "actions"} <= shown.keys()
    assert run("leads", "show", shown["id"], "--json").json["reference"] == lead
    assert lead in run("leads", "list").out
    assert "acknowledgement 1" in run("leads", "show", lead).out


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


def test_staff_are_added_with_a_token_that_is_shown_once(run: Run, engine: Engine) -> None:
    ran = run(
        *("staff", "add", "--name", "Ana", "--role", "manager"),
        *("--email", "ana@example.com", "--phone", "(415) 555-0102", "--json"),
    )

    assert ran.json.keys() == {"id", "name", "role", "token"}
    assert (ran.json["name"], ran.json["role"]) == ("Ana", "manager")
    listed = run("staff", "list", "--json")
    assert ran.json["token"] not in listed.out
    assert listed.json == [
        {
            "id": ran.json["id"],
            "name": "Ana",
            "role": "manager",
            "email": "ana@example.com",
            "phone": "+14155550102",
            "disabled": False,
        }
    ]


@pytest.mark.parametrize(
    ("options", "status", "problem"),
    [
        pytest.param(["--name", " "], 2, "name: must have 1 to 200 characters", id="no name"),
        pytest.param(["--name", "Ana"], 1, "there is a person named Ana already", id="taken"),
        pytest.param(["--name", "Ben", "--email", "x"], 2, "email: expected", id="email"),
        pytest.param(["--name", "Ben", "--phone", "x"], 2, "phone: expected", id="phone"),
    ],
)
def test_staff_that_cannot_be_added_are_refused(
    run: Run, ana: str, options: list[str], status: int, problem: str
) -> None:
    ran = run("staff", "add", "--role", "staff", *options)

    assert ran.status == status
    assert problem in one_line(ran)


def test_an_unknown_role_is_wrong_usage(run: Run) -> None:
    assert run("staff", "add", "--name", "Ana", "--role", "owner").status == 2


def test_a_token_is_renewed_until_its_person_is_disabled(
    run: Run, engine: Engine, ana: str
) -> None:
    renewed = run("staff", "token", "--name", "Ana", "--json").json["token"]

    with reading(engine) as session:
        assert staffing.find_by_token(session, ana) is None
        assert staffing.find_by_token(session, renewed) is not None
    assert run("staff", "disable", "--name", "Ana").status == 0
    with reading(engine) as session:
        assert staffing.find_by_token(session, renewed) is None
    assert run("staff", "token", "--name", "Ana").status == 1


def test_who_is_not_of_the_staff_is_a_no(run: Run, engine: Engine) -> None:
    ran = run("staff", "disable", "--name", "Nobody")

    assert ran.status == 1
    assert "nobody named Nobody" in one_line(ran)


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


def test_the_shipped_templates_have_no_problems(run: Run) -> None:
    assert run("templates", "check").out == "no problems\n"
    assert run("templates", "check", "--json").json == []


def test_a_broken_template_is_named_by_file_and_line(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    templates = tmp_path / "templates"
    for file in (ROOT / "templates").rglob("*"):
        if file.is_file():
            copy = templates / file.relative_to(ROOT / "templates")
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(file.read_bytes())
    broken = templates / "contact" / "acknowledgement.sms.en.txt"
    broken.write_text("{{ nonsense }}\n")
    monkeypatch.setenv("FOLLOWUP_TEMPLATES_DIR", str(templates))

    ran = run("templates", "check")

    assert ran.status == 1
    assert f"{broken}:1" in ran.out
    assert run("templates", "check", "--json").json


def test_a_message_is_previewed_by_the_renderer_that_sends(run: Run) -> None:
    mail = run("templates", "preview", "contact", "acknowledgement")
    text = run("templates", "preview", "contact", "acknowledgement", "--channel", "sms")
    html = run("templates", "preview", "contact", "acknowledgement", "--html")

    assert mail.out.startswith("Subject: ")
    assert "988" in mail.out
    assert "Subject:" not in text.out
    assert "(949) 555-0100" in text.out
    assert html.out.lstrip().startswith("<")


def test_a_preview_of_what_does_not_exist_is_a_no(run: Run) -> None:
    ran = run("templates", "preview", "contact", "nonsense")

    assert ran.status == 1
    assert "no wording for contact/nonsense" in one_line(ran)


def test_doctor_finds_nothing_wrong_with_a_whole_installation(
    run: Run, engine: Engine, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "BROKER_URL": broker_url,
        "SECRET_KEYS": "tests-only-" + "0123456789abcdef" * 2,
        "SMTP_URL": "smtp://127.0.0.1:8026",
        "EMAIL_FROM": "hello@example.com",
        "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
        "TWILIO_AUTH_TOKENS": "token",
        "TWILIO_FROM": "+19495550100",
    }.items():
        monkeypatch.setenv(PREFIX + name, value)

    ran = run("doctor", "--json")

    assert ran.status == 0
    assert ran.json["ok"] is True
    assert {one["check"] for one in ran.json["checks"]} == {
        *("settings", "clinic and templates", "database", "broker", "providers")
    }
    assert run("doctor").out.count("ok  ") == 5


def test_doctor_names_each_thing_that_is_wrong(run: Run) -> None:
    ran = run("doctor", "--json")

    assert ran.status == 1
    assert ran.json["ok"] is False
    wrong = {one["check"]: one["says"] for one in ran.json["checks"] if not one["ok"]}
    assert wrong.keys() == {"settings", "database", "broker", "providers"}
    assert all("FOLLOWUP_" in says for says in wrong.values())


def test_doctor_tells_of_migrations_that_are_missing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOLLOWUP_DATABASE_URL", f"sqlite:///{tmp_path}/f.db")
    monkeypatch.setenv("FOLLOWUP_ENCRYPTION_KEYS", ENCRYPTION_KEYS[0])

    assert "FAIL  database: migrations are missing" in run("doctor").out


def test_doctor_survives_a_setting_that_cannot_be_read(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOLLOWUP_PORT", "http")

    ran = run("doctor")

    assert ran.status == 1
    assert ran.out.startswith("FAIL  settings: FOLLOWUP_PORT ")
