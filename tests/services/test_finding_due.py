"""What beat's ring finds: whom else to ring."""

from datetime import timedelta

import pytest

from followup.domain.cadence import Audience, Lane
from followup.domain.delivery import Status
from followup.services import sending
from tests.services.cast import ALICE, Desk

SECOND = timedelta(seconds=1)


def find(desk: Desk, rate: float = 1.0) -> tuple[bool, list[Lane]]:
    is_waiting, lanes = sending.find_due(desk.engine, desk.now, rate=rate)
    return is_waiting, list(lanes)


def test_what_came_in_and_then_what_is_owed_at_once_is_found_until_it_is_done(desk: Desk) -> None:
    nobody = find(desk)
    desk.receive(ALICE)
    came = find(desk)
    desk.consume()
    planned = find(desk)
    desk.send()

    assert (nobody, came) == ((False, []), (True, []))
    assert planned == (False, [Lane.ack, Lane.staff])
    assert find(desk) == (False, [])


@pytest.mark.parametrize("rate", [1.0, 720.0])
def test_what_falls_due_before_the_next_ring_is_found_and_nothing_later(
    desk: Desk, rate: float
) -> None:
    lead = desk.submit(ALICE)
    desk.send()
    planned = [row.due_at for row in desk.rows(lead, status=Status.planned)]
    assert desk.rows(lead, status=Status.planned, audience=Audience.staff)
    next_at = min(planned)

    desk.now = next_at - 1.01 * rate * SECOND
    before = find(desk, rate)
    desk.now = next_at - 0.99 * rate * SECOND

    assert before == (False, [])
    assert find(desk, rate) == (False, [Lane.reminder])
