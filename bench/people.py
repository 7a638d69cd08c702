"""Made-up people, one per number: each has an address and a telephone number of their own."""

from typing import Any

from followup.domain.area_code import states_of

#: Reserved for fiction are 555-0100 to 555-0199 of every area code (555 NXX Assignment Guidelines).
LINES = 100

AREA_CODES = [code for code in range(201, 990) if states_of(f"+1{code}5550100")]

#: More have no telephone number.
MOST = len(AREA_CODES) * LINES


def email_of(number: int) -> str:
    return f"alice{number}@example.com"


def phone_of(number: int) -> str:
    """In E.164. Neighbours have different area codes, as visitors of a website do."""
    line, code = divmod(number, len(AREA_CODES))
    if not 0 <= line < LINES:
        raise ValueError(f"there are {MOST} made-up telephone numbers; expected less than {number}")
    return f"+1{AREA_CODES[code]}55501{line:02}"


def address_of(number: int) -> str:
    """The visitor's, as a proxy tells it; of the network for benchmarks (RFC 2544)."""
    return f"198.18.{number // 256 % 256}.{number % 256}"


def contact_of(number: int) -> dict[str, Any]:
    """A contact submission, as the website posts it."""
    return {
        "name": f"Alice Number{number}",
        "email": email_of(number),
        "phone": phone_of(number),
        "message": "Please call me in the afternoon. I have a question about your opening hours.",
        "consent_sms": True,
    }
