"""Rows of `submissions`: kept as received, claimed once to be consumed."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from followup.store import submissions
from followup.store.db import new_id, transaction
from followup.store.words import SubmissionStatus
from tests.parallel import flat, together
from tests.store.rows import TUESDAY_TEN, add_lead, add_submission

MINUTE = timedelta(minutes=1)


def test_a_submission_is_found_by_its_id_and_its_key(session: Session) -> None:
    submission = add_submission(session, key_hash="a" * 64)

    assert submissions.find_submission(session, submission.id) is submission
    assert submissions.find_submission(session, new_id()) is None
    assert submissions.find_by_key(session, ["b" * 64, "a" * 64]) is submission
    assert submissions.find_by_key(session, ["b" * 64]) is None


def test_a_key_is_kept_once(engine: Engine) -> None:
    with transaction(engine) as session:
        add_submission(session, key_hash="a" * 64)

    with pytest.raises(IntegrityError), transaction(engine) as session:
        add_submission(session, key_hash="a" * 64)


@pytest.mark.parametrize(
    ("changes", "is_claimed"),
    [
        pytest.param({}, True, id="due now"),
        pytest.param({"due_at": TUESDAY_TEN + MINUTE}, False, id="not yet"),
        pytest.param({"status": SubmissionStatus.consumed}, False, id="consumed"),
        pytest.param({"status": SubmissionStatus.problem}, False, id="with a problem"),
    ],
)
def test_what_came_in_and_is_due_is_claimed(
    session: Session, changes: dict[str, Any], is_claimed: bool
) -> None:
    add_submission(session, **changes)

    assert bool(submissions.claim_unconsumed(session, TUESDAY_TEN, 16)) is is_claimed


def test_parallel_consumers_never_claim_the_same_submission(engine: Engine) -> None:
    with transaction(engine) as session:
        ids = [add_submission(session).id for _ in range(20)]

    def take() -> list[uuid.UUID]:
        taken: list[uuid.UUID] = []
        while True:
            with transaction(engine) as session:
                batch = submissions.claim_unconsumed(session, TUESDAY_TEN, 3)
                for one in batch:
                    one.status = SubmissionStatus.consumed
            if not batch:
                return taken
            taken += [one.id for one in batch]

    assert sorted(flat(together(*[take] * 4))) == ids


def test_the_oldest_is_claimed_first(session: Session) -> None:
    second = add_submission(session)
    first = add_submission(session, due_at=TUESDAY_TEN - MINUTE)

    assert submissions.claim_unconsumed(session, TUESDAY_TEN, 16) == [first, second]
    assert submissions.claim_unconsumed(session, TUESDAY_TEN, 1) == [first]


def test_the_submissions_of_a_lead(session: Session) -> None:
    lead = add_lead(session)
    assert submissions.last_received_at(session, lead.id) is None
    newer = add_submission(session, lead_id=lead.id, received_at=TUESDAY_TEN + MINUTE)
    older = add_submission(session, lead_id=lead.id)
    add_submission(session)

    assert submissions.list_of_lead(session, lead.id) == [newer, older]
    assert submissions.count_of_lead(session, lead.id) == 2
    assert submissions.last_received_at(session, lead.id) == TUESDAY_TEN + MINUTE


def test_problems_are_listed_and_handed_back_one_or_all(session: Session) -> None:
    bad = [
        add_submission(session, status=SubmissionStatus.problem, problem="phone: wrong")
        for _ in range(3)
    ]
    add_submission(session, status=SubmissionStatus.consumed)
    assert submissions.list_problems(session) == bad
    later = TUESDAY_TEN + MINUTE

    assert submissions.retry_problems(session, later, bad[1].id) == 1
    assert submissions.list_problems(session) == [bad[0], bad[2]]
    assert submissions.retry_problems(session, later, None) == 2

    session.refresh(bad[0])
    assert (bad[0].status, bad[0].due_at, bad[0].problem) == ("accepted", later, None)
    assert submissions.count_by_status(session) == {
        SubmissionStatus.accepted: 3,
        SubmissionStatus.consumed: 1,
    }
