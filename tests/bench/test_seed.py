from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import func, inspect, select

from bench import seed
from bench.seed import Crowd
from followup.domain.cadence import Lane
from followup.domain.delivery import Status
from followup.services.sending import BATCH
from followup.store import claims
from followup.store.db import make_engine, reading
from followup.store.models import Base, Decision, Delivery, Lead, Submission
from tests.schema import KEYRING
from tests.services.cast import FRONT_DESK, FRONT_DESK_PHONE, HOUR, Desk, planner
from tests.services.recording import Recording

CROWD = Crowd(open=5, closed=3)


@pytest.fixture
def desk(database_url: str) -> Iterator[Desk]:
    engine = make_engine(database_url, KEYRING)
    with ThreadPoolExecutor(BATCH) as pool:
        yield Desk(engine, Recording(), dict.fromkeys(Lane, pool))
    engine.dispose()


def test_a_crowd_is_owed_and_was_sent_and_nothing_of_it_is_due(desk: Desk) -> None:
    indexes = _indexes(desk)

    seed.fill(desk.engine, planner(), CROWD, desk.now)

    assert _indexes(desk) == indexes
    with reading(desk.engine) as session:
        people = [
            session.scalar(select(func.count()).select_from(one)) for one in (Lead, Submission)
        ]
        by_status = select(Delivery.status, func.count()).group_by(Delivery.status)
        assert people == [8, 8]
        assert dict(session.execute(by_status).all()) == {
            Status.planned: 20,
            Status.delivered: 12,
        }
        assert session.scalar(select(func.count()).select_from(Decision)) == 12
        soon = desk.now + seed.FIRST_DUE_AFTER - timedelta(seconds=1)
        assert not any(claims.look(session, lane, soon)[0] for lane in Lane)


def test_reminders_of_a_crowd_are_sent_when_they_are_made_due(desk: Desk) -> None:
    seed.fill(desk.engine, planner(), CROWD, desk.now)

    assert seed.make_due(desk.engine, desk.now) == 10
    desk.send(Lane.reminder)

    sent = sorted(message.to for message in desk.provider.sent)
    assert sent == [FRONT_DESK_PHONE] * 5 + [FRONT_DESK] * 5


def test_what_is_owed_is_sent_when_it_is_due_and_names_its_lead(desk: Desk) -> None:
    references = seed.owe(desk.engine, planner(), [desk.now, desk.now + HOUR], desk.now)

    desk.send(Lane.reminder)

    (message,) = desk.provider.sent
    assert references[0] in message.subject
    assert message.to == FRONT_DESK


def _indexes(desk: Desk) -> set[tuple[str | None, bool]]:
    found = inspect(desk.engine)
    listed = [one for name in Base.metadata.tables for one in found.get_indexes(name)]
    return {(one["name"], one["unique"]) for one in listed}
