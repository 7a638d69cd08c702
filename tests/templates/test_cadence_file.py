"""A cadence's file becomes steps, or is refused with the step, the key and the line."""

from datetime import timedelta
from pathlib import Path

import pytest

from followup.domain.cadence import Audience, Channel, Clock, Lane
from followup.templates.cadence_file import read_cadence
from followup.templates.problem import Refused

STEP = """\
version = 1
[[steps]]
name = "reminder"
audience = "staff"
channels = ["email", "sms"]
lane = "reminder"
clock = "business"
after = ["5m", "15m"]
then_every = "2h"
escalate_from = 3
"""


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "contact" / "cadence.toml"
    path.parent.mkdir()
    path.write_text(text)
    return path


def test_a_step_is_read_as_it_is_written(tmp_path: Path) -> None:
    cadence = read_cadence(_file(tmp_path, STEP))

    (step,) = cadence.steps
    assert (cadence.name, cadence.version, step.name) == ("contact", 1, "reminder")
    assert (step.audience, step.lane, step.clock) == (Audience.staff, Lane.reminder, Clock.business)
    assert step.channels == (Channel.email, Channel.sms)
    assert step.after == (timedelta(minutes=5), timedelta(minutes=15))
    assert (step.then_every, step.escalate_from) == (timedelta(hours=2), 3)
    assert not step.acknowledges
    assert not step.expires


@pytest.mark.parametrize("name", ["contact", "screening"])
def test_the_shipped_cadences_remind_as_promised(shipped: Path, name: str) -> None:
    cadence = read_cadence(shipped / name / "cadence.toml")

    reminder = cadence.find_step("reminder")
    assert [step.name for step in cadence.steps] == [
        "acknowledgement", "alert", "reminder", "not-forgotten",
    ]  # fmt: skip
    assert reminder is not None
    assert reminder.after == tuple(timedelta(minutes=minutes) for minutes in (5, 15, 60))
    assert (reminder.then_every, reminder.escalate_from) == (timedelta(hours=2), 3)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param("version = 1", "", "version: is missing", id="no version"),
        pytest.param("version = 1", "version = ", "expected TOML", id="syntax"),
        pytest.param('lane = "reminder"', 'lame = "reminder"',
                     ":6: step reminder: lame: there is no such key", id="misspelt key"),
        pytest.param('"email", "sms"]', '"email", "fax"]',
                     ":5: step reminder: channels[1]: expected 'email', 'sms' or 'chat', got 'fax'",
                     id="unknown channel"),
        pytest.param('["email", "sms"]', '["sms", "sms"]',
                     ":2: step reminder: channels and fallback: expected each channel once",
                     id="channel twice"),
        pytest.param('["email", "sms"]', "[]", ":5: step reminder: channels: expected",
                     id="no channel"),
        pytest.param('"5m"', '"soon"', ':8: step reminder: after[0]: expected a duration such as',
                     id="no duration"),
        pytest.param('"5m"', '"15m"', "after: expected delays that grow", id="same delay twice"),
        pytest.param('"2h"', '"0m"', "then_every: expected more than nothing", id="no pause"),
        pytest.param('"2h"', '"1d"', 'after: expected open hours such as "8h", got 1d',
                     id="a day of open time"),
        pytest.param('then_every = "2h"', "", "expires: expected a time for email",
                     id="nothing to end the last occurrence"),
        pytest.param("escalate_from = 3", 'expires = { fax = "2h" }',
                     ":10: step reminder: expires.fax", id="expiry of an unknown channel"),
        pytest.param("escalate_from = 3", "escalate_from = 0", ":10: step reminder: escalate_from",
                     id="no such occurrence"),
        pytest.param("escalate_from = 3", "acknowledges = true",
                     "acknowledges: expected only with", id="staff acknowledged"),
        pytest.param('audience = "staff"', 'audience = "patient"',
                     "escalate_from: expected only with", id="patient escalated"),
        pytest.param('name = "reminder"', 'name = "Reminder 1"',
                     ":3: step Reminder 1: name: expected", id="name that no file can have"),
        pytest.param('name = "reminder"', "", ":2: step number 1: name: is missing", id="no name"),
        pytest.param("[[steps]]", "[steps]", "steps: expected", id="not a list"),
    ],
)  # fmt: skip
def test_a_wrong_cadence_is_refused(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in STEP

    with pytest.raises(Refused) as refused:
        read_cadence(_file(tmp_path, STEP.replace(old, new, 1)))

    assert "contact/cadence.toml" in str(refused.value)
    assert expected in str(refused.value)


def test_two_steps_cannot_have_one_name(tmp_path: Path) -> None:
    twice = STEP + STEP.removeprefix("version = 1\n")

    with pytest.raises(Refused, match="step reminder: name: expected a different one"):
        read_cadence(_file(tmp_path, twice))


# Channels that are tried when none of the others reached the patient.

FALLBACK = """\
version = 1
[[steps]]
name = "acknowledgement"
audience = "patient"
channels = ["sms"]
fallback = ["email"]
lane = "ack"
after = ["0m"]
expires = { sms = "30m", email = "12h" }
"""


def test_a_fallback_is_read_and_has_a_life_of_its_own(tmp_path: Path) -> None:
    (step,) = read_cadence(_file(tmp_path, FALLBACK)).steps

    assert (step.channels, step.fallback) == ((Channel.sms,), (Channel.email,))
    assert step.every_channel == (Channel.sms, Channel.email)
    assert step.expires == {Channel.sms: timedelta(minutes=30), Channel.email: timedelta(hours=12)}


def test_a_step_without_a_fallback_has_none(tmp_path: Path) -> None:
    (step,) = read_cadence(_file(tmp_path, STEP)).steps

    assert step.fallback == ()
    assert step.every_channel == step.channels


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param('fallback = ["email"]', 'fallback = ["sms"]',
                     ":2: step acknowledgement: channels and fallback: expected each channel once",
                     id="its own channel"),
        pytest.param('fallback = ["email"]', 'fallback = ["email", "email"]',
                     "channels and fallback: expected each channel once", id="twice"),
        pytest.param('fallback = ["email"]', 'fallback = ["chat"]',
                     "channels and fallback: expected chat only with audience = 'staff'",
                     id="a patient in the staff's chat"),
        pytest.param('fallback = ["email"]', 'fallback = ["letter"]',
                     ":6: step acknowledgement: fallback[0]: expected 'email', 'sms' or 'chat'",
                     id="unknown channel"),
        pytest.param('fallback = ["email"]', "",
                     "expires and waits_for_opening: expected only the step's own channels",
                     id="a life for a channel that is not there"),
        pytest.param(', email = "12h"', "",
                     "expires: expected a time for email, as the step has a last occurrence",
                     id="a fallback that never ends"),
        pytest.param('audience = "patient"', 'audience = "staff"',
                     "fallback: expected only with audience = 'patient'", id="staff"),
    ],
)  # fmt: skip
def test_a_wrong_fallback_is_refused(tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert old in FALLBACK

    with pytest.raises(Refused) as refused:
        read_cadence(_file(tmp_path, FALLBACK.replace(old, new, 1)))

    assert expected in str(refused.value)
