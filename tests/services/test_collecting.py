"""What form vendors send is kept once, on each kind of database, also when it comes at once."""

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, select

from followup.clinic_limits import Limits
from followup.clinic_sources import Proof, Source, Vendor
from followup.domain.submission import Kind
from followup.errors import KeyReused, TooMany
from followup.services import collecting, intake
from followup.store.db import reading
from followup.store.models import Submission
from tests.parallel import together
from tests.services.cast import ALICE, TUESDAY_TEN, Desk, clinic

SIGNED = Source(name="signed", vendor=Vendor.generic, form=Kind.contact, id="ticket")
UNSIGNED = Source(name="unsigned", vendor=Vendor.generic, form=Kind.contact, proof=Proof.path)
SENDER = "203.0.113.5"


def collect(engine: Engine, source: Source = SIGNED, **fields: Any) -> collecting.Collected:
    return collecting.collect(
        engine,
        clinic().model_copy(update={"sources": (SIGNED, UNSIGNED)}),
        source,
        {**ALICE, "ticket": 1, **fields},
        now=TUESDAY_TEN,
        sender=SENDER,
        limits=Limits(per_address=2),
    )


def kept(engine: Engine) -> list[Submission]:
    with reading(engine) as session:
        return list(session.scalars(select(Submission).order_by(Submission.id)))


def test_a_submission_that_comes_many_times_at_once_is_kept_once(engine: Engine) -> None:
    answers = together(*[lambda: collect(engine)] * 20)

    (submission,) = kept(engine)
    assert {one.submission_id for one in answers} == {submission.id}
    assert sum(one.is_new for one in answers) == 1


def test_other_content_under_its_id_is_kept_once_as_well(engine: Engine) -> None:
    collect(engine)
    for _ in range(2):
        with pytest.raises(KeyReused):
            collect(engine, message="Another")

    first, later = kept(engine)
    assert (first.status, later.status) == ("accepted", "problem")
    assert later.payload["received"]["message"] == "Another"


def test_an_unsigned_source_is_limited_by_address_and_a_signed_one_is_not(
    engine: Engine,
) -> None:
    for number in range(4):
        collect(engine, ticket=number)
    for number in range(2):
        collect(engine, UNSIGNED, number=number)

    with pytest.raises(TooMany):
        collect(engine, UNSIGNED, number=2)
    # What was taken before is answered as before.
    assert not collect(engine, UNSIGNED, number=1).is_new


def test_what_was_kept_is_read_again_by_the_mapping_of_today(desk: Desk) -> None:
    odd: dict[str, Any] = {
        "name": None,
        "email": None,
        "phone": None,
        "Wer": "Ana",
        "Wo": "ana@example.org",
    }
    taken = collect(desk.engine, **odd)
    assert taken.problem is not None

    mended = SIGNED.model_copy(update={"fields": {"name": ("Wer",), "email": ("Wo",)}})
    planner = replace(
        desk.planner, clinic=desk.planner.clinic.model_copy(update={"sources": (mended,)})
    )
    intake.replay(desk.engine, TUESDAY_TEN)
    intake.consume(desk.engine, planner, TUESDAY_TEN)

    (submission,) = kept(desk.engine)
    assert (submission.status, submission.payload["name"]) == ("consumed", "Ana")
