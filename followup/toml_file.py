"""Reads a TOML file of the operator's, and says in one line where it is wrong and why."""

import re
import tomllib
from collections.abc import Sequence
from datetime import time, timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from followup.errors import Misconfigured

_DURATION = re.compile(r"(\d{1,6})(s|m|h|d)", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def read_toml(path: Path) -> dict[str, Any]:
    """The file's content; raises Misconfigured naming the file and, where it can, the line."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise Misconfigured(f"{path}: expected UTF-8 text ({error.reason})") from error
    except OSError as error:
        raise Misconfigured(f"{path}: expected a readable file ({error.strerror})") from error
    except tomllib.TOMLDecodeError as error:
        raise Misconfigured(f"{path}: expected TOML, got: {error}") from error


def parse_duration(value: object) -> timedelta:
    """`"90s"`, `"5m"`, `"2h"` or `"1d"`; a day is 24 hours."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('expected a duration such as "90s", "5m", "2h" or "1d"')
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]


def parse_interval(value: object) -> tuple[time, time]:
    """`"09:00-17:00"`; `24:00` is midnight at the end of the day."""
    start, _, end = str(value).partition("-")
    try:
        midnight = end.strip() == "24:00"
        opens = time.fromisoformat(start.strip())
        closes = time.max if midnight else time.fromisoformat(end.strip())
    except ValueError as error:
        raise ValueError('expected hours such as "09:00-17:00"') from error
    return opens, closes


class Table(BaseModel):
    """A table of the file; a key that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def key_path(location: Sequence[str | int]) -> str:
    """`("sites", 0, "hours", "mon")` as an operator would write it: `sites[0].hours.mon`."""
    path = ""
    for part in location:
        # What Pydantic adds when a key itself is wrong.
        if part == "[key]":
            continue
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def problems_of(error: ValidationError) -> list[tuple[tuple[str | int, ...], str]]:
    """Each wrong key with what was expected there; a misspelt key before the ones it left out."""
    faults = error.errors()
    found = [(fault["loc"], _expected(fault)) for fault in faults if not _follows(fault, faults)]
    return sorted(found, key=lambda item: item[1] != _UNKNOWN)


def _follows(fault: ErrorDetails, faults: list[ErrorDetails]) -> bool:
    """Pydantic also calls a list too short whose entries it has just refused."""
    loc = fault["loc"]
    inner = (other["loc"] for other in faults if other is not fault)
    return fault["type"] == "too_short" and any(other[: len(loc)] == loc for other in inner)


_UNKNOWN = "there is no such key"


def _expected(fault: ErrorDetails) -> str:
    if fault["type"] == "extra_forbidden":
        return _UNKNOWN
    if fault["type"] == "missing":
        return "is missing"
    if fault["type"] == "too_short":
        return "expected at least one entry"
    if fault["type"] == "value_error":
        problem = fault["msg"].removeprefix("Value error, ")
    else:
        problem = fault["msg"].removeprefix("Input should be ")
        problem = f"expected {problem[0].lower()}{problem[1:]}"
    got = fault["input"]
    return f"{problem}, got {got!r}" if isinstance(got, str | int | float) else problem
