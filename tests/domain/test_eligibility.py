"""Whether a due delivery may go: every rule, what it leaves alone, and which rule weighs more."""

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from followup.domain.answer import Answer
from followup.domain.cadence import Audience, Channel, Lane
from followup.domain.delivery import SENTENCES, TRANSITIONS, Reason, Status
from followup.domain.eligibility import Facts, Send, Skip, Wait, assess
from followup.domain.hours import BusinessHours, TextWindow
from followup.domain.lead import LeadStatus

LOS_ANGELES = ZoneInfo("America/Los_Angeles")
NEW_YORK = ZoneInfo("America/New_York")
PHOENIX = ZoneInfo("America/Phoenix")
TOKYO = ZoneInfo("Asia/Tokyo")

OFFICE = BusinessHours(LOS_ANGELES, (((time(9), time(17)),),) * 5 + ((), ()))
MORNINGS = TextWindow(((time(9), time(10)),) * 7)

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


def la(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=LOS_ANGELES).astimezone(UTC)


NOON = la("2026-12-01 12:00")
NIGHT = la("2026-12-01 22:00")
MORNING = la("2026-12-02 09:00")

ACK_TEXT: dict[str, Any] = {
    "audience": Audience.patient,
    "channel": Channel.sms,
    "lane": Lane.ack,
    "acknowledges": True,
    "expires_at": None,
    "lead_status": LeadStatus.open,
    "snoozed_until": None,
    "arrived_at": NOON - 3 * timedelta(days=1),
    "hours": OFFICE,
    "has_consent": True,
    "zones": (LOS_ANGELES,),
}
ACK_MAIL = ACK_TEXT | {"channel": Channel.email, "has_consent": False, "zones": ()}
NUDGE_TEXT = ACK_TEXT | {"lane": Lane.reminder, "acknowledges": False}
NUDGE_MAIL = ACK_MAIL | {"lane": Lane.reminder, "acknowledges": False}
ALERT_TEXT = ACK_TEXT | {
    "audience": Audience.staff,
    "lane": Lane.staff,
    "acknowledges": False,
    "has_consent": False,
}
ALERT_MAIL = ALERT_TEXT | {"channel": Channel.email, "zones": ()}
ANSWER_TEXT = ACK_TEXT | {
    "acknowledges": False,
    "answer": Answer.received,
    "invited": True,
    "whatever_status": True,
    "has_consent": False,
}
CONFIRMATION = ANSWER_TEXT | {"answer": Answer.opted_out, "suppressed": Reason.opted_out}
REMINDER_TEXT = ALERT_TEXT | {"lane": Lane.reminder}
REMINDER_MAIL = ALERT_MAIL | {"lane": Lane.reminder}

EVERY = {
    "first text": ACK_TEXT,
    "first mail": ACK_MAIL,
    "later text": NUDGE_TEXT,
    "later mail": NUDGE_MAIL,
    "alert by text": ALERT_TEXT,
    "alert by mail": ALERT_MAIL,
    "reminder by text": REMINDER_TEXT,
    "reminder by mail": REMINDER_MAIL,
}
every = pytest.mark.parametrize("kind", EVERY.values(), ids=EVERY)


def judged(kind: dict[str, Any], now: datetime = NOON, **changes: Any) -> Send | Wait | Skip:
    return assess(Facts(**{**kind, **changes}), now)


@every
def test_at_noon_with_nothing_against_it_everything_goes(kind: dict[str, Any]) -> None:
    assert judged(kind) == Send()


@every
@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (LeadStatus.open, Send()),
        (LeadStatus.contacted, Skip(Reason.contacted, Status.cancelled)),
        (LeadStatus.closed, Skip(Reason.closed, Status.cancelled)),
        (LeadStatus.held, Wait(NOON + 5 * MINUTE, Reason.held)),
    ],
)
def test_what_is_no_longer_owed_is_cancelled_and_what_is_held_waits(
    kind: dict[str, Any], status: LeadStatus, verdict: object
) -> None:
    assert judged(kind, lead_status=status) == verdict


@every
def test_what_was_planned_before_a_lead_was_reopened_is_owed_no_more(kind: dict[str, Any]) -> None:
    assert judged(kind, is_of_old=True) == Skip(Reason.contacted, Status.cancelled)


@every
def test_who_left_is_not_written_to(kind: dict[str, Any]) -> None:
    assert judged(kind, has_left=True) == Skip(Reason.staff_left, Status.cancelled)


SNOOZED = Wait(NOON + MINUTE, Reason.snoozed)


@pytest.mark.parametrize(
    ("kind", "until", "verdict"),
    [
        pytest.param(REMINDER_MAIL, NOON + MINUTE, SNOOZED, id="reminder by mail"),
        pytest.param(REMINDER_TEXT, NOON + MINUTE, SNOOZED, id="reminder by text"),
        pytest.param(REMINDER_MAIL, NOON, Send(), id="the snooze is over"),
        pytest.param(REMINDER_MAIL, NOON - MINUTE, Send(), id="the snooze was over before"),
        pytest.param(REMINDER_MAIL, None, Send(), id="no snooze"),
        pytest.param(ALERT_MAIL, NOON + MINUTE, Send(), id="alert of a new submission"),
        pytest.param(ACK_TEXT, NOON + MINUTE, Send(), id="first text"),
        pytest.param(ACK_MAIL, NOON + MINUTE, Send(), id="first mail"),
        pytest.param(NUDGE_TEXT, NOON + MINUTE, Send(), id="later text to the patient"),
        pytest.param(NUDGE_MAIL, NOON + MINUTE, Send(), id="later mail to the patient"),
    ],
)
def test_a_snooze_quiets_the_reminders_of_staff_only(
    kind: dict[str, Any], until: datetime | None, verdict: object
) -> None:
    assert judged(kind, snoozed_until=until) == verdict


@every
@pytest.mark.parametrize(
    ("expires_at", "verdict"),
    [
        pytest.param(NOON + SECOND, Send(), id="a second left"),
        pytest.param(NOON, Skip(Reason.expired, Status.expired), id="at its end"),
        pytest.param(NOON - SECOND, Skip(Reason.expired, Status.expired), id="a second late"),
        pytest.param(None, Send(), id="without an end"),
    ],
)
def test_late_is_not_sent(
    kind: dict[str, Any], expires_at: datetime | None, verdict: object
) -> None:
    assert judged(kind, expires_at=expires_at) == verdict


@every
def test_a_service_that_is_tried_out_writes_to_those_on_its_list_alone(
    kind: dict[str, Any],
) -> None:
    assert judged(kind, is_listed=False) == Skip(Reason.not_listed)


@pytest.mark.parametrize("kind", [ACK_TEXT, ACK_MAIL, NUDGE_TEXT, NUDGE_MAIL])
@pytest.mark.parametrize(
    "reason", [Reason.opted_out, Reason.unsubscribed, Reason.unreachable, Reason.asked_staff]
)
def test_a_suppressed_address_is_not_written_to(kind: dict[str, Any], reason: Reason) -> None:
    """Cases 53 and 64: whatever kind of message it is."""
    assert judged(kind, suppressed=reason) == Skip(reason)


@pytest.mark.parametrize(
    ("kind", "verdict"),
    [
        pytest.param(ACK_TEXT, Skip(Reason.no_consent), id="first text"),
        pytest.param(NUDGE_TEXT, Skip(Reason.no_consent), id="later text"),
        pytest.param(ACK_MAIL, Send(), id="first mail"),
        pytest.param(NUDGE_MAIL, Send(), id="later mail"),
        pytest.param(ALERT_TEXT, Send(), id="text to staff"),
    ],
)
def test_only_texts_to_patients_need_consent(kind: dict[str, Any], verdict: object) -> None:
    assert judged(kind, has_consent=False) == verdict


@pytest.mark.parametrize(
    ("kind", "verdict"),
    [
        pytest.param(ACK_TEXT, Skip(Reason.not_textable), id="first text"),
        pytest.param(NUDGE_TEXT, Skip(Reason.not_textable), id="later text"),
        pytest.param(ALERT_TEXT, Skip(Reason.not_textable), id="text to staff"),
        pytest.param(ACK_MAIL, Send(), id="mail"),
    ],
)
def test_a_number_that_must_not_be_texted_never_is(kind: dict[str, Any], verdict: object) -> None:
    assert judged(kind, not_textable="toll_free") == verdict


@pytest.mark.parametrize(
    ("kind", "verdict"),
    [
        pytest.param(ACK_TEXT, Skip(Reason.already_texted), id="first text"),
        pytest.param(NUDGE_TEXT, Send(), id="later text of the same request"),
        pytest.param(ACK_MAIL, Send(), id="mail"),
        pytest.param(ALERT_TEXT, Send(), id="text to staff"),
    ],
)
def test_a_number_has_one_first_text(kind: dict[str, Any], verdict: object) -> None:
    assert judged(kind, was_texted=True) == verdict


QUIET = Wait(MORNING, Reason.quiet_hours, extends_expiry=True)


@pytest.mark.parametrize(
    ("kind", "changes", "verdict"),
    [
        pytest.param(NUDGE_TEXT, {}, QUIET, id="later text"),
        pytest.param(NUDGE_TEXT, {"arrived_at": NIGHT}, QUIET, id="later text, fresh request"),
        pytest.param(ACK_TEXT, {}, QUIET, id="first text, old request"),
        pytest.param(ACK_TEXT, {"arrived_at": NIGHT}, Send(), id="first text at once"),
        pytest.param(ACK_TEXT, {"arrived_at": NIGHT - 5 * MINUTE}, Send(), id="after five minutes"),
        pytest.param(
            ACK_TEXT,
            {"arrived_at": NIGHT - 5 * MINUTE - SECOND},
            QUIET,
            id="after five and a second",
        ),
        pytest.param(
            ACK_TEXT,
            {"arrived_at": NIGHT, "ack_sms_in_quiet_hours": False},
            QUIET,
            id="first text where the clinic wants it to wait",
        ),
        pytest.param(NUDGE_MAIL, {}, Send(), id="later mail"),
        pytest.param(ACK_MAIL, {}, Send(), id="first mail"),
        pytest.param(ALERT_TEXT, {}, Send(), id="text to staff"),
        pytest.param(REMINDER_TEXT, {}, Send(), id="reminder to staff"),
    ],
)
def test_quiet_hours_hold_for_texts_to_patients_but_the_answer_at_once(
    kind: dict[str, Any], changes: dict[str, Any], verdict: object
) -> None:
    assert judged(kind, NIGHT, **changes) == verdict


@pytest.mark.parametrize(
    ("now", "zones", "until"),
    [
        pytest.param("2026-12-01 08:59:59", (LOS_ANGELES,), "2026-12-01 09:00", id="before nine"),
        pytest.param("2026-12-01 09:00", (LOS_ANGELES,), None, id="at nine"),
        pytest.param("2026-12-01 19:59:59", (LOS_ANGELES,), None, id="before eight"),
        pytest.param("2026-12-01 20:00", (LOS_ANGELES,), "2026-12-02 09:00", id="at eight"),
        pytest.param("2026-12-05 20:00", (LOS_ANGELES,), "2026-12-06 12:00", id="into Sunday"),
        pytest.param(
            "2026-12-01 17:00", (LOS_ANGELES, NEW_YORK), "2026-12-02 09:00", id="east is asleep"
        ),
        pytest.param(
            "2026-12-01 08:00", (LOS_ANGELES, NEW_YORK), "2026-12-01 09:00", id="west is asleep"
        ),
        pytest.param("2026-12-01 16:59", (LOS_ANGELES, NEW_YORK), None, id="both are awake"),
        pytest.param("2026-12-01 08:30", (NEW_YORK,), None, id="the person's zone, not ours"),
        pytest.param(
            "2026-03-08 08:00", (LOS_ANGELES,), "2026-03-08 12:00", id="clocks went forward"
        ),
        pytest.param(
            "2026-10-31 20:30", (LOS_ANGELES,), "2026-11-01 12:00", id="clocks go back tonight"
        ),
        pytest.param("2026-07-01 08:30", (PHOENIX,), "2026-07-01 09:00", id="summer in Phoenix"),
        pytest.param("2026-12-01 08:30", (PHOENIX,), None, id="winter in Phoenix"),
    ],
)
def test_a_text_waits_until_it_is_day_wherever_the_person_may_be(
    now: str, zones: tuple[ZoneInfo, ...], until: str | None
) -> None:
    expected = Wait(la(until), Reason.quiet_hours, extends_expiry=True) if until else Send()

    assert judged(NUDGE_TEXT, la(now), zones=zones) == expected


def test_the_wait_of_a_night_in_which_clocks_go_back_is_an_hour_longer() -> None:
    now = la("2026-10-31 20:30")

    verdict = judged(NUDGE_TEXT, now)

    assert isinstance(verdict, Wait)
    assert verdict.until - now == timedelta(hours=16, minutes=30)


@pytest.mark.parametrize(
    ("zones", "window"),
    [
        pytest.param((LOS_ANGELES, TOKYO), MORNINGS, id="zones that are never awake together"),
        pytest.param((), MORNINGS, id="no zone is known"),
        pytest.param((LOS_ANGELES,), None, id="states that never both allow"),
    ],
)
def test_where_no_hour_is_proper_nothing_is_sent(
    zones: tuple[ZoneInfo, ...], window: TextWindow | None
) -> None:
    assert judged(NUDGE_TEXT, zones=zones, window=window) == Skip(Reason.quiet_hours)


TOO_LATE = Skip(Reason.window_too_late, Status.expired)


@pytest.mark.parametrize(
    ("kind", "now", "useless_at", "verdict"),
    [
        pytest.param(NUDGE_TEXT, NIGHT, MORNING + SECOND, QUIET, id="of use for a second more"),
        pytest.param(NUDGE_TEXT, NIGHT, MORNING, TOO_LATE, id="of none when the window opens"),
        pytest.param(ACK_TEXT, NIGHT, MORNING, TOO_LATE, id="an answer"),
        pytest.param(NUDGE_TEXT, NIGHT, None, QUIET, id="of use for ever"),
        pytest.param(NUDGE_TEXT, NOON, NOON, Send(), id="no window to wait for"),
        pytest.param(NUDGE_MAIL, NIGHT, NIGHT, Send(), id="mail"),
    ],
)
def test_a_text_that_would_come_too_late_to_be_of_use_is_not_sent(
    kind: dict[str, Any], now: datetime, useless_at: datetime | None, verdict: object
) -> None:
    assert judged(kind, now, useless_at=useless_at) == verdict


OPENS = Wait(MORNING, Reason.outside_opening, extends_expiry=True)


@pytest.mark.parametrize(
    ("kind", "now", "waits", "verdict"),
    [
        pytest.param(ALERT_TEXT, NIGHT, True, OPENS, id="at night"),
        pytest.param(ALERT_TEXT, NOON, True, Send(), id="at noon"),
        pytest.param(ALERT_TEXT, la("2026-12-02 08:59:59"), True, OPENS, id="just before opening"),
        pytest.param(ALERT_TEXT, MORNING, True, Send(), id="at opening"),
        pytest.param(ALERT_TEXT, NIGHT, False, Send(), id="a step that does not wait"),
        pytest.param(NUDGE_MAIL, NIGHT, True, Send(), id="a mail to the patient"),
    ],
)
def test_what_waits_for_the_opening_comes_with_it(
    kind: dict[str, Any], now: datetime, waits: bool, verdict: object
) -> None:
    assert judged(kind, now, waits_for_opening=waits) == verdict


#: From the rule that weighs most to the one that weighs least, each with the facts it acts on.
WEIGHTS: list[tuple[str, dict[str, Any], object]] = [
    ("contacted", {"lead_status": LeadStatus.contacted}, Reason.contacted),
    ("held", {"lead_status": LeadStatus.held}, Reason.held),
    ("expired", {"expires_at": NIGHT}, Reason.expired),
    ("suppressed", {"suppressed": Reason.opted_out}, Reason.opted_out),
    ("not textable", {"not_textable": "country"}, Reason.not_textable),
    ("no consent", {"has_consent": False}, Reason.no_consent),
    ("already texted", {"was_texted": True}, Reason.already_texted),
    ("quiet hours", {}, Reason.quiet_hours),
]


@pytest.mark.parametrize("rank", range(len(WEIGHTS)), ids=[name for name, _, _ in WEIGHTS])
def test_of_several_reasons_the_weightier_is_told(rank: int) -> None:
    facts: dict[str, Any] = {}
    for _, lighter, _ in reversed(WEIGHTS[rank:]):
        facts |= lighter

    verdict = judged(ACK_TEXT, NIGHT, **facts)

    assert isinstance(verdict, Skip | Wait)
    assert verdict.reason is WEIGHTS[rank][2]


def test_a_snoozed_reminder_is_put_off_even_when_it_would_have_expired() -> None:
    verdict = judged(REMINDER_MAIL, expires_at=NOON, snoozed_until=NOON + MINUTE)

    assert verdict == SNOOZED


facts_of_all_kinds = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(list(EVERY.values())),
        "lead_status": st.sampled_from(LeadStatus),
        "suppressed": st.none() | st.sampled_from([Reason.opted_out, Reason.unsubscribed]),
        "has_consent": st.booleans(),
        "not_textable": st.none() | st.just("country"),
        "was_texted": st.booleans(),
        "waits_for_opening": st.booleans(),
        "zones": st.sets(st.sampled_from([LOS_ANGELES, NEW_YORK, PHOENIX, TOKYO])),
        "expires_at": st.none() | st.sampled_from([NOON, MORNING]),
        "snoozed_until": st.none() | st.sampled_from([NOON, MORNING]),
        "arrived_at": st.sampled_from([NOON, NIGHT, MORNING]),
    }
)


@given(facts_of_all_kinds, st.sampled_from([NOON, NIGHT, MORNING, la("2026-12-06 03:00")]))
def test_every_verdict_can_be_kept_and_explained(given: dict[str, Any], now: datetime) -> None:
    kind = given.pop("kind")

    verdict = judged(kind, now, **given)

    if isinstance(verdict, Wait):
        assert verdict.until > now
    if isinstance(verdict, Skip):
        assert verdict.status in TRANSITIONS[Status.planned] - {Status.sending}
    if not isinstance(verdict, Send):
        assert SENTENCES[verdict.reason]


@given(facts_of_all_kinds, st.sampled_from([NOON, NIGHT, MORNING]))
def test_who_said_no_or_was_reached_is_never_written_to(
    given: dict[str, Any], now: datetime
) -> None:
    kind = given.pop("kind") | given
    says_no = kind["suppressed"] is not None or kind["lead_status"] is not LeadStatus.open
    is_text = kind["channel"] is Channel.sms and kind["audience"] is Audience.patient

    if says_no or (is_text and not kind["has_consent"]):
        assert judged(kind, now) != Send()


@pytest.mark.parametrize(
    ("kind", "changes", "verdict"),
    [
        pytest.param(ANSWER_TEXT, {}, Send(), id="a text of one's own is the invitation"),
        pytest.param(ANSWER_TEXT, {"invited": False}, Skip(Reason.no_consent), id="a form is none"),
        pytest.param(ANSWER_TEXT, {"lead_status": LeadStatus.contacted}, Send(), id="contacted"),
        pytest.param(ANSWER_TEXT, {"lead_status": LeadStatus.held}, Send(), id="held"),
        pytest.param(
            ANSWER_TEXT, {"suppressed": Reason.opted_out}, Skip(Reason.opted_out), id="opted out"
        ),
        pytest.param(
            ANSWER_TEXT | {"answer": Answer.crisis},
            {"suppressed": Reason.opted_out},
            Skip(Reason.opted_out),
            id="not even 988 goes past an opt-out",
        ),
        pytest.param(CONFIRMATION, {}, Send(), id="the one confirmation"),
        pytest.param(CONFIRMATION | {"answer": Answer.help}, {}, Send(), id="HELP"),
        pytest.param(
            CONFIRMATION, {"not_textable": "country"}, Skip(Reason.not_textable), id="abroad"
        ),
        pytest.param(
            CONFIRMATION, {"expires_at": NOON}, Skip(Reason.expired, Status.expired), id="late"
        ),
        pytest.param(
            CONFIRMATION,
            {"capped_until": NOON + MINUTE},
            Wait(NOON + MINUTE, Reason.capped),
            id="too many",
        ),
        pytest.param(
            ANSWER_TEXT | {"answer": Answer.crisis},
            {"capped_until": NOON + MINUTE},
            Send(),
            id="988 is never one too many",
        ),
    ],
)
def test_an_answer_passes_by_what_would_keep_it_from_whoever_asked(
    kind: dict[str, Any], changes: dict[str, Any], verdict: object
) -> None:
    assert judged(kind, **changes) == verdict


@pytest.mark.parametrize("answer", Answer)
def test_an_answer_goes_at_any_hour(answer: Answer) -> None:
    assert judged(ANSWER_TEXT, NIGHT, answer=answer) == Send()
