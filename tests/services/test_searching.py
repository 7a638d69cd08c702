"""Leads are found by what staff know of a person."""

import pytest

from followup.services import searching
from followup.services.searching import search
from followup.store.db import reading
from tests.services.cast import ALICE, BOB, MINUTE, Desk


def found(desk: Desk, query: str) -> list[str]:
    with reading(desk.engine) as session:
        return [lead.name for lead in search(session, desk.planner, query)]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        pytest.param("alice@example.com", ["Alice Ames"], id="the email"),
        pytest.param(" ALICE@Example.COM ", ["Alice Ames"], id="the email as typed"),
        pytest.param("(212) 555-0101", ["Alice Ames"], id="the phone as typed"),
        pytest.param("+12125550101", ["Alice Ames"], id="the phone in E.164"),
        pytest.param("ames", ["Alice Ames"], id="part of the name"),
        pytest.param("  ÁMES ", ["Alice Ames"], id="part of the name with an accent"),
        pytest.param("b", ["Bob Bell"], id="one letter"),
        pytest.param("carol", [], id="nobody's name"),
        pytest.param("nobody@example.com", [], id="nobody's email"),
        pytest.param("alice@", ["Alice Ames"], id="half an email, as a name"),
        pytest.param("", [], id="nothing"),
        pytest.param("   ", [], id="spaces"),
        pytest.param("%", [], id="a wildcard"),
    ],
)
def test_a_lead_is_found_by(desk: Desk, query: str, names: list[str]) -> None:
    desk.submit(ALICE)
    desk.submit(BOB)

    assert found(desk, query) == names


def test_a_reference_finds_its_lead_alone_as_it_is_spoken(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    desk.submit(BOB)

    assert found(desk, f" {lead.reference.lower()} ") == ["Alice Ames"]


def test_by_address_also_those_are_found_who_were_contacted(desk: Desk) -> None:
    desk.mark(desk.submit(ALICE))
    desk.submit({**ALICE, "name": "Alice Again"})

    assert found(desk, ALICE["email"]) == ["Alice Again", "Alice Ames"]


def test_by_name_only_those_are_found_who_wait(desk: Desk) -> None:
    desk.mark(desk.submit(ALICE))

    assert found(desk, "Ames") == []


def test_of_many_of_a_name_the_first_to_be_called_are_shown(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "MOST", 2)
    names = [f"Ann {letter}" for letter in "ABC"]
    for number, name in enumerate(names):
        desk.now += MINUTE
        desk.submit({**ALICE, "name": name, "email": f"{number}@example.com", "phone": None})

    assert found(desk, "ann") == names[:2]
