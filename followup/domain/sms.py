"""How a text is encoded on the air, and into how many parts it is cut: what it costs.

The alphabet is that of 3GPP TS 23.038 as Twilio applies it. Smart encoding is not assumed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

#: Longest body in characters that Twilio takes in one request; longer is its error 21617.
#: https://www.twilio.com/docs/messaging/api/message-resource
MAX_BODY = 1600

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
#: Sent as an escape and a second septet.
_EXTENSION = frozenset("\f^{}\\[]~|€")
_GSM7 = _BASIC | _EXTENSION


@dataclass(frozen=True)
class Segments:
    """`units` are septets in GSM-7 and UTF-16 code units in UCS-2; an empty text has no parts.

    `forces_ucs2` are the characters that GSM-7 lacks, each once, in order of appearance.
    """

    encoding: Literal["GSM-7", "UCS-2"]
    units: int
    parts: int
    forces_ucs2: tuple[str, ...]


def is_gsm7(text: str) -> bool:
    """Whether the cheaper alphabet has all of it."""
    return _GSM7.issuperset(text)


def count_segments(text: str) -> Segments:
    """What the text takes. No escape pair and no surrogate pair is cut in two."""
    if not is_gsm7(text):
        foreign = tuple(dict.fromkeys(sign for sign in text if sign not in _GSM7))
        widths = [2 if ord(sign) > 0xFFFF else 1 for sign in text]
        return Segments("UCS-2", sum(widths), _parts(widths, alone=70, joined=67), foreign)
    widths = [2 if sign in _EXTENSION else 1 for sign in text]
    return Segments("GSM-7", sum(widths), _parts(widths, alone=160, joined=153), ())


def _parts(widths: Sequence[int], *, alone: int, joined: int) -> int:
    """Parts of `joined` units each, because every part but a lone one has a header."""
    if sum(widths) <= alone:
        return min(1, len(widths))
    parts, room = 1, joined
    for width in widths:
        if width > room:
            parts, room = parts + 1, joined
        room -= width
    return parts
