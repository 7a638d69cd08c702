"""Settings that hold a secret for each of several names in clinic.toml."""

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, SecretStr
from pydantic_settings import NoDecode


def _by_name(value: object) -> object:
    """`name=secret,older; other=secret`. A name is followed by =, which may also end a secret."""
    if not isinstance(value, str):
        return value
    found: dict[str, list[str]] = {}
    for part in filter(None, map(str.strip, value.split(";"))):
        name, equals, secrets = part.partition("=")
        name = name.strip()
        if not equals or not re.fullmatch(r"[a-z0-9-]+", name) or name in found:
            raise ValueError("must be like name=secret,older; other=secret, each name once")
        found[name] = [one.strip() for one in secrets.split(",")]
    return found


#: By name; several of one name while it is changed.
NamedSecrets = Annotated[Mapping[str, tuple[SecretStr, ...]], NoDecode, BeforeValidator(_by_name)]
