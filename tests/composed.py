"""docker-compose.yml as Compose reads it; `cluster.py` runs what it says."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
COMPOSE_FILE = ROOT / "docker-compose.yml"

#: Where the image has what the file mounts, and its working directory.
APP = "/app"

#: `$$`, `${NAME}`, `${NAME:-default}` and `${NAME:?message}`; anything else with a `$` is wrong.
_VARIABLE = re.compile(r"\$(?:(?P<dollar>\$)|\{(?P<name>\w+)(?::(?P<how>[-?])(?P<text>[^}]*))?\}|)")

_SECONDS = {"s": 1, "m": 60}


class NotGiven(Exception):
    """What Compose says when a value is demanded and missing."""


def interpolate(text: str, values: Mapping[str, str]) -> str:
    """A scalar with its variables replaced. Raises NotGiven, or ValueError for a stray `$`."""

    def replace(found: re.Match[str]) -> str:
        if found["dollar"]:
            return "$"
        if not found["name"]:
            raise ValueError(f"a stray $ in {text!r}")
        value = values.get(found["name"], "")
        if not value and found["how"] == "?":
            raise NotGiven(f"{found['name']}: {found['text']}")
        return value or (found["text"] if found["how"] == "-" else "")

    return _VARIABLE.sub(replace, text)


def read_compose(values: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The file; interpolated when there are values, and as it was written otherwise."""
    written: dict[str, Any] = yaml.safe_load(COMPOSE_FILE.read_text(encoding="utf-8"))
    return written if values is None else _interpolated(written, values)


def _interpolated(node: Any, values: Mapping[str, str]) -> Any:
    if isinstance(node, dict):
        return {key: _interpolated(value, values) for key, value in node.items()}
    if isinstance(node, list):
        return [_interpolated(value, values) for value in node]
    return interpolate(node, values) if isinstance(node, str) else node


def seconds(duration: str) -> int:
    """`60s` or `1m`."""
    return int(duration[:-1]) * _SECONDS[duration[-1]]


def check_command(service: Mapping[str, Any]) -> list[str]:
    """The program that a service's health check runs in its container."""
    kind, *rest = service["healthcheck"]["test"]
    return ["/bin/sh", "-c", *rest] if kind == "CMD-SHELL" else rest
