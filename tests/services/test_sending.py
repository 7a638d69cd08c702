"""What is due is claimed and committed, assessed at that moment, sent once, and recorded."""

import itertools
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import chain, repeat
from typing import Any

import pytest
from sqlalchemy import Engine

from followup.domain.cadence import Channel, Lane
from followup.domain.consent import SuppressionReason
from followup.domain.delivery import Reason, Status
from followup.errors import (
    ConfigurationFailure,
    OutcomeUnknown,
    PermanentFailure,
    TemporaryFailure,
    TransportError,
)
from followup.services import deciding, sending, working
from followup.store import consents, deliveries
from followup.store.db import reading, real_now, transaction
from followup.store.models import Delivery, Lead
from followup.transports.base import Outgoing
from tests.parallel import together
from tests.schema import KEYRING
from tests.services.cast import (
    ALICE,
    BOB,
    FRONT_DESK,
    FRONT_DESK_PHONE,
    HOUR,
    MINUTE,
    TUESDAY_TEN,
    Desk,
    at,
    clinic,
    planner,
)
from tests.services.recording import Recording

ALICES_NUMBER, ALICES_MAIL = ALICE["phone"], ALICE["email"]
ALICES_HASH = KEYRING.hash(ALICES_NUMBER)


class WorkerKilled(BaseException):
    """The worker's process ends in the middle of a call."""


def text_of(desk: Desk, lead: Lead) -> Delivery:
    return desk.row(lead, "acknowledgement", Channel.sms)


def send_with(desk: Desk, answer: str | BaseException) -> Delivery:
    """Alice's acknowledgement by text goes out, and the provider answers that."""
    lead = desk.submit(ALICE)
    desk.provider.answer = lambda message: answer if message.to == ALICES_NUMBER else None
    desk.send(Lane.ack)
    return text_of(desk, lead)


def test_what_is_due_is_sent_once_and_accepted_with_the_providers_id(desk: Desk) -> None:
    row = send_with(desk, "SM0001")
    desk.send(Lane.ack)

    assert (row.status, row.provider_id, row.sent_at) == ("accepted", "SM0001", TUESDAY_TEN)
    assert row.reason is None
    assert [message.delivery_id for message in desk.provider.to(ALICES_NUMBER)] == [row.id]


def test_the_message_is_kept_on_its_row_as_it_was_sent(desk: Desk) -> None:
    row = send_with(desk, "SM0001")

    (message,) = desk.provider.to(ALICES_NUMBER)
    assert row.body == message.text
    assert row.wording is not None
    assert message.valid_for == timedelta(minutes=30)


def test_the_claim_is_committed_before_the_provider_is_called(desk: Desk) -> None:
    seen: list[tuple[Status, bool]] = []

    def look(message: Outgoing) -> None:
        with reading(desk.engine) as session:
            row = deliveries.find_delivery(session, message.delivery_id)
            assert row is not None
            seen.append((row.status, row.claim is not None))
            assert row.lease_until is not None
            assert timedelta(seconds=50) < row.lease_until - real_now(session) <= sending.LEASE

    desk.submit(ALICE)
    desk.provider.answer = look
    desk.send(Lane.ack)

    assert seen == [(Status.sending, True)] * 2


@pytest.mark.parametrize(
    ("answer", "status", "reason", "again_after", "failures"),
    [
        pytest.param(
            TemporaryFailure("busy", "20429"),
            *(Status.planned, Reason.will_retry, timedelta(seconds=10), 1),
            id="temporary",
        ),
        pytest.param(
            TemporaryFailure("busy", "20429", retry_after=20 * MINUTE),
            *(Status.planned, Reason.will_retry, 20 * MINUTE, 1),
            id="temporary with a wait that the provider asked for",
        ),
        pytest.param(
            TemporaryFailure("the day is full", "63038", retry_after=24 * HOUR),
            *(Status.expired, Reason.expired, None, 1),
            id="temporary for longer than it is worth sending",
        ),
        pytest.param(
            PermanentFailure("refused", "21617"),
            *(Status.failed, Reason.refused, None, 0),
            id="permanent",
        ),
        pytest.param(
            ConfigurationFailure("no account", "20003"),
            *(Status.planned, Reason.channel_broken, MINUTE, 0),
            id="the channel's configuration burns no attempt",
        ),
        pytest.param(
            OutcomeUnknown("answer lost", "500"),
            *(Status.unknown, Reason.answer_lost, None, 0),
            id="unknown",
        ),
        pytest.param(
            ZeroDivisionError(),
            *(Status.unknown, Reason.answer_lost, None, 0),
            id="a fault of ours in the transport",
        ),
    ],
)
def test_each_outcome_is_recorded_with_its_reason(
    desk: Desk,
    answer: Exception,
    status: Status,
    reason: Reason,
    again_after: timedelta | None,
    failures: int,
) -> None:
    row = send_with(desk, answer)

    assert (row.status, row.reason, row.failures) == (status, reason, failures)
    if again_after is not None:
        assert row.due_at == TUESDAY_TEN + again_after
    if isinstance(answer, TransportError):
        assert row.provider_code == answer.code
    last = desk.decisions(row)[-1]
    assert (last.status, last.reason, last.at) == (status, reason, TUESDAY_TEN)
    assert (row.ask_at is not None) is (status is Status.unknown)


def test_one_outcome_does_not_touch_the_others_of_its_batch(desk: Desk) -> None:
    row = send_with(desk, PermanentFailure("refused", "21617"))

    mail = desk.rows(step="acknowledgement", channel=Channel.email)[0]
    assert (row.status, mail.status) == (Status.failed, Status.accepted)


def test_a_retry_goes_when_it_is_due_and_waits_longer_each_time(desk: Desk) -> None:
    row = send_with(desk, TemporaryFailure("busy"))
    desk.send(Lane.ack)
    assert len(desk.provider.to(ALICES_NUMBER)) == 1

    desk.now += timedelta(seconds=10)
    desk.send(Lane.ack)

    (again,) = desk.rows(step="acknowledgement", channel=Channel.sms)
    assert (again.failures, again.due_at) == (2, desk.now + MINUTE)
    assert len(desk.provider.to(ALICES_NUMBER)) == 2
    assert row.id == again.id


@pytest.mark.parametrize(
    ("code", "suppress"),
    [
        ("21610", SuppressionReason.opted_out),
        ("21614", SuppressionReason.unreachable),
        ("21617", None),
    ],
)
def test_a_refusal_of_the_number_silences_it(
    desk: Desk, code: str, suppress: SuppressionReason | None
) -> None:
    """Case 58, in the API's answer."""
    send_with(desk, PermanentFailure("refused", code, suppress=suppress))

    with reading(desk.engine) as session:
        found = consents.list_forbidden(session, [ALICES_HASH])
    assert found == ({(Channel.sms, ALICES_HASH): suppress} if suppress else {})


def test_a_refusal_of_a_staff_number_silences_nobody(desk: Desk) -> None:
    desk.submit(ALICE)
    desk.provider.answer = lambda _: PermanentFailure("gone", "21614", suppress="unreachable")

    desk.send(Lane.staff)

    with reading(desk.engine) as session:
        hashes = [KEYRING.hash(FRONT_DESK_PHONE), KEYRING.hash(FRONT_DESK)]
        assert consents.list_forbidden(session, hashes) == {}


def test_more_than_one_batch_is_sent_in_one_run(desk: Desk) -> None:
    for number in range(sending.BATCH + 5):
        desk.receive({"name": f"P {number}", "email": f"p{number}@example.com"})
    while desk.consume():
        pass

    desk.send(Lane.ack)

    assert len(desk.provider.sent) == sending.BATCH + 5


def test_parallel_workers_send_each_delivery_once(desk: Desk, other_engine: Engine) -> None:
    for number in range(40):
        desk.receive({"name": f"P {number}", "email": f"p{number}@example.com"})
    while desk.consume():
        pass
    other = replace(desk.sender, engine=other_engine)

    together(
        *[lambda: sending.send_due(desk.sender, Lane.ack, lambda: desk.now)] * 2,
        *[lambda: sending.send_due(other, Lane.ack, lambda: desk.now)] * 2,
    )

    addresses = sorted(message.to for message in desk.provider.sent)
    assert addresses == sorted(f"p{number}@example.com" for number in range(40))
    assert {row.status for row in desk.rows(step="acknowledgement")} == {Status.accepted}


def test_a_lane_sends_nothing_of_another(desk: Desk) -> None:
    desk.submit(ALICE)

    desk.send(Lane.staff)

    assert {message.to for message in desk.provider.sent} == {FRONT_DESK, FRONT_DESK_PHONE}


def test_what_a_lost_worker_held_becomes_unknown_and_is_not_sent_again(desk: Desk) -> None:
    lead = desk.submit({**ALICE, "email": None})
    desk.provider.answer = lambda _: WorkerKilled()
    with pytest.raises(WorkerKilled):
        desk.send(Lane.ack)
    assert text_of(desk, lead).status is Status.sending

    assert desk.rescue() == 0
    desk.let_leases_run_out()
    assert desk.rescue() == 1
    desk.send(Lane.ack)

    row = text_of(desk, lead)
    assert (row.status, row.reason, row.claim) == (Status.unknown, Reason.worker_lost, None)
    assert row.ask_at is not None
    assert len(desk.provider.sent) == 1
    assert desk.decisions(row)[-1].reason is Reason.worker_lost


def test_an_outcome_that_comes_after_the_rescue_changes_nothing(desk: Desk) -> None:
    lead = desk.submit({**ALICE, "email": None})

    def take_very_long(_: Outgoing) -> str:
        desk.let_leases_run_out()
        desk.rescue()
        return "SM0001"

    desk.provider.answer = take_very_long
    desk.send(Lane.ack)

    row = text_of(desk, lead)
    assert (row.status, row.provider_id) == (Status.unknown, None)


def test_a_process_that_was_frozen_gives_back_what_it_claimed(desk: Desk) -> None:
    lead = desk.submit({**ALICE, "email": None})
    ticks = chain(repeat(0, 3), repeat(21))
    desk.sender = replace(desk.sender, monotonic=lambda: float(next(ticks)))

    sending.send_due(desk.sender, Lane.ack, lambda: desk.now)

    row = text_of(desk, lead)
    assert desk.provider.sent == []
    assert (row.status, row.reason, row.claim) == (Status.planned, Reason.returned, None)
    assert (row.failures, row.due_at) == (0, TUESDAY_TEN)


# What is true at the moment of sending decides.


def suppress(desk: Desk, channel: Channel, address: str, reason: SuppressionReason) -> None:
    with transaction(desk.engine) as session:
        consents.suppress(session, channel, KEYRING.hash(address), reason, desk.now)


def opt_out(desk: Desk, _: Lead) -> None:
    suppress(desk, Channel.sms, ALICES_NUMBER, SuppressionReason.opted_out)


def contact(desk: Desk, lead: Lead) -> None:
    """Marked, but a retry of what was in flight came back to be sent."""
    desk.mark(lead)
    for row in desk.rows(lead, step="acknowledgement"):
        desk.change(row, status=Status.planned, reason=Reason.will_retry)


def be_late(desk: Desk, _: Lead) -> None:
    desk.now += 30 * MINUTE


def do_nothing(desk: Desk, _: Lead) -> None:
    pass


@pytest.mark.parametrize(
    ("fields", "meanwhile", "status", "reason"),
    [
        pytest.param({}, do_nothing, Status.accepted, None, id="nothing stands against it"),
        pytest.param(
            {"consent_sms": False}, do_nothing, Status.skipped, Reason.no_consent, id="no consent"
        ),
        pytest.param(
            {"consent_sms": None}, do_nothing, Status.skipped, Reason.no_consent, id="not asked"
        ),
        pytest.param({}, opt_out, Status.skipped, Reason.opted_out, id="opted out between"),
        pytest.param({}, contact, Status.cancelled, Reason.contacted, id="contacted between"),
        pytest.param({}, be_late, Status.expired, Reason.expired, id="too late"),
        pytest.param(
            {"phone": "+1 800 234 5678"},
            *(do_nothing, Status.skipped, Reason.not_textable),
            id="a number that nobody reads",
        ),
        pytest.param(
            {"phone": "+1 212 555 0101 x12"},
            *(do_nothing, Status.skipped, Reason.not_textable),
            id="an extension",
        ),
    ],
)
def test_a_text_to_a_patient_is_decided_upon_when_it_is_due(
    desk: Desk,
    fields: dict[str, Any],
    meanwhile: Callable[[Desk, Lead], None],
    status: Status,
    reason: Reason | None,
) -> None:
    lead = desk.submit(ALICE, **fields)
    meanwhile(desk, lead)

    desk.send(Lane.ack)

    row = text_of(desk, lead)
    assert (row.status, row.reason) == (status, reason)
    assert (row.recipient in {m.to for m in desk.provider.sent}) is (status is Status.accepted)
    last = desk.decisions(row)[-1]
    assert (last.status, last.reason) == (status, reason)


def test_who_did_not_agree_to_texts_is_answered_by_mail(desk: Desk) -> None:
    desk.submit(ALICE, consent_sms=False)

    desk.send(Lane.ack)

    assert [message.to for message in desk.provider.sent] == [ALICES_MAIL]


def test_the_ledger_keeps_the_facts_of_a_decision_and_nothing_personal(desk: Desk) -> None:
    row = send_with(desk, "SM0001")

    facts = desk.decisions(row)[0].facts
    with reading(desk.engine) as session:
        (consent,) = consents.list_consents(session, row.lead_id)
    assert facts == {
        "lead": "open",
        "channel": "sms",
        "consent": True,
        "consent_id": str(consent.id),
        "suppression_checked_at": "2026-10-20T17:00:00+00:00",
        "zones": ["America/Los_Angeles", "America/New_York"],
        "zones_from": "the number's prefix, and the site",
        "states": ["NY"],
        "window": "Mon-Sat 09:00-20:00, Sun 12:00-20:00",
        "local_time": {
            "America/Los_Angeles": "2026-10-20T10:00-07:00",
            "America/New_York": "2026-10-20T13:00-04:00",
        },
        "wording": row.wording,
    }
    assert re.fullmatch(r"contact/acknowledgement\.sms\.en@[0-9a-f]{8}", row.wording or "")


def test_a_first_text_answers_at_once_also_at_night(desk: Desk) -> None:
    desk.now = at("2026-10-24 23:30")
    desk.submit(ALICE)

    desk.send()

    assert len(desk.provider.to(ALICES_NUMBER)) == 1


def test_a_text_that_is_no_answer_waits_for_the_morning_in_every_zone(desk: Desk) -> None:
    desk.now = at("2026-10-20 23:30")
    lead = desk.submit(ALICE)
    desk.now += 6 * MINUTE

    desk.send(Lane.ack)

    row = text_of(desk, lead)
    assert (row.status, row.reason) == (Status.planned, Reason.quiet_hours)
    assert row.due_at == at("2026-10-21 09:00")
    assert desk.provider.to(ALICES_NUMBER) == []
    assert desk.decisions(row)[-1].facts["until"] == row.due_at.isoformat()


def test_waiting_for_the_morning_does_not_count_towards_expiry(desk: Desk) -> None:
    desk.now = at("2026-10-20 23:30")
    lead = desk.submit(ALICE)
    desk.now += 6 * MINUTE
    desk.send(Lane.ack)

    row = text_of(desk, lead)
    assert row.expires_at == at("2026-10-21 09:24")

    desk.now = at("2026-10-21 09:23")
    desk.send(Lane.ack)
    assert text_of(desk, lead).status is Status.accepted


def test_the_phone_of_the_staff_rings_at_opening_and_the_mail_is_there_at_once(
    desk: Desk,
) -> None:
    desk.now = at("2026-10-24 02:00")
    lead = desk.submit(ALICE)

    desk.send()

    assert len(desk.provider.to(FRONT_DESK)) == 1
    assert desk.provider.to(FRONT_DESK_PHONE) == []
    row = desk.row(lead, "alert", Channel.sms)
    assert (row.reason, row.due_at) == (Reason.outside_opening, at("2026-10-26 09:00"))


@pytest.mark.parametrize(
    ("wakes", "rings"),
    [("2026-10-26 10:59", 1), ("2026-10-26 11:00", 0)],
)
def test_an_alert_that_waited_for_opening_is_late_two_hours_after_it(
    desk: Desk, wakes: str, rings: int
) -> None:
    desk.now = at("2026-10-24 02:00")
    desk.submit(ALICE)
    desk.send(Lane.staff)

    desk.now = at(wakes)
    desk.send(Lane.staff)

    assert len(desk.provider.to(FRONT_DESK_PHONE)) == rings


def test_a_reminder_that_is_snoozed_waits_and_then_comes_once(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    until = TUESDAY_TEN + 4 * HOUR
    with transaction(desk.engine) as session:
        working.snooze(session, lead.id, until=until, by="Ann", now=desk.now)

    while desk.now < until:
        desk.now += 5 * MINUTE
        desk.send(Lane.reminder)

    assert desk.now == until
    assert len(desk.provider.to(FRONT_DESK)) == 1
    statuses = {row.status for row in desk.rows(lead, step="reminder", recipient=FRONT_DESK)}
    assert statuses == {Status.expired, Status.accepted, Status.planned}


def test_a_reminder_of_a_lead_that_was_contacted_plans_no_other(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    desk.now += 5 * MINUTE
    desk.mark(lead)
    for row in desk.rows(lead, step="reminder"):
        desk.change(row, status=Status.planned)

    desk.send(Lane.reminder)

    assert desk.owed(lead) == 0
    assert {row.occurrence for row in desk.rows(lead, step="reminder")} == {1}


# One automated first text per number and 30 days.


def submit_two_with_one_number(desk: Desk) -> tuple[Lead, Lead]:
    first = desk.receive(ALICE)
    second = desk.receive({**BOB, "phone": ALICES_NUMBER})
    desk.consume()
    return desk.lead_of(first), desk.lead_of(second)


def test_two_leads_with_one_number_in_one_batch_get_one_first_text(desk: Desk) -> None:
    leads = submit_two_with_one_number(desk)

    desk.send(Lane.ack)

    assert len(desk.provider.to(ALICES_NUMBER)) == 1
    outcomes = [(text_of(desk, lead).status, text_of(desk, lead).reason) for lead in leads]
    assert outcomes == [(Status.accepted, None), (Status.skipped, Reason.already_texted)]


def test_a_first_text_that_is_not_sent_does_not_use_up_the_number(desk: Desk) -> None:
    desk.submit(ALICE)
    desk.now += 29 * MINUTE
    second = desk.submit({**BOB, "phone": ALICES_NUMBER})
    desk.now += 2 * MINUTE

    desk.send(Lane.ack)

    assert text_of(desk, second).status is Status.accepted
    assert len(desk.provider.to(ALICES_NUMBER)) == 1


@pytest.mark.parametrize(
    ("later", "texts"),
    [
        pytest.param(timedelta(days=30) - MINUTE, 1, id="within 30 days"),
        pytest.param(timedelta(days=30) + MINUTE, 2, id="after 30 days"),
    ],
)
def test_a_number_gets_one_first_text_in_thirty_days(
    desk: Desk, later: timedelta, texts: int
) -> None:
    desk.mark(desk.submit(ALICE))
    lead = desk.submit(ALICE)
    desk.send(Lane.ack)
    desk.mark(lead)
    desk.now += later

    desk.submit(ALICE)
    desk.send(Lane.ack)

    assert len(desk.provider.to(ALICES_NUMBER)) == texts
    assert len(desk.provider.to(ALICES_MAIL)) == 2


def test_a_later_text_of_the_same_lead_is_no_first_text(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    desk.send()
    desk.now = at("2026-10-21 10:00")

    desk.send(Lane.reminder)

    assert desk.row(lead, "not-forgotten", Channel.sms).status is Status.accepted
    assert len(desk.provider.to(ALICES_NUMBER)) == 2


# A row that we stumble over.


def test_a_delivery_without_wording_is_skipped_and_holds_up_nobody(desk: Desk) -> None:
    bad = desk.submit(ALICE)
    for row in desk.rows(bad, step="acknowledgement"):
        desk.change(row, step="no-longer-there")
    good = desk.submit(BOB)

    desk.send(Lane.ack)

    rows = desk.rows(bad, step="no-longer-there")
    assert {(row.status, row.reason) for row in rows} == {(Status.skipped, Reason.no_wording)}
    assert text_of(desk, good).status is Status.accepted


def test_a_delivery_that_we_stumble_over_holds_up_nobody(desk: Desk) -> None:
    """The clinic says that it writes French, and the templates do not."""
    french = clinic().model_copy(update={"languages": ("en", "es", "fr")})
    desk.with_planner(replace(planner(), clinic=french))
    bad, good = desk.submit(ALICE), desk.submit(BOB)
    with transaction(desk.engine) as session:
        lead = session.get_one(Lead, bad.id)
        lead.language = "fr"

    desk.send(Lane.ack)

    row = text_of(desk, bad)
    assert (row.status, row.reason, row.due_at) == (
        Status.planned,
        Reason.our_fault,
        TUESDAY_TEN + deciding.OUR_FAULT_PAUSE,
    )
    assert text_of(desk, good).status is Status.accepted


def test_a_transport_that_is_missing_gives_back(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    desk.sender = replace(desk.sender, transports={Channel.email: Recording()})

    sending.send_due(desk.sender, Lane.ack, lambda: desk.now)

    row = text_of(desk, lead)
    assert (row.status, row.reason) == (Status.planned, Reason.returned)


def test_the_clock_is_asked_before_the_calls_and_after(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    seconds = itertools.count()

    def clock() -> datetime:
        return TUESDAY_TEN + timedelta(seconds=next(seconds))

    sending.send_due(desk.sender, Lane.ack, clock)

    text = text_of(desk, lead)
    assert text.attempted_at is not None
    assert text.sent_at is not None
    assert TUESDAY_TEN < text.attempted_at < text.sent_at


def test_a_number_that_is_none_any_more_holds_up_nobody(desk: Desk) -> None:
    """The plan of numbers, which comes as a library, changes."""
    bad, good = desk.submit(ALICE), desk.submit(BOB)
    desk.change(text_of(desk, bad), recipient="+12")

    desk.send(Lane.ack)

    assert text_of(desk, bad).status is Status.planned
    assert text_of(desk, bad).reason is Reason.our_fault
    assert text_of(desk, good).status is Status.accepted
