"""What became of a mail: never a step back, once, and nobody is written to who cannot be."""

from collections.abc import Iterator
from itertools import count, pairwise, permutations
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from followup.domain.cadence import Audience, Channel, Lane
from followup.domain.consent import MatchedBy, SuppressionReason
from followup.domain.delivery import TRANSITIONS, Reason, Status
from followup.services import bouncing
from followup.services.bouncing import record_mail_event
from followup.store import alarms, consents
from followup.store.db import make_engine, new_id, reading, transaction
from followup.store.models import Delivery, Lead, Receipt, Task
from followup.transports.mail_events import MailEvent, MailHappening
from followup.transports.mailbox import Mailbox
from tests.parallel import together
from tests.schema import KEYRING
from tests.services.cast import ALICE, BOB, FRONT_DESK, LINKS, Desk
from tests.transports.imap_server import ImapServer
from tests.transports.reports import OUT_OF_OFFICE, complaint, report

HASH = KEYRING.hash(ALICE["email"])
H = MailHappening
_numbers = count()


def mailed(desk: Desk) -> Delivery:
    """Alice's acknowledgement by mail, which the mail server took."""
    desk.submit(ALICE)
    desk.send(Lane.ack)
    return desk.rows(step="acknowledgement", channel=Channel.email)[-1]


def happen(desk: Desk, row: Delivery, happening: MailHappening, **fields: object) -> bool:
    event = {
        "said": f"their-{happening}",
        "happening": happening,
        "event_id": f"test:{next(_numbers)}",
        "delivery_id": row.id,
        **fields,
    }
    return record_mail_event(desk.engine, desk.planner, MailEvent(**event), desk.now)  # type: ignore[arg-type]


def again(desk: Desk, row: Delivery) -> Delivery:
    return desk.rows(id=row.id)[0]


def suppressed(desk: Desk, address_hash: str = HASH) -> SuppressionReason | None:
    with reading(desk.engine) as session:
        forbidden = consents.list_forbidden(session, [address_hash])
    return forbidden.get((Channel.email, address_hash))


def receipts(desk: Desk) -> list[tuple[str, str]]:
    with reading(desk.engine) as session:
        return [(one.status, one.code) for one in session.query(Receipt).order_by(Receipt.id)]


def mail_owed(desk: Desk, lead: Lead | None = None) -> list[Delivery]:
    wanted = {"audience": Audience.patient, "channel": Channel.email, "status": Status.planned}
    return desk.rows(lead, **wanted)


@pytest.mark.parametrize(
    ("happening", "status", "reason", "suppression"),
    [
        (H.delivered, Status.delivered, None, None),
        (H.deferred, Status.accepted, None, None),
        (H.bounced, Status.undelivered, Reason.undeliverable, SuppressionReason.unreachable),
        (H.refused, Status.undelivered, Reason.undeliverable, None),
        (H.complained, Status.accepted, None, SuppressionReason.complained),
        (H.unsubscribed, Status.accepted, None, SuppressionReason.unsubscribed),
        (H.unknown, Status.accepted, None, None),
    ],
)
def test_each_happening_has_its_consequence(
    desk: Desk,
    happening: MailHappening,
    status: Status,
    reason: Reason | None,
    suppression: SuppressionReason | None,
) -> None:
    row = mailed(desk)

    assert happen(desk, row, happening)

    row = again(desk, row)
    assert (row.status, row.reason, suppressed(desk)) == (status, reason, suppression)


@pytest.mark.parametrize(
    "happenings",
    [
        *permutations((H.delivered, H.deferred, H.bounced)),
        *permutations((H.delivered, H.refused, H.complained)),
        *permutations((H.delivered, H.unknown, H.deferred)),
    ],
    ids="-".join,
)
def test_events_in_any_order_never_step_back(
    desk: Desk, happenings: tuple[MailHappening, ...]
) -> None:
    row = mailed(desk)
    seen = [row.status]

    for happening in happenings:
        happen(desk, row, happening)
        seen.append(again(desk, row).status)

    for before, after in pairwise(seen):
        assert after is before or after in TRANSITIONS[before]
    is_bad = {H.bounced, H.refused} & set(happenings)
    assert seen[-1] is (Status.undelivered if is_bad else Status.delivered)


@pytest.mark.parametrize(
    ("before", "happening", "after"),
    [
        (Status.sending, H.delivered, Status.delivered),
        (Status.unknown, H.delivered, Status.delivered),
        (Status.unknown, H.bounced, Status.undelivered),
        (Status.accepted, H.delivered, Status.delivered),
        (Status.sent, H.bounced, Status.undelivered),
        (Status.delivered, H.bounced, Status.undelivered),
        (Status.undelivered, H.delivered, Status.undelivered),
        (Status.failed, H.delivered, Status.failed),
        (Status.expired, H.bounced, Status.expired),
        (Status.cancelled, H.bounced, Status.cancelled),
    ],
)
def test_an_event_moves_only_forward(
    desk: Desk, before: Status, happening: MailHappening, after: Status
) -> None:
    row = mailed(desk)
    desk.change(row, status=before)

    assert happen(desk, row, happening)
    assert again(desk, row).status is after


def test_an_event_settles_an_unknown_outcome(desk: Desk) -> None:
    row = mailed(desk)
    desk.change(row, status=Status.unknown, ask_at=desk.now, reason=Reason.answer_lost)

    happen(desk, row, H.delivered)

    row = again(desk, row)
    assert (row.status, row.reason, row.ask_at) == (Status.delivered, None, None)
    assert desk.settle() == 0


@pytest.mark.parametrize("happening", [H.delivered, H.bounced])
def test_an_event_that_is_faster_than_the_mail_servers_answer_is_kept(
    desk: Desk, happening: MailHappening
) -> None:
    desk.submit({**ALICE, "phone": None})
    row = desk.rows(step="acknowledgement")[0]

    def happen_first(_: object) -> str:
        assert happen(desk, row, happening)
        return "<taken@example.com>"

    desk.provider.answer = happen_first
    desk.send(Lane.ack)

    expected = Status.delivered if happening is H.delivered else Status.undelivered
    assert again(desk, row).status is expected


@pytest.mark.parametrize(("code", "kept"), [("5.1.1", "5.1.1"), ("", "HardBounce")])
def test_a_bounce_is_noted_with_its_code_or_else_the_providers_word(
    desk: Desk, code: str, kept: str
) -> None:
    row = mailed(desk)

    happen(desk, row, H.bounced, said="HardBounce", code=code)

    decision = desk.decisions(row)[-1]
    assert (decision.status, decision.reason) == (Status.undelivered, Reason.undeliverable)
    assert decision.facts == {"code": kept}
    assert again(desk, row).provider_code == kept


def task_of(desk: Desk, lead: Lead) -> Task | None:
    with reading(desk.engine) as session:
        return alarms.find_task(session, lead.id, lead.episode)


@pytest.mark.parametrize("happening", [H.bounced, H.refused])
def test_a_mail_that_nobody_gets_becomes_a_task_for_staff_once(
    desk: Desk, happening: MailHappening
) -> None:
    lead = desk.submit({**ALICE, "phone": None})
    desk.send(Lane.ack)
    row = desk.row(lead, "acknowledgement", Channel.email)
    happen(desk, row, H.delivered)
    assert task_of(desk, lead) is None

    happen(desk, row, happening)
    task = task_of(desk, lead)
    happen(desk, row, happening)

    assert task is not None
    assert (task.delivery_id, task.reason) == (row.id, Reason.undeliverable)
    again_asked = task_of(desk, lead)
    assert again_asked is not None
    assert again_asked.id == task.id


def test_a_mail_beside_a_text_that_may_arrive_is_no_task_yet(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    desk.send(Lane.ack)
    happen(desk, desk.row(lead, "acknowledgement", Channel.email), H.bounced)
    assert task_of(desk, lead) is None

    desk.report(desk.row(lead, "acknowledgement", Channel.sms), "undelivered", Status.undelivered)

    assert task_of(desk, lead) is not None


def test_a_mail_that_was_never_handed_over_cannot_have_been_brought(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    row = desk.row(lead, "acknowledgement", Channel.email)

    happen(desk, row, H.delivered)

    assert again(desk, row).status is Status.planned


def test_an_event_on_an_attempt_that_was_taken_for_lost_keeps_it_from_going_again(
    desk: Desk,
) -> None:
    row = mailed(desk)
    desk.change(row, status=Status.planned, due_at=desk.now, reason=Reason.not_found)

    happen(desk, row, H.delivered)
    desk.send(Lane.ack)

    assert again(desk, row).status is Status.delivered
    assert len(desk.provider.to(ALICE["email"])) == 1


def test_a_hard_bounce_ends_mail_to_that_address_and_leaves_texts(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    desk.send(Lane.ack)
    happen(desk, desk.row(lead, "acknowledgement", Channel.email), H.bounced)
    before = len(desk.provider.to(ALICE["email"]))

    later = desk.row(lead, "not-forgotten", Channel.email)
    desk.now = later.due_at
    desk.send(Lane.reminder)

    assert len(desk.provider.to(ALICE["email"])) == before
    later = again(desk, later)
    assert (later.status, later.reason) == (Status.skipped, Reason.unreachable)
    assert desk.row(lead, "not-forgotten", Channel.sms).reason is not Reason.unreachable


def test_a_hard_bounce_of_an_alert_does_not_silence_staff(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    desk.send(Lane.staff)
    (alert,) = (
        row for row in desk.rows(lead, status=Status.accepted) if row.recipient == FRONT_DESK
    )

    happen(desk, alert, H.bounced)
    happen(desk, desk.rows(lead, audience=Audience.staff, channel=Channel.email)[0], H.complained)

    assert again(desk, alert).status is Status.undelivered
    assert suppressed(desk, KEYRING.hash(FRONT_DESK)) is None
    assert desk.rows(lead, audience=Audience.staff, status=Status.cancelled) == []


def test_the_same_event_again_changes_nothing(desk: Desk) -> None:
    row = mailed(desk)

    assert happen(desk, row, H.bounced, event_id="test:same", code="5.1.1")
    with transaction(desk.engine) as session:
        consents.lift(session, Channel.email, [HASH], SuppressionReason.unreachable, desk.now)
    assert not happen(desk, row, H.bounced, event_id="test:same", code="5.1.1")

    assert receipts(desk) == [("bounced", "5.1.1")]
    assert len([one for one in desk.decisions(row) if one.status is Status.undelivered]) == 1
    assert suppressed(desk) is None


def test_an_event_that_comes_to_two_processes_at_once_is_taken_once(
    desk: Desk, other_engine: Engine
) -> None:
    row = mailed(desk)
    event = MailEvent("bounce", H.bounced, "test:both", "5.1.1", row.id)

    taken = together(
        *(
            lambda engine=engine: record_mail_event(engine, desk.planner, event, desk.now)
            for engine in (desk.engine, other_engine)
        )
    )

    assert sorted(taken) == [False, True]
    assert receipts(desk) == [("bounced", "5.1.1")]
    assert len([one for one in desk.decisions(row) if one.status is Status.undelivered]) == 1


def test_every_event_is_kept_and_an_unknown_word_as_it_was_said(desk: Desk) -> None:
    row = mailed(desk)

    happen(desk, row, H.deferred, code="4.4.1")
    happen(desk, row, H.unknown, said="teleported")
    happen(desk, row, H.delivered)

    assert receipts(desk) == [("deferred", "4.4.1"), ("teleported", ""), ("delivered", "")]


def test_a_complaint_cancels_what_is_planned_to_that_address_for_every_lead(desk: Desk) -> None:
    row = mailed(desk)
    other = desk.submit({**BOB, "email": ALICE["email"].upper()})
    assert mail_owed(desk)

    happen(desk, row, H.complained)

    assert mail_owed(desk) == []
    later = desk.row(other, "not-forgotten", Channel.email)
    assert (later.status, later.reason) == (Status.cancelled, Reason.complained)
    assert desk.rows(other, channel=Channel.sms, status=Status.planned, audience=Audience.patient)


def test_who_complained_gets_no_mail_as_another_lead_either(desk: Desk) -> None:
    row = mailed(desk)
    happen(desk, row, H.complained)
    desk.mark(desk.leads()[0])

    lead = desk.submit(ALICE)
    desk.send(Lane.ack)

    mail = desk.row(lead, "acknowledgement", Channel.email)
    assert (mail.status, mail.reason) == (Status.skipped, Reason.complained)


def test_a_refusal_by_policy_is_told_to_the_operator_without_a_word_of_theirs(desk: Desk) -> None:
    row = mailed(desk)

    with capture_logs() as logged:
        happen(desk, row, H.refused, said="their-text", code="5.7.1")

    (line,) = logged
    assert line["log_level"] == "error"
    assert (line["alarm"], line["code"]) == ("refused", "5.7.1")
    assert "their" not in str(line)


def put_off(desk: Desk, *happenings: MailHappening) -> Delivery:
    """A further mail to Alice, and what is reported on it."""
    for lead in desk.leads():
        if lead.contacted_at is None:
            desk.mark(lead)
    row = mailed(desk)
    for happening in happenings:
        happen(desk, row, happening)
    return again(desk, row)


def test_the_third_mail_in_a_row_that_is_put_off_counts_as_a_bounce(desk: Desk) -> None:
    assert put_off(desk, H.deferred).status is Status.accepted
    assert put_off(desk, H.deferred, H.unknown).status is Status.accepted
    assert suppressed(desk) is None

    assert put_off(desk, H.deferred).status is Status.undelivered
    assert suppressed(desk) is SuppressionReason.unreachable


def test_one_mail_put_off_many_times_is_greylisting_and_no_bounce(desk: Desk) -> None:
    row = put_off(desk, *[H.deferred] * 5)

    assert row.status is Status.accepted
    assert suppressed(desk) is None


def test_a_mail_that_was_brought_ends_the_row(desk: Desk) -> None:
    put_off(desk, H.deferred)
    put_off(desk, H.deferred, H.delivered)

    assert put_off(desk, H.deferred).status is Status.accepted
    assert put_off(desk, H.deferred).status is Status.accepted
    assert put_off(desk, H.deferred).status is Status.undelivered


def test_what_is_put_off_at_another_address_does_not_count(desk: Desk) -> None:
    put_off(desk, H.deferred)
    put_off(desk, H.deferred)
    desk.submit(BOB)
    desk.send(Lane.ack)
    (bobs,) = (
        row
        for row in desk.rows(channel=Channel.email)
        if row.recipient == BOB["email"] and row.step == "acknowledgement"
    )

    happen(desk, bobs, H.deferred)

    assert again(desk, bobs).status is Status.accepted


@pytest.mark.parametrize("delivery_id", [None, new_id()], ids=["no mail", "another's mail"])
@pytest.mark.parametrize(
    ("happening", "suppression"),
    [
        (H.complained, SuppressionReason.complained),
        (H.unsubscribed, SuppressionReason.unsubscribed),
        (H.bounced, None),
        (H.delivered, None),
    ],
)
def test_of_a_mail_that_is_not_ours_only_a_wish_of_the_address_counts(
    desk: Desk,
    happening: MailHappening,
    suppression: SuppressionReason | None,
    delivery_id: object,
) -> None:
    row = mailed(desk)

    news = happen(desk, row, happening, delivery_id=delivery_id, recipient=ALICE["email"].upper())

    assert news == (suppression is not None)
    assert suppressed(desk) is suppression
    assert bool(mail_owed(desk)) == (suppression is None)
    assert receipts(desk) == []


@pytest.mark.parametrize("recipient", [None, "", "nobody", "a\x00\ud800@example.com"])
def test_a_wish_without_an_address_is_nothing(desk: Desk, recipient: str | None) -> None:
    row = mailed(desk)

    assert not happen(desk, row, H.complained, delivery_id=None, recipient=recipient)


def test_an_event_on_a_text_is_not_believed(desk: Desk) -> None:
    desk.submit(ALICE)
    desk.send(Lane.ack)
    text = desk.rows(step="acknowledgement", channel=Channel.sms)[0]

    assert not happen(desk, text, H.bounced)
    assert again(desk, text).status is Status.accepted


@pytest.fixture(scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImapServer]:
    with ImapServer(tmp_path_factory.mktemp("imap")) as server:
        yield server


@pytest.fixture
def server(_server: ImapServer) -> ImapServer:
    _server.empty()
    return _server


@pytest.fixture
def box(server: ImapServer) -> Mailbox:
    return Mailbox.from_url(server.url, on_this_machine=True)


def test_bounces_in_the_mailbox_are_taken_once(
    desk: Desk, server: ImapServer, box: Mailbox
) -> None:
    row = mailed(desk)
    server.put(report(row.id, action="delayed", status="4.4.1"), report(row.id), report(new_id()))

    assert bouncing.read_bounces(desk.engine, desk.planner, LINKS, box, desk.now) == 3
    assert bouncing.read_bounces(desk.engine, desk.planner, LINKS, box, desk.now) == 0

    assert again(desk, row).status is Status.undelivered
    assert suppressed(desk) is SuppressionReason.unreachable
    assert receipts(desk) == [("deferred", "4.4.1"), ("bounced", "5.1.1")]


def test_a_complaint_in_the_mailbox_silences_the_address(
    desk: Desk, server: ImapServer, box: Mailbox
) -> None:
    row = mailed(desk)
    server.put(complaint(row.id))

    bouncing.read_bounces(desk.engine, desk.planner, LINKS, box, desk.now)

    assert suppressed(desk) is SuppressionReason.complained
    assert mail_owed(desk) == []


def test_an_automatic_reply_is_no_reply_and_stops_nothing(
    desk: Desk, server: ImapServer, box: Mailbox
) -> None:
    row = mailed(desk)
    owed = len(mail_owed(desk))
    server.put(OUT_OF_OFFICE)

    assert bouncing.read_bounces(desk.engine, desk.planner, LINKS, box, desk.now) == 0

    assert again(desk, row).status is Status.accepted
    assert suppressed(desk) is None
    assert len(mail_owed(desk)) == owed > 0
    assert server.unread() == 1


def test_a_report_that_was_not_committed_is_read_again(
    desk: Desk, server: ImapServer, box: Mailbox, tmp_path: Path
) -> None:
    row = mailed(desk)
    server.put(report(row.id))
    without_tables = make_engine(f"sqlite:///{tmp_path}/empty.db", KEYRING)

    with pytest.raises(OperationalError):
        bouncing.read_bounces(without_tables, desk.planner, LINKS, box, desk.now)
    without_tables.dispose()

    assert bouncing.read_bounces(desk.engine, desk.planner, LINKS, box, desk.now) == 1
    assert again(desk, row).status is Status.undelivered


def test_a_slow_mailbox_is_read_over_several_runs(
    desk: Desk, server: ImapServer, box: Mailbox
) -> None:
    row = mailed(desk)
    server.put(*(report(row.id, number=str(number)) for number in range(3)))

    def run() -> int:
        """In which every look at the clock takes half of a run's time."""
        clock = count(0, bouncing.RUN.total_seconds() / 2)
        return bouncing.read_bounces(
            desk.engine, desk.planner, LINKS, box, desk.now, clock.__next__
        )

    assert [run() for _ in range(4)] == [1, 1, 1, 0]


def farewell(token: str, headers: str = "") -> bytes:
    """What a mail program writes for a mailto of ours."""
    lines = f"From: Alice <alice@example.com>\nSubject: Unsubscribe {token}\n{headers}\n\n"
    return lines.replace("\n", "\r\n").encode()


def token_of(row: Delivery) -> str:
    return LINKS.unsubscribe_url(row.id).rpartition("/")[2]


def test_a_mail_that_unsubscribes_does_and_is_marked_as_read(
    desk: Desk, server: ImapServer, box: Mailbox
) -> None:
    row = mailed(desk)
    server.put(farewell(token_of(row)))

    assert bouncing.read_bounces(desk.engine, desk.planner, LINKS, box, desk.now) == 1

    assert mail_owed(desk) == []
    with reading(desk.engine) as session:
        (kept,) = consents.list_history(session, [HASH])
    assert (kept.reason, kept.matched_by) == (SuppressionReason.unsubscribed, MatchedBy.mail)
    assert server.unread() == 0


@pytest.mark.parametrize(
    ("mail", "read"),
    [
        pytest.param(farewell("AbCdEf.forged"), 1, id="a token that is not ours"),
        pytest.param(farewell(""), 0, id="no token"),
        pytest.param(farewell("x", "Auto-Submitted: auto-replied\n"), 0, id="by a machine"),
    ],
)
def test_nobody_is_unsubscribed_by_what_is_not_theirs(
    desk: Desk, server: ImapServer, box: Mailbox, mail: bytes, read: int
) -> None:
    mailed(desk)
    owed = len(mail_owed(desk))
    server.put(mail)

    assert bouncing.read_bounces(desk.engine, desk.planner, LINKS, box, desk.now) == read

    assert len(mail_owed(desk)) == owed > 0
