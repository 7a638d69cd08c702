"""Instants and durations as people say them, in the languages of the wording."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

_DAYS: Mapping[str, tuple[str, ...]] = {
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "es": ("lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo"),
}
_MONTHS: Mapping[str, tuple[str, ...]] = {
    "en": (
        *("January", "February", "March", "April", "May", "June"),
        *("July", "August", "September", "October", "November", "December"),
    ),
    "es": (
        *("enero", "febrero", "marzo", "abril", "mayo", "junio"),
        *("julio", "agosto", "septiembre", "octubre", "noviembre", "diciembre"),
    ),
}

#: What promises can be said in; another language is added here and in the forms' words.
SPOKEN_LANGUAGES = tuple(_DAYS)


def promise_in_words(at: datetime, now: datetime, zone: ZoneInfo, language: str) -> str:
    """By when, as seen at `now` in the site's zone: `today by 4:30 PM PST`.

    With the zone's name, because who reads it may live in another.
    """
    local = at.astimezone(zone)
    half = "AM" if local.hour < 12 else "PM"
    hour = f"{local.hour % 12 or 12}:{local.minute:02} {half} {local.tzname()}"
    day = _day_in_words(local, now.astimezone(zone), language)
    if language == "es":
        article = "la" if local.hour % 12 == 1 else "las"
        return f"{day} antes de {article} {hour}"
    return f"{day} by {hour}"


def _day_in_words(local: datetime, today: datetime, language: str) -> str:
    distance = (local.date() - today.date()).days
    near = {"en": ("today", "tomorrow"), "es": ("hoy", "mañana")}[language]
    if 0 <= distance < len(near):
        return near[distance]
    weekday = _DAYS[language][local.weekday()]
    if 0 <= distance < 7:
        return weekday if language == "en" else f"el {weekday}"
    return day_in_words(local.date(), language)


def day_in_words(day: date, language: str) -> str:
    """`Monday, November 23`, `el lunes 23 de noviembre`."""
    weekday, month = _DAYS[language][day.weekday()], _MONTHS[language][day.month - 1]
    if language == "es":
        return f"el {weekday} {day.day} de {month}"
    return f"{weekday}, {month} {day.day}"


_UNITS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "en": (("minute", "minutes"), ("hour", "hours"), ("day", "days")),
    "es": (("minuto", "minutos"), ("hora", "horas"), ("día", "días")),
}
_MOMENT: Mapping[str, str] = {"en": "less than a minute", "es": "menos de un minuto"}


def duration_in_words(duration: timedelta, language: str = "en") -> str:
    """How long somebody has waited, for staff: `15 minutes`, `2 hours`, `3 days`."""
    minutes = max(int(duration.total_seconds()) // 60, 0)
    if minutes < 1:
        return _MOMENT[language]
    if minutes < 120:
        count, unit = minutes, 0
    elif minutes < 48 * 60:
        count, unit = minutes // 60, 1
    else:
        count, unit = minutes // (24 * 60), 2
    return f"{count} {_UNITS[language][unit][count != 1]}"


def time_in_words(at: datetime, now: datetime, zone: ZoneInfo, language: str) -> str:
    """An instant as staff of the site read it: `today 4:30 PM`, `Monday, November 23 9:05 AM`."""
    local, today = at.astimezone(zone), now.astimezone(zone)
    half = "AM" if local.hour < 12 else "PM"
    day = _day_in_words(local, today, language)
    if (today.date() - local.date()).days == 1:
        day = {"en": "yesterday", "es": "ayer"}[language]
    return f"{day} {local.hour % 12 or 12}:{local.minute:02} {half}"


def iso(at: datetime | None) -> str | None:
    """For machines: ISO 8601 in UTC, with a Z."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z") if at else None
