"""Segments of a text, against published vectors and against the standard library's codec."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from followup.domain.sms import MAX_BODY, Segments, count_segments

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466"
FLAG = "\U0001f1fa\U0001f1f8"
GSM7 = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)


@pytest.mark.parametrize(
    ("text", "units", "parts"),
    [
        pytest.param("", 0, 0, id="nothing"),
        pytest.param("a", 1, 1, id="one letter"),
        pytest.param("a" * 160, 160, 1, id="one part, full"),
        pytest.param("a" * 161, 161, 2, id="one letter more"),
        pytest.param("a" * 306, 306, 2, id="two parts, full"),
        pytest.param("a" * 307, 307, 3, id="a third part"),
        pytest.param("a" * 158 + "€", 160, 1, id="an escape that fits"),
        pytest.param("a" * 159 + "€", 161, 2, id="an escape that does not"),
        pytest.param("€" * 80, 160, 1, id="escapes, full"),
        pytest.param("€" * 81, 162, 2, id="one escape more"),
        pytest.param("a" * 153 + "€" + "a" * 151, 306, 2, id="an escape after the cut"),
        pytest.param("a" * 152 + "€" + "a" * 152, 306, 3, id="an escape on the cut"),
        pytest.param("a" * 152 + "€" + "a" * 10, 164, 2, id="an escape on the only cut"),
        pytest.param("a\r\nb", 4, 1, id="a line's end"),
        pytest.param("Ç", 1, 1, id="capital cedilla"),
        pytest.param("¿Mañana a las 9? é ñ ü ¡Ñ É Ü", 29, 1, id="Spanish that fits"),
        pytest.param("\f^{}\\[]~|€", 20, 1, id="every escape"),
        pytest.param(GSM7, 127, 1, id="every basic character"),
    ],
)
def test_a_text_within_gsm7_counts_septets(text: str, units: int, parts: int) -> None:
    assert count_segments(text) == Segments("GSM-7", units, parts, ())


@pytest.mark.parametrize(
    ("text", "units", "parts"),
    [
        pytest.param("á" + "a" * 69, 70, 1, id="one part, full"),
        pytest.param("á" + "a" * 70, 71, 2, id="one letter more"),
        pytest.param("á" + "a" * 133, 134, 2, id="two parts, full"),
        pytest.param("á" + "a" * 134, 135, 3, id="a third part"),
        pytest.param("😀" + "a" * 68, 70, 1, id="a pair that fits"),
        pytest.param("😀" + "a" * 69, 71, 2, id="a pair that does not"),
        pytest.param("a" * 66 + "😀" + "a" * 66, 134, 3, id="a pair on the cut"),
        pytest.param("Ж" * 66 + "😀" + "Ж" * 5, 73, 2, id="a pair on the only cut"),
        pytest.param("😀" * 35, 70, 1, id="pairs, full"),
        pytest.param("😀" * 36, 72, 2, id="one pair more"),
        pytest.param(FLAG * 18, 72, 2, id="flags"),
        pytest.param(FAMILY * 7, 77, 2, id="families"),
        pytest.param("€á", 2, 1, id="an escape needs no second unit"),
        pytest.param("\ud83d", 1, 1, id="half a pair"),
    ],
)
def test_a_text_beyond_gsm7_counts_utf16_units(text: str, units: int, parts: int) -> None:
    segments = count_segments(text)

    assert (segments.encoding, segments.units, segments.parts) == ("UCS-2", units, parts)


@pytest.mark.parametrize(
    ("text", "foreign"),
    [
        pytest.param("Call us, please", (), id="none"),
        pytest.param("Llámenos mañana, llámenos", ("á",), id="one, twice"),
        pytest.param("Así, aquí y según él", ("í", "ú"), id="in order"),
        pytest.param("We\u2019re here\u2026", ("\u2019", "\u2026"), id="typographic"),
        pytest.param("“Hi” • `x`", ("“", "”", "•", "`"), id="quotes and bullets"),
        pytest.param("9\u00a0a.m.", ("\u00a0",), id="a space that does not break"),
        pytest.param("a\tb", ("\t",), id="a tab"),
        pytest.param("ç", ("ç",), id="small cedilla"),
        pytest.param("e\u0301", ("\u0301",), id="an accent of its own"),
        pytest.param("Hi 😀", ("😀",), id="an emoji"),
    ],
)
def test_the_characters_that_cost_the_short_alphabet_are_named(
    text: str, foreign: tuple[str, ...]
) -> None:
    assert count_segments(text).forces_ucs2 == foreign


@given(st.text(st.sampled_from("aé€[\n") | st.characters(codec="utf-16"), max_size=400))
def test_units_and_parts_agree_for_any_text(text: str) -> None:
    segments = count_segments(text)
    alone, joined = (160, 153) if segments.encoding == "GSM-7" else (70, 67)

    if segments.encoding == "UCS-2":
        assert segments.units == len(text.encode("utf-16-le")) // 2
    if segments.units <= alone:
        assert segments.parts == min(1, segments.units)
    else:
        # A cut wastes at most one unit of each part but the last.
        assert -(-segments.units // joined) <= segments.parts
        assert (segments.parts - 1) * (joined - 1) < segments.units


@given(st.text(max_size=200), st.text(max_size=200))
def test_more_text_never_takes_fewer_parts(text: str, more: str) -> None:
    assert count_segments(text + more).parts >= count_segments(text).parts


def test_the_longest_body_is_eleven_parts_of_plain_text() -> None:
    assert count_segments("a" * MAX_BODY).parts == 11
