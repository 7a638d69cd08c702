"""Commands that look at the whole, and how the API starts: migrate, doctor, api."""

import socket
from pathlib import Path

import pytest
from sqlalchemy import Engine

from followup.config import PREFIX
from tests.cli.running import Run, one_line
from tests.schema import ENCRYPTION_KEYS
from tests.transports.imap_server import ImapServer
from tests.transports.reports import report

#: Every setting that a process needs, but for the store's.
WHOLE = {
    "BROKER_URL": "redis://127.0.0.1:1/0",
    "SECRET_KEYS": "tests-only-" + "0123456789abcdef" * 2,
    "SMTP_URL": "smtp://127.0.0.1:8026",
    "EMAIL_FROM": "hello@example.com",
    "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "TWILIO_AUTH_TOKENS": "token",
    "TWILIO_FROM": "+19495550100",
}


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


def test_doctor_finds_nothing_wrong_with_a_whole_installation(
    run: Run, engine: Engine, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**WHOLE, "BROKER_URL": broker_url}.items():
        monkeypatch.setenv(PREFIX + name, value)

    ran = run("doctor", "--json")

    assert ran.status == 0
    assert ran.json["ok"] is True
    assert {one["check"] for one in ran.json["checks"]} == {
        *("settings", "clinic and templates", "database", "keys", "broker", "providers"),
        *("proxies", "rates"),
    }
    assert run("doctor").out.count("ok  ") == 8


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "1 parts of texts a second (usual for such a sender; "),
        ({"TEXTS_PER_SECOND": "3.75"}, "3.75 parts of texts a second, any mails"),
        ({"MAILS_PER_SECOND": "14"}, ", 14 mails a second"),
        ({"TWILIO_API_URL": "http://127.0.0.1:8025"}, "any parts of texts, any mails"),
    ],
)
def test_doctor_says_at_what_rate_we_send(
    run: Run,
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, str],
    says: str,
) -> None:
    for name, value in {**WHOLE, **settings}.items():
        monkeypatch.setenv(PREFIX + name, value)

    checks = {one["check"]: one["says"] for one in run("doctor", "--json").json["checks"]}

    assert says in checks["rates"]


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


def test_doctor_looks_into_the_mailbox_of_bounces(
    run: Run, short_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ImapServer(short_directory) as server:
        server.put(report())
        monkeypatch.setenv("FOLLOWUP_BOUNCES_URL", server.url)
        assert "ok    bounces: 1 to be read" in run("doctor").out

    gone = run("doctor")
    assert "FAIL  bounces: FOLLOWUP_BOUNCES_URL: the mailbox cannot be reached" in gone.out
    assert "word" not in gone.out


def test_doctor_says_whether_apprise_can_use_the_chats(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOLLOWUP_CHATS", "desk=json://127.0.0.1/hook")
    assert "ok    chats: desk (JSON)" in run("doctor").out

    monkeypatch.setenv("FOLLOWUP_CHATS", "desk=json://127.0.0.1/hook;boss=slack://T1JJ3T3L2")
    wrong = run("doctor").out
    assert "FAIL  chats: FOLLOWUP_CHATS: boss: Apprise cannot use the chat's address" in wrong
    assert "T1JJ3T3L2" not in wrong


def test_doctor_survives_a_setting_that_cannot_be_read(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOLLOWUP_PORT", "http")

    ran = run("doctor")

    assert ran.status == 1
    assert ran.out.startswith("FAIL  settings: FOLLOWUP_PORT ")


@pytest.mark.parametrize(
    ("host", "names"),
    [
        pytest.param("127.0.0.1", "FOLLOWUP_PORT: port {port} on 127.0.0.1 is in use", id="taken"),
        pytest.param("192.0.2.1", "FOLLOWUP_HOST: cannot listen on 192.0.2.1: ", id="not ours"),
        pytest.param("no host", "FOLLOWUP_HOST: cannot listen on no host: ", id="no host"),
    ],
)
def test_an_api_that_cannot_listen_names_the_setting_to_change(
    run: Run, engine: Engine, monkeypatch: pytest.MonkeyPatch, host: str, names: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for name, value in {**WHOLE, "HOST": host, "PORT": str(port)}.items():
            monkeypatch.setenv(PREFIX + name, value)

        ran = run("api")

    assert ran.status == 2
    assert one_line(ran).startswith(f"followup: {names.format(port=port)}")
