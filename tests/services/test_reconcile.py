"""Texts whose receipt never came are asked about, once a day, until nobody can tell any more."""

from dataclasses import replace
from datetime import timedelta

import pytest

from followup.domain.cadence import Channel, Lane
from followup.domain.delivery import Reason, Status
from followup.errors import TemporaryFailure
from followup.services import settling
from followup.services.sending import BATCH
from followup.store.models import Delivery
from followup.transports.base import Report
from tests.parallel import together
from tests.services.cast import ALICE, BOB, MINUTE, Desk

DAY = timedelta(days=1)


def texted(desk: Desk) -> Delivery:
    """Alice's acknowledgement went by text, and no receipt has come."""
    desk.submit({**ALICE, "email": None})
    desk.send(Lane.ack)
    return now(desk)


def now(desk: Desk) -> Delivery:
    (row,) = desk.rows(step="acknowledgement", channel=Channel.sms)
    return row


def becomes(desk: Desk, row: Delivery, status: Status | None, code: str = "") -> None:
    desk.provider.became = Report(row.provider_id or "", str(status), status, code)


def reconcile(desk: Desk) -> int:
    return settling.reconcile(desk.sender, desk.now)


def test_a_receipt_that_was_lost_is_found_after_a_day(desk: Desk) -> None:
    row = texted(desk)
    becomes(desk, row, Status.delivered)

    desk.now += DAY + MINUTE
    assert reconcile(desk) == 1

    assert desk.provider.looked_up == [row.provider_id]
    assert now(desk).status is Status.delivered
    assert desk.decisions(row)[-1].status is Status.delivered


def test_a_receipt_is_awaited_for_a_day(desk: Desk) -> None:
    texted(desk)

    desk.now += DAY
    assert reconcile(desk) == 0

    assert desk.provider.looked_up == []


@pytest.mark.parametrize("status", [Status.delivered, Status.undelivered, Status.failed])
def test_what_has_come_to_its_end_is_not_asked_about(desk: Desk, status: Status) -> None:
    row = texted(desk)
    desk.report(row, str(status), status)

    desk.now += 2 * DAY
    reconcile(desk)

    assert desk.provider.looked_up == []


@pytest.mark.parametrize(
    "status",
    [None, Status.accepted, Status.sent],
    ids=["a word that we do not know", "accepted", "sent"],
)
def test_a_text_that_is_still_under_way_is_asked_about_once_a_day(
    desk: Desk, status: Status | None
) -> None:
    becomes(desk, texted(desk), status)
    desk.now += DAY + MINUTE

    for _ in range(3):
        reconcile(desk)
    assert len(desk.provider.looked_up) == 1

    desk.let_asking_come()
    reconcile(desk)
    assert len(desk.provider.looked_up) == 2


def test_a_text_is_given_up_after_four_days(desk: Desk) -> None:
    row = texted(desk)
    becomes(desk, row, Status.delivered)

    desk.now += 4 * DAY + MINUTE
    assert reconcile(desk) == 0

    assert desk.provider.looked_up == []
    assert now(desk).status is Status.accepted


@pytest.mark.parametrize(
    "answer", [None, TemporaryFailure("busy", "20429")], ids=["no longer has it", "cannot tell"]
)
def test_an_answer_that_tells_nothing_changes_nothing(
    desk: Desk, answer: TemporaryFailure | None
) -> None:
    texted(desk)
    desk.provider.became = answer
    desk.now += DAY + MINUTE

    assert reconcile(desk) == 0

    assert len(desk.provider.looked_up) == 1
    assert now(desk).status is Status.accepted


def test_a_text_that_is_found_undelivered_climbs_the_ladder(desk: Desk) -> None:
    row = texted(desk)
    becomes(desk, row, Status.undelivered, "30003")
    desk.now += DAY + MINUTE

    reconcile(desk)

    found = now(desk)
    assert (found.status, found.provider_code) == (Status.undelivered, "30003")
    assert found.reason is Reason.undeliverable
    assert [task.delivery_id for task in desk.tasks()] == [row.id]


def test_a_callback_that_comes_meanwhile_is_not_taken_back(desk: Desk) -> None:
    row = texted(desk)
    becomes(desk, row, Status.sent)
    desk.now += DAY + MINUTE
    ask = desk.provider.look_up

    def be_told_meanwhile(provider_id: str) -> Report | None:
        desk.report(row, "delivered", Status.delivered)
        return ask(provider_id)

    desk.provider.look_up = be_told_meanwhile  # type: ignore[method-assign]
    assert reconcile(desk) == 0

    assert now(desk).status is Status.delivered


def test_a_mail_is_never_asked_about(desk: Desk) -> None:
    desk.submit({**ALICE, "phone": None})
    desk.send(Lane.ack)
    desk.now += DAY + MINUTE

    reconcile(desk)

    assert desk.provider.looked_up == []


def test_more_than_a_batch_is_asked_about_in_one_run(desk: Desk) -> None:
    desk.submit(ALICE)
    for row in desk.rows():
        desk.change(row, status=Status.cancelled)
    for number in range(BATCH + 3):
        desk.submit({"name": "P", "phone": f"+1415555{100 + number:04}"})
    desk.send(Lane.ack)
    desk.now += DAY + MINUTE

    reconcile(desk)

    assert len(set(desk.provider.looked_up)) == len(desk.provider.looked_up) == BATCH + 3


def test_many_that_ask_at_once_ask_about_each_text_once(desk: Desk) -> None:
    becomes(desk, texted(desk), None)
    desk.now += DAY + MINUTE

    together(*[lambda: reconcile(desk)] * 4)

    assert len(desk.provider.looked_up) == 1


def test_a_run_that_takes_too_long_leaves_the_rest_to_the_next(desk: Desk) -> None:
    """Upkeep is one process: a provider that takes its time must not keep the watch waiting."""
    for person in (ALICE, BOB):
        desk.submit({**person, "email": None})
    desk.send(Lane.ack)
    desk.now += DAY + MINUTE
    late = iter([0.0])
    desk.sender = replace(desk.sender, monotonic=lambda: next(late, 3600.0))

    reconcile(desk)
    assert len(desk.provider.looked_up) == 1

    late = iter([0.0] * 10)
    reconcile(desk)
    assert len(set(desk.provider.looked_up)) == 2
