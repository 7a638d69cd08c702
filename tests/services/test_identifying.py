"""Who is one person: by reference, by email, by phone."""

import pytest

from followup.errors import Invalid, NotFound
from followup.services.identifying import Identified, identify, identify_leads
from followup.store.db import reading
from tests.services.cast import ALICE, BOB, Desk

SON = {"name": "Ben Ames", "phone": ALICE["phone"]}


def found(desk: Desk, **who: str) -> Identified:
    with reading(desk.engine) as session:
        return identify(session, desk.planner, **who)


def again(desk: Desk, **changes: str) -> str:
    """Alice, after she was contacted, writes once more: another lead."""
    for lead in desk.leads():
        if lead.status == "open":
            desk.mark(lead)
    return desk.submit({**ALICE, **changes}).reference


def test_every_lead_of_the_person_is_found_by_the_reference_of_one(desk: Desk) -> None:
    first = desk.submit(ALICE).reference
    second = again(desk, phone="+12125550109")
    third = again(desk, email="a.ames@example.com", phone="+12125550109")
    desk.submit(BOB)

    person = found(desk, reference=third.lower())

    assert person.references == [first, second, third]
    assert person.emails == {ALICE["email"], "a.ames@example.com"}
    assert person.phones == {ALICE["phone"], "+12125550109"}


def test_another_name_at_the_same_number_is_somebody_else(desk: Desk) -> None:
    alice, _ = desk.submit(ALICE), desk.submit(SON)

    assert found(desk, reference=alice.reference).references == [alice.reference]


def test_a_number_names_everybody_who_has_it(desk: Desk) -> None:
    alice, son = desk.submit(ALICE), desk.submit(SON)

    person = found(desk, phone="(212) 555-0101")

    assert person.references == [alice.reference, son.reference]


def test_an_email_is_found_in_any_case(desk: Desk) -> None:
    alice = desk.submit(ALICE)

    assert found(desk, email="ALICE@Example.com").references == [alice.reference]


def test_somebody_without_a_lead_has_an_address_all_the_same(desk: Desk) -> None:
    person = found(desk, phone=BOB["phone"])

    assert person == Identified((), frozenset(), frozenset({BOB["phone"]}))
    assert set(person.phone_hashes(desk.planner)) <= set(person.hashes(desk.planner))


def test_leads_alone_are_taken_as_they_are(desk: Desk) -> None:
    alice, _ = desk.submit(ALICE), desk.submit(SON)

    with reading(desk.engine) as session:
        person = identify_leads(session, [alice.id])

    assert person.references == [alice.reference]
    assert person.emails == {ALICE["email"]}


def test_a_reference_that_nobody_has_is_not_found(desk: Desk) -> None:
    with pytest.raises(NotFound, match="Z9Z9"):
        found(desk, reference="Z9Z9")


@pytest.mark.parametrize(("field", "value"), [("email", "nobody"), ("phone", "12")])
def test_what_is_no_address_is_named(desk: Desk, field: str, value: str) -> None:
    with pytest.raises(Invalid, match=field):
        found(desk, **{field: value})
