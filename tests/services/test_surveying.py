"""The insights' numbers, worked out on paper, over real leads and messages."""

from collections.abc import Mapping
from typing import Any

import pytest

from followup.clinic_limits import Retention
from followup.domain.audit import Door
from followup.domain.cadence import Channel
from followup.domain.consent import MatchedBy, SuppressionReason
from followup.domain.delivery import Reason, Status
from followup.domain.lead import LeadStatus
from followup.domain.submission import Kind
from followup.services import pruning, reviewing, silencing, surveying, working
from followup.services.surveying import PERIODS, Table
from followup.store.db import reading, transaction
from followup.store.models import Lead
from tests.services.cast import ALICE, BOB, DAY, HOUR, MINUTE, Desk, at, clinic

Numbers = Mapping[str, tuple[float | None, ...]]


def survey(desk: Desk, days: int = 30) -> dict[str, Table]:
    with reading(desk.engine) as session:
        return surveying.survey(session, clinic(), desk.now, days)


def filled(rows: Numbers) -> Numbers:
    """Those in which there is anything."""
    return {name: values for name, values in rows.items() if any(values)}


def person(number: int) -> dict[str, str]:
    return {"name": f"P {number}", "email": f"p{number}@example.com"}


def do(desk: Desk, time: str, act: Any, *arguments: Any, **fields: Any) -> Any:
    desk.now = at(f"2026-10-{time}")
    return act(*arguments, **fields)


@pytest.fixture
def week(desk: Desk) -> Desk:
    """Five who wrote, and what staff did; the site opens at nine, and promises one open hour.

    In minutes until the first attempt and the first contact, and in open ones:

        Dee, Monday 20:00          810, 810     30, 30
        Ann, Tuesday 10:00           4,   4      4,  4
        Ben, Tuesday 10:00          10,  50     10, 50
        Cat, Tuesday 10:00         120,   -    120,  -
        Eve, Tuesday 12:00           -,   -      -,  -     half an hour ago
    """
    far = {"kind": Kind.screening, "location": "manhattan-beach"}
    dee = do(desk, "19 20:00", desk.submit, person(4), **far)
    do(desk, "20 09:30", desk.mark, dee)
    ann, ben, cat = (do(desk, "20 10:00", desk.submit, person(number)) for number in range(1, 4))
    do(desk, "20 10:04", desk.mark, ann)
    do(desk, "20 10:10", desk.attempt, ben)
    do(desk, "20 10:50", desk.mark, ben, by="Mia")
    do(desk, "20 12:00", desk.attempt, cat)
    do(desk, "20 12:00", desk.submit, person(5))
    desk.now = at("2026-10-20 12:30")
    return desk


def minutes(*counts: float) -> tuple[Any, ...]:
    return tuple(pytest.approx(count * 60) for count in counts)


def test_the_first_attempt_and_the_first_contact_are_told_apart(week: Desk) -> None:
    assert survey(week)["times"].rows == {
        # Of 4, 10, 120, 810; and of 4, 50, 810.
        "median": minutes(65, 50),
        "p90": minutes(603, 658),
        # Of 4, 10, 30, 120; and of 4, 30, 50.
        "open_median": minutes(20, 30),
        "open_p90": minutes(93, 46),
    }


def test_a_share_is_of_those_of_whom_it_is_known(week: Desk) -> None:
    assert survey(week)["within"].rows == {
        # Eve has waited longer than that already.
        "within_5m": (1 / 5, 1 / 5),
        # She may still be called within the hour: nobody knows.
        "within_1h": (2 / 4, 2 / 4),
        "within_business_hour": (3 / 4, 3 / 4),
        "promise_kept": (3 / 4, 3 / 4),
    }


def test_everybody_is_in_one_class(week: Desk) -> None:
    found = survey(week)

    assert found["classes"].rows == {
        "5m": (1, 1),
        "15m": (1, 0),
        "1h": (0, 1),
        "4h": (1, 0),
        "1d": (1, 1),
        "3d": (0, 0),
        "longer": (0, 0),
        "not_yet": (1, 2),
    }
    # Cat rests for two open hours since she was tried, so is not late.
    assert filled(found["waiting"].rows) == {"1h": (1, 0), "4h": (1, 0)}


def test_groups_have_the_numbers_of_their_own(week: Desk) -> None:
    found = survey(week)

    newport = (4, 3, 2, *minutes(10, 27, 45.4), 1 / 4, 2 / 3, 2 / 3, 2 / 3)
    manhattan = (1, 1, 1, *minutes(810, 810, 810), 0, 0, 1, 1)
    assert found["site"].rows == {"newport-beach": newport, "manhattan-beach": manhattan}
    assert found["kind"].rows == {"contact": newport, "screening": manhattan}
    assert found["opening"].rows == {"open": newport, "closed": manhattan}
    assert list(found["source"].rows) == ["api"]
    assert filled(found["weekday"].rows) == {"0": manhattan, "1": newport}
    hours = {hour: row[:3] for hour, row in filled(found["hour"].rows).items()}
    assert hours == {"10:00": (3, 3, 2), "12:00": (1, 0, 0), "20:00": (1, 1, 1)}


def test_each_lead_is_of_who_reached_the_person_or_else_has_it(week: Desk) -> None:
    """Case 82."""
    has_it = {"P 2": "Ann", "P 3": "Mia"}
    with transaction(week.engine) as session:
        for lead in week.leads():
            session.get_one(Lead, lead.id).assigned_to = has_it.get(lead.name)

    assert survey(week)["person"].rows == {
        # Eve.
        "": (1, 0, 0, None, None, None, 0, None, None, None),
        # Ann and Dee.
        "Ann": (2, 2, 2, *minutes(407, 407, 729.4), 1 / 2, 1 / 2, 1, 1),
        # Ben, whom Ann had, and Cat, who has waited longer than any limit.
        "Mia": (2, 2, 1, *minutes(65, 50, 50), 0, 1 / 2, 1 / 2, 1 / 2),
    }


def test_what_we_send_is_no_contact(desk: Desk) -> None:
    """Case 81."""
    desk.submit(ALICE)
    desk.send()
    assert desk.provider.to(ALICE["phone"])
    desk.now += 2 * HOUR

    found = survey(desk)

    assert filled(found["classes"].rows) == {"not_yet": (1, 1)}
    assert set(found["within"].rows.values()) == {(0, 0)}
    assert set(found["times"].rows.values()) == {(None, None)}
    assert filled(found["waiting"].rows) == {"4h": (0, 1)}


def test_a_mark_that_was_taken_back_is_no_contact(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    desk.mark(lead)
    desk.reopen(lead)
    desk.now += MINUTE

    assert filled(survey(desk)["classes"].rows) == {"not_yet": (1, 1)}


def test_who_is_owed_no_call_is_not_counted(desk: Desk) -> None:
    held, closed = desk.submit(ALICE), desk.submit(BOB)
    with transaction(desk.engine) as session:
        for lead in (held, closed):
            session.get_one(Lead, lead.id).status = LeadStatus.held
        session.flush()
        reviewing.reject(session, closed.id, by="Ann", now=desk.now)

    found = survey(desk)

    assert filled(found["classes"].rows) == {}
    assert filled(found["waiting"].rows) == {}


@pytest.mark.parametrize("days", PERIODS)
def test_a_period_ends(desk: Desk, days: int) -> None:
    desk.submit(ALICE)
    desk.send()
    desk.reply(ALICE["phone"], "STOP")
    desk.now += days * DAY

    found = survey(desk, days)
    desk.now += MINUTE
    later = survey(desk, days)

    names = ("classes", "opt_outs", "hour", "deliveries")
    assert all(filled(found[name].rows) for name in names)
    assert not any(filled(later[name].rows) for name in names[:-1])
    # Whoever waits does so now, however long ago they wrote.
    assert filled(later["waiting"].rows) == {"longer": (0, 1)}


def test_messages_are_counted_by_what_became_of_them(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    desk.send()
    desk.submit(BOB, consent_sms=False)
    desk.send()
    text = desk.row(lead, "acknowledgement", Channel.sms)
    desk.change(text, status=Status.undelivered, reason=Reason.undeliverable)
    desk.change(desk.row(lead, "acknowledgement", Channel.email), status=Status.sent)

    found = survey(desk)

    columns = list(found["deliveries"].columns)
    told = {
        to: {column: count for column, count in zip(columns, row, strict=True) if count}
        for to, row in found["deliveries"].rows.items()
    }
    assert told == {
        "patient_email": {"accepted": 2},
        "patient_sms": {"failed": 1, "skipped": 1},
        "staff_email": {"accepted": 2},
        "staff_sms": {"accepted": 2},
        "staff_chat": {},
    }
    assert found["failures"].rows == {
        "no_consent": (0, 1, 0, 0, 0),
        "undeliverable": (0, 1, 0, 0, 0),
    }


def test_messages_in_history_count_like_the_others(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    desk.send()
    desk.mark(lead)
    desk.now += 40 * DAY
    before = survey(desk, 90)["deliveries"]
    assert filled(before.rows)

    assert pruning.move_to_history(desk.engine, Retention(history_days=31), desk.now)

    assert desk.rows(lead) == []
    assert survey(desk, 90)["deliveries"] == before
    assert filled(survey(desk, 30)["deliveries"].rows) == {}


def test_opt_outs_are_what_somebody_said(desk: Desk) -> None:
    desk.submit(ALICE)
    bob = desk.submit(BOB)
    desk.reply(ALICE["phone"], "STOP")
    with transaction(desk.engine) as session:
        working.record_opt_out(
            session, desk.planner, bob.id, by="Ann", now=desk.now, door=Door.page
        )
        hashes = desk.planner.hashes_of(Channel.email, ALICE["email"])
        silencing.silence(
            session,
            Channel.email,
            hashes,
            SuppressionReason.unreachable,
            desk.now,
            evidence="550",
            matched_by=MatchedBy.provider,
        )

    assert filled(survey(desk)["opt_outs"].rows) == {"opted_out": (0, 1), "asked_staff": (1, 1)}
