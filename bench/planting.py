"""Puts leads and planned reminders into a database of ours in bulk, as planning would have."""

from datetime import datetime


def plant_reminders(
    environment: dict[str, str], count: int, *, channel: str, due_from: datetime, per_second: float
) -> None:
    """So many leads, each with one reminder to staff planned: the first due at `due_from`, then so
    many a second. `environment` is `Stage.our_environment`'s."""
    raise NotImplementedError
