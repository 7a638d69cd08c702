"""How many parts a text takes."""

import pytest

from followup.sandbox.segments import count_segments


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        pytest.param("", 1, id="empty"),
        pytest.param("a" * 160, 1, id="one full GSM part"),
        pytest.param("a" * 161, 2, id="one more"),
        pytest.param("a" * 306, 2, id="two full parts"),
        pytest.param("a" * 307, 3, id="three parts"),
        pytest.param("a" * 158 + "€", 1, id="extension counts double, fits"),
        pytest.param("a" * 159 + "€", 2, id="extension counts double, does not fit"),
        pytest.param("a" * 153 + "€" + "a" * 151, 2, id="escape at the start of a part"),
        pytest.param("a" * 152 + "€" + "a" * 152, 3, id="escape may not straddle"),
        pytest.param("éñü¿¡", 1, id="Spanish within GSM"),
        pytest.param("á" + "a" * 69, 1, id="one full UCS-2 part"),
        pytest.param("á" + "a" * 70, 2, id="one more in UCS-2"),
        pytest.param("á" + "a" * 133, 2, id="two full UCS-2 parts"),
        pytest.param("á" + "a" * 134, 3, id="three UCS-2 parts"),
        pytest.param("😀" + "a" * 68, 1, id="emoji takes two units"),
        pytest.param("😀" + "a" * 69, 2, id="emoji and one more"),
        pytest.param("a" * 66 + "😀" + "a" * 66, 3, id="surrogates may not straddle"),
    ],
)
def test_a_text_travels_in_so_many_parts(text: str, segments: int) -> None:
    assert count_segments(text) == segments
