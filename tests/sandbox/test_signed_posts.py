"""The settings that a webhook's URL carries in its fragment."""

import pytest

from followup.sandbox.signed_posts import Override


@pytest.mark.parametrize(
    ("fragment", "expected"),
    [
        pytest.param("", Override(), id="nothing said"),
        pytest.param(
            "rc=3&rp=5xx,ct,rt",
            Override(retries=3, retry_on=frozenset({"5xx", "ct", "rt"})),
            id="ours",
        ),
        pytest.param(
            "ct=100&rt=200&tt=300",
            Override(connect_seconds=0.1, read_seconds=0.2, total_seconds=0.3),
            id="timeouts in milliseconds",
        ),
        pytest.param("rc=6&ct=1&rt=x", Override(), id="out of range or unreadable"),
        pytest.param("e=dublin", Override(), id="an edge, which is nothing here"),
    ],
)
def test_a_fragment_is_read(fragment: str, expected: Override) -> None:
    assert Override.parse(fragment) == expected
