"""Instants and durations as people say them, in English and Spanish."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from followup.domain.spoken import duration_in_words, promise_in_words

LOS_ANGELES = ZoneInfo("America/Los_Angeles")
TUESDAY = datetime(2026, 12, 1, 9, tzinfo=LOS_ANGELES)


def la(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=LOS_ANGELES).astimezone(UTC)


@pytest.mark.parametrize(
    ("at", "english", "spanish"),
    [
        pytest.param(
            "2026-12-01 16:30", "today by 4:30 PM PST", "hoy antes de las 4:30 PM PST", id="today"
        ),
        pytest.param(
            "2026-12-01 12:00", "today by 12:00 PM PST", "hoy antes de las 12:00 PM PST", id="noon"
        ),
        pytest.param(
            "2026-12-02 00:05",
            "tomorrow by 12:05 AM PST",
            "mañana antes de las 12:05 AM PST",
            id="midnight",
        ),
        pytest.param(
            "2026-12-02 13:00",
            "tomorrow by 1:00 PM PST",
            "mañana antes de la 1:00 PM PST",
            id="at one",
        ),
        pytest.param(
            "2026-12-02 01:15",
            "tomorrow by 1:15 AM PST",
            "mañana antes de la 1:15 AM PST",
            id="past one",
        ),
        pytest.param(
            "2026-12-03 10:00",
            "Thursday by 10:00 AM PST",
            "el jueves antes de las 10:00 AM PST",
            id="in two days",
        ),
        pytest.param(
            "2026-12-07 10:00",
            "Monday by 10:00 AM PST",
            "el lunes antes de las 10:00 AM PST",
            id="in six days",
        ),
        pytest.param(
            "2026-12-08 10:00",
            "Tuesday, December 8 by 10:00 AM PST",
            "el martes 8 de diciembre antes de las 10:00 AM PST",
            id="in a week, which the weekday alone would hide",
        ),
        pytest.param(
            "2026-11-30 10:00",
            "Monday, November 30 by 10:00 AM PST",
            "el lunes 30 de noviembre antes de las 10:00 AM PST",
            id="yesterday, when a promise is late",
        ),
    ],
)
def test_a_promise_is_said_as_people_say_it(at: str, english: str, spanish: str) -> None:
    assert promise_in_words(la(at), TUESDAY, LOS_ANGELES, "en") == english
    assert promise_in_words(la(at), TUESDAY, LOS_ANGELES, "es") == spanish


@pytest.mark.parametrize(
    ("at", "zone", "name"),
    [
        pytest.param("2026-07-01 10:00", "America/Los_Angeles", "PDT", id="in summer"),
        pytest.param("2026-12-01 10:00", "America/New_York", "EST", id="another site"),
        pytest.param("2026-07-01 10:00", "America/Phoenix", "MST", id="without summer time"),
    ],
)
def test_the_hour_names_the_zone_of_the_site(at: str, zone: str, name: str) -> None:
    place = ZoneInfo(zone)
    promised_at = datetime.fromisoformat(at).replace(tzinfo=place)

    said = promise_in_words(promised_at, promised_at, place, "en")

    assert said == f"today by 10:00 AM {name}"


def test_the_day_is_the_one_of_the_site() -> None:
    late_evening = la("2026-12-01 23:30")

    assert late_evening.date() != TUESDAY.date()
    assert promise_in_words(la("2026-12-01 23:59"), late_evening, LOS_ANGELES, "en").startswith(
        "today"
    )


@pytest.mark.parametrize(
    ("waited", "words"),
    [
        (timedelta(minutes=-3), "less than a minute"),
        (timedelta(seconds=59), "less than a minute"),
        (timedelta(minutes=1), "1 minute"),
        (timedelta(minutes=15, seconds=59), "15 minutes"),
        (timedelta(minutes=119), "119 minutes"),
        (timedelta(minutes=120), "2 hours"),
        (timedelta(hours=47, minutes=59), "47 hours"),
        (timedelta(hours=48), "2 days"),
        (timedelta(days=30), "30 days"),
    ],
)
def test_a_wait_is_said_in_one_unit(waited: timedelta, words: str) -> None:
    assert duration_in_words(waited) == words
