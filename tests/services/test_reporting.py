"""What every door shows of leads, and what the statistics say."""

from dataclasses import replace
from datetime import timedelta

import pytest

from followup.domain.cadence import Channel, Lane
from followup.domain.delivery import SENTENCES, Reason, Status
from followup.services import intake, reporting, working
from followup.store import submissions
from followup.store.db import reading, transaction
from followup.store.models import Lead
from tests.services.cast import ALICE, BOB, HOUR, MINUTE, TUESDAY_TEN, Desk


def show(desk: Desk, lead: Lead) -> dict[str, object]:
    with reading(desk.engine) as session:
        return reporting.show_lead_whole(session, desk.planner, lead, desk.now)


def stats(desk: Desk) -> dict[str, object]:
    with reading(desk.engine) as session:
        return reporting.stats(session, desk.now)


def test_a_lead_is_shown_with_the_fields_that_scripts_rely_on(desk: Desk) -> None:
    lead = desk.submit(ALICE, interest="tms", location="newport-beach")

    shown = reporting.show_lead(lead, desk.now)

    assert shown == {
        "id": str(lead.id),
        "reference": lead.reference,
        "status": "open",
        "held_for": None,
        "priority": "normal",
        "kind": "contact",
        "role": "patient",
        **ALICE,
        "phone_extension": None,
        "language": "en",
        "interest": "tms",
        "location": "newport-beach",
        "site": "newport-beach",
        "preferred_channel": None,
        "created_at": "2026-10-20T17:00:00Z",
        "promised_at": "2026-10-20T18:00:00Z",
        "contacted_at": None,
        "contacted_by": None,
        "outcome": None,
        "assigned_to": None,
        "snoozed_until": None,
        "overdue": False,
        "possible_duplicate": None,
        "merged_into": None,
    }


@pytest.mark.parametrize(
    ("later", "snoozed", "overdue"),
    [
        pytest.param(HOUR, False, False, id="when the promise ends"),
        pytest.param(HOUR + MINUTE, False, True, id="past the promise"),
        pytest.param(HOUR + MINUTE, True, False, id="past the promise, but put off"),
    ],
)
def test_a_lead_is_overdue_past_the_promise(
    desk: Desk, later: timedelta, snoozed: bool, overdue: bool
) -> None:
    lead = desk.submit(ALICE)
    if snoozed:
        with transaction(desk.engine) as session:
            until = desk.now + 3 * HOUR
            working.snooze(session, lead.id, until=until, by="Ann", now=desk.now)

    assert reporting.show_lead(desk.lead(lead), TUESDAY_TEN + later)["overdue"] is overdue


def test_the_whole_lead_shows_what_came_in_was_agreed_sent_or_not_done_and_said(
    desk: Desk,
) -> None:
    lead = desk.submit(ALICE, message="Please call", shoe_size=38)
    desk.submit(ALICE)
    desk.send()
    desk.reply(ALICE["phone"], "After four, please")
    desk.mark(lead)

    whole = show(desk, desk.lead(lead))

    counts = {name: len(part) for name, part in whole.items() if isinstance(part, list)}
    rows = desk.rows(lead)
    assert counts == {
        "submissions": 2,
        "consents": 2,
        "suppressions": 0,
        "risks": 0,
        "deliveries": len(rows),
        "decisions": 8,
        "next": 0,
        "parts": 0,
        "actions": 1,
        "replies": 1,
    }
    assert whole["submissions"][0]["fields"]["shoe_size"] == 38  # type: ignore[index]
    assert whole["actions"][0]["cancelled"] == 5  # type: ignore[index]
    assert whole["status"] == "contacted"


def test_every_delivery_that_was_not_sent_is_explained(desk: Desk) -> None:
    lead = desk.submit(ALICE, consent_sms=False)
    desk.send()
    desk.mark(lead)

    deliveries = show(desk, lead)["deliveries"]

    assert isinstance(deliveries, list)
    sentences = {
        (one["status"], one["explanation"]) for one in deliveries if one["status"] != "accepted"
    }
    assert sentences == {
        ("skipped", SENTENCES[Reason.no_consent]),
        ("cancelled", SENTENCES[Reason.contacted]),
    }
    fields = {"id", "step", "occurrence", "audience", "channel", "lane", "status", "reason"}
    fields |= {"due_at", "expires_at", "sent_at", "provider_id"}
    assert all(fields <= set(one) for one in deliveries)


def test_a_decision_shows_its_reason_and_the_facts_that_it_used(desk: Desk) -> None:
    lead = desk.submit(ALICE, consent_sms=False)
    desk.send()

    decisions = show(desk, lead)["decisions"]

    assert isinstance(decisions, list)
    (skipped,) = [one for one in decisions if one["status"] == "skipped"]
    assert skipped["reason"] == "no_consent"
    assert skipped["explanation"] == SENTENCES[Reason.no_consent]
    assert skipped["facts"]["consent"] is False


def test_leads_are_listed_page_by_page_newest_first(desk: Desk) -> None:
    total = reporting.PAGE + 2
    for number in range(total):
        desk.receive({"name": f"P {number}", "email": f"p{number}@example.com"})
    while desk.consume():
        pass

    with reading(desk.engine) as session:
        first, cursor = reporting.list_page(session, desk.now)
        assert cursor == str(first[-1].id)
        second, end = reporting.list_page(session, desk.now, cursor=first[-1].id)

    names = [lead.name for lead in [*first, *second]]
    assert names == [f"P {number}" for number in reversed(range(total))]
    assert (len(first), len(second), end) == (reporting.PAGE, 2, None)


def test_a_last_page_that_is_full_is_the_end(desk: Desk) -> None:
    for number in range(reporting.PAGE):
        desk.receive({"name": f"P {number}", "email": f"p{number}@example.com"})
    while desk.consume():
        pass

    with reading(desk.engine) as session:
        page, cursor = reporting.list_page(session, desk.now)

    assert (len(page), cursor) == (reporting.PAGE, None)


def test_a_problem_is_shown_as_it_came_in(desk: Desk) -> None:
    submission_id = desk.receive(ALICE)
    intake.consume(desk.engine, replace(desk.planner, cadences={}), desk.now)

    with reading(desk.engine) as session:
        (problem,) = submissions.list_problems(session)

    assert reporting.show_problem(problem) == {
        "id": str(submission_id),
        "kind": "contact",
        "source": "api",
        "received_at": "2026-10-20T17:00:00Z",
        "problem": "unexpected KeyError",
        "fields": {**ALICE, "consent_sms": True},
    }


def test_without_anybody_the_statistics_say_so(desk: Desk) -> None:
    assert stats(desk) == {
        "waiting": 0,
        "held": 0,
        "overdue": 0,
        "contacted": 0,
        "seconds_to_contact": {"median": None, "p90": None},
        "promise_kept": None,
        "deliveries": {},
        "submissions": {},
    }


def test_the_statistics_count_who_waits_and_how_soon_people_were_reached(desk: Desk) -> None:
    """Case 84: looked at when the promise is over, two were kept all the same."""
    reached = [desk.submit({"name": f"P {n}", "email": f"p{n}@example.com"}) for n in range(3)]
    desk.submit(BOB)
    for lead, minutes in zip(reached, (10, 20, 90), strict=True):
        desk.now = TUESDAY_TEN + minutes * MINUTE
        desk.mark(lead)

    found = stats(desk)

    assert (found["waiting"], found["overdue"], found["contacted"]) == (1, 1, 3)
    assert found["promise_kept"] == 2 / 3
    times = found["seconds_to_contact"]
    assert isinstance(times, dict)
    assert times["median"] == 20 * 60
    assert 20 * 60 < times["p90"] <= 90 * 60


def test_a_single_time_to_contact_is_its_own_percentile(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    desk.now += 10 * MINUTE
    desk.mark(lead)

    assert stats(desk)["seconds_to_contact"] == {"median": 600, "p90": 600}


def test_what_was_not_sent_to_a_silent_number_is_not_counted_as_sent(desk: Desk) -> None:
    """Case 61."""
    desk.mark(desk.submit(ALICE))
    desk.reply(ALICE["phone"], "opt out")
    desk.submit(ALICE)
    desk.send(Lane.ack)

    by_status = stats(desk)["deliveries"]
    assert isinstance(by_status, dict)
    # The confirmation alone went; what was planned was cancelled or skipped.
    assert by_status["sms"]["accepted"] == len(desk.provider.to(ALICE["phone"])) == 1
    assert by_status["sms"]["skipped"] == 1


def test_the_statistics_cover_thirty_days(desk: Desk) -> None:
    desk.mark(desk.submit(ALICE))
    desk.now += reporting.STATS_PERIOD + timedelta(days=2)

    found = stats(desk)

    assert (found["contacted"], found["deliveries"]) == (0, {})


def test_the_statistics_count_outcomes_by_channel(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    desk.send()
    desk.change(desk.row(lead, "alert", Channel.sms), status=Status.delivered)
    desk.mark(lead)

    found = stats(desk)

    assert found["submissions"] == {"consumed": 1}
    assert found["deliveries"] == {
        "email": {"accepted": 2, "cancelled": 2},
        "sms": {"accepted": 1, "delivered": 1, "cancelled": 2},
    }
