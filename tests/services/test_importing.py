"""Rows of a spreadsheet become open leads once, and nobody is written to unless that was asked."""

from typing import Any

import pytest
from sqlalchemy import select

from followup.clinic_sources import Naming
from followup.domain.cadence import Audience
from followup.domain.sheet import read_sheet
from followup.domain.submission import Kind
from followup.errors import Invalid
from followup.services import importing, intake
from followup.store import consents
from followup.store.db import reading
from followup.store.models import Delivery, Lead, RiskMatch
from tests.services.cast import ALICE, HOUR, TUESDAY_TEN, Desk, clinic

SHEET = (
    "Full Name,E-mail,Phone,Message\n"
    "Ana Ruiz,ana@example.org,(949) 555-0199,I want to die\n"
    "Bo,bo@example.org,,\n"
    ",,,nobody\n"
)


def run_import(
    desk: Desk, text: str = SHEET, audiences: tuple[Audience, ...] = (), **naming: Any
) -> int:
    examined = importing.examine(
        desk.engine,
        desk.planner,
        Kind.contact,
        read_sheet(text.encode()),
        Naming.model_validate(naming),
    )
    taken = importing.take(
        desk.engine,
        clinic(),
        Kind.contact,
        examined,
        audiences=audiences,
        by="Dana",
        now=TUESDAY_TEN,
    )
    intake.consume(desk.engine, desk.planner, TUESDAY_TEN)
    return taken


def leads(desk: Desk) -> dict[str, Lead]:
    with reading(desk.engine) as session:
        return {lead.name: lead for lead in session.scalars(select(Lead).order_by(Lead.id))}


def audiences(desk: Desk) -> set[tuple[str, str]]:
    with reading(desk.engine) as session:
        rows = session.scalars(select(Delivery))
        return {(row.audience.value, row.step) for row in rows}


def test_an_import_makes_open_leads_once_and_writes_to_nobody(desk: Desk) -> None:
    assert (run_import(desk), run_import(desk)) == (2, 0)
    # The columns of a file may stand in another order the next time.
    assert run_import(desk, "Phone,Full Name,E-mail\n,Bo,bo@example.org\n") == 0

    assert {name: lead.status.value for name, lead in leads(desk).items()} == {
        "Ana Ruiz": "open",
        "Bo": "open",
    }
    # Nothing but that somebody may be in danger, which staff alone are told.
    assert audiences(desk) == {("staff", "danger")}
    with reading(desk.engine) as session:
        assert len(session.scalars(select(RiskMatch)).all()) == 1


def test_staff_alone_are_told_when_asked(desk: Desk) -> None:
    run_import(desk, audiences=(Audience.staff,))

    assert {audience for audience, _ in audiences(desk)} == {"staff"}
    assert ("staff", "alert") in audiences(desk)


def test_patients_are_written_to_only_when_asked(desk: Desk) -> None:
    run_import(desk, audiences=tuple(Audience))

    assert {("patient", "acknowledgement"), ("staff", "alert")} <= audiences(desk)


def test_a_row_of_somebody_who_waits_is_the_same_lead_and_changes_nothing_owed(
    desk: Desk,
) -> None:
    run_import(desk, f"name,email\n{ALICE['name']},{ALICE['email']}\n")
    run_import(desk, f"name,email,note\n{ALICE['name']},{ALICE['email']},called twice\n")

    assert len(leads(desk)) == 1
    assert audiences(desk) == set()


def test_what_somebody_else_sends_of_an_imported_person_is_acknowledged(desk: Desk) -> None:
    run_import(desk, f"name,email\n{ALICE['name']},{ALICE['email']}\n")
    at = TUESDAY_TEN + HOUR
    intake.receive(desk.engine, clinic(), Kind.contact, ALICE, now=at)
    intake.consume(desk.engine, desk.planner, at)

    assert len(leads(desk)) == 1
    assert ("patient", "acknowledgement") in audiences(desk)


def test_consent_of_a_sheet_is_what_its_mapping_says(desk: Desk) -> None:
    text = "name,phone,ok\nAna,(949) 555-0199,yes\nBo,(949) 555-0198,9495550198\n"
    consent = {"field": "ok", "text_version": "2026-11"}
    run_import(desk, text, audiences=tuple(Audience), consent=consent)

    found = leads(desk)
    with reading(desk.engine) as session:
        given = {
            name: [one.given for one in consents.list_consents(session, lead.id)]
            for name, lead in found.items()
        }
    assert given == {"Ana": [True], "Bo": [False]}


def test_a_column_that_is_not_there_is_named(desk: Desk) -> None:
    naming = Naming.model_validate({"fields": {"phone": "Tel", "message": "MESSAGE"}})

    with pytest.raises(Invalid, match=r"^Tel: the file has no such column; it has Full Name"):
        importing.examine(
            desk.engine, desk.planner, Kind.contact, read_sheet(SHEET.encode()), naming
        )


def test_what_is_known_already_is_named(desk: Desk) -> None:
    run_import(desk)
    (ana, _) = leads(desk).values()

    examined = importing.examine(
        desk.engine,
        desk.planner,
        Kind.contact,
        read_sheet(b"name,phone\nAnother,949.555.0199\nNobody,949.555.0198\n"),
        Naming(),
    )

    assert [one.known for one in examined] == [(ana.reference,), ()]
