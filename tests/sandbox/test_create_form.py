"""What Twilio refuses before it looks at anything else."""

from collections.abc import Mapping

import pytest

from followup.sandbox.create_form import KNOWN, refuse

GOOD = {"To": "+14155550101", "From": "+19495550100", "Body": "Hello"}
SERVICE = "MG00000000000000000000000000000001"


def code(changes: Mapping[str, str | None], *, redaction: bool = False) -> int | None:
    fields = {**GOOD, **changes}
    form = {name: [value] for name, value in fields.items() if value is not None}
    refusal = refuse(form, redaction=redaction)
    return refusal.code if refusal else None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, None, id="number to number"),
        pytest.param({"From": None, "MessagingServiceSid": SERVICE}, None, id="service"),
        pytest.param({"From": "28282"}, None, id="short code"),
        pytest.param({"Body": "x" * 1600}, None, id="longest body"),
        pytest.param({"Body": None, "MediaUrl": "https://example.com/a"}, None, id="picture only"),
        pytest.param({"StatusCallback": "http://127.0.0.1:9/s/1#rc=3"}, None, id="callback"),
        pytest.param({"ValidityPeriod": "36000"}, None, id="longest validity"),
        pytest.param({"Bdy": "Hello"}, 20001, id="misspelt parameter"),
        pytest.param({"To": None}, 21604, id="no recipient"),
        pytest.param({"To": "4155550101"}, 21211, id="national form"),
        pytest.param({"To": "+0155550101"}, 21211, id="no such country"),
        pytest.param({"To": "+1 415 555 0101"}, 21211, id="spaces"),
        pytest.param({"From": None}, 21603, id="no sender"),
        pytest.param({"From": "Clinic"}, 21212, id="name as sender"),
        pytest.param({"MessagingServiceSid": "MG1"}, 21701, id="malformed service"),
        pytest.param({"Body": None}, 21602, id="no body"),
        pytest.param({"Body": ""}, 21602, id="empty body"),
        pytest.param({"Body": "x" * 1601}, 21617, id="body too long"),
        pytest.param({"StatusCallback": "https://a_b.example.com/"}, 21609, id="underscore"),
        pytest.param({"StatusCallback": "ftp://example.com/"}, 21609, id="other scheme"),
        pytest.param({"StatusCallback": "/status/1"}, 21609, id="no host"),
        pytest.param({"ValidityPeriod": "0"}, 20001, id="no validity"),
        pytest.param({"ValidityPeriod": "36001"}, 20001, id="validity too long"),
        pytest.param({"ContentRetention": "discard"}, 30029, id="retention not bought"),
        pytest.param({"AddressRetention": "obfuscate"}, 30030, id="obfuscation not bought"),
        pytest.param({"ScheduleType": "fixed"}, 35111, id="schedule without time"),
    ],
)
def test_a_create_call_is_checked(changes: dict[str, str | None], expected: int | None) -> None:
    assert code(changes) == expected


def test_retention_options_pass_in_an_account_with_redaction() -> None:
    options = {"ContentRetention": "discard", "AddressRetention": "obfuscate"}

    assert code(options, redaction=True) is None


def test_a_parameter_given_twice_is_refused() -> None:
    form = {name: [value] for name, value in GOOD.items()}

    refusal = refuse({**form, "Body": ["a", "b"]}, redaction=False)

    assert refusal is not None
    assert "Body" in refusal.message


def test_a_refused_number_is_not_repeated_in_full() -> None:
    refusal = refuse({"To": ["4155550101"]}, redaction=False)

    assert refusal is not None
    assert "0101" not in refusal.message


def test_every_parameter_is_known_once() -> None:
    assert len(set(KNOWN)) == 25
