"""What a lead would be sent if nobody ever called, by the shipped clinic and cadences."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from followup.clinic import Clinic, read_clinic
from followup.domain.cadence import TO_PATIENTS, Audience, Cadence, Channel
from followup.domain.delivery import Reason
from followup.domain.submission import Kind
from followup.services.simulating import Event, simulate
from followup.templates import Templates

ROOT = Path(__file__).parents[2]
LOS_ANGELES = ZoneInfo("America/Los_Angeles")


def la(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=LOS_ANGELES).astimezone(UTC)


TUESDAY = la("2026-12-01 10:00")
NIGHT = la("2026-12-01 22:00")


@pytest.fixture(scope="module")
def clinic() -> Clinic:
    return read_clinic(ROOT / "clinic.toml")


@pytest.fixture(scope="module")
def cadences(clinic: Clinic) -> dict[str, Cadence]:
    return dict(Templates.read(ROOT / "templates", clinic).cadences)


def events_of(
    clinic: Clinic,
    cadences: dict[str, Cadence],
    *,
    at: datetime = TUESDAY,
    phone: str = "+14155550101",
    days: int = 2,
    kind: Kind = Kind.contact,
) -> list[Event]:
    until = at + timedelta(days=days)
    site = clinic.site(None)
    return simulate(clinic, cadences, kind, site=site, phone=phone, arrived_at=at, until=until)


def told(events: list[Event], step: str, channel: Channel) -> list[tuple[int, str, Reason | None]]:
    return [
        (event.occurrence, f"{event.at.astimezone(LOS_ANGELES):%a %H:%M}", event.reason)
        for event in events
        if event.step == step and event.channel is channel
    ]


@pytest.mark.parametrize("kind", Kind)
def test_a_lead_of_the_morning_is_answered_at_once_and_staff_are_reminded(
    clinic: Clinic, cadences: dict[str, Cadence], kind: Kind
) -> None:
    events = events_of(clinic, cadences, days=1, kind=kind)

    for channel in TO_PATIENTS:
        assert told(events, "acknowledgement", channel) == [(1, "Tue 10:00", None)]
        assert told(events, "alert", channel) == [(1, "Tue 10:00", None)]
        assert told(events, "reminder", channel) == [
            (1, "Tue 10:05", None),
            (2, "Tue 10:15", None),
            (3, "Tue 11:00", None),
            (4, "Tue 13:00", None),
            (5, "Tue 15:00", None),
            (6, "Tue 17:00", None),
        ]


def test_a_lead_of_the_night_is_answered_at_once_and_staff_phones_ring_at_opening(
    clinic: Clinic, cadences: dict[str, Cadence]
) -> None:
    events = events_of(clinic, cadences, at=NIGHT, days=1)

    assert told(events, "acknowledgement", Channel.sms) == [(1, "Tue 22:00", None)]
    assert told(events, "alert", Channel.email) == [(1, "Tue 22:00", None)]
    assert told(events, "alert", Channel.sms) == [(1, "Wed 09:00", None)]
    assert told(events, "reminder", Channel.email)[0] == (1, "Wed 09:05", None)


def test_where_the_clinic_wants_it_the_first_text_waits_for_the_morning_too(
    clinic: Clinic, cadences: dict[str, Cadence]
) -> None:
    patient = clinic.model_copy(update={"ack_sms_in_quiet_hours": False})

    events = events_of(patient, cadences, at=NIGHT, days=1)

    assert told(events, "acknowledgement", Channel.sms) == [(1, "Wed 09:00", None)]
    assert told(events, "acknowledgement", Channel.email) == [(1, "Tue 22:00", None)]


def test_a_later_text_waits_until_it_is_day_where_the_patient_may_be(
    clinic: Clinic, cadences: dict[str, Cadence]
) -> None:
    new_york = events_of(clinic, cadences, phone="+12125550101", at=la("2026-12-01 17:00"), days=3)

    assert told(new_york, "not-forgotten", Channel.email) == [(1, "Wed 17:00", None)]
    assert told(new_york, "not-forgotten", Channel.sms) == [(1, "Thu 09:00", None)]


@pytest.mark.parametrize(
    "phone",
    [
        pytest.param("+18005550199", id="toll-free"),
        pytest.param("+442079460958", id="another country"),
    ],
)
def test_a_number_that_must_not_be_texted_is_told_by_its_reason(
    clinic: Clinic, cadences: dict[str, Cadence], phone: str
) -> None:
    events = events_of(clinic, cadences, phone=phone)

    patient = [event for event in events if event.audience is Audience.patient]
    texts = {event.reason for event in patient if event.channel is Channel.sms}
    mails = {event.reason for event in patient if event.channel is Channel.email}
    assert texts == {Reason.not_textable}
    assert mails == {None}


def test_events_are_in_order_and_end_where_the_look_ends(
    clinic: Clinic, cadences: dict[str, Cadence]
) -> None:
    events = events_of(clinic, cadences, days=5)

    instants = [event.at for event in events]
    assert instants == sorted(instants)
    assert instants[0] >= TUESDAY
    assert instants[-1] <= TUESDAY + timedelta(days=5)


def test_the_same_look_twice_shows_the_same(clinic: Clinic, cadences: dict[str, Cadence]) -> None:
    assert events_of(clinic, cadences) == events_of(clinic, cadences)


def test_an_event_is_told_in_the_zone_of_the_site_with_its_reason() -> None:
    event = Event(NIGHT, "acknowledgement", 1, Audience.patient, Channel.sms, None)
    refused = replace(event, reason=Reason.not_textable)

    assert event.line(LOS_ANGELES).split()[:6] == [
        *("Tue", "2026-12-01", "22:00", "patient", "sms", "acknowledgement")
    ]
    assert event.line(LOS_ANGELES).endswith("sent")
    assert refused.line(LOS_ANGELES).endswith("not sent: This number cannot or must not be texted.")
    assert refused.shown() == {
        "at": "2026-12-02T06:00:00+00:00",
        "step": "acknowledgement",
        "occurrence": 1,
        "audience": "patient",
        "channel": "sms",
        "sent": False,
        "reason": "not_textable",
    }
