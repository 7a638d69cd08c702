"""In how many parts a text travels. Counted here anew, so that the sandbox can contradict us.

GSM 03.38 with 160 or 153 septets, else UCS-2 with 70 or 67 units: 3GPP TS 23.038 and 23.040.
"""

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = frozenset("\f^{}\\[]~|€")


def count_segments(text: str) -> int:
    if all(character in _BASIC or character in _EXTENSION for character in text):
        return _parts([2 if character in _EXTENSION else 1 for character in text], 160, 153)
    return _parts([2 if ord(character) > 0xFFFF else 1 for character in text], 70, 67)


def _parts(widths: list[int], single: int, part: int) -> int:
    """A character that takes two units is never split between parts."""
    if sum(widths) <= single:
        return 1
    parts, room = 1, part
    for width in widths:
        if width > room:
            parts, room = parts + 1, part
        room -= width
    return parts
