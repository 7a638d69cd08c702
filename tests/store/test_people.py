"""Rows of `staff`: who may act, and by which token."""

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from followup.store import people
from followup.store.db import transaction
from followup.store.models import Person
from tests.store.rows import TUESDAY_TEN


def add(session: Session, name: str, token: str = "") -> Person:
    token_hash = (token or name).ljust(64, "0")
    return people.add_person(
        session, name=name, role="staff", token_hash=token_hash, created_at=TUESDAY_TEN
    )


def test_a_person_is_found_by_name_and_by_token(session: Session) -> None:
    ann = add(session, "Ann", "t")

    assert people.find_by_name(session, "Ann") is ann
    assert people.find_by_name(session, "ann") is None
    assert people.find_by_token(session, "t".ljust(64, "0")) is ann
    assert people.find_by_token(session, "u".ljust(64, "0")) is None


def test_who_is_disabled_is_kept_but_may_not_act(session: Session) -> None:
    ann, ben = add(session, "Ann"), add(session, "Ben")
    people.disable(ann, TUESDAY_TEN)
    people.disable(ann, TUESDAY_TEN.replace(hour=23))

    assert ann.disabled_at == TUESDAY_TEN
    assert people.find_by_token(session, ann.token_hash) is None
    assert people.list_people(session) == [ann, ben]
    assert people.list_people(session, active=True) == [ben]


@pytest.mark.parametrize(("name", "token"), [("Ann", "other"), ("Ben", "t")])
def test_names_and_tokens_are_somebodys_own(engine: Engine, name: str, token: str) -> None:
    with transaction(engine) as session:
        add(session, "Ann", "t")

    with pytest.raises(IntegrityError), transaction(engine) as session:
        add(session, name, token)
