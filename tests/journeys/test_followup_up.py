"""The whole service as the README starts it: answered in seconds, and whole again after kills."""

import json
import re
import shlex
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from tests.journeys.clinic_day import ROOT
from tests.journeys.doors import FRONT_DESK, Person
from tests.journeys.whole_service import Start, WholeService
from tests.servers import Valkey
from tests.waiting import eventually, is_running

#: What a delivery can be while it may be with the provider: it will be asked about.
IN_QUESTION = {"sending", "unknown"}
ARRIVED = {"accepted", "sent", "delivered"}


def patient(number: int) -> Person:
    """One of many, each with an address and a number of their own."""
    area, last = divmod(number, 100)
    phone = f"+1{_AREAS[area]}55501{last:02}"
    email = f"patient{number}@example.com"
    fields = {"name": f"Patient {number}", "email": email, "phone": phone, "consent_sms": True}
    return Person(fields, phone)


_AREAS = ("415", "213", "310", "408", "510", "619", "650", "707", "714", "818", "909", "916")


@pytest.mark.timeout(200)
def test_the_readmes_two_curls_are_answered_within_five_seconds(start: Start) -> None:
    service = start()

    for path, fields in _curls_of_the_readme():
        assert service.post(path, fields).status == 202

    expected = {"alice@example.com", "+19495550123", "bob@example.com", "+19495550124"}
    eventually(lambda: expected <= {one.to for one in service.sent()}, within=5)
    eventually(lambda: service.sent(FRONT_DESK), within=5)
    counted = Counter(one.to for one in service.sent() if one.to in expected)
    assert set(counted.values()) == {1}


def _curls_of_the_readme() -> list[tuple[str, Any]]:
    """Path and fields of each."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.findall(r"^curl http://127\.0\.0\.1:8000/submissions/.*?}'$", readme, re.M | re.S)
    assert len(found) == 2
    words = [shlex.split(curl) for curl in found]
    return [
        (curl[1].partition(":8000")[2], json.loads(curl[curl.index("-d") + 1])) for curl in words
    ]


@pytest.mark.timeout(300)
def test_without_a_broker_fifty_are_taken_in_time_and_later_all_are_answered_once(
    start: Start, short_directory: Path
) -> None:
    with Valkey(short_directory) as broker:
        service = start(FOLLOWUP_BROKER_URL=broker.url)
        broker.kill()

        patients = [patient(number) for number in range(50)]
        seconds = [_seconds_to_take(service, one) for one in patients]

        assert max(seconds) < 1
        assert service.get("/readyz")["status"] == "degraded"
        assert service.sent(patients[0].email) == []
        broker.start()
        addresses = {address for one in patients for address in (one.email, one.phone)}
        eventually(lambda: addresses <= {one.to for one in service.sent()}, within=60)
        counted = Counter(one.to for one in service.sent() if one.to in addresses)
        assert set(counted.values()) == {1}


def _seconds_to_take(service: WholeService, one: Person) -> float:
    began = time.monotonic()
    service.takes("contact", one)
    return time.monotonic() - began


@pytest.mark.timeout(300)
def test_what_is_killed_comes_back_nothing_is_lost_or_sent_twice_and_no_process_is_left(
    start: Start,
) -> None:
    service = start()
    with _patients_coming_in(service) as taken:
        for name in ("sandbox", "api", "worker", "broker"):
            _kill_and_see_it_at_work_again(service, name, taken)

    _wait_until_nothing_is_owed(service, taken)

    # In this order: what the service holds to have arrived by now must be with the sandbox then.
    leads = [(service.lead_of(submission), one) for submission, one in taken]
    received = Counter(one.to for one in service.sent())
    for lead, one in leads:
        assert lead["email"] == one.email
        for delivery in _acknowledgements(lead):
            allowed = {0, 1} if delivery["status"] in IN_QUESTION else {1}
            became = {name: delivery[name] for name in ("id", "channel", "status", "reason")}
            assert received[delivery["recipient"]] in allowed, became
    left = service.processes()
    assert set(left) == {"broker", "sandbox", "api", "worker"}
    service.supervisor.kill()
    eventually(lambda: not any(is_running(pid) for pid in left.values()))


def _kill_and_see_it_at_work_again(
    service: WholeService, name: str, taken: list[tuple[str, Person]]
) -> None:
    pid = service.processes()[name]
    service.kills(name)
    eventually(lambda: service.processes().get(name, pid) != pid, within=15)
    since = len(taken)
    _, somebody = eventually(lambda: taken[since + 1 : since + 2], within=30)[0]
    eventually(lambda: _mails(service, somebody), within=60)


def _mails(service: WholeService, one: Person) -> list[str]:
    """None while the sandbox is not back."""
    try:
        return service.mails(one.email)
    except OSError:
        return []


@contextmanager
def _patients_coming_in(service: WholeService) -> Iterator[list[tuple[str, Person]]]:
    """Somebody writes five times a second, and tries again until they are told that it was
    taken; the list grows with those who were."""
    taken: list[tuple[str, Person]] = []
    closed = Event()

    def come_in() -> None:
        for number in range(1000):
            if closed.wait(0.2):
                return
            one = patient(number)
            taken.append((_persist(service, one), one))

    with ThreadPoolExecutor(1) as door:
        coming = door.submit(come_in)
        try:
            yield taken
        finally:
            closed.set()
            coming.result(60)


def _persist(service: WholeService, one: Person) -> str:
    """With one key, so that the tries are one submission."""

    def tried() -> str:
        try:
            return service.takes("contact", one, key=one.email)
        except OSError:
            return ""

    return eventually(tried, within=30)


def _wait_until_nothing_is_owed(service: WholeService, taken: list[tuple[str, Person]]) -> None:
    """Until every acknowledgement has reached the sandbox, or is in question."""
    for submission, _ in taken:
        eventually(partial(_is_settled, service, submission), within=60)


def _is_settled(service: WholeService, submission: str) -> bool:
    rows = _acknowledgements(service.lead_of(submission))
    return len(rows) == 2 and all(row["status"] in ARRIVED | IN_QUESTION for row in rows)


def _acknowledgements(lead: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for row in lead["deliveries"] if row["step"] == "acknowledgement"]
