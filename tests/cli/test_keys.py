"""`followup keys …`: what is needed still, and bringing everything under the first key."""

from collections.abc import Callable

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Engine

from followup.config import PREFIX
from tests.cli.running import ALICE, Run
from tests.schema import ENCRYPTION_KEYS

NEW = Fernet.generate_key().decode()
SetKeys = Callable[..., None]


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> SetKeys:
    def set_keys(*keys: str) -> None:
        monkeypatch.setenv(f"{PREFIX}ENCRYPTION_KEYS", ",".join(keys))

    return set_keys


def test_a_rotation_from_beginning_to_end(run: Run, lead: str, keys: SetKeys) -> None:
    keys(NEW, *ENCRYPTION_KEYS)
    before = run("keys", "status")
    checked = run("keys", "rotate", "--check", "--json")
    rotated = run("keys", "rotate")
    after = run("keys", "status")
    keys(NEW)

    assert before.status == checked.status == 1
    assert "need key 2 of" in before.out
    assert checked.json["needed"] == [2]
    assert (rotated.status, after.status) == (0, 0)
    assert "fields written anew: " in rotated.out
    assert "the others may leave" in after.out
    assert f"{lead}  " in run("leads", "list").out
    assert run("keys", "status").out == "one key, and it reads everything\n"
    found = run("export", "--phone", ALICE["phone"], "--out", "-")
    assert [one["reference"] for one in found.json["leads"]] == [lead], "hashed as before"


def test_a_key_that_was_removed_too_early_is_asked_for(run: Run, lead: str, keys: SetKeys) -> None:
    keys(NEW)

    ran = run("keys", "status")

    assert ran.status == 1
    assert "put the key that wrote them back" in ran.out


def test_the_doctor_says_that_a_rotation_is_pending(run: Run, lead: str, keys: SetKeys) -> None:
    def says() -> tuple[bool, str]:
        checks = run("doctor", "--json").json["checks"]
        return next((one["ok"], one["says"]) for one in checks if one["check"] == "keys")

    keys(NEW, *ENCRYPTION_KEYS)
    pending = says()
    run("keys", "rotate")
    done = says()
    keys(NEW)
    alone = says()
    keys(Fernet.generate_key().decode())

    assert pending == (True, "a rotation is pending: run `followup keys rotate`")
    assert done == (True, "all fields are written with the first key; the others may go")
    assert alone == (True, "one key")
    assert says()[0] is False


def test_the_status_as_json_counts_by_key(run: Run, engine: Engine) -> None:
    ran = run("keys", "status", "--json")

    assert ran.status == 0
    # The keys of hashes and of the audit trail are the only fields of an empty store.
    assert ran.json == {
        "done": True,
        "needed": [],
        "fields": {"1": len(ENCRYPTION_KEYS) + 1, "2": 0},
        "unreadable": 0,
    }
