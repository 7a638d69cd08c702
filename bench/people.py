"""Made-up people, one per number: each has an address and a telephone number of their own."""

from typing import Any

#: Reserved for fiction are 555-0100 to 555-0199 of every area code (nanpa.com, 555 line numbers).
LINES = 100


def email_of(number: int) -> str:
    return f"alice{number}@example.com"


def phone_of(number: int) -> str:
    raise NotImplementedError


def contact_of(number: int) -> dict[str, Any]:
    """A contact submission, as the website posts it."""
    return {
        "name": f"Alice Number{number}",
        "email": email_of(number),
        "phone": phone_of(number),
        "message": "Please call me in the afternoon. I have a question about your opening hours.",
        "consent_sms": True,
    }
