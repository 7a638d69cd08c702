"""What other systems are told: once written it arrives at least once, signed, under one id."""

import socket
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import Engine, select, update

from followup.clinic_limits import Retention
from followup.clinic_webhooks import Webhook
from followup.domain.alarm import CALM, UNHEARD_FOR, AlarmKind
from followup.domain.announcement import LONGEST_WAIT, MOST_ATTEMPTS, WAITS, Event
from followup.domain.audit import Door
from followup.domain.cadence import Lane
from followup.domain.lead import Closing, Outcome
from followup.domain.suspicion import Suspicion
from followup.errors import NotFound, PermanentFailure
from followup.services import announcing, erasing, pruning, reviewing, uniting, working
from followup.services.announcing import Announcer, Receiver
from followup.services.identifying import identify
from followup.store import announcements, entries
from followup.store.db import reading, real_now, transaction
from followup.store.models import Announcement
from followup.transports.base import Outgoing
from followup.transports.webhook import post
from tests.ear import Ear, listening
from tests.services.cast import ALICE, BOB, DAY, MANAGER, Desk
from tests.services.dying import Died, dying_at_commit

KEY = b"k" * 32
#: Perhaps Alice.
ALICIA = {**ALICE, "name": "Alicia A.", "email": "alicia@example.com"}


@pytest.fixture
def ear() -> Iterator[Ear]:
    with listening() as ear:
        yield ear


@pytest.fixture
def announcer(desk: Desk, ear: Ear) -> Iterator[Announcer]:
    yield listen(desk.engine, Webhook(name="office", url=ear.url))

    # Engines outlive the test.
    announcements.subscribe(desk.engine, {})


def listen(engine: Engine, *webhooks: Webhook) -> Announcer:
    announcements.subscribe(engine, {one.name: one.events for one in webhooks})
    return Announcer(
        engine=engine,
        receivers={one.name: Receiver(one, (KEY,)) for one in webhooks},
        chance=lambda: 0.0,
    )


def owed(desk: Desk) -> list[Announcement]:
    with reading(desk.engine) as session:
        return list(session.scalars(select(Announcement).order_by(Announcement.id)))


def make_due(desk: Desk) -> None:
    """Time passes, for whatever is owed."""
    with transaction(desk.engine) as session:
        past = real_now(session) - timedelta(seconds=1)
        session.execute(update(Announcement).values(due_at=past))


def real_time(desk: Desk) -> datetime:
    with reading(desk.engine) as session:
        return real_now(session)


def test_what_happens_to_a_lead_is_told_by_id_and_reference(
    desk: Desk, announcer: Announcer, ear: Ear
) -> None:
    lead = desk.submit(ALICE)
    desk.mark(lead)

    assert announcing.announce_due(announcer) == 2

    created, contacted = sorted(ear.heard, key=lambda one: one.told["type"], reverse=True)
    assert created.told == {
        "type": "lead.created",
        "timestamp": "2026-10-20T17:00:00Z",
        "data": {"lead_id": str(lead.id), "reference": lead.reference},
    }
    assert contacted.told["type"] == "lead.contacted"
    assert contacted.told["data"].keys() == {"lead_id", "reference"}
    assert created.id != contacted.id
    assert owed(desk) == []
    assert announcing.announce_due(announcer) == 0
    assert len(ear.heard) == 2


def test_details_are_told_where_the_clinic_wants_it(
    desk: Desk, ear: Ear, announcer: Announcer
) -> None:
    announcer = listen(
        desk.engine,
        Webhook(name="office", url=ear.url, details=True, events=frozenset({Event.lead_contacted})),
    )
    lead = desk.submit(ALICE)
    with transaction(desk.engine) as session:
        working.mark_contacted(
            session, lead.id, by="Ann", now=desk.now, outcome=Outcome.booked, note="a private note"
        )

    announcing.announce_due(announcer)

    (heard,) = ear.heard
    data = heard.told["data"]
    assert (data["name"], data["email"], data["phone"]) == tuple(ALICE.values())
    assert (data["by"], data["outcome"]) == ("Ann", "booked")
    assert b"private" not in heard.body


def test_nothing_of_the_person_is_kept_in_what_is_owed(desk: Desk, announcer: Announcer) -> None:
    desk.submit(ALICE)

    (row,) = owed(desk)

    assert row.facts == {}
    assert row.problem is None


def test_a_clinic_without_webhooks_writes_nothing(desk: Desk) -> None:
    desk.mark(desk.submit(ALICE))

    assert owed(desk) == []
    assert not announcing.is_due(listen(desk.engine))


def test_what_is_rolled_back_is_not_told(desk: Desk, announcer: Announcer) -> None:
    lead = desk.submit(ALICE)
    with pytest.raises(Died), dying_at_commit(desk.engine, 0):
        desk.mark(lead)

    assert [row.event for row in owed(desk)] == [Event.lead_created]


def test_who_is_held_is_announced_when_staff_release_them(desk: Desk, announcer: Announcer) -> None:
    lead = desk.lead_of(_held(desk))
    assert owed(desk) == []

    with transaction(desk.engine) as session:
        reviewing.release(session, desk.planner, lead.id, by="Ann", now=desk.now)

    assert [(row.event, row.lead_id) for row in owed(desk)] == [(Event.lead_created, lead.id)]


def _held(desk: Desk) -> uuid.UUID:
    # Somebody may be in danger: so what was caught makes a lead, which is held.
    submission_id = desk.receive(ALICE, caught=Suspicion.honeypot, message="I want to end it all")
    desk.consume()
    return submission_id


def test_a_lead_that_is_closed_or_merged_into_another_is_told(
    desk: Desk, announcer: Announcer
) -> None:
    bob, _, alicia = desk.submit(BOB), desk.submit(ALICE), desk.submit(ALICIA)
    with transaction(desk.engine) as session:
        working.close(
            session, desk.planner, bob.id, why=Closing.wrong_number, by="Ann", now=desk.now
        )
        uniting.merge_duplicate(session, desk.planner, alicia.id, by="Ann", now=desk.now)

    assert [row.lead_id for row in owed(desk) if row.event == "lead.closed"] == [bob.id, alicia.id]


def test_who_is_owed_a_call_again_is_told_as_that(desk: Desk, announcer: Announcer) -> None:
    """Where it was announced as contacted, or merged into another, it would stay so."""
    bob, _, alicia = desk.submit(BOB), desk.submit(ALICE), desk.submit(ALICIA)
    desk.mark(bob)
    with transaction(desk.engine) as session:
        uniting.merge_duplicate(session, desk.planner, alicia.id, by="Ann", now=desk.now)

    for lead in (bob, alicia):
        desk.reopen(lead)

    reopened = [row.lead_id for row in owed(desk) if row.event == "lead.reopened"]
    assert reopened == [bob.id, alicia.id]


def test_a_message_that_failed_is_told_once(desk: Desk, announcer: Announcer, ear: Ear) -> None:
    desk.provider.answer = lambda message: (
        PermanentFailure("no", "21211") if message.to == ALICE["phone"] else None
    )
    lead = desk.submit(ALICE)
    desk.send(Lane.ack)
    (failed,) = [row for row in desk.rows(lead) if row.status == "failed"]

    announcing.announce_due(announcer)

    (told,) = [one.told for one in ear.heard if one.told["type"] == "message.failed"]
    assert told["data"] == {
        "lead_id": str(lead.id),
        "reference": lead.reference,
        "delivery_id": str(failed.id),
    }


def test_who_dies_before_it_is_recorded_has_it_told_again_under_the_same_id(
    desk: Desk, announcer: Announcer, ear: Ear
) -> None:
    desk.submit(ALICE)
    with pytest.raises(Died), dying_at_commit(desk.engine, 1):
        announcing.announce_due(announcer)
    assert len(ear.heard) == 1
    # Not before the lease of the dead one ends.
    assert announcing.announce_due(announcer) == 0

    make_due(desk)

    assert announcing.announce_due(announcer) == 1
    assert len(ear.heard) == 2
    assert len({one.id for one in ear.heard}) == 1
    assert owed(desk) == []


def test_who_dies_before_it_is_sent_loses_nothing(
    desk: Desk, announcer: Announcer, ear: Ear
) -> None:
    desk.submit(ALICE)
    with pytest.raises(Died), dying_at_commit(desk.engine, 0):
        announcing.announce_due(announcer)

    assert announcing.announce_due(announcer) == 1
    assert ear.types() == ["lead.created"]


def test_two_workers_tell_each_event_once(
    desk: Desk, other_engine: Engine, announcer: Announcer, ear: Ear
) -> None:
    for number in range(20):
        desk.receive(ALICE, name=f"Person {number}", email=f"{number}@example.com", phone=None)
    desk.consume()
    other = replace(announcer, engine=other_engine)

    with ThreadPoolExecutor(2) as threads:
        received = sum(threads.map(announcing.announce_due, (announcer, other)))

    assert received == len(ear.heard) == len({one.id for one in ear.heard}) == 20


def test_attempts_follow_the_schedule_and_then_it_is_dead(
    desk: Desk, announcer: Announcer, ear: Ear
) -> None:
    ear.answer = lambda _: (500, {})
    desk.submit(ALICE)
    for wait in (*WAITS, None):
        make_due(desk)
        before = real_time(desk)
        announcing.announce_due(announcer)
        (row,) = owed(desk)
        assert wait is None or before + wait <= row.due_at <= real_time(desk) + wait

    (dead,) = owed(desk)
    assert (dead.attempts, dead.problem) == (MOST_ATTEMPTS, "HTTP 500")
    assert dead.died_at is not None
    make_due(desk)
    announcing.announce_due(announcer)
    assert len(ear.heard) == MOST_ATTEMPTS

    ear.answer = lambda _: (200, {})
    count = announcing.resend(desk.engine, dead.id, by="Ann", now=desk.now, door=Door.command_line)

    assert (count, announcing.announce_due(announcer)) == (1, 1)
    assert len({one.id for one in ear.heard}) == 1
    with reading(desk.engine) as session:
        assert entries.list_entries(session)[0].verb == "announcements resent"
    with pytest.raises(NotFound):
        announcing.resend(desk.engine, dead.id, by="Ann", now=desk.now, door=Door.page)


def test_who_dies_in_the_last_attempt_makes_no_further_one(
    desk: Desk, announcer: Announcer, ear: Ear
) -> None:
    desk.submit(ALICE)
    with transaction(desk.engine) as session:
        session.execute(update(Announcement).values(attempts=MOST_ATTEMPTS))

    announcing.announce_due(announcer)

    assert ear.heard == []
    assert owed(desk)[0].died_at is not None


def test_what_an_earlier_attempt_says_late_does_not_end_a_later_one(
    desk: Desk, announcer: Announcer
) -> None:
    desk.submit(ALICE)
    (row,) = owed(desk)
    with transaction(desk.engine) as session:
        session.execute(update(Announcement).values(attempts=2))
        real = real_now(session)
        announcements.note_failed(session, row.id, 1, "HTTP 500", due_at=None, real=real)

    assert owed(desk)[0].died_at is None


def test_nobody_is_put_off_for_years(desk: Desk, announcer: Announcer, ear: Ear) -> None:
    ear.answer = lambda _: (503, {"Retry-After": "999999999"})
    desk.submit(ALICE)

    announcing.announce_due(announcer)

    assert owed(desk)[0].due_at <= real_time(desk) + LONGEST_WAIT


def test_who_refuses_one_event_is_told_no_other_in_this_run(
    desk: Desk, announcer: Announcer, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("followup.services.announcing.BATCH", 1)
    ear.answer = lambda _: (404, {})
    desk.submit(ALICE)
    desk.submit(BOB)

    announcing.announce_due(announcer)

    assert len(ear.heard) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_who_asks_for_time_gets_it_for_all_that_is_owed(
    desk: Desk, announcer: Announcer, ear: Ear, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("followup.services.announcing.BATCH", 1)
    ear.answer = lambda _: (status, {"Retry-After": "7200"})
    desk.submit(ALICE)
    desk.submit(BOB)
    before = real_time(desk)

    announcing.announce_due(announcer)

    assert len(ear.heard) == 1
    assert sorted(row.attempts for row in owed(desk)) == [0, 1]
    assert all(row.due_at >= before + timedelta(hours=2) for row in owed(desk))


def test_who_is_gone_is_told_no_more_until_staff_say_so(
    desk: Desk, announcer: Announcer, ear: Ear
) -> None:
    ear.answer = lambda _: (410, {})
    desk.submit(ALICE)
    announcing.announce_due(announcer)
    desk.submit(BOB)
    announcing.announce_due(announcer)
    assert len(ear.heard) == 1
    assert all(row.died_at for row in owed(desk))

    ear.answer = lambda _: (200, {})
    announcing.start(desk.engine, "office", by="Ann", now=desk.now, door=Door.page)
    announcing.resend(desk.engine, None, by="Ann", now=desk.now, door=Door.page)

    assert announcing.announce_due(announcer) == 2


def test_operators_hear_once_of_what_was_not_received_and_its_end_is_no_news(
    desk: Desk, announcer: Announcer, ear: Ear
) -> None:
    ear.answer = lambda _: (410, {})
    for person in (ALICE, BOB):
        desk.submit(person)
        announcing.announce_due(announcer)
        desk.watch()
    assert desk.alarms() == [(AlarmKind.unheard, "office")]
    assert [mail for mail in _alarms(desk) if "office did not receive 2" in mail.text]

    announcing.resend(desk.engine, None, by="Ann", now=desk.now, door=Door.page)
    desk.watch()
    desk.now += CALM

    assert desk.alarms() == []
    assert len(_alarms(desk)) == 1


def _alarms(desk: Desk) -> list[Outgoing]:
    desk.send(Lane.staff)
    ids = {row.id for row in desk.rows() if row.alarm_id is not None}
    return [one for one in desk.provider.to(MANAGER) if one.delivery_id in ids]


def test_what_was_given_up_long_ago_is_no_alarm_any_more(desk: Desk, announcer: Announcer) -> None:
    desk.submit(ALICE)
    with transaction(desk.engine) as session:
        long_ago = real_now(session) - UNHEARD_FOR - timedelta(minutes=1)
        session.execute(update(Announcement).values(died_at=long_ago))

    assert desk.watch() == 0


def test_nobody_there_is_a_failed_attempt_and_others_are_told_all_the_same(
    desk: Desk, ear: Ear, announcer: Announcer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("followup.services.announcing.BATCH", 1)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        silent = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
        announcer = listen(
            desk.engine,
            Webhook(name="silent", url=silent),
            Webhook(name="closed", url="http://127.0.0.1:9/"),
            Webhook(name="office", url=ear.url),
        )
        desk.submit(ALICE)
        desk.submit(BOB)
        before = real_time(desk)
        hurried = replace(announcer, post=partial(post, timeout=timedelta(seconds=0.2)))
        assert announcing.announce_due(hurried) == 2

    tried = {row.webhook: row.problem for row in owed(desk) if row.attempts}
    assert tried == {"silent": "no answer in time", "closed": "no answer (ConnectionError)"}
    # What is new to those who are in trouble waits a little.
    new = [row for row in owed(desk) if not row.attempts]
    assert {row.webhook for row in new} == {"silent", "closed"}
    assert all(row.due_at >= before + timedelta(minutes=1) for row in new)


def test_what_is_owed_to_a_webhook_that_was_taken_out_is_given_up(
    desk: Desk, announcer: Announcer, ear: Ear
) -> None:
    desk.submit(ALICE)

    announcing.announce_due(listen(desk.engine, Webhook(name="another", url=ear.url)))

    assert ear.heard == []
    assert owed(desk)[0].died_at is not None


def test_what_nobody_received_is_not_kept_for_ever(desk: Desk, announcer: Announcer) -> None:
    desk.mark(desk.submit(ALICE))

    pruning.prune(desk.engine, Retention(), desk.now + 91 * DAY)

    assert owed(desk) == []


def test_an_erased_person_is_told_of_no_more(desk: Desk, announcer: Announcer, ear: Ear) -> None:
    desk.submit(ALICE)
    with reading(desk.engine) as session:
        person = identify(session, desk.planner, email=ALICE["email"])
    erasing.erase(
        erasing.Eraser(desk.engine, desk.planner, {}), person, by="Ann", now=desk.now + DAY
    )

    assert owed(desk) == []
