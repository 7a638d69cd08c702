"""Email addresses and phone numbers in normal form, and which numbers may be texted at all.

Consent and suppression are not judged here: an address may be fine and its owner have said no.
"""

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

import email_validator
import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberFormat, PhoneNumberType, timezone

from followup.errors import Fault, Invalid


def normal_email(text: str, *, field: str = "email") -> str:
    """The address trimmed, its domain lower-cased and in ASCII, its local part as written.

    Raises `Invalid` naming `field`. Only the spelling is judged: the network is not asked.
    """
    try:
        address = email_validator.validate_email(
            text.strip(), check_deliverability=False, allow_smtputf8=False
        )
    except email_validator.EmailNotValidError as error:
        raise _invalid_email(field) from error
    # With SMTPUTF8 ruled out there is always an ASCII form.
    return address.ascii_email or address.normalized


def email_key(email: str) -> str:
    """What is hashed and compared, made from the normal form: case makes no other person."""
    return email.casefold()


@dataclass(frozen=True)
class Phone:
    """A number in E.164, and what its prefix tells.

    `region` is an ISO 3166-1 code, None when the number belongs to no country. `zones` are the
    IANA zones where its owner may live, sorted; () when unknown. The extension is never texted.
    """

    e164: str
    extension: str | None
    region: str | None
    zones: tuple[str, ...]


def parse_phone(text: str, *, default_region: str = "US", field: str = "phone") -> Phone:
    """The number as people type it; `default_region` reads those without a country code.

    Raises `Invalid` naming `field` for anything that is not a number somebody could be called at,
    the numbers reserved for fiction excepted.
    """
    number = _read_typed(text, default_region)
    if number is None:
        raise _invalid_phone(field)
    return Phone(
        e164=phonenumbers.format_number(number, PhoneNumberFormat.E164),
        extension=extension_of(text),
        region=_region_of(number),
        zones=_zones_of(number),
    )


def normal_phone(text: str, *, field: str = "phone") -> str:
    """`parse_phone`'s E.164 alone, without looking up what the prefix tells. Raises `Invalid`."""
    number = _read_typed(text, "US")
    if number is None:
        raise _invalid_phone(field)
    return phonenumbers.format_number(number, PhoneNumberFormat.E164)


def extension_of(text: str) -> str | None:
    """What was typed behind a number, in digits; None without one, and for what is no number."""
    typed = _typed(text)
    extension = typed["extension"] if typed else None
    return phonenumbers.normalize_digits_only(extension) if extension else None


def may_be_texted(
    phone: str, *, countries: Collection[str], reserved_allowed: bool = False
) -> str | None:
    """None when an automated text may go to the E.164 number, else the reason in one word.

    `country` (its region is not among `countries`), `toll_free`, `premium`, `shared_cost`,
    `personal`, `pager`, `company`, `voicemail`, `service` (directory assistance and the like),
    `reserved` (for fiction), or `not_a_number`, which includes a number not in E.164.
    """
    number = _read(phone, None)
    if number is None or phonenumbers.format_number(number, PhoneNumberFormat.E164) != phone:
        return "not_a_number"
    if _region_of(number) not in countries:
        return "country"
    kind = _UNTEXTABLE.get(phonenumbers.number_type(number))
    if kind is not None or number.country_code != _NORTH_AMERICA:
        return kind
    return _untextable_exchange(phone, reserved_allowed)


#: Longer than any number with its extension in words.
_LONGEST_TYPED = 80

# Letters are no digits here, though phonenumbers reads them as on a keypad: what has words in it
# is a remark, not a number. After the dots come the dashes of all lengths, minus and long vowel.
_TYPED = re.compile(
    r"(?P<number>[\d\s()+/.\u00b7\u2022\u2010-\u2015\u2212\u30fc-]+?)"
    r"(?:[\s,;]*(?:x|ext|extn|extensi[oó]n|#)[\s.:]*(?P<extension>\d{1,7}))?\s*",
    re.IGNORECASE,
)
_SEPARATORS = re.compile(r"[^\d+]+")

_NORTH_AMERICA = 1

_UNTEXTABLE = {
    PhoneNumberType.TOLL_FREE: "toll_free",
    PhoneNumberType.PREMIUM_RATE: "premium",
    PhoneNumberType.SHARED_COST: "shared_cost",
    PhoneNumberType.PERSONAL_NUMBER: "personal",
    PhoneNumberType.PAGER: "pager",
    PhoneNumberType.UAN: "company",
    PhoneNumberType.VOICEMAIL: "voicemail",
}


def _untextable_exchange(phone: str, reserved_allowed: bool) -> str | None:
    """Why a North American number's middle three digits rule it out, when they do.

    The 555 NXX Assignment Guidelines set 555-0100 to 555-0199 aside for fiction and the rest for
    information services; codes ending in 11 are service codes; 976 bills its caller.
    """
    exchange, line = phone[-7:-4], phone[-4:]
    if exchange == "555" and line.startswith("01"):
        return None if reserved_allowed else "reserved"
    if exchange == "555" or exchange.endswith("11"):
        return "service"
    return "premium" if exchange == "976" else None


def _read_typed(text: str, default_region: str) -> PhoneNumber | None:
    typed = _typed(text)
    return _read(_SEPARATORS.sub("", typed["number"]), default_region) if typed else None


def _typed(text: str) -> re.Match[str] | None:
    return _TYPED.fullmatch(_as_plain_text(text)) if len(text) <= _LONGEST_TYPED else None


def _as_plain_text(text: str) -> str:
    # Address books add invisible direction marks (category Cf) when a number is copied.
    visible = "".join(sign for sign in text if unicodedata.category(sign) != "Cf")
    return unicodedata.normalize("NFKC", visible)


# One number is read several times while its message is decided upon.
@lru_cache(maxsize=32)
def _read(text: str, default_region: str | None) -> PhoneNumber | None:
    try:
        number = phonenumbers.parse(text, default_region)
    except phonenumbers.NumberParseException:
        return None
    return number if phonenumbers.is_valid_number(number) else None


def _region_of(number: PhoneNumber) -> str | None:
    region = phonenumbers.region_code_for_number(number)
    return None if region == phonenumbers.REGION_CODE_FOR_NON_GEO_ENTITY else region


def _zones_of(number: PhoneNumber) -> tuple[str, ...]:
    zones = timezone.time_zones_for_number(number)
    return tuple(sorted(zone for zone in zones if zone != timezone.UNKNOWN_TIMEZONE))


def _invalid_email(field: str) -> Invalid:
    return Invalid(Fault(field, "expected an email address such as name@example.com"))


def _invalid_phone(field: str) -> Invalid:
    return Invalid(Fault(field, "expected a phone number such as (949) 555-0100"))
