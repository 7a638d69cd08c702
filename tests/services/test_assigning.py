"""A lead is given to somebody of the staff; two never take it unknowingly."""

import pytest

from followup.errors import Conflict, Invalid
from followup.services import staffing, working
from followup.services.staffing import StaffRole
from followup.store.db import transaction
from tests.parallel import together
from tests.schema import KEYRING
from tests.services.cast import ALICE, Desk
from tests.services.test_working import verbs


def test_of_many_who_take_a_lead_at_once_one_has_it_and_the_others_are_told(desk: Desk) -> None:
    """Case 83."""
    lead = desk.submit(ALICE)
    names = [f"Person {number}" for number in range(6)]
    with transaction(desk.engine) as session:
        for name in names:
            staffing.add_person(session, KEYRING, name=name, role=StaffRole.staff, now=desk.now)

    def take(name: str) -> str:
        try:
            with transaction(desk.engine) as session:
                working.assign(session, lead.id, to=name, expected=None, by=name, now=desk.now)
        except Conflict as told:
            return str(told)
        return f"{name} has it now"

    answers = together(*[lambda name=name: take(name) for name in names])

    assert set(answers) == {f"{desk.lead(lead).assigned_to} has it now"}
    assert verbs(desk, lead) == ["assigned"]


def test_a_lead_is_given_to_nobody_who_does_not_work_here(desk: Desk) -> None:
    lead = desk.submit(ALICE)

    with transaction(desk.engine) as session, pytest.raises(Invalid, match="works here"):
        working.assign(session, lead.id, to="Nobody", expected=None, by="Ann", now=desk.now)
