"""The guard: nothing that a test starts reaches another machine."""

import socket
import subprocess
import sys

import pytest

from tests import loopback


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        pytest.param("127.0.0.1", True, id="loopback"),
        pytest.param("127.8.9.10", True, id="all of its network"),
        pytest.param("::1", True, id="version 6"),
        pytest.param("localhost", True, id="by name"),
        pytest.param(b"localhost", True, id="as bytes"),
        pytest.param("0.0.0.0", True, id="to listen"),  # noqa: S104 - nothing is bound
        pytest.param(None, True, id="to listen, unnamed"),
        pytest.param(socket.gethostname(), True, id="own name"),
        pytest.param("api.twilio.com", False, id="a provider"),
        pytest.param("localhost.example.com", False, id="looks like it"),
        pytest.param("192.0.2.1", False, id="address"),
        pytest.param("10.0.0.1", False, id="neighbour"),
        pytest.param("2001:db8::1", False, id="address of version 6"),
    ],
)
def test_only_this_machine_is_local(host: object, is_local: bool) -> None:
    assert loopback.is_local(host) == is_local


def test_a_connection_to_another_machine_is_refused_and_remembered() -> None:
    with socket.socket() as client, pytest.raises(loopback.Outward):
        client.connect(("192.0.2.1", 443))

    assert loopback.refused == ["socket.connect to '192.0.2.1'"]
    # Otherwise this test would fail, as one whose code swallowed the refusal does.
    loopback.refused.clear()


def test_this_machine_can_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(("localhost", server.getsockname()[1])).close()


def test_a_child_process_is_guarded_too() -> None:
    done = subprocess.run(
        (sys.executable, "-c", "import socket; socket.getaddrinfo('example.com', 443)"),
        capture_output=True,
        text=True,
        check=False,
    )

    assert "a test may not reach another machine" in done.stderr
