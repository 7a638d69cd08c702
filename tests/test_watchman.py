"""The watchman looks round after round, whatever happens, until it is told to stop."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog.testing

from followup.watchman import Watchman
from tests.waiting import eventually


@contextmanager
def watching(look: Callable[[], None], first_round_seconds: float = 0.0) -> Iterator[Watchman]:
    watchman = Watchman(look, round_seconds=0.0, first_round_seconds=first_round_seconds)
    watchman.start()
    try:
        yield watchman
    finally:
        watchman.stop()


def watchmen() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "watchman"]


def test_it_looks_again_and_again() -> None:
    looks: list[int] = []

    with watching(lambda: looks.append(1)):
        eventually(lambda: len(looks) >= 3)


def test_a_look_that_fails_does_not_end_the_watch() -> None:
    looks: list[int] = []

    def fail() -> None:
        looks.append(1)
        raise OSError("the database is gone: alice@example.com")

    with structlog.testing.capture_logs() as logged, watching(fail):
        eventually(lambda: len(looks) >= 3)

    assert {line["error"] for line in logged} == {"OSError"}
    assert "alice" not in str(logged)


def test_it_does_not_look_before_everything_could_have_started() -> None:
    looks: list[int] = []

    with watching(lambda: looks.append(1), first_round_seconds=3600.0):
        assert watchmen()

    assert looks == []


def test_it_is_gone_when_it_was_stopped() -> None:
    looked = threading.Event()

    with watching(looked.set):
        looked.wait(10)

    assert looked.is_set()
    assert watchmen() == []


def test_it_holds_up_no_process_that_ends() -> None:
    with watching(lambda: None, first_round_seconds=3600.0):
        assert all(thread.daemon for thread in watchmen())
