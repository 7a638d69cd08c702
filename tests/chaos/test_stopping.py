"""A worker that is told to stop ends soon, and what it had claimed is sent and known."""

import signal
from pathlib import Path

import pytest

from followup.domain.cadence import Lane
from followup.domain.delivery import Status
from tests.crew import Crew
from tests.waiting import eventually

#: Several batches, so that a worker that stops has more to do than it holds.
PEOPLE = range(40)


@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_worker_that_is_told_to_stop_amid_a_backlog_knows_what_became_of_each_claim(
    tmp_path: Path, broker_url: str, pool: str
) -> None:
    with Crew(tmp_path, broker_url) as crew:
        crew.sandbox.script("slow", times=None, seconds=0.5)
        for person in PEOPLE:
            crew.receive(person)
        worker = crew.start_worker(processes=2, pool=pool)
        crew.ring("followup.consume", queue="intake")
        eventually(lambda: crew.count(Status.sending) and crew.count(Status.accepted), within=60)

        worker.signal(signal.SIGTERM)

        assert worker.wait(30) == 0
        assert crew.count(Status.sending, Status.unknown) == 0
        heard = [channel for person in PEOPLE for channel in crew.acknowledgements(person)]
        sent = crew.count(Status.accepted, lane=Lane.ack)
        assert len(heard) == sent > 0
        assert sent + crew.count(Status.planned, lane=Lane.ack) == 2 * len(PEOPLE)
