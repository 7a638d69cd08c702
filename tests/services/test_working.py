"""What staff do with a lead, and that a lead which was contacted is silent from then on."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from threading import Event

import pytest
from sqlalchemy import Engine

from followup.domain.cadence import TO_PATIENTS, Audience, Channel, Lane
from followup.domain.consent import Act, MatchedBy, SuppressionReason
from followup.domain.delivery import Reason, Status
from followup.domain.lead import LeadStatus, Outcome
from followup.errors import (
    AlreadyContacted,
    Conflict,
    Invalid,
    NotFound,
    OutcomeUnknown,
    TemporaryFailure,
)
from followup.services import working
from followup.store import consents, deliveries, ledger
from followup.store.db import new_id, reading, transaction
from followup.store.models import Lead
from followup.transports.base import Outgoing
from tests.parallel import PATIENCE_SECONDS, together
from tests.schema import KEYRING
from tests.services.cast import (
    ALICE,
    BOB,
    FRONT_DESK,
    HOUR,
    MINUTE,
    TUESDAY_TEN,
    Desk,
    at,
)
from tests.services.holding import holding_the_first_commit
from tests.store.waiting_for_locks import meanwhile, until_blocked


def set_status(desk: Desk, lead: Lead, status: LeadStatus) -> None:
    with transaction(desk.engine) as session:
        session.get_one(Lead, lead.id).status = status


def verbs(desk: Desk, lead: Lead) -> list[str]:
    with reading(desk.engine) as session:
        return [action.verb for action in ledger.list_actions(session, lead.id)]


def test_contacted_ends_everything_that_is_planned(desk: Desk) -> None:
    lead = desk.submit(ALICE)

    marked = desk.mark(lead)

    assert (marked.cancelled, marked.in_flight) == (8, [])
    assert (marked.lead.status, marked.lead.contacted_by) == (LeadStatus.contacted, "Ann")
    assert (marked.lead.contacted_at, marked.lead.outcome) == (TUESDAY_TEN, Outcome.reached)
    rows = desk.rows(lead)
    assert {(row.status, row.reason) for row in rows} == {(Status.cancelled, Reason.contacted)}


def test_nothing_is_sent_after_contacted(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    desk.send()
    before = len(desk.provider.sent)
    desk.mark(lead)

    for _ in range(14):
        desk.now += 12 * HOUR
        desk.send()

    assert len(desk.provider.sent) == before
    assert desk.owed(lead) == 0


def test_contacted_leaves_other_leads_alone(desk: Desk) -> None:
    lead, other = desk.submit(ALICE), desk.submit(BOB)

    desk.mark(lead)

    assert desk.owed(other) == 8


def test_what_is_with_the_provider_is_named(desk: Desk) -> None:
    lead = desk.submit({**ALICE, "phone": None})
    marked: list[working.Marked] = []
    (row,) = desk.rows(lead, lane=Lane.ack)

    desk.provider.answer = lambda _: marked.append(desk.mark(lead))
    desk.send(Lane.ack)

    assert marked[0].cancelled == 5
    assert marked[0].in_flight == [row.id]


def test_a_mark_that_meets_a_claim_names_what_was_claimed_and_cancels_the_rest(
    desk: Desk, other_engine: Engine
) -> None:
    lead = desk.submit(ALICE)
    desk.now += 5 * MINUTE
    # Of one channel: the other is claimed by itself, before or after.
    desk.change(desk.row(lead, "reminder", Channel.sms), due_at=desk.now + HOUR)
    reminders = desk.rows(lead, step="reminder", channel=Channel.email)
    is_marked = Event()

    def mark() -> working.Marked:
        with transaction(other_engine) as session:
            return working.mark_contacted(session, lead.id, by="Ann", now=desk.now)

    def answer_when_marked(_message: Outgoing) -> None:
        assert is_marked.wait(PATIENCE_SECONDS)

    desk.provider.answer = answer_when_marked
    with (
        holding_the_first_commit(desk.engine) as claim,
        meanwhile(lambda: desk.send(Lane.reminder)) as sending,
    ):
        claim.wait_until_reached()
        with meanwhile(mark) as marking:
            until_blocked(other_engine, marking)
            assert not marking.done()
            claim.let_go()
            marked = marking.result(PATIENCE_SECONDS)
            is_marked.set()
            sending.result(PATIENCE_SECONDS)

    assert set(marked.in_flight) <= {row.id for row in reminders}
    if desk.engine.dialect.name == "postgresql":
        assert set(marked.in_flight) == {row.id for row in reminders}
        # Seven that were planned before, and the two next reminders which the claim had planned.
        assert marked.cancelled == 9
    assert desk.owed(lead) == 0
    assert {m.delivery_id for m in desk.provider.sent} == {row.id for row in reminders}


def test_marks_and_claims_at_once_lose_nothing(desk: Desk, other_engine: Engine) -> None:
    """Whatever the order: each delivery was cancelled, or sent and either named or before."""
    leads = [desk.submit({"name": f"P {n}", "email": f"p{n}@example.com"}) for n in range(12)]
    desk.now += 5 * MINUTE
    marked: list[working.Marked] = []

    def mark_all() -> None:
        for lead in leads:
            with transaction(other_engine) as session:
                marked.append(working.mark_contacted(session, lead.id, by="Ann", now=desk.now))

    together(mark_all, lambda: desk.send(), lambda: desk.send(Lane.reminder))

    sent = {message.delivery_id for message in desk.provider.sent}
    in_flight = {delivery_id for one in marked for delivery_id in one.in_flight}
    rows = desk.rows()
    assert in_flight <= sent
    assert sum(one.cancelled for one in marked) == len(rows) - len(sent)
    assert {row.status for row in rows if row.id not in sent} <= {Status.cancelled}


@pytest.mark.parametrize("status", [LeadStatus.open, LeadStatus.held])
def test_a_lead_that_waits_can_be_marked(desk: Desk, status: LeadStatus) -> None:
    lead = desk.submit(ALICE)
    set_status(desk, lead, status)

    assert desk.mark(lead).lead.status is LeadStatus.contacted


def test_the_same_person_marking_again_gets_the_same_answer(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    first = desk.mark(lead)
    desk.now += HOUR

    again = desk.mark(lead)

    assert (again.cancelled, again.in_flight) == (first.cancelled, first.in_flight)
    assert again.lead.contacted_at == TUESDAY_TEN
    assert verbs(desk, lead) == ["contacted"]


def test_another_person_marking_is_told_who_was_first(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    desk.mark(lead, by="Ann")
    desk.now += HOUR

    with pytest.raises(AlreadyContacted) as refused:
        desk.mark(lead, by="Ben")

    assert (refused.value.contacted_by, refused.value.contacted_at) == ("Ann", TUESDAY_TEN)


def test_of_many_who_mark_at_once_one_is_first_and_the_others_are_told(desk: Desk) -> None:
    """Case 83."""
    lead = desk.submit(ALICE)

    def mark(name: str) -> str:
        try:
            return f"{desk.mark(lead, by=name).lead.contacted_by} was first"
        except AlreadyContacted as told:
            return f"{told.contacted_by} was first"

    names = [f"Person {number}" for number in range(6)]
    answers = together(*[lambda name=name: mark(name) for name in names])

    assert len(set(answers)) == 1
    assert verbs(desk, lead) == ["contacted"]


def test_a_closed_lead_is_not_marked(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    set_status(desk, lead, LeadStatus.closed)

    with pytest.raises(Conflict, match="reopen it first"):
        desk.mark(lead)


def test_a_lead_that_is_not_there_is_not_found(desk: Desk) -> None:
    with pytest.raises(NotFound), transaction(desk.engine) as session:
        working.mark_contacted(session, new_id(), by="Ann", now=desk.now)


def test_what_the_mark_did_is_kept_with_the_lead(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    with transaction(desk.engine) as session:
        working.mark_contacted(
            session,
            lead.id,
            by="Ann",
            now=desk.now,
            outcome=Outcome.booked,
            note="Thursday at four",
        )

    with reading(desk.engine) as session:
        (action,) = ledger.list_actions(session, lead.id)
    assert (action.verb, action.by, action.at) == ("contacted", "Ann", TUESDAY_TEN)
    assert action.note == "Thursday at four"
    assert action.facts == {"outcome": "booked", "cancelled": 8, "in_flight": []}


def test_a_retry_of_what_was_in_flight_is_not_sent_after_contacted(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    desk.provider.answer = lambda _: TemporaryFailure("busy")
    desk.send(Lane.ack)
    desk.mark(lead)
    for row in desk.rows(lead, lane=Lane.ack):
        desk.change(row, status=Status.planned, reason=Reason.will_retry)
    before = len(desk.provider.sent)

    desk.now += MINUTE
    desk.send()

    assert len(desk.provider.sent) == before
    assert desk.owed(lead) == 0


@pytest.mark.parametrize(
    ("tried", "rest_until"),
    [
        pytest.param("2026-10-20 10:00", "2026-10-20 12:00", id="in the morning"),
        pytest.param("2026-10-20 16:30", "2026-10-21 10:30", id="before closing"),
        pytest.param("2026-10-23 17:30", "2026-10-26 11:00", id="on a Friday evening"),
    ],
)
def test_an_attempt_rests_the_reminders_for_two_business_hours(
    desk: Desk, tried: str, rest_until: str
) -> None:
    lead = desk.submit(ALICE)
    with transaction(desk.engine) as session:
        working.record_attempt(session, desk.planner, lead.id, by="Ann", now=at(tried))

    lead = desk.lead(lead)
    assert (lead.status, lead.snoozed_until) == (LeadStatus.open, at(rest_until))
    assert verbs(desk, lead) == ["attempt"]


def test_an_attempt_never_shortens_a_longer_rest(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    until = TUESDAY_TEN + timedelta(days=2)
    with transaction(desk.engine) as session:
        working.snooze(session, lead.id, until=until, by="Ann", now=desk.now)
        working.record_attempt(session, desk.planner, lead.id, by="Ann", now=desk.now)

    assert desk.lead(lead).snoozed_until == until


def test_an_attempt_does_not_hold_up_what_the_patient_is_owed(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    with transaction(desk.engine) as session:
        working.record_attempt(session, desk.planner, lead.id, by="Ann", now=desk.now)
    desk.now += 5 * MINUTE

    desk.send()

    assert desk.row(lead, "acknowledgement", Channel.email).status is Status.accepted
    assert desk.row(lead, "reminder", Channel.email, occurrence=1).reason is Reason.snoozed


@pytest.mark.parametrize(
    "until",
    [
        pytest.param(TUESDAY_TEN, id="now"),
        pytest.param(TUESDAY_TEN - MINUTE, id="before now"),
        pytest.param(TUESDAY_TEN + working.LONGEST_SNOOZE + MINUTE, id="too far ahead"),
    ],
)
def test_a_lead_is_snoozed_for_a_while_only(desk: Desk, until: object) -> None:
    lead = desk.submit(ALICE)

    with pytest.raises(Invalid, match="until"), transaction(desk.engine) as session:
        working.snooze(session, lead.id, until=until, by="Ann", now=desk.now)  # type: ignore[arg-type]

    assert desk.lead(lead).snoozed_until is None


@pytest.mark.parametrize(
    ("status", "refusal"),
    [(LeadStatus.contacted, AlreadyContacted), (LeadStatus.closed, Conflict)],
)
@pytest.mark.parametrize(
    "act",
    [
        pytest.param(
            lambda session, desk, lead: working.snooze(
                session, lead.id, until=desk.now + HOUR, by="Ben", now=desk.now
            ),
            id="snooze",
        ),
        pytest.param(
            lambda session, desk, lead: working.record_attempt(
                session, desk.planner, lead.id, by="Ben", now=desk.now
            ),
            id="attempt",
        ),
    ],
)
def test_a_lead_that_does_not_wait_is_neither_tried_nor_snoozed(
    desk: Desk,
    act: Callable[..., Lead],
    status: LeadStatus,
    refusal: type[Conflict],
) -> None:
    lead = desk.submit(ALICE)
    desk.mark(lead)
    set_status(desk, lead, status)

    with pytest.raises(refusal), transaction(desk.engine) as session:
        act(session, desk, lead)


def test_contacted_ends_a_snooze(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    with transaction(desk.engine) as session:
        working.snooze(session, lead.id, until=desk.now + HOUR, by="Ann", now=desk.now)

    assert desk.mark(lead).lead.snoozed_until is None


def test_reopened_plans_only_what_lies_ahead(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    desk.send()
    desk.mark(lead)
    desk.now += 2 * HOUR

    reopened = desk.reopen(lead)

    assert (reopened.status, reopened.episode) == (LeadStatus.open, 1)
    assert {reopened.contacted_at, reopened.contacted_by, reopened.outcome} == {None}
    owed = {(row.step, row.occurrence) for row in desk.rows(lead, status=Status.planned)}
    assert owed == {("reminder", 4), ("not-forgotten", 1)}
    assert all(row.due_at > desk.now for row in desk.rows(lead, status=Status.planned))


def test_reopening_sends_nothing_twice(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    sent_until = TUESDAY_TEN + 6 * HOUR
    while desk.now < sent_until:
        if desk.now == TUESDAY_TEN + 2 * HOUR:
            desk.mark(lead)
            desk.reopen(lead)
        desk.send()
        desk.now += 30 * MINUTE

    mails = [
        (row.step, row.occurrence, row.recipient)
        for row in desk.rows(lead, channel=Channel.email, status=Status.accepted)
    ]
    assert len(mails) == len(set(mails))
    reminders = [number for step, number, who in mails if (step, who) == ("reminder", FRONT_DESK)]
    assert sorted(reminders) == [3, 4, 5]


def test_what_an_interrupted_claim_left_planned_is_not_sent_beside_the_reopened(
    desk: Desk,
) -> None:
    lead = desk.submit(ALICE)
    desk.now += 5 * MINUTE
    desk.send()
    left = desk.rows(lead, step="reminder", occurrence=2)
    desk.mark(lead)
    for row in left:
        desk.change(row, status=Status.planned, reason=None)
    desk.reopen(lead)
    desk.now += 10 * MINUTE

    desk.send()

    second = desk.rows(lead, step="reminder", occurrence=2, channel=Channel.email)
    assert [(row.episode, row.status) for row in second] == [
        (0, Status.cancelled),
        (1, Status.accepted),
    ]


def test_a_reopened_lead_that_writes_again_is_acknowledged_once(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    desk.send()
    desk.mark(lead)
    desk.now += timedelta(days=2)
    desk.reopen(lead)
    before = len(desk.provider.to(ALICE["email"]))

    desk.submit(ALICE)
    desk.send()

    assert len(desk.provider.to(ALICE["email"])) == before + 1


@pytest.mark.parametrize("status", [LeadStatus.open, LeadStatus.held])
def test_a_lead_that_waits_is_not_reopened(desk: Desk, status: LeadStatus) -> None:
    lead = desk.submit(ALICE)
    set_status(desk, lead, status)

    with pytest.raises(Conflict, match="open"):
        desk.reopen(lead)


def test_a_closed_lead_is_reopened(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    set_status(desk, lead, LeadStatus.closed)

    assert desk.reopen(lead).status is LeadStatus.open


def test_a_reopened_lead_is_marked_anew(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    desk.mark(lead, by="Ann")
    desk.reopen(lead)

    marked = desk.mark(lead, by="Ben")

    assert marked.lead.contacted_by == "Ben"
    assert marked.cancelled == len(desk.rows(lead, episode=1)) == 4
    assert verbs(desk, lead) == ["contacted", "reopened", "contacted"]


def test_who_asks_staff_to_stop_is_not_written_to_for_any_lead(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    other = desk.submit({**BOB, "phone": ALICE["phone"]})
    with transaction(desk.engine) as session:
        working.record_opt_out(
            session, desk.planner, lead.id, by="Ann", now=desk.now, note="on the phone"
        )
    desk.send()

    patients = {row.recipient for row in desk.rows(audience=Audience.patient)}
    written_to = {m.to for m in desk.provider.sent} & patients
    assert written_to == {BOB["email"]}
    assert desk.row(other, "acknowledgement", Channel.sms).reason is Reason.asked_staff
    assert desk.lead(lead).status is LeadStatus.open
    assert desk.provider.to(FRONT_DESK) != []
    with reading(desk.engine) as session:
        found = consents.list_forbidden(session, [KEYRING.hash(ALICE["phone"])])
    assert set(found.values()) == {SuppressionReason.asked_staff}


def test_an_opt_out_is_in_force_for_what_comes_later(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    with transaction(desk.engine) as session:
        working.record_opt_out(session, desk.planner, lead.id, by="Ann", now=desk.now)
    desk.mark(lead)

    desk.submit(ALICE)
    desk.send()

    assert desk.provider.to(ALICE["email"]) == []
    assert desk.provider.to(ALICE["phone"]) == []


def test_ids_in_flight_are_ids(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    for row in desk.rows(lead, lane=Lane.ack):
        desk.change(row, status=Status.sending)

    first, again = desk.mark(lead), desk.mark(lead)

    assert first.in_flight == again.in_flight
    assert all(isinstance(one, uuid.UUID) for one in again.in_flight)
    assert len(first.in_flight) == 2


def test_what_was_in_flight_and_comes_back_is_not_sent_beside_the_reopened(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    desk.provider.answer = lambda _: OutcomeUnknown("the answer was lost")
    desk.send(Lane.ack)
    desk.provider.answer = lambda _: None
    desk.mark(lead)
    desk.reopen(lead)

    for _ in range(2):
        desk.let_asking_come()
        desk.settle()
    desk.send(Lane.ack)

    rows = desk.rows(lead, step="acknowledgement")
    assert {(row.status, row.reason) for row in rows} == {(Status.cancelled, Reason.contacted)}


def test_more_than_any_page_of_planned_deliveries_is_cancelled_by_one_mark(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    (reminder,) = desk.rows(lead, step="reminder", channel=Channel.email)
    copied = [
        *("lead_id", "episode", "step", "audience", "channel", "lane", "recipient"),
        *("recipient_hash", "recipient_name", "arrived_at", "due_at", "expires_at"),
    ]
    row = {name: getattr(reminder, name) for name in copied}
    with transaction(desk.engine) as session:
        deliveries.plan(session, [{**row, "occurrence": 100 + number} for number in range(150)])

    assert desk.mark(lead).cancelled >= 150

    assert desk.owed(lead) == 0


def test_no_delivery_is_ever_gone_however_plans_change(desk: Desk) -> None:
    """What is no longer owed is a state with its reason."""
    lead = desk.submit(ALICE)
    before = {row.id for row in desk.rows()}

    desk.submit({**ALICE, "phone": "+12125550199"})
    desk.reply("+12125550199", "STOP")
    desk.now += 5 * MINUTE
    desk.send()
    desk.mark(lead)
    desk.reopen(lead)

    rows = desk.rows()
    assert before <= {row.id for row in rows}
    assert all(row.reason for row in rows if row.status in (Status.cancelled, Status.skipped))


def test_an_opt_out_of_one_channel_leaves_the_other_and_keeps_the_words(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    with transaction(desk.engine) as session:
        working.record_opt_out(
            session, desk.planner, lead.id, by="Ann", now=desk.now, note="no more texts, she said",
            channels=[Channel.sms],
        )  # fmt: skip
    desk.send()

    assert desk.provider.to(ALICE["phone"]) == []
    assert len(desk.provider.to(ALICE["email"])) == 1
    with reading(desk.engine) as session:
        (kept,) = consents.list_history(session, [lead.phone_hash or "", lead.email_hash or ""])
    assert (kept.matched_by, kept.evidence) == (MatchedBy.staff, "no more texts, she said")


def test_a_fresh_opt_in_told_to_staff_lifts_a_refusal_with_its_evidence(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    desk.reply(ALICE["phone"], "wrong number")
    with transaction(desk.engine) as session:
        working.record_opt_in(
            session, desk.planner, lead.id, by="Ann", now=desk.now, note="called, asked for texts",
            channels=[Channel.sms],
        )  # fmt: skip

    with reading(desk.engine) as session:
        hashes = [lead.phone_hash or ""]
        assert consents.list_forbidden(session, hashes) == {}
        *_, kept = consents.list_consents(session, lead.id)
    assert (kept.act, kept.text, kept.evidence) == (
        Act.told_staff,
        "",
        {"by": "Ann", "words": "called, asked for texts"},
    )
    assert verbs(desk, lead) == ["opt-in"]


def test_an_opt_in_without_evidence_is_none(desk: Desk) -> None:
    lead = desk.submit(ALICE)

    with pytest.raises(Invalid, match="note"), transaction(desk.engine) as session:
        working.record_opt_in(
            session, desk.planner, lead.id, by="Ann", now=desk.now, note=" ", channels=[Channel.sms]
        )


def test_an_opt_in_reaches_no_address_that_cannot_be_reached(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    hashes = [lead.phone_hash or ""]
    with transaction(desk.engine) as session:
        unreachable = SuppressionReason.unreachable
        consents.suppress(session, Channel.sms, hashes[0], unreachable, desk.now, "30006")
        working.record_opt_in(
            session, desk.planner, lead.id, by="Ann", now=desk.now, note="yes", channels=TO_PATIENTS
        )

    with reading(desk.engine) as session:
        assert set(consents.list_forbidden(session, hashes).values()) == {unreachable}


def test_a_note_has_words_and_changes_nothing(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    owed = desk.owed(lead)
    with transaction(desk.engine) as session:
        working.add_note(session, lead.id, by="Ann", now=desk.now, note="works nights")
        with pytest.raises(Invalid):
            working.add_note(session, lead.id, by="Ann", now=desk.now, note=" ")

    assert verbs(desk, lead) == ["note"]
    assert desk.owed(lead) == owed
