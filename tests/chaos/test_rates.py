"""All workers together send no more than the rate, whatever becomes of the broker."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select

from followup.domain.cadence import Channel
from followup.domain.delivery import REACHED_PROVIDER, Status
from followup.sandbox.outbox import Message
from followup.store.db import new_id, reading, transaction
from followup.store.models import Delivery
from tests.crew import Crew
from tests.servers import Valkey, find_free_port
from tests.waiting import eventually

#: Parts of texts a second, and as many more at once after a pause.
RATE = BURST = 10
#: In whose name the storm is due, and who submits while it blows.
LEAD, PATIENT = 0, 1
SECOND = timedelta(seconds=1)


@contextmanager
def open_crew(
    directory: Path, database_url: str, settings: Mapping[str, str]
) -> Iterator[tuple[Crew, Valkey]]:
    """Four worker processes and a beat, with a broker that forgets."""
    (home := directory / "crew").mkdir()
    with (
        Valkey(directory, port=find_free_port(), forgetful=True) as broker,
        Crew(home, broker.url, database_url=database_url, settings=settings) as crew,
    ):
        crew.start_worker(processes=4)
        crew.start_beat()
        yield crew, broker


def let_texts_fall_due(crew: Crew, count: int) -> None:
    """To staff, all of one lead."""
    now = crew.service.now()
    names = (
        *("lead_id", "episode", "step", "audience", "channel", "lane"),
        *("recipient", "recipient_hash", "recipient_name"),
    )
    with transaction(crew.service.engine) as session:
        planned = session.scalars(
            select(Delivery).where(Delivery.step == "reminder", Delivery.channel == Channel.sms)
        ).first()
        assert planned is not None
        same = {name: getattr(planned, name) for name in names}
        same |= {"status": Status.planned, "failures": 0, "asked": 0}
        same |= {"arrived_at": now, "due_at": now, "expires_at": now + timedelta(hours=8)}
        rows = [{**same, "id": new_id(), "occurrence": 1000 + number} for number in range(count)]
        session.execute(insert(Delivery), rows)


def count_gone(crew: Crew) -> int:
    """Asked often, of a process that is the provider as well: so by a cheap question."""
    with reading(crew.service.engine) as session:
        statement = select(func.count()).where(
            Delivery.occurrence >= 1000, Delivery.status.in_(REACHED_PROVIDER)
        )
        return session.execute(statement).scalar_one()


def texts(crew: Crew) -> list[Message]:
    return [one for one in crew.sandbox.messages() if one.channel == Channel.sms]


def most_in_a_second(taken: Sequence[Message]) -> int:
    """Parts of texts, by the provider's clock."""
    return max(
        sum(one.segments for one in taken if first.at <= one.at < first.at + SECOND)
        for first in taken
    )


@pytest.mark.briefly_on("postgresql")
@pytest.mark.timeout(300)
def test_without_a_rate_the_same_storm_is_faster_than_it(
    short_directory: Path, database_url: str
) -> None:
    """The control: what the test below sees is the rate's doing, and not the machine's."""
    with open_crew(short_directory, database_url, {}) as (crew, _):
        crew.receive(LEAD)
        eventually(partial(crew.are_acknowledged, LEAD), within=60)
        let_texts_fall_due(crew, 120)
        eventually(lambda: count_gone(crew) == 120, within=180)
        taken = texts(crew)

    assert most_in_a_second(taken) > RATE + BURST + max(one.segments for one in taken) - 1


@pytest.mark.briefly_on("postgresql")
@pytest.mark.timeout(600)
def test_four_worker_processes_keep_to_the_rate_though_the_broker_is_lost_in_the_middle(
    short_directory: Path,
    database_url: str,
    is_long: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    count = 1_000 if is_long else 40
    settings = {"TEXTS_PER_SECOND": str(RATE)}
    with open_crew(short_directory, database_url, settings) as (crew, broker):
        crew.receive(LEAD)
        eventually(partial(crew.are_acknowledged, LEAD), within=60)
        let_texts_fall_due(crew, count)
        eventually(lambda: count_gone(crew) > count / 4, within=60 + count)
        broker.kill()
        crew.receive(PATIENT)
        broker.start()
        eventually(partial(crew.are_acknowledged, PATIENT), within=60)
        left_behind = count - count_gone(crew)
        eventually(lambda: count_gone(crew) == count, within=60 + count)
        taken = texts(crew)

    most, longest = most_in_a_second(taken), max(one.segments for one in taken)
    # A text goes with the token of its first part.
    assert most <= RATE + BURST + longest - 1
    assert len(taken) == len({one.status_callback for one in taken})
    assert left_behind > 0, "the storm was over before it could keep anybody waiting"
    with capsys.disabled():
        parts = sum(one.segments for one in taken)
        seconds = (taken[-1].at - taken[0].at).total_seconds()
        print(f"\n{parts} parts in {seconds:.1f} s, {most} in a second; rate {RATE} + {BURST}")
