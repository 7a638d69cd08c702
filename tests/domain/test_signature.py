"""Signatures of Standard Webhooks, by the specification's own vector."""

import pytest

from followup.domain.signature import read_key, sign

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID, TIMESTAMP, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_vector_of_the_specification() -> None:
    assert sign([read_key(SECRET)], ID, TIMESTAMP, BODY) == SIGNATURE


def test_each_key_signs_while_keys_are_changed() -> None:
    other = read_key("whsec_" + "A" * 32)

    assert sign([other, read_key(SECRET)], ID, TIMESTAMP, BODY).split(" ")[1] == SIGNATURE


def test_missing_padding_is_tolerated() -> None:
    # Computed with the libraries of the specification.
    key = read_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwBr")

    assert sign([key], ID, TIMESTAMP, BODY) == "v1,yK2tMbA6BHPrMEJ1lLv7UlJJbgFoqGenJkiajZ29evg="


@pytest.mark.parametrize(
    "secret",
    [
        pytest.param("", id="empty"),
        pytest.param("whsec_", id="nothing behind the prefix"),
        pytest.param("whsec_c2hvcnQ=", id="too short"),
        pytest.param("whsec_" + "A" * 88, id="too long"),
        pytest.param("whsec_$$$$", id="no base64"),
        pytest.param("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", id="no prefix"),
    ],
)
def test_what_is_no_secret(secret: str) -> None:
    with pytest.raises(ValueError, match="whsec_"):
        read_key(secret)
