"""Two transactions that meet at one number, lead or sender: none sends twice or waits in a ring."""

from dataclasses import replace
from itertools import chain, repeat

from sqlalchemy import Engine
from structlog.testing import capture_logs

from followup.domain.cadence import Channel, Lane
from followup.domain.delivery import Reason, Status
from followup.domain.rate import Rate
from followup.errors import PermanentFailure
from followup.services import sending
from followup.services.pacing import Pace
from followup.store import breakers, counts, deliveries, rates
from followup.store.db import lock_addresses, reading, real_now, transaction
from followup.store.models import Delivery, Lead
from tests.parallel import PATIENCE_SECONDS
from tests.services.cast import ALICE, BOB, HOUR, MINUTE, Desk
from tests.services.holding import holding_the_first_commit
from tests.store.waiting_for_locks import meanwhile, until_blocked


def text_of(desk: Desk, lead: Lead) -> Delivery:
    return desk.row(lead, "acknowledgement", Channel.sms)


def test_two_leads_with_one_number_at_two_workers_get_one_first_text(
    desk: Desk, other_engine: Engine
) -> None:
    desk.submit(ALICE)
    second = desk.submit({**BOB, "phone": ALICE["phone"]})
    soon = desk.now + MINUTE
    desk.change(text_of(desk, second), due_at=soon)
    for mail in desk.rows(channel=Channel.email):
        # The commit that is held must be the text's.
        desk.change(mail, due_at=desk.now + HOUR)
    # So late after the start of its run that it looks once.
    clock = chain([0.0], repeat(3600.0))
    other = replace(desk.sender, engine=other_engine, monotonic=lambda: next(clock))

    with (
        holding_the_first_commit(desk.engine) as claim,
        meanwhile(lambda: desk.send(Lane.ack)) as sending_first,
    ):
        claim.wait_until_reached()
        with meanwhile(lambda: sending.send_due(other, Lane.ack, lambda: soon)) as sending_second:
            until_blocked(other_engine, sending_second)
            claim.let_go()
            sending_first.result(PATIENCE_SECONDS)
            sending_second.result(PATIENCE_SECONDS)
    desk.now = soon
    desk.send(Lane.ack)

    assert len(desk.provider.to(ALICE["phone"])) == 1
    assert text_of(desk, second).reason is Reason.already_texted


def test_a_claim_and_a_consumer_that_want_the_same_number_do_not_wait_in_a_ring(
    desk: Desk, other_engine: Engine
) -> None:
    """The consumer has the number and wants the row; the claim has the row and wants the number."""
    lead = desk.submit(ALICE)
    row = text_of(desk, lead)
    other = replace(desk.sender, engine=other_engine)

    with transaction(desk.engine) as consumer:
        # SQLite's one writer, before anybody else is.
        consumer.connection()
        lock_addresses(consumer, [row.recipient_hash])
        with meanwhile(lambda: sending.send_due(other, Lane.ack, lambda: desk.now)) as claim:
            until_blocked(other_engine, claim)
            deliveries.cancel_addressed(
                consumer, Channel.sms, [row.recipient_hash], Reason.superseded, lead.id
            )
            consumer.commit()
            claim.result(PATIENCE_SECONDS)

    assert text_of(desk, lead).status is Status.cancelled


def test_a_claim_whose_tokens_another_worker_takes_is_undone_and_made_again(
    desk: Desk, other_engine: Engine
) -> None:
    lead = desk.submit(ALICE)
    pace = Pace("sms:+19495550100", Rate(0.1))
    ours = replace(desk.sender, engine=other_engine, paces={Channel.sms: pace})

    with transaction(desk.engine) as worker:
        rates.lock_rate(worker, pace.sender, real_now(worker)).next_at += MINUTE
        with meanwhile(lambda: sending.send_due(ours, Lane.staff, lambda: desk.now)) as claim:
            until_blocked(other_engine, claim)
            worker.commit()
            claim.result(PATIENCE_SECONDS)

    text = desk.row(lead, "alert", Channel.sms)
    assert (text.status, desk.decisions(text)) == (Status.planned, [])
    # The other channel's, of the same claim, goes with the next.
    assert desk.row(lead, "alert", Channel.email).status is Status.accepted
    with reading(desk.engine) as session:
        assert counts.count_sends(session, desk.now) == len(desk.provider.sent) == 1


def test_a_refusal_and_a_probe_about_one_lead_do_not_wait_in_a_ring(
    desk: Desk, other_engine: Engine
) -> None:
    """Whoever has the channel's breaker may want the lead; so nobody has it the other way round."""
    lead = desk.submit({**ALICE, "email": None})
    desk.provider.answer = lambda _: PermanentFailure("the provider refused the message")
    other = replace(desk.sender, engine=other_engine)
    # One failure before, so that the refusal, which shows that the channel works, is told to it.
    with transaction(desk.engine) as session:
        breakers.lock_breaker(session, Channel.sms).failures = 1

    with capture_logs() as told, transaction(desk.engine) as probe:
        if desk.engine.dialect.name == "postgresql":
            breakers.lock_breaker(probe, Channel.sms)
        with meanwhile(lambda: sending.send_due(other, Lane.ack, lambda: desk.now)) as refused:
            until_blocked(other_engine, refused)
            lock_addresses(probe, [lead.id.hex])
            probe.commit()
            refused.result(PATIENCE_SECONDS)

    assert text_of(desk, lead).status is Status.failed
    assert len(desk.tasks()) == 1
    assert "what was sent cannot be recorded yet" not in {one["event"] for one in told}
