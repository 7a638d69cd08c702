"""Which states a number may belong to."""

import phonenumbers
import pytest
from phonenumbers import PhoneNumberType

from followup.domain.area_code import STATES, states_of

_PLACELESS = {
    *(PhoneNumberType.TOLL_FREE, PhoneNumberType.PREMIUM_RATE, PhoneNumberType.PERSONAL_NUMBER),
}


@pytest.mark.parametrize(
    ("phone", "states"),
    [
        pytest.param("+19495550123", {"CA"}, id="California"),
        pytest.param("+13345550123", {"AL"}, id="Alabama"),
        pytest.param("+12025550123", {"DC"}, id="the District"),
        pytest.param("+12015550123", {"NJ", "NY"}, id="a code of two states"),
        pytest.param("+18005550123", set(), id="toll-free"),
        pytest.param("+14165550123", set(), id="Canada"),
        pytest.param("+17875550123", set(), id="Puerto Rico"),
        pytest.param("+442079460123", set(), id="another country"),
        pytest.param("9495550123", set(), id="not in E.164"),
        pytest.param("", set(), id="nothing"),
    ],
)
def test_a_number_belongs_to_the_states_of_its_area_code(phone: str, states: set[str]) -> None:
    assert states_of(phone) == states


def test_every_number_of_the_united_states_that_may_be_texted_has_a_state() -> None:
    unknown = []
    for code in range(200, 1000):
        number = phonenumbers.parse(f"+1{code}3455123")
        is_american = phonenumbers.region_code_for_number(number) == "US"
        kind = phonenumbers.number_type(number)
        if is_american and kind not in _PLACELESS and not states_of(f"+1{code}3455123"):
            unknown.append(code)

    assert unknown == []
    assert len(STATES) == 51
