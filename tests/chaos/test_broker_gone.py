"""The broker is gone for ten minutes: submissions are taken all the while; afterwards whoever may
still be written to is, and of the others staff are told."""

import re
import shutil
import uuid
from collections import Counter
from datetime import datetime
from itertools import count
from pathlib import Path
from statistics import quantiles
from threading import Event

import pytest
from sqlalchemy import select

from followup.domain.delivery import REACHED_PROVIDER, Status
from followup.store.db import reading
from followup.store.models import Delivery, Submission, Task
from tests.chaos.clinic import PATIENCE
from tests.crew import ROOT, Crew
from tests.servers import Valkey, find_free_port
from tests.waiting import eventually

_ACKNOWLEDGEMENTS = select(Delivery).where(Delivery.step == "acknowledgement")
_OWED = (Status.planned, Status.sending)

#: Of the clock; real time passes that many times as slowly.
OUTAGE_MINUTES, RATE = 10, 10
#: So that everybody has a number of those that are nobody's, of which an area has a hundred.
PAUSE_SECONDS = 0.65


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    """As ours, but an acknowledgement is worth sending for half of the outage only."""
    folder = tmp_path / "templates"
    shutil.copytree(ROOT / "templates", folder)
    cadence = folder / "contact" / "cadence.toml"
    text = cadence.read_text(encoding="utf-8")
    expires = f'expires = {{ email = "{OUTAGE_MINUTES // 2}m", sms = "{OUTAGE_MINUTES // 2}m" }}'
    changed, times = re.subn(r'expires = \{ email = "12h", sms = "30m" \}', expires, text)
    assert times == 1
    cadence.write_text(changed, encoding="utf-8")
    return folder


@pytest.mark.long
@pytest.mark.timeout(300)
def test_ten_minutes_without_a_broker_lose_nobody(tmp_path: Path, templates: Path) -> None:
    (crew_folder := tmp_path / "crew").mkdir()
    with (
        Valkey(tmp_path, port=find_free_port(), forgetful=True) as broker,
        Crew(crew_folder, broker.url, rate=RATE, templates=templates) as crew,
    ):
        crew.start_worker(processes=2)
        crew.start_beat()
        crew.start_api()
        broker.kill()
        seconds = _submit_for(crew, OUTAGE_MINUTES * 60 / RATE)
        broker.start()
        eventually(lambda: _is_settled(crew, len(seconds)), within=PATIENCE)

        fates = _fates(crew)

    p50, p99 = quantiles(seconds, n=100)[49], quantiles(seconds, n=100)[98]
    print(f"{len(seconds)} taken, p50 {p50:.3f} s, p99 {p99:.3f} s; {dict(fates)}")
    assert set(fates) == {"acknowledged in time", "a task for staff"}, fates
    assert p99 < 1


def _submit_for(crew: Crew, seconds: float) -> list[float]:
    """Somebody writes again and again; how long each was kept waiting."""
    paced, waited = Event(), list[float]()
    for number in count(1):
        if (number - 1) * PAUSE_SECONDS + sum(waited) > seconds:
            break
        status, took = crew.post(number)
        assert status == 202
        waited.append(took)
        paced.wait(PAUSE_SECONDS)
    return waited


def _is_settled(crew: Crew, people: int) -> bool:
    with reading(crew.service.engine) as session:
        leads = session.scalars(select(Submission.lead_id)).all()
        told = session.scalars(select(Task.told_at)).all()
        owed = session.scalars(_ACKNOWLEDGEMENTS.where(Delivery.status.in_(_OWED))).first()
    return len(leads) == people and None not in (*leads, *told) and owed is None


def _fates(crew: Crew) -> Counter[str]:
    """What became of the people: everybody has one good fate, or is named."""
    with reading(crew.service.engine) as session:
        tasks: Counter[uuid.UUID | None] = Counter(session.scalars(select(Task.lead_id)))
        rows = session.scalars(_ACKNOWLEDGEMENTS).all()
        session.expunge_all()
    sent_at = {message.to: message.at for message in crew.sandbox.messages()}
    by_lead: dict[uuid.UUID | None, list[Delivery]] = {}
    for row in rows:
        by_lead.setdefault(row.lead_id, []).append(row)
    return Counter(
        _fate([(row, sent_at.get(row.recipient)) for row in owed], tasks[lead])
        for lead, owed in by_lead.items()
    )


def _fate(owed: list[tuple[Delivery, datetime | None]], tasks: int) -> str:
    """What became of one person's acknowledgements, each with when the provider took it."""
    states = {row.status for row, _ in owed}
    for row, at in owed:
        is_late = row.attempted_at and row.expires_at and row.attempted_at >= row.expires_at
        if is_late or (at is not None) != (row.status in REACHED_PROVIDER):
            return f"{row.status}, begun at {row.attempted_at}, at the provider at {at}"
    if states == {Status.expired} and tasks == 1:
        return "a task for staff"
    return "acknowledged in time" if tasks == 0 else f"{sorted(states)} with {tasks} tasks"
