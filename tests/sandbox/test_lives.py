"""Presets and faults become events."""

import pytest
from pydantic import ValidationError

from followup.sandbox.lives import Life


def told(life: Life, status: str = "queued") -> list[tuple[str, int]]:
    """Each status with the number of its callbacks."""
    return [(event.status, event.callbacks) for event in life.explicit().events(status)]


@pytest.mark.parametrize(
    ("life", "first", "statuses", "error_code"),
    [
        ("delivered", "queued", "sending sent delivered", None),
        ("delivered", "accepted", "queued sending sent delivered", None),
        ("delivered", "sent", "delivered", None),
        ("delivered", "delivered", "", None),
        ("undelivered", "queued", "sending sent undelivered", 30003),
        ("undelivered(30006)", "queued", "sending sent undelivered", 30006),
        ("failed(30034)", "queued", "sending failed", 30034),
        ("accepted_then_failed", "accepted", "failed", 21610),
        ("stuck_queued", "accepted", "queued", None),
        ("stuck_sent", "queued", "sending sent", None),
        ("read", "queued", "sending sent delivered read", None),
        ("partially_delivered", "queued", "sending sent partially_delivered", None),
    ],
)
def test_a_preset_is_a_row_of_statuses_and_the_code_comes_last(
    life: str, first: str, statuses: str, error_code: int | None
) -> None:
    events = Life(life=life).explicit().events(first)

    assert [event.status for event in events] == statuses.split()
    assert [event.error_code for event in events[:-1]] == [None] * len(events[:-1])
    assert not events or events[-1].error_code == error_code


@pytest.mark.parametrize(
    ("life", "expected"),
    [
        (Life(), [("sending", 1), ("sent", 1), ("delivered", 1)]),
        (Life(duplicate=2), [("sending", 3), ("sent", 3), ("delivered", 3)]),
        (Life(life="duplicate"), [("sending", 2), ("sent", 2), ("delivered", 2)]),
        (Life(lose="all"), [("sending", 0), ("sent", 0), ("delivered", 0)]),
        (Life(life="lose_callbacks"), [("sending", 0), ("sent", 0), ("delivered", 0)]),
        (Life(lose="terminal"), [("sending", 1), ("sent", 1), ("delivered", 0)]),
        (
            Life(unknown_status="huh"),
            [("sending", 1), ("sent", 1), ("delivered", 1), ("huh", 1)],
        ),
        (
            Life(life="reorder"),
            [
                ("sending", 0),
                ("sent", 0),
                ("delivered", 0),
                ("delivered", 1),
                ("sent", 1),
                ("sending", 1),
            ],
        ),
    ],
)
def test_a_fault_changes_the_callbacks_and_not_the_message(
    life: Life, expected: list[tuple[str, int]]
) -> None:
    changes = [event.status for event in life.explicit().events("queued") if event.changes]

    assert told(life) == expected
    assert changes == ["sending", "sent", "delivered"]


def test_an_own_code_replaces_the_presets() -> None:
    assert Life(life="undelivered", error_code=30007).explicit().life == "undelivered(30007)"


@pytest.mark.parametrize("life", ["", "dead", "delivered(", "dead(30003)"])
def test_an_unknown_life_is_refused(life: str) -> None:
    with pytest.raises(ValidationError, match="expected one of delivered"):
        Life(life=life)
