"""`followup up --fast`: the demo's day, in which reminders come when they were planned."""

import re
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.journeys.clinic_day import ROOT
from tests.journeys.doors import ALICE, BOB, FRONT_DESK, MANAGER, Message
from tests.journeys.whole_service import Start, WholeService
from tests.waiting import eventually

#: By the demo's clock; five seconds of ours.
LATE_AT_MOST = timedelta(hours=1)

_REMINDER = re.compile(r"This is reminder (\d+)\.")


@pytest.mark.long
@pytest.mark.timeout(300)
def test_reminders_come_as_planned_until_marked_and_reopening_repeats_nothing(
    start: Start, tmp_path: Path
) -> None:
    service = start("--fast", FOLLOWUP_CLINIC_FILE=str(_always_open(tmp_path / "clinic.toml")))
    alice, bob = (_reference(service, "contact"), _reference(service, "screening"))

    eventually(lambda: 3 in _reminders(service, MANAGER, alice), within=30)
    marked = service.runs("leads", "contacted", alice)["lead"]
    eventually(lambda: 4 in _reminders(service, FRONT_DESK, bob), within=60)
    silence = datetime.fromisoformat(marked["contacted_at"]) + LATE_AT_MOST
    assert [one for one in _about(service, alice) if one.at > silence] == []

    service.staff_does_to_lead("reopen", marked["id"])
    last = max(_reminders(service, FRONT_DESK, alice))
    eventually(lambda: max(_reminders(service, FRONT_DESK, alice)) > last, within=60)
    _expect_as_planned(service, bob)
    assert len(service.sent(ALICE.email)) == 1
    assert len(service.sent(ALICE.phone)) <= 1
    times = Counter((one.to, one.subject, one.text) for one in _about(service, alice))
    assert set(times.values()) == {1}


def _always_open(path: Path) -> Path:
    """The example clinic without closing time: who knows how late it is when all is started."""
    hours = "\n".join(f'{day} = ["00:00-24:00"]' for day in _WEEK)
    text = (ROOT / "clinic.toml").read_text(encoding="utf-8")
    path.write_text(re.sub(r"(?m)^(\w{3} = .*\n)+", hours + "\n", text), encoding="utf-8")
    return path


_WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _expect_as_planned(service: WholeService, reference: str) -> None:
    """The reminders of a screening that nobody has marked, against the plan of `simulate`.

    Each of the first two is worth sending for less than a second of ours, and may be missing.
    """
    lead = service.runs("leads", "show", reference)
    simulated = service.runs("simulate", "--kind", "screening", "--at", lead["created_at"])
    planned = {
        one["occurrence"]: datetime.fromisoformat(one["at"])
        for one in simulated
        if one["step"] == "reminder"
    }
    came = _reminders(service, FRONT_DESK, reference)
    assert set(range(3, max(came) + 1)) <= set(came)
    assert set(_reminders(service, MANAGER, reference)) == {one for one in came if one >= 3}
    for occurrence, at in came.items():
        assert planned[occurrence] <= at < planned[occurrence] + LATE_AT_MOST


def _reference(service: WholeService, kind: str) -> str:
    """That of the lead of a new submission."""
    submission = service.takes(kind, ALICE if kind == "contact" else BOB)
    found = eventually(lambda: service.leads(submission=submission), within=30)
    return str(found[0]["reference"])


def _reminders(service: WholeService, to: str, reference: str) -> dict[int, datetime]:
    """When each reminder of a lead came to an inbox, by its number."""
    mails = [one for one in _about(service, reference) if one.to == to]
    numbered = [(_REMINDER.search(one.text), one.at) for one in mails]
    return {int(found[1]): at for found, at in numbered if found}


def _about(service: WholeService, reference: str) -> list[Message]:
    return [one for one in service.sent() if reference in one.text]
