"""Who of the staff may act: tokens are shown once, kept as hashes, renewed and withdrawn."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine, text

from followup.domain.alarm import AlarmKind
from followup.domain.cadence import Lane
from followup.domain.delivery import Reason, Status
from followup.errors import Conflict, Invalid, NotFound, TemporaryFailure
from followup.services import staffing
from followup.services.alarming import tell_staff
from followup.services.staffing import Credential, StaffRole
from followup.store import people
from followup.store.db import reading, transaction
from tests.schema import KEYRING
from tests.services.cast import ALICE, FRONT_DESK, FRONT_DESK_PHONE, HOUR, MINUTE, TUESDAY_TEN, Desk


def add(engine: Engine, name: str = "Ann Lee", **changes: Any) -> Credential:
    with transaction(engine) as session:
        return staffing.add_person(
            session, KEYRING, name=name, role=StaffRole.staff, now=TUESDAY_TEN, **changes
        )


def owner(engine: Engine, token: str) -> str | None:
    with reading(engine) as session:
        person = staffing.find_by_token(session, token)
        return person.name if person else None


def test_a_person_is_known_by_the_token(engine: Engine) -> None:
    ann, ben = add(engine), add(engine, "Ben")

    assert owner(engine, ann.token) == "Ann Lee"
    assert owner(engine, ben.token) == "Ben"
    assert ann.token != ben.token


@pytest.mark.parametrize("token", ["", "fu_", "fu_wrong", "null"])
def test_a_wrong_token_is_nobodys(engine: Engine, token: str) -> None:
    add(engine)

    assert owner(engine, token) is None


def test_the_token_itself_is_not_kept(engine: Engine) -> None:
    token = add(engine).token

    with engine.connect() as connection:
        row = connection.execute(text("SELECT * FROM staff")).one()

    assert not any(token in str(value) for value in row)
    assert len(token) > 40


def test_addresses_are_kept_in_normal_form(engine: Engine) -> None:
    person = add(engine, email="ann@EXAMPLE.com", phone="(949) 555-0111").person

    assert (person.email, person.phone) == ("ann@example.com", "+19495550111")
    assert person.phone_hash == KEYRING.hash("+19495550111")


def test_a_name_is_trimmed_and_somebodys_own(engine: Engine) -> None:
    add(engine, "  Ann   Lee ")

    with pytest.raises(Conflict, match="Ann Lee"):
        add(engine, "Ann Lee")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        pytest.param({"name": "  "}, "name", id="no name"),
        pytest.param({"name": "A" * 201}, "name", id="a name that is too long"),
        pytest.param({"email": "nonsense"}, "email", id="no email"),
        pytest.param({"phone": "12"}, "phone", id="no phone"),
    ],
)
def test_what_is_wrong_with_a_person_is_named(
    engine: Engine, changes: dict[str, str], field: str
) -> None:
    with pytest.raises(Invalid, match=field):
        add(engine, **changes)

    with reading(engine) as session:
        assert people.list_people(session) == []


def test_a_new_token_replaces_the_old_one(engine: Engine) -> None:
    old = add(engine).token

    with transaction(engine) as session:
        new = staffing.renew_token(session, "Ann Lee", TUESDAY_TEN).token

    assert owner(engine, old) is None
    assert owner(engine, new) == "Ann Lee"


def test_who_is_disabled_may_not_act_nor_get_a_new_token(engine: Engine) -> None:
    token = add(engine).token
    with transaction(engine) as session:
        staffing.disable(session, "Ann Lee", TUESDAY_TEN)

    assert owner(engine, token) is None
    with pytest.raises(Conflict, match="disabled"), transaction(engine) as session:
        staffing.renew_token(session, "Ann Lee", TUESDAY_TEN)


def test_a_name_that_nobody_has_is_not_found(engine: Engine) -> None:
    with pytest.raises(NotFound, match="Nobody"), transaction(engine) as session:
        staffing.disable(session, "Nobody", TUESDAY_TEN)


# What was planned for a person who leaves.

ANN = {"email": "ann@example.com", "phone": "+19495550121"}


def leave(engine: Engine, name: str) -> None:
    with transaction(engine) as session:
        staffing.disable(session, name, TUESDAY_TEN)


def test_who_is_disabled_is_told_nothing_that_was_planned(desk: Desk) -> None:
    add(desk.engine, **ANN)
    desk.submit(ALICE)
    planned = desk.rows(recipient_name="Ann Lee")
    assert {row.recipient for row in planned} == set(ANN.values())

    leave(desk.engine, "Ann Lee")
    desk.now += HOUR
    desk.send()

    left = desk.rows(recipient_name="Ann Lee")
    assert {(row.status, row.reason) for row in left} == {(Status.cancelled, Reason.staff_left)}
    assert not {message.to for message in desk.provider.sent} & set(ANN.values())


def test_an_alarm_is_not_told_to_who_is_disabled(desk: Desk) -> None:
    add(desk.engine, **ANN)
    site = desk.planner.clinic.site(None)
    facts = {"count": 1, "references": ["K7Q4"]}
    with transaction(desk.engine) as session:
        tell_staff(session, desk.planner, AlarmKind.unreached, site, desk.now, facts)

    leave(desk.engine, "Ann Lee")
    desk.send(Lane.staff)

    assert {message.to for message in desk.provider.sent} == {FRONT_DESK, FRONT_DESK_PHONE}


def test_what_a_person_was_sent_before_leaving_stays_as_it_was(desk: Desk) -> None:
    add(desk.engine, **ANN)
    lead = desk.submit(ALICE)
    desk.send(Lane.staff)

    leave(desk.engine, "Ann Lee")

    sent = desk.rows(lead, recipient_name="Ann Lee", lane=Lane.staff)
    assert {row.status for row in sent} == {Status.accepted}


def test_when_one_leaves_the_others_and_the_patient_are_told_as_before(desk: Desk) -> None:
    add(desk.engine, **ANN)
    add(desk.engine, "Ben", email="ben@example.com")
    lead = desk.submit(ALICE)

    leave(desk.engine, "Ann Lee")

    others = [row for row in desk.rows(lead) if row.recipient_name != "Ann Lee"]
    assert {row.recipient_name for row in others} == {None, "Ben", "Front desk"}
    assert {row.status for row in others} == {Status.planned}


def test_what_could_not_be_sent_to_somebody_who_left_meanwhile_is_not_tried_again(
    desk: Desk,
) -> None:
    add(desk.engine, **ANN)
    desk.submit(ALICE)
    desk.provider.answer = lambda _: TemporaryFailure("come back later")
    desk.send(Lane.staff)
    tried = desk.rows(recipient_name="Ann Lee", lane=Lane.staff)
    for row in tried:
        desk.change(row, status=Status.sending)
    leave(desk.engine, "Ann Lee")
    for row in tried:
        desk.change(row, status=Status.planned)
    desk.provider.sent.clear()

    desk.now += MINUTE
    desk.send(Lane.staff)

    assert not {message.to for message in desk.provider.sent} & set(ANN.values())
    left = desk.rows(recipient_name="Ann Lee", lane=Lane.staff)
    assert {(row.status, row.reason) for row in left} == {(Status.cancelled, Reason.staff_left)}


# What changes while a person stays.


def change(engine: Engine, name: str, **changes: Any) -> None:
    with transaction(engine) as session:
        staffing.change_person(session, name, TUESDAY_TEN, **changes)


def test_what_was_planned_goes_to_the_new_address(desk: Desk) -> None:
    add(desk.engine, **ANN)
    desk.submit(ALICE)
    planned = {row.id for row in desk.rows(recipient_name="Ann Lee")}

    change(desk.engine, "Ann Lee", email="ann.lee@example.com", phone="(949) 555-0122")

    rows = desk.rows(recipient_name="Ann Lee")
    assert {row.id for row in rows} == planned
    assert {row.recipient for row in rows} == {"ann.lee@example.com", "+19495550122"}
    desk.now += HOUR
    desk.send(Lane.staff)
    assert not {message.to for message in desk.provider.sent} & set(ANN.values())


def test_what_was_planned_for_an_address_that_goes_is_cancelled(desk: Desk) -> None:
    add(desk.engine, **ANN)
    desk.submit(ALICE)

    # The front desk is owed the same at its own address already.
    change(desk.engine, "Ann Lee", email="", phone=FRONT_DESK_PHONE)

    left = desk.rows(recipient_name="Ann Lee")
    assert {(row.status, row.reason) for row in left} == {(Status.cancelled, Reason.superseded)}


def test_somebody_stays_who_may_do_everything(engine: Engine) -> None:
    with transaction(engine) as session:
        for name in ("Ann", "Ben"):
            staffing.add_person(session, KEYRING, name=name, role=StaffRole.admin, now=TUESDAY_TEN)

    change(engine, "Ann", role=StaffRole.manager)

    with pytest.raises(Conflict, match="last admin"):
        change(engine, "Ben", role=StaffRole.staff)
    with pytest.raises(Conflict, match="last admin"):
        leave(engine, "Ben")
    leave(engine, "Ann")
    with reading(engine) as session:
        assert [one.name for one in people.list_people(session, active=True)] == ["Ben"]


def test_two_admins_cannot_end_each_other_at_once(engine: Engine) -> None:
    with transaction(engine) as session:
        for name in ("Ann", "Ben"):
            staffing.add_person(session, KEYRING, name=name, role=StaffRole.admin, now=TUESDAY_TEN)

    def end(name: str) -> bool:
        try:
            leave(engine, name)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(2) as threads:
        ended = list(threads.map(end, ("Ann", "Ben")))

    assert sorted(ended) == [False, True]
