import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from followup.processes import LineReader, describe_end, end_leftovers, launch, record_processes
from tests.waiting import eventually

WAITS = (sys.executable, "-c", "import signal; signal.pause()")


@pytest.fixture
def left_over() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(WAITS) as process:
        yield process
        process.kill()


def test_a_process_has_a_session_of_its_own() -> None:
    with launch(WAITS, {}) as process:
        assert os.getsid(process.pid) == process.pid != os.getsid(0)
        process.kill()


def test_a_program_that_is_not_there_cannot_be_launched(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        launch((str(tmp_path / "missing"),), {})


def test_what_an_earlier_run_left_over_is_ended(
    tmp_path: Path, left_over: subprocess.Popen[bytes]
) -> None:
    record_processes(tmp_path / "pids", [left_over.pid])

    assert end_leftovers(tmp_path / "pids") == [left_over.pid]

    assert left_over.wait(5) == -signal.SIGKILL
    assert not (tmp_path / "pids").exists()


def test_a_process_that_got_the_id_of_an_ended_one_is_left_alone(
    tmp_path: Path, left_over: subprocess.Popen[bytes]
) -> None:
    (tmp_path / "pids").write_text(f'{{"{left_over.pid}": "Mon Jan  5 09:00:00 2026"}}')

    assert end_leftovers(tmp_path / "pids") == []

    assert left_over.poll() is None


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(None, id="no file"),
        pytest.param("", id="empty file"),
        pytest.param("{}", id="nothing was running"),
        pytest.param('{"999999999": ""}', id="ended when it was recorded"),
    ],
)
def test_nothing_is_ended_when_nothing_was_left_over(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "pids").write_text(content)

    assert end_leftovers(tmp_path / "pids") == []


@pytest.mark.parametrize(
    ("status", "words"),
    [
        pytest.param(0, "ended with status 0", id="done"),
        pytest.param(2, "ended with status 2", id="failed"),
        pytest.param(-9, "was ended by SIGKILL", id="killed"),
        pytest.param(-99, "was ended by signal 99", id="a signal without name"),
    ],
)
def test_an_end_is_told_in_words(status: int, words: str) -> None:
    assert describe_end(status) == words


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([b"one\ntwo\n"], ["one", "two"], id="whole lines"),
        pytest.param([b"o", b"ne\ntw", b"o\n"], ["one", "two"], id="lines in pieces"),
        pytest.param([b"one\r\n\n"], ["one", ""], id="line ends of elsewhere, and empty lines"),
        pytest.param([b"last"], ["last"], id="no line end"),
        pytest.param([b"\xff\xc3\xa9\n"], ["\ufffdé"], id="no text"),
    ],
)
def test_a_pipe_is_read_by_lines(chunks: list[bytes], lines: list[str]) -> None:
    taken: list[str] = []
    reading, writing = os.pipe()
    with open(reading, "rb", buffering=0) as stream:  # noqa: PTH123 - a descriptor, no path
        reader = LineReader(stream, taken.append)

        for chunk in chunks:
            os.write(writing, chunk)
            assert reader.read()
        os.close(writing)

        assert not reader.read()
    assert taken == lines


def test_reading_the_rest_does_not_wait_for_a_pipe_that_stays_open() -> None:
    taken: list[str] = []
    reading, writing = os.pipe()
    with open(reading, "rb", buffering=0) as stream:  # noqa: PTH123 - a descriptor, no path
        os.write(writing, b"one\ntwo")

        LineReader(stream, taken.append).read_rest()

    os.close(writing)
    assert taken == ["one", "two"]


def test_a_line_without_end_is_passed_on_in_pieces() -> None:
    with launch((sys.executable, "-c", "print('a' * 150_000)"), {}) as process:
        taken: list[str] = []
        assert process.stdout is not None
        reader = LineReader(process.stdout, taken.append)

        eventually(lambda: not reader.read())

    assert len(taken) > 1
    assert "".join(taken) == "a" * 150_000
