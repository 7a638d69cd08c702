"""Receipts never take a delivery a step back; a STOP silences its number at once, everywhere."""

from dataclasses import replace
from itertools import pairwise, permutations

import pytest

from followup.domain.cadence import Audience, Channel, Lane
from followup.domain.consent import MatchedBy, Meaning, SuppressionReason
from followup.domain.delivery import TRANSITIONS, Reason, Status
from followup.domain.lead import LeadStatus
from followup.services import receiving, settling, working
from followup.services.receiving import Text
from followup.store import consents, replies
from followup.store.db import new_id, reading, transaction
from followup.store.models import Delivery, Lead
from followup.transports.base import Report
from followup.transports.twilio_words import read_report
from tests.parallel import together
from tests.schema import KEYRING
from tests.services.cast import (
    ALICE,
    BOB,
    DAY,
    FRONT_DESK_PHONE,
    HOUR,
    MINUTE,
    TUESDAY_TEN,
    Desk,
)

NUMBER = ALICE["phone"]
REPORT_21610 = read_report("", "failed", "21610")
HASH = KEYRING.hash(NUMBER)

ACCEPTED, SENT, DELIVERED = Status.accepted, Status.sent, Status.delivered
UNDELIVERED, FAILED = Status.undelivered, Status.failed


def texted(desk: Desk) -> Delivery:
    desk.submit(ALICE)
    desk.send(Lane.ack)
    return desk.rows(step="acknowledgement", channel=Channel.sms)[0]


def now(desk: Desk, row: Delivery) -> Delivery:
    return desk.rows(id=row.id)[0]


def suppressed(desk: Desk) -> dict[tuple[Channel, str], SuppressionReason]:
    with reading(desk.engine) as session:
        return consents.list_forbidden(session, [HASH])


def texts_owed(desk: Desk, lead: Lead) -> list[Delivery]:
    wanted = {"audience": Audience.patient, "channel": Channel.sms, "status": Status.planned}
    return [row for row in desk.rows(lead, **wanted) if row.cadence is None]


@pytest.mark.parametrize(
    "statuses",
    [
        *permutations((ACCEPTED, SENT, DELIVERED)),
        *permutations((SENT, DELIVERED, UNDELIVERED)),
        *permutations((SENT, FAILED, None)),
    ],
    ids=lambda statuses: "-".join(str(status) for status in statuses),
)
def test_receipts_in_any_order_never_step_back(
    desk: Desk, statuses: tuple[Status | None, ...]
) -> None:
    row = texted(desk)
    seen = [row.status]

    for status in statuses:
        desk.report(row, str(status), status)
        seen.append(now(desk, row).status)

    for before, after in pairwise(seen):
        assert after is before or after in TRANSITIONS[before]
    best = {DELIVERED, UNDELIVERED, FAILED} & set(statuses)
    assert seen[-1] in best


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (SENT, None),
        (DELIVERED, None),
        (UNDELIVERED, Reason.undeliverable),
        (FAILED, Reason.undeliverable),
    ],
)
def test_a_receipt_is_noted_with_its_code(
    desk: Desk, status: Status, reason: Reason | None
) -> None:
    row = texted(desk)

    assert desk.report(row, "word", status, code="30003")

    row = now(desk, row)
    assert (row.status, row.reason, row.provider_code) == (status, reason, "30003")
    last = desk.decisions(row)[-1]
    assert (last.status, last.reason, last.facts) == (status, reason, {"code": "30003"})


def test_a_bounce_after_the_receipt_counts(desk: Desk) -> None:
    row = texted(desk)
    desk.report(row, "delivered", DELIVERED)

    assert desk.report(row, "undelivered", UNDELIVERED)


def test_the_same_receipt_again_changes_nothing(desk: Desk) -> None:
    row = texted(desk)
    desk.report(row, "sent", SENT)
    noted = len(desk.decisions(row))

    assert not desk.report(row, "sent", SENT)
    assert len(desk.decisions(row)) == noted


def test_receipts_at_once_end_in_the_last_state(desk: Desk) -> None:
    row = texted(desk)
    reports = [("sent", SENT), ("delivered", DELIVERED)] * 3

    together(*[lambda one=one: desk.report(row, *one) for one in reports])

    assert now(desk, row).status is DELIVERED


def test_a_word_that_we_do_not_know_changes_nothing(desk: Desk) -> None:
    row = texted(desk)

    assert not desk.report(row, "teleported", None)
    assert now(desk, row).status is ACCEPTED


def test_a_receipt_of_a_delivery_that_is_not_there_changes_nothing(desk: Desk) -> None:
    report = Report("SM1", "sent", SENT)

    assert not receiving.record_receipt(desk.engine, desk.planner, new_id(), report, TUESDAY_TEN)


def test_a_receipt_of_another_message_changes_nothing(desk: Desk) -> None:
    row = texted(desk)
    report = Report("SM-of-another", "delivered", DELIVERED)

    assert not receiving.record_receipt(desk.engine, desk.planner, row.id, report, TUESDAY_TEN)
    assert now(desk, row).status is ACCEPTED


def test_a_receipt_of_a_mail_is_none_of_the_text_providers(desk: Desk) -> None:
    desk.submit(ALICE)
    desk.send(Lane.ack)
    mail = desk.rows(step="acknowledgement", channel=Channel.email)[0]

    assert not desk.report(mail, "delivered", DELIVERED)


def test_a_callback_that_is_faster_than_the_answer_is_kept(desk: Desk) -> None:
    desk.submit({**ALICE, "email": None})
    row = desk.rows(step="acknowledgement")[0]

    def deliver_first(_: object) -> str:
        report = Report("SM0001", "delivered", DELIVERED)
        assert receiving.record_receipt(desk.engine, desk.planner, row.id, report, TUESDAY_TEN)
        return "SM0001"

    desk.provider.answer = deliver_first
    desk.send(Lane.ack)

    assert (now(desk, row).status, now(desk, row).provider_id) == (DELIVERED, "SM0001")


def test_a_callback_settles_an_unknown_outcome(desk: Desk) -> None:
    row = texted(desk)
    desk.change(row, status=Status.unknown, provider_id=None, ask_at=TUESDAY_TEN)

    assert desk.report(now(desk, row), "delivered", DELIVERED)

    row = now(desk, row)
    assert (row.status, row.provider_id, row.ask_at) == (DELIVERED, "SM1", None)


def test_a_callback_for_a_text_that_was_planned_again_binds_it_so_that_it_goes_once(
    desk: Desk,
) -> None:
    row = texted(desk)
    desk.change(row, status=Status.planned, provider_id=None, sent_at=None, due_at=desk.now)

    assert desk.take_report(row.id, Report("SM0001", "delivered", DELIVERED))
    desk.send(Lane.ack)

    found = now(desk, row)
    assert (found.status, found.provider_id, found.sent_at) == (DELIVERED, "SM0001", desk.now)
    assert len(desk.provider.to(NUMBER)) == 1


def test_a_callback_for_a_text_that_was_never_handed_over_is_not_believed(desk: Desk) -> None:
    desk.submit(ALICE)
    (row,) = desk.rows(step="acknowledgement", channel=Channel.sms)

    assert not desk.take_report(row.id, Report("SM0001", "delivered", DELIVERED))

    desk.send(Lane.ack)
    assert len(desk.provider.to(NUMBER)) == 1


def test_a_reply_is_kept_with_the_lead_that_waits(desk: Desk) -> None:
    desk.mark(desk.submit(ALICE))
    waiting = desk.submit(ALICE)
    desk.reply(NUMBER, "Please call after four")

    with reading(desk.engine) as session:
        (kept,) = replies.list_replies(session, waiting.id)
    assert (kept.body, kept.sender) == ("Please call after four", NUMBER)
    assert suppressed(desk) == {}


def test_a_reply_belongs_to_the_lead_that_is_held_and_not_to_a_newer_one_that_is_over(
    desk: Desk,
) -> None:
    held = desk.submit(ALICE)
    desk.mark(held)
    newer = desk.submit(ALICE)
    desk.mark(newer)
    with transaction(desk.engine) as session:
        session.get_one(Lead, held.id).status = LeadStatus.held
    assert newer.id != held.id

    desk.reply(NUMBER, "Please call after four")

    with reading(desk.engine) as session:
        assert len(replies.list_replies(session, held.id)) == 1


def test_a_reply_of_a_stranger_is_kept_without_a_lead(desk: Desk) -> None:
    lead = desk.submit(ALICE)

    desk.reply("+18085550104", "Wrong number?")

    with reading(desk.engine) as session:
        assert replies.list_replies(session, lead.id) == []


def test_a_stop_silences_texts_at_once_and_leaves_mail_and_staff(desk: Desk) -> None:
    lead = desk.submit(ALICE)

    desk.reply(NUMBER, "Stop.")

    assert suppressed(desk) == {(Channel.sms, HASH): SuppressionReason.opted_out}
    assert texts_owed(desk, lead) == []
    desk.now += 5 * MINUTE
    desk.send()
    assert desk.provider.to(NUMBER) == []
    assert len(desk.provider.to(ALICE["email"])) == 1
    assert len(desk.provider.to(FRONT_DESK_PHONE)) == 2


def test_a_stop_on_a_number_that_two_leads_share_silences_both(desk: Desk) -> None:
    leads = [desk.submit(ALICE), desk.submit({**BOB, "phone": NUMBER})]

    desk.reply(NUMBER, "STOP")

    for lead in leads:
        assert texts_owed(desk, lead) == []
        row = desk.row(lead, "not-forgotten", Channel.sms)
        assert (row.status, row.reason) == (Status.cancelled, Reason.opted_out)


def test_after_stop_21610_and_a_word_to_staff_no_text_goes_to_either_lead_and_mail_goes_on(
    desk: Desk,
) -> None:
    row = texted(desk)
    leads = [*desk.leads(), desk.submit({**BOB, "phone": NUMBER})]
    desk.send()
    desk.provider.sent.clear()

    desk.reply(NUMBER, "STOP")
    desk.send()
    desk.take_report(row.id, replace(REPORT_21610, provider_id=row.provider_id or ""))
    with transaction(desk.engine) as session:
        texts, who = [Channel.sms], leads[1].id
        working.record_opt_out(
            session, desk.planner, who, by="Ann", now=desk.now, note="no texts", channels=texts
        )
    for _ in range(4):
        desk.now += 8 * HOUR
        desk.send()
    for person in (ALICE, {**BOB, "phone": NUMBER}):
        desk.submit(person)
        desk.send()

    assert [one.text.startswith("Harbor Light") for one in desk.provider.to(NUMBER)] == [True]
    assert [row.step for row in desk.rows(recipient=NUMBER, cadence="replies")] == ["opted-out"]
    assert [len(desk.provider.to(str(one.email))) for one in leads] == [1, 1]
    with reading(desk.engine) as session:
        reasons = [one.reason for one in consents.list_history(session, [HASH])]
    assert reasons == [SuppressionReason.opted_out, SuppressionReason.asked_staff]


def test_a_stop_holds_for_a_later_lead_that_ticks_the_box(desk: Desk) -> None:
    desk.mark(desk.submit(ALICE))
    desk.reply(NUMBER, "STOP")

    lead = desk.submit(ALICE, consent_sms=True)
    desk.send(Lane.ack)

    row = desk.row(lead, "acknowledgement", Channel.sms)
    assert (row.status, row.reason) == (Status.skipped, Reason.opted_out)


def test_a_stop_from_a_staff_phone_does_not_silence_alerts(desk: Desk) -> None:
    desk.reply(FRONT_DESK_PHONE, "STOP")
    desk.submit(ALICE)

    desk.send(Lane.staff)

    assert len(desk.provider.to(FRONT_DESK_PHONE)) == 1


def test_a_start_lifts_a_stop_and_is_consent_with_its_words(desk: Desk) -> None:
    lead = desk.submit(ALICE, consent_sms=False)
    desk.reply(NUMBER, "STOP")
    desk.reply(NUMBER, "Start")

    assert suppressed(desk) == {}
    with reading(desk.engine) as session:
        kept = consents.list_consents(session, lead.id)
    assert [(one.given, one.act.value, one.text) for one in kept] == [
        (False, "ticked_box", kept[0].text),
        (True, "texted_start", ""),
    ]
    assert kept[1].evidence["words"] == "Start"


def test_a_start_does_not_lift_what_staff_were_asked(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    with transaction(desk.engine) as session:
        working.record_opt_out(session, desk.planner, lead.id, by="Ann", now=desk.now)

    desk.reply(NUMBER, "START")

    assert suppressed(desk) == {(Channel.sms, HASH): SuppressionReason.asked_staff}


def test_the_same_reply_again_does_nothing(desk: Desk) -> None:
    desk.submit(ALICE)
    desk.reply(NUMBER, "STOP", "SM7")
    desk.reply(NUMBER, "START", "SM8")
    desk.reply(NUMBER, "STOP", "SM7")

    assert suppressed(desk) == {}


def test_what_the_provider_took_for_an_opt_out_is_one_and_needs_no_words(desk: Desk) -> None:
    """Case 54: the provider's flag counts, whatever the language."""
    text = Text("SM9", NUMBER, "arret", provider_meaning=Meaning.opt_out, is_answered=True)

    receiving.receive_reply(desk.engine, desk.planner, text, desk.now)

    with reading(desk.engine) as session:
        (kept,) = consents.list_history(session, [HASH])
    assert (kept.evidence, kept.matched_by) == ("arret", MatchedBy.provider)


def test_21610_in_a_receipt_silences_the_number_for_every_lead(desk: Desk) -> None:
    """Cases 58 and 59: a messaging service takes the text, and says later that it is stopped."""
    row = texted(desk)
    other = desk.submit({**BOB, "phone": NUMBER})

    desk.take_report(row.id, replace(REPORT_21610, provider_id=row.provider_id or ""))

    assert suppressed(desk) == {(Channel.sms, HASH): SuppressionReason.opted_out}
    assert texts_owed(desk, other) == []
    with reading(desk.engine) as session:
        (kept,) = consents.list_history(session, [HASH])
    assert (kept.matched_by, kept.evidence) == (MatchedBy.provider, "21610")


def test_unsubscribing_ends_mail_to_that_address_and_leaves_texts(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    mail = desk.row(lead, "acknowledgement", Channel.email)

    assert receiving.unsubscribe(desk.engine, mail.id, desk.now)

    later = desk.row(lead, "not-forgotten", Channel.email)
    assert (later.status, later.reason) == (Status.cancelled, Reason.unsubscribed)
    assert len(texts_owed(desk, lead)) == 2


@pytest.mark.parametrize("audience", [None, Audience.staff])
def test_nobody_else_is_unsubscribed(desk: Desk, audience: Audience | None) -> None:
    lead = desk.submit(ALICE)
    delivery_id = desk.rows(lead, audience=audience)[0].id if audience else new_id()

    assert not receiving.unsubscribe(desk.engine, delivery_id, desk.now)


@pytest.mark.parametrize("contacted", [False, True], ids=["open", "contacted"])
@pytest.mark.parametrize("status", [SENT, DELIVERED, UNDELIVERED, FAILED])
def test_what_becomes_of_a_message_changes_nothing_about_the_lead(
    desk: Desk, status: Status, contacted: bool
) -> None:
    """Case 86."""
    row = texted(desk)
    if contacted:
        desk.mark(desk.leads()[0])
    (before,) = desk.leads()

    desk.report(row, str(status), status)

    (lead,) = desk.leads()
    for name in ("status", "contacted_at", "promised_at", "snoozed_until", "episode"):
        assert getattr(lead, name) == getattr(before, name)


def test_only_a_report_says_that_something_was_delivered(desk: Desk) -> None:
    row = texted(desk)
    desk.provider.finding = None

    desk.now += 2 * DAY
    settling.reconcile(desk.sender, desk.now)
    desk.rescue()
    desk.settle()
    assert {one.status for one in desk.rows(lane=Lane.ack)} == {ACCEPTED}

    desk.report(row, "delivered", DELIVERED)
    assert now(desk, row).status is DELIVERED
