"""Addresses as people type them, their normal form, and which numbers may be texted."""

from zoneinfo import ZoneInfo

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberType

from followup.domain.address import (
    Phone,
    email_key,
    may_be_texted,
    normal_email,
    parse_phone,
)
from followup.errors import Fault, Invalid

# Surrogates too: JSON can carry half of a pair.
ANY_TEXT = st.text(st.characters())
DIGITS_AND_SIGNS = st.text("0123456789 +-().x#/,ext\uff19\u0664", max_size=30)
FULL_WIDTH = {code: code + 0xFEE0 for code in range(ord("!"), ord("~") + 1)}


@pytest.mark.parametrize(
    ("typed", "normal"),
    [
        pytest.param("alice@example.com", "alice@example.com", id="normal already"),
        pytest.param("  alice@example.com\r\n", "alice@example.com", id="space around"),
        pytest.param("Alice@EXAMPLE.com", "Alice@example.com", id="capitals"),
        pytest.param("alice+tms@example.com", "alice+tms@example.com", id="a plus is kept"),
        pytest.param("a.lice@example.com", "a.lice@example.com", id="a dot is kept"),
        pytest.param("o'neil@example.com", "o'neil@example.com", id="an apostrophe"),
        pytest.param("alice@Bücher.example", "alice@xn--bcher-kva.example", id="a foreign domain"),
    ],
)
def test_an_email_address_is_brought_to_normal_form(typed: str, normal: str) -> None:
    assert normal_email(typed) == normal


@pytest.mark.parametrize(
    "typed",
    [
        pytest.param("", id="nothing"),
        pytest.param("alice", id="no at sign"),
        pytest.param("alice@localhost", id="no domain"),
        pytest.param("alice@example", id="half a domain"),
        pytest.param("alice@@example.com", id="two at signs"),
        pytest.param("alice@example.com, bob@example.com", id="two addresses"),
        pytest.param("alice@example.com\r\nBcc: bob@example.com", id="a header's worth"),
        pytest.param("Alice <alice@example.com>", id="with a name"),
        pytest.param('"alice b"@example.com', id="quoted"),
        pytest.param("jörg@example.com", id="needs SMTPUTF8"),
        pytest.param("a" * 250 + "@example.com", id="too long a name"),
        pytest.param("alice@" + "a" * 250 + ".com", id="too long a domain"),
    ],
)
def test_what_is_no_email_address_is_refused_with_the_name_of_its_field(typed: str) -> None:
    with pytest.raises(Invalid) as refusal:
        normal_email(typed, field="referrer_email")

    assert refusal.value.faults == (
        Fault("referrer_email", "expected an email address such as name@example.com"),
    )


def test_case_makes_no_other_person() -> None:
    typed, retyped = normal_email("Alice@Example.com"), normal_email("ALICE@example.COM")

    assert email_key(typed) == email_key(retyped) == "alice@example.com"


@given(ANY_TEXT | st.emails() | ANY_TEXT.map("{}@example.com".format))
def test_any_text_is_an_email_address_or_invalid(text: str) -> None:
    try:
        normal = normal_email(text)
    except Invalid:
        return

    assert normal.isascii()
    assert normal_email(normal) == normal


@pytest.mark.parametrize(
    ("typed", "extension"),
    [
        pytest.param("(949) 555-0199", None, id="brackets"),
        pytest.param("949.555.0199", None, id="dots"),
        pytest.param("949·555·0199", None, id="raised dots"),
        pytest.param("9495550199", None, id="digits alone"),
        pytest.param("1-949-555-0199", None, id="a leading one"),
        pytest.param("+1 949 555 0199", None, id="a country code"),
        pytest.param("(+1) 949/555-0199", None, id="a bracketed country code"),
        pytest.param("  949 555 0199\n", None, id="space around"),
        pytest.param("949\u2011555\u20130199", None, id="long dashes"),
        pytest.param("(949)555-0199".translate(FULL_WIDTH), None, id="full width"),
        pytest.param("949\u30fc555\u30fc0199", None, id="long vowels for dashes"),
        pytest.param("\u202a+1\u00a0949\u00a0555\u00a00199\u202c", None, id="from an address book"),
        pytest.param("949-555-0199 x123", "123", id="x"),
        pytest.param("949-555-0199x123", "123", id="x without space"),
        pytest.param("949-555-0199, Ext. 5", "5", id="ext"),
        pytest.param("949-555-0199 extension: 0042", "0042", id="extension"),
        pytest.param("949-555-0199 extensión \uff15", "5", id="Spanish"),
        pytest.param("949-555-0199 #7", "7", id="hash"),
    ],
)
def test_a_number_is_understood_as_people_type_it(typed: str, extension: str | None) -> None:
    assert parse_phone(typed) == Phone("+19495550199", extension, "US", ("America/Los_Angeles",))


@pytest.mark.parametrize(
    "typed",
    [
        pytest.param("", id="nothing"),
        pytest.param("555-0199", id="no area code"),
        pytest.param("949-555-019", id="a digit short"),
        pytest.param("949-555-01999", id="a digit too many"),
        pytest.param("123-555-0199", id="no such area code"),
        pytest.param("949-155-0199", id="no such exchange"),
        pytest.param("911", id="emergency"),
        pytest.param("988", id="crisis line"),
        pytest.param("949-555-CARE", id="a word for digits"),
        pytest.param("call me at 949 555 0199", id="a remark"),
        pytest.param("949-555-0199 or 949-555-0198", id="a choice"),
        pytest.param("949-555-0199 / 949-555-0198", id="two numbers"),
        pytest.param("949-555-0199 ext", id="an extension without digits"),
        pytest.param("949+5550199", id="a plus inside"),
        pytest.param("alice@example.com", id="an email address"),
        pytest.param("9" * 5000, id="endless"),
    ],
)
def test_what_is_no_phone_number_is_refused_with_the_name_of_its_field(typed: str) -> None:
    with pytest.raises(Invalid) as refusal:
        parse_phone(typed, field="referrer_phone")

    assert refusal.value.faults == (
        Fault("referrer_phone", "expected a phone number such as (949) 555-0100"),
    )


@pytest.mark.parametrize(
    ("typed", "region", "zones"),
    [
        pytest.param("+1 212 555 0100", "US", ("America/New_York",), id="New York"),
        pytest.param("+1 787 555 0100", "PR", ("America/Puerto_Rico",), id="Puerto Rico"),
        pytest.param("+1 416 555 0100", "CA", ("America/Toronto",), id="Toronto"),
        pytest.param("+44 20 7946 0958", "GB", ("Europe/London",), id="London"),
        pytest.param("011 44 20 7946 0958", "GB", ("Europe/London",), id="London from the US"),
        pytest.param("+800 1234 5678", None, (), id="no country"),
    ],
)
def test_a_number_tells_its_region_and_zones(
    typed: str, region: str | None, zones: tuple[str, ...]
) -> None:
    phone = parse_phone(typed)

    assert (phone.region, phone.zones) == (region, zones)


def test_a_number_of_nowhere_in_particular_has_every_zone_of_its_country() -> None:
    zones = parse_phone("+1 800 555 0100").zones

    assert len(zones) > 40
    assert list(zones) == sorted(zones)
    assert [ZoneInfo(name).key for name in zones] == list(zones)


def test_a_number_without_country_code_is_read_in_the_default_region() -> None:
    assert parse_phone("020 7946 0958", default_region="GB").e164 == "+442079460958"


def test_the_numbers_of_fiction_are_accepted_in_every_area_code() -> None:
    for area_code in us_area_codes():
        for line in ("0100", "0199"):
            phone = f"+1{area_code}555{line}"

            assert parse_phone(phone).e164 == phone
            assert may_be_texted(phone, countries={"US"}) == "reserved"


def us_area_codes() -> list[int]:
    numbers = {code: phonenumbers.parse(f"+1{code}2340100") for code in range(200, 1000)}
    return [
        code
        for code, number in numbers.items()
        if phonenumbers.region_code_for_number(number) == "US"
        and phonenumbers.number_type(number) == PhoneNumberType.FIXED_LINE_OR_MOBILE
    ]


@given(ANY_TEXT | DIGITS_AND_SIGNS)
def test_any_text_is_a_phone_number_or_invalid(text: str) -> None:
    try:
        phone = parse_phone(text)
    except Invalid:
        return

    assert parse_phone(phone.e164).e164 == phone.e164
    assert may_be_texted(phone.e164, countries={"US"}) != "not_a_number"


@pytest.mark.parametrize(
    ("phone", "reason"),
    [
        pytest.param("+442079460958", None, id="London, an allowed country"),
        pytest.param("+19495550199", "reserved", id="fiction, last"),
        pytest.param("+19495550100", "reserved", id="fiction, first"),
        pytest.param("+19495550200", "service", id="after fiction"),
        pytest.param("+19495551212", "service", id="directory assistance"),
        pytest.param("+19499110100", "service", id="service code"),
        pytest.param("+19499760100", "premium", id="976"),
        pytest.param("+19005550100", "premium", id="900"),
        pytest.param("+18005550100", "toll_free", id="800"),
        pytest.param("+15005550100", "personal", id="500"),
        pytest.param("+14165550100", "country", id="Canada"),
        pytest.param("+17875550100", "country", id="Puerto Rico"),
        pytest.param("+18765550100", "country", id="Jamaica"),
        pytest.param("+61491570006", "country", id="Australia"),
        pytest.param("+80012345678", "country", id="no country"),
        pytest.param("+11235550100", "not_a_number", id="no such area code"),
        pytest.param("9495550100", "not_a_number", id="no country code"),
        pytest.param("+1 949 555 0100", "not_a_number", id="not in normal form"),
        pytest.param("", "not_a_number", id="nothing"),
    ],
)
def test_a_number_may_be_texted_unless_a_reason_forbids_it(phone: str, reason: str | None) -> None:
    assert may_be_texted(phone, countries={"US", "GB"}) == reason


#: The islands, and the rest of +1 that is not the States: some bill what they are sent dearly.
ELSEWHERE_IN_NORTH_AMERICA = {
    "Anguilla": 264,
    "Antigua": 268,
    "Bahamas": 242,
    "Barbados": 246,
    "Bermuda": 441,
    "British Virgin Islands": 284,
    "Cayman Islands": 345,
    "Dominica": 767,
    "Dominican Republic": 809,
    "Dominican Republic, later": 829,
    "Dominican Republic, last": 849,
    "Grenada": 473,
    "Guam": 671,
    "Jamaica": 876,
    "Jamaica, later": 658,
    "Montserrat": 664,
    "Northern Mariana Islands": 670,
    "Puerto Rico, later": 939,
    "Saint Kitts": 869,
    "Saint Lucia": 758,
    "Saint Vincent": 784,
    "American Samoa": 684,
    "Sint Maarten": 721,
    "Trinidad": 868,
    "Turks and Caicos": 649,
    "Virgin Islands": 340,
    "Vancouver": 604,
}


@pytest.mark.parametrize("place", ELSEWHERE_IN_NORTH_AMERICA)
def test_a_number_of_north_america_outside_the_states_is_not_texted(place: str) -> None:
    area_code = ELSEWHERE_IN_NORTH_AMERICA[place]
    numbers = [f"+1{area_code}{exchange}0123" for exchange in range(200, 1000)]
    reasons = {may_be_texted(number, countries={"US"}) for number in numbers}

    assert "country" in reasons
    assert reasons <= {"country", "not_a_number"}


@pytest.mark.parametrize("exchange", [f"{n}11" for n in range(2, 10)])
def test_an_exchange_of_service_codes_is_not_texted(exchange: str) -> None:
    assert may_be_texted(f"+1949{exchange}0123", countries={"US"}) in ("service", "not_a_number")


@pytest.mark.parametrize(
    ("phone", "reason"),
    [
        *((f"+1{code}2340100", "toll_free") for code in (800, 833, 844, 855, 866, 877, 888)),
        ("+19002340100", "premium"),
        ("+19499760123", "premium"),
        ("+15002345678", "personal"),
        ("+33884012345", "shared_cost"),
        ("+41840123456", "shared_cost"),
        ("+449012345678", "premium"),
        ("+448442340100", "premium"),
        ("+447640123456", "pager"),
        ("+41740123456", "pager"),
        ("+448001234567", "toll_free"),
        ("+447012345678", "personal"),
        ("+445512345678", "company"),
        ("+49177991234567", "voicemail"),
        ("+447912345678", None),
        ("+19492530123", None),
        ("+12122530123", None),
    ],
)
def test_who_bills_the_sender_or_has_no_screen_is_not_texted(
    phone: str, reason: str | None
) -> None:
    assert may_be_texted(phone, countries={"US", "GB", "FR", "CH", "DE"}) == reason


@pytest.mark.parametrize(
    ("phone", "reason"),
    [
        pytest.param("+19495550100", None, id="fiction"),
        pytest.param("+19495550200", "service", id="after fiction"),
        pytest.param("+18005550100", "toll_free", id="800"),
        pytest.param("+14165550100", "country", id="Canada"),
    ],
)
def test_where_reserved_numbers_are_allowed_all_other_reasons_hold(
    phone: str, reason: str | None
) -> None:
    assert may_be_texted(phone, countries={"US"}, reserved_allowed=True) == reason


@given(ANY_TEXT | DIGITS_AND_SIGNS)
def test_any_text_may_be_asked_about(text: str) -> None:
    reason = may_be_texted(text, countries={"US"})

    assert reason is None or reason.replace("_", "").isalpha()
