"""One thread at a time does the work, and once more when others came meanwhile."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from followup.gate import Gate

WITHIN = 5


def test_who_comes_alone_does_the_work_once() -> None:
    done: list[int] = []

    Gate().enter(lambda: done.append(1))

    assert done == [1]


def test_the_gate_opens_again_for_later_work() -> None:
    gate, done = Gate(), list[int]()

    gate.enter(lambda: done.append(1))
    gate.enter(lambda: done.append(2))

    assert done == [1, 2]


def test_those_who_come_during_the_work_leave_at_once_and_have_it_done_once_more() -> None:
    gate, begun, may_end = Gate(), threading.Event(), threading.Event()
    runs: list[str] = []

    def work() -> None:
        runs.append(threading.current_thread().name)
        begun.set()
        assert may_end.wait(WITHIN)

    first = threading.Thread(target=gate.enter, args=(work,), name="first")
    first.start()
    assert begun.wait(WITHIN)
    for _ in range(3):
        gate.enter(lambda: runs.append("a second at once"))
    may_end.set()
    first.join(WITHIN)

    assert runs == ["first", "first"]


def test_work_is_never_done_by_two_at_once_and_none_that_was_asked_for_is_missed() -> None:
    gate, taken = Gate(), threading.Lock()
    asked: list[int] = []
    seen = [0]

    def work() -> None:
        assert taken.acquire(blocking=False)
        seen[0] = len(asked)
        taken.release()

    def ask(number: int) -> None:
        asked.append(number)
        gate.enter(work)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(ask, range(400)))

    assert seen[0] == 400


def test_work_that_fails_does_not_shut_the_gate() -> None:
    gate, done = Gate(), list[int]()

    with pytest.raises(ZeroDivisionError):
        gate.enter(lambda: done.append(1 // 0))
    gate.enter(lambda: done.append(1))

    assert done == [1]


def test_what_was_asked_for_during_work_that_fails_is_done() -> None:
    gate, begun, may_end = Gate(), threading.Event(), threading.Event()
    done: list[str] = []

    def work() -> None:
        if not begun.is_set():
            begun.set()
            assert may_end.wait(WITHIN)
            raise ConnectionError
        done.append(threading.current_thread().name)

    first = threading.Thread(target=gate.enter, args=(work,), name="first")
    first.start()
    assert begun.wait(WITHIN)
    gate.enter(lambda: done.append("a second at once"))
    may_end.set()
    first.join(WITHIN)

    assert done == ["first"]


def test_work_that_fails_each_time_fails_for_who_did_it() -> None:
    gate, runs = Gate(), list[int]()

    def work() -> None:
        runs.append(len(runs))
        if len(runs) == 1:
            gate.enter(lambda: None)
        raise ConnectionError(f"failure {len(runs)}")

    with pytest.raises(ConnectionError, match="failure 2"):
        gate.enter(work)

    assert runs == [0, 1]
