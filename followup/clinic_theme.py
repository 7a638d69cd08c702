"""The table of clinic.toml that says how the patients' pages look."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, ValidationInfo

from followup.domain.colour import TEXT, Colour, contrast, look
from followup.toml_file import Table

#: Bytes of the logo: a phone with a slow connection loads it before anything of the form is sent.
LOGO_LIMIT = 64 * 1024
#: By how their files begin. No SVG: it is a document that may hold scripts, and a logo is not worth
#: finding them all.
_BEGINNINGS: Mapping[str, tuple[bytes, bytes]] = {
    "png": (b"\x89PNG\r\n\x1a\n", b""),
    "jpeg": (b"\xff\xd8\xff", b""),
    "webp": (b"RIFF", b"WEBP"),
}


@dataclass(frozen=True)
class Logo:
    """A picture that we serve; its name changes with what is in it, so browsers may keep it."""

    #: png, jpeg or webp: how the file's name ends, and what follows `image/` in its media type.
    kind: str
    content: bytes = field(repr=False)

    @cached_property
    def name(self) -> str:
        return f"{sha256(self.content).hexdigest()[:16]}.{self.kind}"

    @property
    def path(self) -> str:
        return f"/logo/{self.name}"


def _read_logo(value: object, info: ValidationInfo) -> Logo:
    """The file of that name; a relative one stands beside clinic.toml."""
    expected = f"expected a PNG, JPEG or WebP file of at most {LOGO_LIMIT // 1024} KiB"
    try:
        path = Path((info.context or {}).get("folder", ""), str(value))
        with path.open("rb") as file:
            content = file.read(LOGO_LIMIT + 1)
    except (OSError, ValueError) as error:
        raise ValueError(f"{expected} ({getattr(error, 'strerror', error)})") from error
    kind = next((kind for kind in _BEGINNINGS if _is_of(kind, content)), None)
    if kind is None:
        raise ValueError(f"{expected}, which this is not by how it begins")
    if len(content) > LOGO_LIMIT:
        raise ValueError(f"{expected}, which this is longer than")
    return Logo(kind, content)


def _is_of(kind: str, content: bytes) -> bool:
    first, later = _BEGINNINGS[kind]
    return content.startswith(first) and content.startswith(later, 8 if later else 0)


Hex = Annotated[Colour, BeforeValidator(Colour.parse)]


class Light(Table):
    """The three colours out of which the others are mixed, by day."""

    #: Links and buttons.
    accent: Hex = Colour.parse("#0b5c6b")
    #: Text.
    ink: Hex = Colour.parse("#1a2a2e")
    #: What is behind the text.
    background: Hex = Colour.parse("#ffffff")


class Dark(Table):
    """The same for people whose device asks for dark pages."""

    accent: Hex = Colour.parse("#8fd3e0")
    ink: Hex = Colour.parse("#e6eded")
    background: Hex = Colour.parse("#182225")


class Theme(Table):
    """What is left out looks as shipped. Staff's pages always do."""

    #: At the top of the pages, where that is not the clinic's name.
    name: Annotated[str, Field(min_length=1, max_length=80)] | None = None
    logo: Annotated[Logo, BeforeValidator(_read_logo)] | None = None
    light: Light | None = None
    dark: Dark | None = None

    @cached_property
    def looks(self) -> Mapping[str, Mapping[str, str]]:
        """By the preference that a browser states: the colours by their names in `tokens.css`."""
        return {
            name: {token: str(colour) for token, colour in _look(scheme).items()}
            for name, scheme in (("light", self.light), ("dark", self.dark))
            if scheme is not None
        }


def _look(scheme: Light | Dark) -> Mapping[str, Colour]:
    return look(scheme.accent, scheme.ink, scheme.background)


def theme_contradictions(theme: Theme) -> Iterator[tuple[str, str]]:
    """Colours that do not go together, by their keys."""
    for name, scheme in (("light", theme.light), ("dark", theme.dark)):
        if scheme is None:
            continue
        ground = scheme.background
        for key, colour in (("ink", scheme.ink), ("accent", scheme.accent)):
            ratio = contrast(colour, ground)
            if ratio < TEXT:
                # Rounded down: 4.49 must not read as what was asked for.
                found = f"{colour} has {int(ratio * 100) / 100:g} to 1"
                yield (
                    f"theme.{name}.{key}",
                    f"{found} against the background {ground}; text needs {TEXT} to 1 (WCAG 2.2)",
                )
        is_dark = ground.luminance < scheme.ink.luminance
        if is_dark != (name == "dark"):
            than = "darker" if name == "dark" else "lighter"
            yield f"theme.{name}.background", f"expected one that is {than} than the ink"
