"""Twilio's signature: vectors of twilio-python's own tests (1 to 6), and ours by its algorithm."""

from typing import Any
from urllib.parse import parse_qs, parse_qsl

import pytest

from followup.transports.twilio_proofs import is_signed

TOKEN = "12345"
U = "https://mycompany.com/myapp.php?foo=1&bar=2"
P = {
    "CallSid": "CA1234567890ABCDE",
    "Digits": "1234",
    "From": "+14158675309",
    "To": "+18005551212",
    "Caller": "+14158675309",
}
REPEATED = {"Sid": "CA123", "SidAccount": "AC123", "Digits": ["5678", "1234", "1234"]}
JSON = '{"property": "value", "boolean": true}'
HASH = "0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"
INBOUND = "https://followup.example.org/webhooks/twilio/inbound"
STATUS = "https://followup.example.org/webhooks/twilio/status?id=0192f0c1"
A = (
    "ToCountry=US&ToState=CA&SmsMessageSid=SM00000000000000000000000000000001&NumMedia=0&ToCity="
    "&FromZip=92614&SmsSid=SM00000000000000000000000000000001&FromState=CA&SmsStatus=received"
    "&FromCity=IRVINE&Body=STOP&FromCountry=US&To=%2B19495550100"
    "&MessagingServiceSid=MG00000000000000000000000000000001&ToZip=&NumSegments=1"
    "&MessageSid=SM00000000000000000000000000000001&AccountSid=AC00000000000000000000000000000001"
    "&From=%2B19495550199&ApiVersion=2010-04-01&OptOutType=STOP"
)
B = (
    "AccountSid=AC00000000000000000000000000000001&From=%2B19495550100&To=%2B19495550199"
    "&MessageSid=SM00000000000000000000000000000002&SmsSid=SM00000000000000000000000000000002"
    "&MessageStatus=undelivered&SmsStatus=undelivered&ApiVersion=2010-04-01&ErrorCode=30003"
    "&RawDlrDoneDate=2611230517"
)
SPANISH = (
    "Body=Est%C3%A1+bien%2C+gracias+%0A&From=%2B19495550199&To=%2B19495550100"
    "&MessageSid=SM00000000000000000000000000000003"
)


def form(encoded: str, *, blanks: bool = True) -> dict[str, Any]:
    return dict(parse_qsl(encoded, keep_blank_values=blanks))


VECTORS: dict[str, tuple[str, Any, str]] = {
    "1": (U, P, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
    "1 with a port": (U.replace(".com", ".com:1234"), P, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
    "2 repeated fields": (U, REPEATED, "IK+Dwps556ElfBT0I3Rgjkr1wJU="),
    "3 signed with the port": (U, P, "kvajT1Ptam85bY51eRf/AJRuM3w="),
    "4 http and a port": (
        "http://mycompany.com:1234/myapp.php?foo=1&bar=2",
        P,
        "Zmvh+3yNM1Phv2jhDCwEM3q5ebU=",
    ),
    "5 http signed with the port": (
        "http://mycompany.com/myapp.php?foo=1&bar=2",
        P,
        "0ZXoZLH/DfblKGATFgpif+LLRf4=",
    ),
    "6 JSON": (f"{U}&bodySHA256={HASH}", JSON, "a9nBmqA0ju/hNViExpshrM61xv4="),
    "7 an inbound text": (INBOUND, form(A), "SIexcObvUWKcUkC0vc4mUxNSRgw="),
    "9 a receipt": (STATUS, form(B), "3qxFO+vgIrNGqxRCJGltDf+HQrw="),
    "10 accents and blanks kept": (INBOUND, form(SPANISH), "zErzqCSMYDBqt41hD0/5HMKxH3g="),
}


@pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS)
def test_what_twilio_signed_is_believed(vector: tuple[str, Any, str]) -> None:
    url, fields, signature = vector

    assert is_signed([TOKEN], url, fields, signature)


@pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS)
def test_another_token_address_or_signature_is_not_believed(vector: tuple[str, Any, str]) -> None:
    url, fields, signature = vector

    assert not is_signed(["54321"], url, fields, signature)
    assert not is_signed(
        [TOKEN], url.replace("com", "net").replace("org", "net"), fields, signature
    )
    assert not is_signed([TOKEN], url, fields, signature[:-2] + "A=")
    assert not is_signed([TOKEN], url, fields, "")
    assert not is_signed([], url, fields, signature)


def test_a_form_that_lost_its_blank_fields_is_another_form() -> None:
    bare = form(A, blanks=False)

    assert is_signed([TOKEN], INBOUND, bare, "8bxEUZb3AVHF75By8iFZEluLCxY=")
    assert not is_signed([TOKEN], INBOUND, bare, "SIexcObvUWKcUkC0vc4mUxNSRgw=")
    assert not is_signed([TOKEN], INBOUND, form(A), "8bxEUZb3AVHF75By8iFZEluLCxY=")


def test_the_previous_token_is_believed_while_it_is_listed() -> None:
    assert is_signed(["the-new-one", TOKEN], U, P, "RSOYDt4T1cUTdK1PDd93/VVr8B8=")


def test_lists_of_one_are_as_good_as_text() -> None:
    listed = parse_qs(A, keep_blank_values=True)

    assert is_signed([TOKEN], INBOUND, listed, "SIexcObvUWKcUkC0vc4mUxNSRgw=")


@pytest.mark.parametrize(
    "fields", [{"answers": {"a": "b"}}, {"a": ["b", {"c": "d"}]}, {"a": 1}, {"a": None}]
)
def test_fields_that_twilio_never_sends_are_refused(fields: dict[str, Any]) -> None:
    assert not is_signed([TOKEN], U, fields, "RSOYDt4T1cUTdK1PDd93/VVr8B8=")


def test_json_needs_the_hash_of_its_body_in_the_address() -> None:
    signature = "a9nBmqA0ju/hNViExpshrM61xv4="

    assert not is_signed([TOKEN], f"{U}&bodySHA256={HASH}", JSON + " ", signature)
    assert not is_signed([TOKEN], U, JSON, "RSOYDt4T1cUTdK1PDd93/VVr8B8=")
