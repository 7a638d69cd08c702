"""A backlog of reminders and a mail host that takes its time delay no acknowledgement (P7)."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from statistics import quantiles

import pytest
from sqlalchemy import func, insert, select

from followup.domain.cadence import Audience, Channel, Lane
from followup.domain.delivery import Status
from followup.store.db import new_id, reading, transaction
from followup.store.models import Delivery
from tests.crew import Crew, contact_of
from tests.servers import Valkey
from tests.waiting import eventually

#: In whose name the storm is due; the others submit while it blows.
LEAD, PEOPLE = 0, range(1, 8)
#: Real seconds that the mail host takes for one answer.
SLOWNESS = 20


@pytest.fixture
def crew(tmp_path: Path, short_directory: Path, database_url: str) -> Iterator[Crew]:
    """Each lane with a worker of its own, as in docker-compose.yml."""
    with (
        Valkey(short_directory) as broker,
        Crew(tmp_path, broker.url, database_url=database_url) as crew,
    ):
        yield crew


def start_lanes(crew: Crew) -> None:
    for queues in ("ack", "staff", "reminder", "intake"):
        crew.start(
            "worker", f"--queues={queues}", "--concurrency=1", f"--name={queues}", says=" ready."
        )


def let_reminders_fall_due(crew: Crew, count: int) -> None:
    """Mail to staff, all of one lead: what a long weekend might leave."""
    now = crew.service.now()
    with transaction(crew.service.engine) as session:
        planned = session.scalars(select(Delivery).where(Delivery.step == "reminder")).first()
        assert planned is not None
        same = {
            "lead_id": planned.lead_id,
            "episode": 0,
            "step": "reminder",
            "audience": Audience.staff,
            "channel": Channel.email,
            "lane": Lane.reminder,
            "recipient": planned.recipient,
            "recipient_hash": planned.recipient_hash,
            "status": Status.planned,
            "arrived_at": now,
            "due_at": now,
            "expires_at": now + timedelta(hours=8),
            "failures": 0,
            "asked": 0,
        }
        rows = [{**same, "id": new_id(), "occurrence": 1000 + number} for number in range(count)]
        session.execute(insert(Delivery), rows)


def count_waiting(crew: Crew) -> int:
    with reading(crew.service.engine) as session:
        statement = select(func.count()).where(
            Delivery.status == Status.planned,
            Delivery.lane == Lane.reminder,
            Delivery.due_at <= crew.service.now(),
        )
        return session.execute(statement).scalar_one()


def seconds_to_text(crew: Crew, number: int) -> float | None:
    """From the arrival of the submission until the provider took the text, by one clock."""
    row = crew.first_text(number)
    if row is None or row.sent_at is None:
        return None
    return (row.sent_at - row.arrived_at).total_seconds()


def is_texted(crew: Crew, number: int) -> bool:
    return seconds_to_text(crew, number) is not None


@pytest.mark.briefly_on("postgresql")
@pytest.mark.timeout(300)
def test_a_storm_of_reminders_and_a_slow_mail_host_delay_no_acknowledgement_by_text(
    crew: Crew, is_long: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    crew.receive(LEAD)
    start_lanes(crew)
    crew.start_beat()
    eventually(lambda: crew.are_acknowledged(LEAD), within=60)
    crew.sandbox.mail_script("slow", step="dot", seconds=SLOWNESS, times=100_000)
    let_reminders_fall_due(crew, 10_000 if is_long else 1_000)

    for number in PEOPLE:
        crew.receive(number)
        eventually(partial(is_texted, crew, number), within=60)

    waits = [seconds_to_text(crew, number) or 0 for number in PEOPLE]
    assert count_waiting(crew) > len(PEOPLE), "the storm was over before it could delay anybody"
    assert all(contact_of(number)["phone"] for number in PEOPLE)
    # Loose, for a busy machine; the figure is printed. One mail alone takes longer.
    assert max(waits) < SLOWNESS / 2
    with capsys.disabled():
        p95 = quantiles(waits, n=20, method="inclusive")[-1]
        print(f"\ntext after {p95:.2f} s at p95, with {count_waiting(crew)} reminders waiting")
