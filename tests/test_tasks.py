"""Doorbells through real brokers and real processes, whatever is killed in between."""

import re
import shutil
import signal
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import pytest
from celery.schedules import crontab
from sqlalchemy import select

from followup import beat, tasks
from followup.celery_settings import BEAT_QUEUE, QUEUES, RING_EXPIRES_SECONDS
from followup.domain.delivery import Status
from followup.store.db import reading
from followup.store.models import Lead
from followup.transports.mail_events import delivery_of
from tests.crew import ROOT, Crew, contact_of
from tests.ear import Ear, listening
from tests.servers import Valkey
from tests.transports.imap_server import ImapServer
from tests.transports.reports import report
from tests.waiting import eventually

BOTH = ["email", "sms"]
PAST = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("rhythm", [beat.RHYTHM, beat.DEMO_RHYTHM])
def test_what_beat_rings_has_a_queue_that_exists_and_fades_when_nobody_listens(
    rhythm: float,
) -> None:
    for entry in beat.beat_table(rhythm).values():
        options = entry["options"]
        assert options["queue"] in (*QUEUES, BEAT_QUEUE)
        schedule = entry["schedule"]
        rest = 3600 if isinstance(schedule, crontab) else max(RING_EXPIRES_SECONDS, schedule)
        assert 0 < options["expires"] <= rest
        assert hasattr(tasks, entry["task"].removeprefix("followup."))


def test_beat_has_every_lane_looked_at_each_second_and_the_upkeep_done_at_times() -> None:
    rings = {
        (entry["task"], entry["options"]["queue"], str(entry["schedule"]))
        for entry in beat.beat_table(beat.RHYTHM).values()
    }

    assert rings == {
        ("followup.ring_due", BEAT_QUEUE, "1.0"),
        ("followup.rescue", "upkeep", "15.0"),
        ("followup.settle", "upkeep", "15.0"),
        ("followup.watch", "upkeep", "15.0"),
        ("followup.heed_left", "upkeep", "15.0"),
        ("followup.summarise", "upkeep", "60.0"),
        ("followup.reconcile", "upkeep", str(crontab(minute="17"))),
        ("followup.finish_erasures", "upkeep", str(crontab(minute="37"))),
        ("followup.prune", "upkeep", str(crontab(hour="9", minute="47"))),
        ("followup.read_bounces", "upkeep", "60.0"),
        ("followup.seal", "upkeep", "5.0"),
        ("followup.tell_head", "upkeep", str(crontab(minute="47"))),
    }


def test_nothing_leans_on_what_a_broker_may_forget() -> None:
    refused = re.compile(r"\b(countdown=|eta=|\.retry\(|\.revoke\(|chord\(|AsyncResult|priority=)")

    for source in (ROOT / "followup").rglob("*.py"):
        assert not refused.search(source.read_text()), source


@pytest.fixture(scope="module")
def broker() -> Iterator[Valkey]:
    """A broker of our own, to be killed and frozen."""
    directory = Path(tempfile.mkdtemp(prefix="fu-"))
    with Valkey(directory) as broker:
        yield broker
    shutil.rmtree(directory)


#: The office's; its secret is these bytes.
KEY = b"k" * 32


@pytest.fixture(scope="module")
def ear() -> Iterator[Ear]:
    """The office's system."""
    with listening() as ear:
        yield ear


@pytest.fixture(scope="module")
def everybody(broker: Valkey, ear: Ear, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    """The API, a worker and two beats, and an office that is told; a test's people are no other
    test's."""
    directory = tmp_path_factory.mktemp("everybody")
    clinic = directory / "clinic.toml"
    office = f'\n[[webhooks]]\nname = "office"\nurl = "{ear.url}"\n'
    clinic.write_text((ROOT / "clinic.toml").read_text() + office)
    settings = {
        "CLINIC_FILE": str(clinic),
        "WEBHOOK_SECRETS": f"office=whsec_{b64encode(KEY).decode()}",
    }
    with Crew(directory, broker.url, settings=settings) as crew:
        crew.start_worker(processes=2)
        crew.start_beat()
        crew.start_beat()
        crew.start_api()
        yield crew


@pytest.fixture
def crew(tmp_path: Path, broker_url: str) -> Iterator[Crew]:
    with Crew(tmp_path, broker_url) as crew:
        yield crew


def test_two_beats_double_nothing(everybody: Crew) -> None:
    for number in range(5):
        everybody.receive(number)

    eventually(lambda: everybody.are_acknowledged(*range(5)), within=60)
    eventually(everybody.is_quiet, within=30)
    assert [everybody.acknowledgements(number) for number in range(5)] == [BOTH] * 5


def test_the_office_is_told_of_each_lead_once_and_signed(everybody: Crew, ear: Ear) -> None:
    everybody.receive(7)
    everybody.receive(8)

    eventually(lambda: everybody.are_acknowledged(7, 8), within=60)
    with reading(everybody.service.engine) as session:
        made = {str(lead_id) for lead_id in session.scalars(select(Lead.id))}
    eventually(lambda: {one.told["data"]["lead_id"] for one in ear.heard} == made, within=30)
    assert len({one.id for one in ear.heard}) == len(ear.heard) == len(made)
    assert all(one.is_signed(KEY) for one in ear.heard)


def test_a_native_redis_carries_the_rings_too(tmp_path: Path, native_redis_url: str) -> None:
    with Crew(tmp_path, native_redis_url) as crew:
        crew.start_worker()
        crew.receive(1)
        crew.ring("followup.consume", queue="intake")

        eventually(lambda: crew.are_acknowledged(1), within=60)
        eventually(crew.is_quiet, within=30)
        assert crew.acknowledgements(1) == BOTH


def test_what_came_in_while_the_broker_was_gone_is_done_when_it_is_back(
    everybody: Crew, broker: Valkey
) -> None:
    broker.kill()
    everybody.receive(5)
    everybody.receive(6)
    before = everybody.acknowledgements(5)
    broker.start()

    eventually(lambda: everybody.are_acknowledged(5, 6), within=60)
    eventually(everybody.is_quiet, within=30)
    assert before == []
    assert [everybody.acknowledgements(number) for number in (5, 6)] == [BOTH] * 2


def test_submissions_are_taken_while_the_broker_is_frozen_and_acknowledged_when_it_is_not(
    everybody: Crew, broker: Valkey
) -> None:
    people = range(10, 60)
    with broker.frozen():
        answers = [everybody.post(number) for number in people]

    assert [status for status, _ in answers] == [202] * 50
    # One that waited for the broker would take as long as its timeout, a second or more; a single
    # answer may be late on a machine that runs several tests at once.
    assert median(took for _, took in answers) < 0.5
    assert max(took for _, took in answers) < 5
    eventually(lambda: everybody.are_acknowledged(*people), within=90)
    eventually(everybody.is_quiet, within=30)
    assert [everybody.acknowledgements(number) for number in people] == [BOTH] * 50


def test_a_worker_that_is_told_to_stop_finishes_what_it_began(crew: Crew) -> None:
    worker = crew.start_worker()
    crew.sandbox.script("slow", to=str(contact_of(1)["phone"]), seconds=2)
    crew.receive(1)
    crew.ring("followup.consume", queue="intake")
    eventually(lambda: _is_sending(crew, 1), within=60)

    worker.signal(signal.SIGTERM)

    assert worker.wait(60) == 0
    assert crew.acknowledgements(1) == BOTH
    assert _status(crew, 1) is Status.accepted


def test_what_a_killed_worker_was_sending_is_asked_about_and_not_sent_again(crew: Crew) -> None:
    worker = crew.start_worker()
    crew.sandbox.script("slow", to=str(contact_of(1)["phone"]), seconds=30)
    crew.receive(1)
    crew.ring("followup.consume", queue="intake")
    eventually(lambda: _is_sending(crew, 1) and len(crew.acknowledgements(1)) == 2, within=60)

    worker.kill_all()
    row = crew.first_text(1)
    assert row is not None
    crew.set_delivery(row, lease_until=PAST)
    crew.start_worker()
    crew.ring("followup.rescue", queue="upkeep")
    eventually(lambda: _status(crew, 1) is Status.unknown, within=30)

    crew.set_delivery(row, ask_at=PAST)
    crew.ring("followup.settle", queue="upkeep")
    settled = (Status.accepted, Status.sent, Status.delivered)
    eventually(lambda: _status(crew, 1) in settled, within=30)

    row = crew.first_text(1)
    assert row is not None
    texts = crew.sandbox.messages(to=str(contact_of(1)["phone"]))
    assert [text.id for text in texts] == [row.provider_id]


def test_a_bounce_that_arrives_by_mail_reaches_its_delivery(
    crew: Crew, short_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ImapServer(short_directory) as server:
        monkeypatch.setenv("FOLLOWUP_BOUNCES_URL", server.url)
        worker = crew.start_worker()
        crew.receive(1)
        crew.ring("followup.consume", queue="intake")
        eventually(lambda: crew.are_acknowledged(1), within=60)
        (mail,) = crew.sandbox.messages(to=str(contact_of(1)["email"]))
        delivery_id = delivery_of(mail.message_id)
        assert delivery_id is not None
        server.put(report(delivery_id))

        crew.ring("followup.read_bounces", queue="upkeep")
        eventually(lambda: crew.status(delivery_id) is Status.undelivered, within=30)

    crew.ring("followup.read_bounces", queue="upkeep")
    eventually(lambda: "the bounces could not be read" in worker.output, within=30)


def _is_sending(crew: Crew, number: int) -> bool:
    return _status(crew, number) is Status.sending


def _status(crew: Crew, number: int) -> Status | None:
    row = crew.first_text(number)
    return row.status if row else None
