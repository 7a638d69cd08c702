"""What should have happened and has not is an alarm: raised once, told to whom it concerns, and
over when it is over."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine, update

from followup.clinic import Recipient, StaffRole
from followup.clinic_limits import Caps
from followup.domain.alarm import CALM, MOST_NAMED, SILENT_AFTER, AlarmKind
from followup.domain.cadence import Channel, Lane
from followup.domain.delivery import Reason, Status
from followup.errors import PermanentFailure, TemporaryFailure
from followup.services import watching
from followup.store import counts, submissions
from followup.store.db import reading, real_now, transaction
from followup.store.models import Submission
from followup.store.words import SubmissionStatus
from tests.parallel import together
from tests.services.cast import (
    ALICE,
    FRONT_DESK,
    FRONT_DESK_PHONE,
    HOUR,
    MANAGER,
    MANAGER_PHONE,
    MINUTE,
    Desk,
    at,
    clinic,
    planner,
)

DAY = timedelta(days=1)


def told(desk: Desk) -> dict[str, list[str]]:
    """Send what is due to staff; what each address heard of alarms since this was asked last, one
    text a message."""
    desk.send(Lane.staff)
    before, desk.told_before = desk.told_before, len(desk.provider.sent)
    ids = {row.id for row in desk.rows() if row.alarm_id is not None}
    heard: dict[str, list[str]] = {}
    for message in desk.provider.sent[before:]:
        if message.delivery_id in ids:
            heard.setdefault(message.to, []).append(message.text)
    return heard


def submit_strangers(desk: Desk, count: int) -> None:
    for number in range(count):
        desk.receive({"name": f"P {number}", "email": f"p{number}@example.com"})
    while desk.consume():
        pass


# Each kind: how it comes about, how it ends, and what is said.


def pause(desk: Desk) -> None:
    desk.pause(Channel.sms, paused_at=_an_hour_ago(desk))


def _an_hour_ago(desk: Desk) -> object:
    with reading(desk.engine) as session:
        return real_now(session) - HOUR


def unpause(desk: Desk) -> None:
    desk.pause(Channel.sms, paused_at=None, probe_at=None, reason=None, code=None, failures=0)


def leave_unsent(desk: Desk) -> None:
    desk.submit({**ALICE, "phone": None})
    desk.send(Lane.staff)
    desk.now += 3 * MINUTE


def send_acknowledgements(desk: Desk) -> None:
    desk.send(Lane.ack)


def leave_unconsumed(desk: Desk) -> None:
    desk.receive(ALICE)
    desk.now += 3 * MINUTE


def consume(desk: Desk) -> None:
    desk.consume()
    desk.send()


def break_submission(desk: Desk) -> None:
    submission_id = desk.receive(ALICE)
    with transaction(desk.engine) as session:
        session.execute(
            update(Submission)
            .where(Submission.id == submission_id)
            .values(status=SubmissionStatus.problem, problem="KeyError")
        )


def mend_submission(desk: Desk) -> None:
    with transaction(desk.engine) as session:
        assert submissions.retry_problems(session, desk.now, None) == 1
    consume(desk)


def fall_silent(desk: Desk) -> None:
    with transaction(desk.engine) as session:
        counts.beat(session, watching.UPKEEP, real_now(session) - SILENT_AFTER - MINUTE)


def be_heard(desk: Desk) -> None:
    with transaction(desk.engine) as session:
        counts.beat(session, watching.UPKEEP, real_now(session))


def get_no_form(desk: Desk) -> None:
    desk.submit(ALICE)
    desk.send(Lane.ack)
    # Six days of eight hours, over a weekend.
    desk.now = at("2026-10-28 10:00")


def get_a_form(desk: Desk) -> None:
    desk.submit({"name": "P", "email": "p@example.com"})
    desk.send(Lane.ack)


def reach_the_cap(desk: Desk) -> None:
    desk.sender = replace(desk.sender, caps=Caps(service_per_hour=1))
    with transaction(desk.engine) as session:
        counts.add_sends(session, Lane.ack, desk.now, 1)


def begin_another_hour(desk: Desk) -> None:
    desk.now += HOUR


def bounce(desk: Desk) -> None:
    desk.submit({**ALICE, "phone": None})
    refusal = PermanentFailure("there is no such mailbox", "550")
    desk.provider.answer = lambda one: refusal if one.to == FRONT_DESK else None
    desk.send(Lane.ack, Lane.staff)
    desk.provider.answer = lambda _: None


def refuse(desk: Desk) -> None:
    desk.submit(ALICE)
    refusal = PermanentFailure("Twilio refused the message", "30450", blames_us=True)
    desk.provider.answer = lambda one: refusal if one.to == ALICE["phone"] else None
    desk.send(Lane.ack, Lane.staff)
    desk.provider.answer = lambda _: None


def let_a_day_pass(desk: Desk) -> None:
    desk.now += DAY + MINUTE


CASES = [
    pytest.param(
        AlarmKind.paused, "sms", pause, unpause,
        "The provider for text messages does not answer (code 503)", id="paused",
    ),
    pytest.param(
        AlarmKind.overdue, "ack", leave_unsent, send_acknowledgements,
        "Messages of the lane ack are due and not sent.", id="overdue",
    ),
    pytest.param(
        AlarmKind.unconsumed, "", leave_unconsumed, consume,
        "Submissions came in and are not worked on", id="unconsumed",
    ),
    pytest.param(
        AlarmKind.problem, "", break_submission, mend_submission,
        "A submission could not be read", id="problem",
    ),
    pytest.param(
        AlarmKind.silent, "", fall_silent, be_heard, "Nothing runs by the clock", id="silent",
    ),
    pytest.param(
        AlarmKind.no_submission, "", get_no_form, get_a_form,
        "No form has come in for 48 business hours.", id="no form",
    ),
    pytest.param(
        AlarmKind.capped, "", reach_the_cap, begin_another_hour,
        "The hourly limit of messages is reached", id="capped",
    ),
    pytest.param(
        AlarmKind.staff_unreached, "Front desk", bounce, let_a_day_pass,
        "A message to Front desk of the staff came back.", id="staff",
    ),
    pytest.param(
        AlarmKind.refused, "sms", refuse, let_a_day_pass,
        "The provider for text messages refused a message", id="refused",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "subject", "begin", "end", "words"), CASES)
def test_each_alarm_is_raised_told_to_the_operators_and_over(
    desk: Desk,
    kind: AlarmKind,
    subject: str,
    begin: Callable[[Desk], None],
    end: Callable[[Desk], None],
    words: str,
) -> None:
    be_heard(desk)
    assert desk.watch(by_clock=False) == 0

    begin(desk)
    desk.watch(by_clock=False)
    assert (kind, subject) in desk.alarms()
    # A text would wait for the channel that is paused.
    by_text = set() if kind is AlarmKind.paused else {MANAGER_PHONE}
    heard = told(desk)
    for address in {MANAGER} | by_text:
        assert any(words in text for text in heard[address])
    assert not {FRONT_DESK, FRONT_DESK_PHONE} & set(heard)

    end(desk)
    be_heard(desk)
    desk.watch(by_clock=False)
    assert (kind, subject) not in desk.alarms()
    desk.now += CALM
    over = told(desk)[MANAGER]
    assert any("This is over:" in text and words in text for text in over)


@pytest.mark.parametrize(("kind", "subject", "begin", "end", "words"), CASES)
def test_an_alarm_is_told_once_for_as_long_as_it_lasts(
    desk: Desk,
    kind: AlarmKind,
    subject: str,
    begin: Callable[[Desk], None],
    end: Callable[[Desk], None],
    words: str,
) -> None:
    be_heard(desk)
    begin(desk)
    for _ in range(3):
        desk.watch(by_clock=False)

    heard = told(desk)

    assert (kind, subject) in desk.alarms()
    assert len([text for text in heard[MANAGER] if words in text]) == 1


def test_a_service_where_all_goes_well_raises_nothing(desk: Desk) -> None:
    desk.submit(ALICE)
    desk.send()

    assert desk.watch() == 0
    assert desk.alarms() == []
    assert told(desk) == {}


def test_what_beat_has_watched_is_not_silent(desk: Desk) -> None:
    fall_silent(desk)

    assert watching.is_silent(desk.engine)
    assert desk.watch(by_clock=True) == 0
    assert not watching.is_silent(desk.engine)


def test_whoever_watches_without_beat_does_not_take_itself_for_it(desk: Desk) -> None:
    fall_silent(desk)

    desk.watch(by_clock=False)

    assert desk.alarms() == [(AlarmKind.silent, "")]
    assert watching.is_silent(desk.engine)


# When, and when not.


def test_a_channel_that_pauses_for_a_moment_is_no_alarm(desk: Desk) -> None:
    desk.pause(Channel.sms)

    assert desk.watch() == 0


def test_a_wrong_account_is_an_alarm_at_once(desk: Desk) -> None:
    desk.pause(Channel.sms, reason=Reason.channel_broken, code="20003")

    desk.watch()

    assert desk.alarms() == [(AlarmKind.paused, "sms")]
    (mail,) = told(desk)[MANAGER]
    assert "The account or sender for text messages is refused (code 20003)" in mail


def test_an_alarm_that_may_not_yet_be_over_is_left_as_it_is(desk: Desk) -> None:
    """A channel that pauses again is not over, though its new pause is too short to be told."""
    pause(desk)
    desk.watch()
    told(desk)

    desk.pause(Channel.sms)
    desk.watch()

    assert desk.alarms() == [(AlarmKind.paused, "sms")]


def test_what_waits_for_a_paused_channel_is_not_also_overdue(desk: Desk) -> None:
    desk.pause(Channel.email, paused_at=_an_hour_ago(desk))
    desk.submit({**ALICE, "phone": None})
    desk.now += HOUR
    desk.send()
    assert desk.rows(lane=Lane.ack, status=Status.planned)

    desk.watch()

    assert desk.alarms() == [(AlarmKind.paused, "email")]


@pytest.mark.parametrize(("lane", "minutes"), [(Lane.ack, 2), (Lane.staff, 5), (Lane.reminder, 15)])
def test_each_lane_may_wait_for_as_long_as_befits_it(desk: Desk, lane: Lane, minutes: int) -> None:
    desk.submit(ALICE)
    for row in desk.rows():
        due_at = desk.now if row.lane is lane else desk.now + HOUR
        desk.change(row, due_at=due_at)

    desk.now += minutes * MINUTE
    desk.watch()
    assert desk.alarms() == []

    desk.now += timedelta(seconds=1)
    desk.watch()
    assert desk.alarms() == [(AlarmKind.overdue, lane.value)]


def test_a_demos_fast_clock_gives_as_much_real_time(desk: Desk) -> None:
    desk.submit(ALICE)
    desk.now += 3 * HOUR

    for rate, open_alarms in ((600.0, 0), (1.0, 3)):
        found = watching.watch(desk.engine, desk.planner, desk.now, caps=None, rate=rate)
        assert found == open_alarms


def test_a_weekend_without_a_form_is_no_alarm(desk: Desk) -> None:
    desk.submit(ALICE)
    for row in desk.rows():
        desk.change(row, status=Status.accepted)

    desk.now = at("2026-10-28 09:59")
    assert desk.watch() == 0


def test_before_the_first_form_there_is_nothing_to_miss(desk: Desk) -> None:
    desk.now += 100 * DAY

    assert desk.watch() == 0


def test_caps_that_are_lifted_are_never_reached(desk: Desk) -> None:
    with transaction(desk.engine) as session:
        counts.add_sends(session, Lane.ack, desk.now, 1_000_000)

    assert desk.watch() == 0


def test_an_address_of_the_staff_that_goes_on_refusing_stays_an_alarm(desk: Desk) -> None:
    bounce(desk)
    desk.now += DAY - MINUTE
    desk.send(Lane.reminder)

    desk.watch()

    assert (AlarmKind.staff_unreached, "Front desk") in desk.alarms()


# Not a flood.


def flap(desk: Desk, pause_for: timedelta) -> list[str]:
    """The texts that the manager's mailbox gets when the same comes back after that time."""
    reach_the_cap(desk)
    desk.watch()
    told(desk)
    desk.sender = replace(desk.sender, caps=None)
    desk.watch()
    assert told(desk) == {}
    desk.now += pause_for
    told(desk)
    reach_the_cap(desk)
    desk.watch()
    assert desk.alarms() == [(AlarmKind.capped, "")]
    return told(desk).get(MANAGER, [])


def test_what_comes_back_before_it_was_told_to_be_over_is_not_told_again(desk: Desk) -> None:
    assert flap(desk, CALM - MINUTE) == []
    desk.now += DAY
    assert told(desk) == {}


def test_what_comes_back_after_it_was_told_to_be_over_is_told_again(desk: Desk) -> None:
    assert len(flap(desk, CALM + MINUTE)) == 1


def test_what_is_over_before_it_was_told_is_not_told(desk: Desk) -> None:
    reach_the_cap(desk)
    desk.watch()
    desk.sender = replace(desk.sender, caps=None)
    desk.watch()

    assert told(desk) == {}
    alarms = [row for row in desk.rows() if row.alarm_id is not None]
    assert {(row.status, row.reason) for row in alarms} == {(Status.cancelled, Reason.outdated)}


def test_what_nobody_was_told_of_is_told_when_it_comes_back(desk: Desk) -> None:
    reach_the_cap(desk)
    desk.watch()
    desk.sender = replace(desk.sender, caps=None)
    desk.watch()
    desk.now += MINUTE
    reach_the_cap(desk)

    desk.watch()

    assert len(told(desk)[MANAGER]) == 1


def test_many_that_watch_at_once_raise_an_alarm_once(desk: Desk, other_engine: Engine) -> None:
    desk.pause(Channel.sms, reason=Reason.channel_broken)

    def watch(engine: Engine) -> int:
        return watching.watch(engine, desk.planner, desk.now, caps=None)

    together(*[lambda: watch(desk.engine)] * 3, *[lambda: watch(other_engine)] * 3)

    assert desk.alarms() == [(AlarmKind.paused, "sms")]
    assert len(told(desk)[MANAGER]) == 1


def test_operators_hear_of_the_service_where_there_are_any(desk: Desk) -> None:
    operator = Recipient(role=StaffRole.operator, name="Operator", email="ops@example.com")
    named = clinic().model_copy(update={"escalation": (*clinic().escalation, operator)})
    desk.with_planner(replace(planner(), clinic=named))
    reach_the_cap(desk)

    desk.watch()

    assert set(told(desk)) == {"ops@example.com"}


def test_phones_of_staff_do_not_ring_at_night_for_an_alarm(desk: Desk) -> None:
    desk.now = at("2026-10-20 23:00")
    reach_the_cap(desk)
    desk.watch()

    assert set(told(desk)) == {MANAGER}
    desk.now = at("2026-10-21 09:00")
    assert set(told(desk)) == {MANAGER_PHONE}


# People whom no message reached.


def fail_everybody(desk: Desk) -> None:
    """An outage: nobody's acknowledgement could be sent, and then it is too late."""
    desk.now += 13 * HOUR
    desk.send(Lane.ack)


def test_all_whom_an_outage_left_are_one_message_to_each_of_the_staff(desk: Desk) -> None:
    submit_strangers(desk, MOST_NAMED + 3)
    desk.send(Lane.staff)
    fail_everybody(desk)
    desk.now = at("2026-10-21 09:30")

    desk.watch()

    heard = told(desk)
    references = [lead.reference for lead in desk.leads()]
    for address in (FRONT_DESK, FRONT_DESK_PHONE):
        (text,) = heard[address]
        assert "We could not write to 23 people." in text
        assert "and 3 more" in text
        assert sum(reference in text for reference in references) == MOST_NAMED


def test_who_becomes_unreachable_one_by_one_is_told_together(desk: Desk) -> None:
    submit_strangers(desk, 3)
    desk.send(Lane.staff)
    desk.now = at("2026-10-21 09:30")
    for number, lead in enumerate(desk.leads()):
        for row in desk.rows(lead, lane=Lane.ack):
            desk.change(row, expires_at=desk.now + number * MINUTE)
    desk.provider.answer = lambda _: TemporaryFailure("come back later")
    for _ in range(12):
        desk.send(Lane.ack)
        desk.watch()
        desk.now += MINUTE

    desk.provider.answer = lambda _: None
    first, second = told(desk)[FRONT_DESK]
    assert "1 person" in first
    assert "2 people" in second


def test_staff_are_told_of_each_person_once(desk: Desk) -> None:
    submit_strangers(desk, 2)
    desk.send(Lane.staff)
    fail_everybody(desk)
    desk.now = at("2026-10-21 09:30")

    for _ in range(3):
        desk.watch()

    assert len(told(desk)[FRONT_DESK]) == 1
    assert {task.told_at for task in desk.tasks()} == {desk.now}


def test_staff_are_not_told_of_whom_they_called_meanwhile(desk: Desk) -> None:
    submit_strangers(desk, 2)
    desk.send(Lane.staff)
    fail_everybody(desk)
    first, second = desk.leads()
    desk.mark(first)
    desk.now = at("2026-10-21 09:30")

    desk.watch()

    (text,) = told(desk)[FRONT_DESK]
    assert f"We could not write to 1 person. Please call {second.reference}." in text


def test_nobody_is_told_when_all_were_called_meanwhile(desk: Desk) -> None:
    submit_strangers(desk, 2)
    desk.send(Lane.staff)
    fail_everybody(desk)
    for lead in desk.leads():
        desk.mark(lead)

    desk.watch()

    assert [task.told_at for task in desk.tasks()] == [desk.now] * 2
    assert not [row for row in desk.rows() if row.alarm_id and row.recipient == FRONT_DESK]


def test_each_site_hears_of_its_own_people(desk: Desk) -> None:
    desks = [
        Recipient(role=StaffRole.staff, name=site, email=f"{site}@example.com", sites=(site,))
        for site in ("newport-beach", "manhattan-beach")
    ]
    named = clinic().model_copy(update={"escalation": tuple(desks)})
    desk.with_planner(replace(planner(), clinic=named))
    here = desk.submit({**ALICE, "phone": None}, location="newport-beach")
    there = desk.submit({"name": "P", "email": "p@example.com"}, location="manhattan-beach")
    desk.send(Lane.staff)
    fail_everybody(desk)

    desk.watch()

    heard = told(desk)
    for lead, address in ((here, "newport-beach"), (there, "manhattan-beach")):
        assert any(
            f"write to 1 person. Please call {lead.reference}." in text
            for text in heard[f"{address}@example.com"]
        )


def test_a_summary_is_no_state_that_lasts(desk: Desk) -> None:
    submit_strangers(desk, 1)
    desk.send(Lane.staff)
    fail_everybody(desk)

    desk.watch()

    assert AlarmKind.unreached not in {kind for kind, _ in desk.alarms()}


def test_no_alarm_says_anything_about_a_person(desk: Desk) -> None:
    desk.submit(ALICE, message="I cannot sleep.")
    break_submission(desk)
    bounce(desk)
    submit_strangers(desk, 1)
    fail_everybody(desk)
    pause(desk)
    desk.now = at("2026-10-21 09:30")

    desk.watch()
    unpause(desk)
    desk.watch()
    desk.send(Lane.staff)

    rows = [row for row in desk.rows() if row.alarm_id is not None]
    said = " ".join(f"{row.subject} {row.body}" for row in rows)
    assert "We could not write to" in said
    for personal in ("Alice", "Ames", "alice@", "2125550101", "212", "sleep", "tms"):
        assert personal.lower() not in said.lower()


def test_the_alarms_that_are_open_are_listed_with_their_sentences(desk: Desk) -> None:
    reach_the_cap(desk)
    desk.watch()

    with reading(desk.engine) as session:
        (found,) = watching.list_alarms(session)

    assert found == {
        "alarm": "capped",
        "subject": "",
        "since": "2026-10-20T17:00:00Z",
        "explanation": "The hourly limit of messages is reached; "
        "further messages wait for the next.",
    }


def test_counts_of_two_days_ago_are_forgotten(desk: Desk) -> None:
    with transaction(desk.engine) as session:
        counts.add_sends(session, Lane.ack, desk.now - 3 * DAY, 5)
        counts.add_sends(session, Lane.ack, desk.now, 7)

    desk.watch()

    with reading(desk.engine) as session:
        assert counts.count_sends(session, desk.now - 3 * DAY) == 0
        assert counts.count_sends(session, desk.now) == 7
