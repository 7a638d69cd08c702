"""`followup webhooks`: who is told, what nobody received; and what doctor says of them."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from followup.config import PREFIX
from followup.domain.announcement import Event
from followup.store import announcements
from followup.store.db import reading, real_now, transaction
from tests.cli.running import NOBODY, ROOT, Run, one_line

URL = "https://hooks.example.com/followup"
SECRET = "whsec_" + "A" * 32


@pytest.fixture(autouse=True)
def _clinic(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (ROOT / "clinic.toml").read_text()
    table = f'\n[[webhooks]]\nname = "office"\nurl = "{URL}"\n'
    (tmp_path / "clinic.toml").write_text(text + table)
    monkeypatch.setenv(f"{PREFIX}CLINIC_FILE", str(tmp_path / "clinic.toml"))
    monkeypatch.setenv(f"{PREFIX}WEBHOOK_SECRETS", f"office={SECRET}")


@pytest.fixture
def dead(engine: Engine) -> str:
    """The id of what nobody received."""
    announcements.subscribe(engine, {"office": [Event.lead_created]})
    with transaction(engine) as session:
        now = real_now(session)
        announcements.announce(session, Event.lead_created, now, [{"lead_id": None}])
        session.flush()
        announcements.give_up(session, now, "HTTP 500", but=[])
        (row,) = announcements.list_dead(session, 10)
        announcements.stop(session, "office", URL, now)
    return str(row.id)


def test_what_nobody_received_is_listed_and_sent_again(run: Run, engine: Engine, dead: str) -> None:
    (listed,) = run("webhooks", "dead", "--json").json
    assert (listed["id"], listed["event"], listed["problem"]) == (dead, "lead.created", "HTTP 500")
    assert dead in run("webhooks", "dead").out

    assert run("webhooks", "resend", dead).status == 0

    assert run("webhooks", "dead", "--json").json == []
    assert run("webhooks", "list", "--json").json[0]["owed"] == 1
    assert run("webhooks", "resend", NOBODY).status == 1
    assert run("webhooks", "resend", "rubbish").status == 2
    assert run("webhooks", "resend", "all").status == 0


def test_a_stopped_webhook_starts_again(run: Run, engine: Engine, dead: str) -> None:
    assert "stopped" in run("webhooks", "list").out
    assert "said that they are gone: office" in run("doctor").out

    assert run("webhooks", "start", "office").status == 0

    assert run("webhooks", "start", "office").status == 1
    with reading(engine) as session:
        assert announcements.list_stops(session) == []
    assert "ok    webhooks: office: 0 to be told, 1 dead" in run("doctor").out


def test_a_webhook_without_a_secret_is_named(
    run: Run, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}WEBHOOK_SECRETS", f"other={SECRET}")

    assert "FAIL  webhooks: FOLLOWUP_WEBHOOK_SECRETS: no secret for office" in run("doctor").out

    monkeypatch.setenv(f"{PREFIX}WEBHOOK_SECRETS", "office=rubbish")
    assert "FOLLOWUP_WEBHOOK_SECRETS of office must be whsec_" in one_line(run("webhooks", "list"))
