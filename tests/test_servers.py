"""The tests' own servers: they keep what they were given, and they do not stay behind."""

import os
import select
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.servers import PostgreSQL, Valkey, find_free_port


def test_a_broker_that_is_killed_comes_back_with_what_was_written(short_directory: Path) -> None:
    with Valkey(short_directory) as broker:
        broker.ask("SET bell rung")
        # Reading back waits for the append-only file, which is written before the next answer.
        broker.ask("GET bell")
        broker.kill()

        broker.start()

        assert broker.ask("EXISTS bell") == ":1"


def test_a_broker_listens_on_a_port_when_asked_to(short_directory: Path) -> None:
    port = find_free_port()

    with Valkey(short_directory, port=port) as broker:
        assert broker.url == f"redis://127.0.0.1:{port}/0"
        assert broker.ask("CONFIG GET port") == "*2"


@pytest.mark.parametrize("version", ["18", "16"])
def test_a_killed_postgresql_comes_back_with_what_was_committed(
    short_directory: Path, version: str
) -> None:
    with PostgreSQL(short_directory, version) as server:
        with psycopg.connect(server.url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 988 AS number")
        server.kill()

        server.start()

        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT number FROM kept").fetchone() == (988,)
            assert connection.info.server_version // 10_000 == int(version)


def test_a_server_that_does_not_start_says_why(short_directory: Path) -> None:
    (short_directory / "appendonlydir").write_text("in the way")

    with pytest.raises(RuntimeError, match="appendonlydir"):
        Valkey(short_directory).start()


@pytest.mark.skipif(sys.platform != "linux", reason="a process as a descriptor is Linux's")
def test_a_killed_test_run_leaves_neither_process_nor_directory() -> None:
    run = subprocess.Popen(
        (sys.executable, "-c", _A_TEST_RUN),
        cwd=Path(__file__).parent.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert run.stdout is not None
    socket_path, keeper = run.stdout.readline().split()
    assert Valkey(Path(socket_path).parent).ask("PING") == "+PONG"
    ended = os.pidfd_open(int(keeper))

    run.kill()
    run.communicate()

    # The descriptor of a process becomes readable when it ends.
    assert select.select([ended], [], [], 10)[0]
    os.close(ended)
    assert not Path(socket_path).parent.parent.exists()


_A_TEST_RUN = """
from tests.keeper import Keeper, ask_for
keeper = Keeper()
url = ask_for("valkey")
print(url.split("//")[1].split("?")[0], keeper.pid, flush=True)
input()
"""
