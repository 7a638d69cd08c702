"""Signatures of Standard Webhooks, by the specification's own vector."""

import base64

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


def test_a_key_is_read_with_or_without_its_prefix_and_padding() -> None:
    bare = SECRET.removeprefix("whsec_")

    assert read_key(SECRET) == read_key(bare) == base64.b64decode(bare)
    assert [len(read_key(one)) for one in (SECRET[:-1], SECRET + "Br")] == [23, 25]


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_=", "whsec_!", "whsec_$$$$", "whsec_é"])
def test_what_is_no_secret(secret: str) -> None:
    with pytest.raises(ValueError, match=r"key|base64|ascii|ASCII|characters"):
        read_key(secret)
