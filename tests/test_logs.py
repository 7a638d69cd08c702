"""What processes say: sentences with ids, and never a value that somebody wrote (promise P6)."""

import json
import subprocess
import sys
from typing import Any

import pytest

CONFIGURED = """
import logging, threading, structlog
from followup.config import Settings
from followup.errors import NotFound
from followup.logs import configure_logging
configure_logging(Settings(log_format="json"))
def fail():
    raise ValueError("marked@example.com")
"""


def said_by(code: str) -> list[dict[str, Any]]:
    """The lines of a process that logs as all of ours do, then does this."""
    done = subprocess.run((sys.executable, "-c", CONFIGURED + code), capture_output=True, text=True)
    assert done.stdout == ""
    return [json.loads(line) for line in done.stderr.splitlines()]


SENTENCES = """
structlog.get_logger().warning("a channel is misconfigured", channel="sms")
logging.getLogger("elsewhere").error("a sentence of %s", "another library")
logging.getLogger("celery.app.trace").info("one line a ring")
for vendor in ("twilio.http_client", "urllib3.connectionpool", "httpx", "sqlalchemy.engine"):
    logging.getLogger(vendor).info("To=+14155550101")
structlog.get_logger().debug("too small")
"""


def test_logs_are_json_lines_without_the_noise_of_each_ring_and_without_numbers() -> None:
    lines = said_by(SENTENCES)

    assert [(line["level"], line["event"]) for line in lines] == [
        ("warning", "a channel is misconfigured"),
        ("error", "a sentence of another library"),
    ]
    assert lines[0]["channel"] == "sms"


FAILURES = {
    "ours": "structlog.get_logger().error('it failed', exc_info=True)",
    "a library's": "logging.getLogger('elsewhere').exception('it failed')",
    "a task's": """logging.getLogger("celery.app.trace").error(
        "Task %(name)s raised unexpected: %(exc)s", {"name": "followup.watch", "exc": error},
        exc_info=True, extra={"data": {"name": "followup.watch", "id": "7"}})""",
}


@pytest.mark.parametrize("logs", FAILURES.values(), ids=FAILURES)
def test_an_exception_is_told_by_its_type_and_place_alone(logs: str) -> None:
    (line,) = said_by(f"try: fail()\nexcept ValueError as error: {logs}")

    assert line["event"] == ("a task failed" if "celery" in logs else "it failed")
    assert line["error"] == "ValueError"
    assert line["places"]
    assert "marked" not in json.dumps(line)


def test_our_own_errors_say_what_is_wrong_because_they_name_no_values() -> None:
    ours = "try: raise NotFound('there is no such lead')\nexcept NotFound: "

    (line,) = said_by(ours + "structlog.get_logger().error('it failed', exc_info=True)")

    assert (line["error"], line["problem"]) == ("NotFound", "there is no such lead")


@pytest.mark.parametrize("ends", ["fail()", "t = threading.Thread(target=fail); t.start()"])
def test_an_error_that_nobody_catches_ends_in_the_log_without_its_message(ends: str) -> None:
    (line,) = said_by(ends)

    assert (line["event"], line["error"]) == ("ended by an error", "ValueError")
    assert "marked" not in json.dumps(line)
