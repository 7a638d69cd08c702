"""`followup staff`: people and their tokens, shown once."""

import pytest
from sqlalchemy import Engine

from followup.services import staffing
from followup.store.db import reading
from tests.cli.running import Run, one_line


def test_staff_are_added_with_a_token_that_is_shown_once(run: Run, engine: Engine) -> None:
    ran = run(
        *("staff", "add", "--name", "Ana", "--role", "manager"),
        *("--email", "ana@example.com", "--phone", "(415) 555-0102", "--json"),
    )

    assert ran.json.keys() == {"id", "name", "role", "token"}
    assert (ran.json["name"], ran.json["role"]) == ("Ana", "manager")
    listed = run("staff", "list", "--json")
    assert ran.json["token"] not in listed.out
    assert listed.json == [
        {
            "id": ran.json["id"],
            "name": "Ana",
            "role": "manager",
            "email": "ana@example.com",
            "phone": "+14155550102",
            "codes": False,
            "browsers": 0,
            "disabled": False,
        }
    ]


@pytest.mark.parametrize(
    ("options", "status", "problem"),
    [
        pytest.param(["--name", " "], 2, "name: must have 1 to 200 characters", id="no name"),
        pytest.param(["--name", "Ana"], 1, "there is a person named Ana already", id="taken"),
        pytest.param(["--name", "Ben", "--email", "x"], 2, "email: expected", id="email"),
        pytest.param(["--name", "Ben", "--phone", "x"], 2, "phone: expected", id="phone"),
    ],
)
def test_staff_that_cannot_be_added_are_refused(
    run: Run, ana: str, options: list[str], status: int, problem: str
) -> None:
    ran = run("staff", "add", "--role", "staff", *options)

    assert ran.status == status
    assert problem in one_line(ran)


def test_an_unknown_role_is_wrong_usage(run: Run) -> None:
    assert run("staff", "add", "--name", "Ana", "--role", "owner").status == 2


def test_a_token_is_renewed_until_its_person_is_disabled(
    run: Run, engine: Engine, ana: str
) -> None:
    renewed = run("staff", "token", "--name", "Ana", "--json").json["token"]

    with reading(engine) as session:
        assert staffing.find_by_token(session, ana) is None
        assert staffing.find_by_token(session, renewed) is not None
    assert "the last admin" in one_line(run("staff", "disable", "--name", "Ana"))
    run("staff", "add", "--name", "Ben", "--role", "admin")
    assert run("staff", "disable", "--name", "Ana").status == 0
    with reading(engine) as session:
        assert staffing.find_by_token(session, renewed) is None
    assert run("staff", "token", "--name", "Ana").status == 1


def test_who_is_not_of_the_staff_is_a_no(run: Run, engine: Engine) -> None:
    ran = run("staff", "disable", "--name", "Nobody")

    assert ran.status == 1
    assert "nobody named Nobody" in one_line(ran)


def test_somebody_gets_another_role_and_address(run: Run, engine: Engine, ana: str) -> None:
    run("staff", "add", "--name", "Ben", "--role", "staff", "--email", "ben@example.com")

    assert run("staff", "change", "--name", "Ben", "--role", "manager", "--email", "").status == 0
    assert run("staff", "reset-codes", "--name", "Ben").status == 0

    ben = run("staff", "list", "--json").json[1]
    assert (ben["role"], ben["email"]) == ("manager", None)
    assert run("staff", "change", "--name", "Ben", "--phone", "x").status == 2
    assert run("staff", "change", "--name", "Ana", "--role", "staff").status == 1
