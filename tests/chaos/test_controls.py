"""The chaos tests can fail: each fault that is put into the services on purpose is found."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from followup.store.db import make_engine
from tests.chaos import controls, machine
from tests.chaos.mortal import open_service
from tests.chaos.oracle import note_changes, read_record, sent_twice
from tests.chaos.race import open_race
from tests.schema import KEYRING, create

Fault = Callable[[pytest.MonkeyPatch], None]
#: Far more examples than any of the faults needed, and short ones: the faults lie near.
EXAMPLES, STEPS = 500, 12


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    url = f"sqlite:///{tmp_path / 'followup.db'}"
    create(url)
    engine = make_engine(url, KEYRING)
    note_changes(engine)
    yield engine
    engine.dispose()


#: With so many more rules the older faults would take long to come about.
BARE, OTHERS = machine.Machine, machine.WithOthers


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("fault", "found", "kind"),
    [
        (controls.expired_lease_means_send_again, "sent twice", BARE),
        (controls.late_acks_alone, "sent twice", BARE),
        # One death, below, finds this one sooner.
        pytest.param(controls.settled_without_asking, "sent twice", BARE, marks=pytest.mark.long),
        (controls.contacted_is_not_checked, "broken promises", BARE),
        # Three things must meet for this one, which takes a minute to come about.
        pytest.param(controls.record_without_fence, "steps back", BARE, marks=pytest.mark.long),
        (controls.merged_goes_on, "broken promises", OTHERS),
        pytest.param(
            controls.obeyed_each_time, "not answered once", OTHERS, marks=pytest.mark.long
        ),
        pytest.param(controls.told_at_most_once, "wrongly told", OTHERS, marks=pytest.mark.long),
        pytest.param(controls.told_for_ever, "wrongly posted", OTHERS, marks=pytest.mark.long),
    ],
)
def test_the_machine_finds(
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    fault: Fault,
    found: str,
    kind: type[machine.Machine],
) -> None:
    fault(monkeypatch)

    with pytest.raises(AssertionError, match=found):
        machine.run(engine, EXAMPLES, STEPS, judged=found, kind=kind)


@pytest.mark.parametrize(
    ("fault", "point"),
    [
        (controls.expired_lease_means_send_again, "sending._record before commit"),
        (controls.settled_without_asking, "call after"),
    ],
)
def test_one_death_finds(
    database_url: str, monkeypatch: pytest.MonkeyPatch, fault: Fault, point: str
) -> None:
    with open_service(database_url) as service:
        service.prepare()
        assert service.live(point, 1)
        # Not before: the process that dies is sound, and the one that finishes is not.
        fault(monkeypatch)
        service.finish()

        assert sent_twice(service.desk.engine, read_record(service.sandbox.messages()))


def test_the_races_find_that_contacted_is_not_checked(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    controls.contacted_is_not_checked(monkeypatch)

    with open_race(database_url) as race:
        race.run()

        assert race.late()
