"""What single values of clinic.toml are: phones, addresses, zones, holidays, hours of a week."""

import re
from datetime import time
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator

from followup.domain.address import normal_email, parse_phone
from followup.domain.hours import BusinessHours, Interval
from followup.errors import Invalid
from followup.toml_file import Table, parse_interval


def _phone(text: str) -> str:
    try:
        return parse_phone(text).e164
    except Invalid as error:
        raise ValueError(f"expected a phone number: {error.faults[0].problem}") from error


def _email(text: str) -> str:
    try:
        return normal_email(text)
    except Invalid as error:
        raise ValueError(f"expected an email address: {error.faults[0].problem}") from error


def _zone(value: object) -> ZoneInfo:
    try:
        return ZoneInfo(str(value))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("expected a time zone such as America/Los_Angeles") from error


def _holidays(code: str) -> str:
    always = ((time.min, time.max),)
    BusinessHours(ZoneInfo("UTC"), (always,) * 7, holidays_of=code)
    return code


def _like(pattern: str, expected: str) -> AfterValidator:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text.strip()):
            raise ValueError(f"expected {expected}")
        return text.strip()

    return AfterValidator(check)


Phone = Annotated[str, AfterValidator(_phone)]
Email = Annotated[str, AfterValidator(_email)]
Line = Annotated[str, _like(r"[^\x00-\x1f]{1,200}", "one line of 1 to 200 characters")]
Url = Annotated[str, _like(r"https?://\S+", "an address such as https://www.example.com")]
Slug = Annotated[str, _like(r"[a-z0-9][a-z0-9-]*", "small letters, digits and hyphens")]
Language = Annotated[str, _like(r"[a-z]{2}", 'a language in two letters, such as "en"')]
Country = Annotated[str, _like(r"[A-Z]{2}", 'a country in two capitals, such as "US"')]
Zone = Annotated[ZoneInfo, BeforeValidator(_zone)]
HolidaysOf = Annotated[str, AfterValidator(_holidays)]
Hours = tuple[Annotated[Interval, BeforeValidator(parse_interval)], ...]


class Week(Table):
    """Opening hours by local time; a day that is left out is closed."""

    mon: Hours = ()
    tue: Hours = ()
    wed: Hours = ()
    thu: Hours = ()
    fri: Hours = ()
    sat: Hours = ()
    sun: Hours = ()

    @property
    def days(self) -> tuple[Hours, ...]:
        return self.mon, self.tue, self.wed, self.thu, self.fri, self.sat, self.sun


def _sometimes_open(week: Week) -> Week:
    BusinessHours(ZoneInfo("UTC"), week.days)
    return week


OpenWeek = Annotated[Week, AfterValidator(_sometimes_open)]
