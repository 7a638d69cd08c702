"""A text is answered once, staff hear of it without its words, and danger is told at once."""

from dataclasses import replace
from typing import Any, NoReturn

import pytest

from followup.domain.alarm import AlarmKind
from followup.domain.answer import ANSWER_EVERY, Answer
from followup.domain.cadence import TO_PATIENTS, Audience, Cadence, Channel, Lane
from followup.domain.consent import MatchedBy, Meaning
from followup.domain.delivery import Reason, Status
from followup.domain.lead import Priority
from followup.errors import PermanentFailure
from followup.services import heeding, receiving
from followup.services.receiving import Text
from followup.store import consents, replies
from followup.store.db import reading, transaction
from followup.store.models import Delivery, Lead, RiskMatch, Suppression
from tests.parallel import together
from tests.schema import KEYRING
from tests.services.cast import (
    ALICE,
    BOB,
    FRONT_DESK,
    FRONT_DESK_PHONE,
    HOUR,
    MANAGER_PHONE,
    MINUTE,
    Desk,
    at,
)

NUMBER = ALICE["phone"]
STRANGER = "+18085550104"
NIGHT = at("2026-10-20 23:30")
CRISIS = "I want to end it all"


def answers_to(desk: Desk, number: str = NUMBER) -> list[str]:
    """The kinds of the answers that were planned to a number."""
    return [
        row.step
        for row in desk.rows(audience=Audience.patient, recipient=number)
        if row.cadence == "replies"
    ]


def notices(desk: Desk, step: str, **wanted: Any) -> list[Delivery]:
    return desk.rows(step=step, audience=Audience.staff, **wanted)


def said_to(desk: Desk, address: str) -> list[str]:
    return [message.text for message in desk.provider.to(address)]


def history(desk: Desk, number: str = NUMBER) -> list[Suppression]:
    with reading(desk.engine) as session:
        return list(consents.list_history(session, [KEYRING.hash(number)]))


def risks(desk: Desk, lead: Lead) -> list[RiskMatch]:
    with reading(desk.engine) as session:
        return list(replies.list_risk_matches(session, lead.id))


def quiet(desk: Desk, person: dict[str, str] = ALICE, **fields: Any) -> Lead:
    """A lead whose first messages are sent."""
    lead = desk.submit(person, **fields)
    desk.send()
    desk.now += MINUTE
    desk.provider.sent.clear()
    return lead


# The one confirmation of an opt-out.


@pytest.mark.parametrize(
    ("said", "matched_by"),
    [("opt out", MatchedBy.per_se), ("please stop sending text reminders", MatchedBy.intent)],
)
def test_an_opt_out_is_confirmed_once_although_the_number_is_silent(
    desk: Desk, said: str, matched_by: MatchedBy
) -> None:
    """Cases 60 and 62."""
    quiet(desk)

    desk.reply(NUMBER, said)
    desk.send()

    (confirmation,) = said_to(desk, NUMBER)
    assert "You are unsubscribed" in confirmation
    (kept,) = history(desk)
    assert (kept.evidence, kept.matched_by) == (said, matched_by)
    assert (kept.created_at, kept.confirmed_at) == (desk.now, desk.now)


def test_a_confirmation_goes_at_night_and_in_the_person_s_language(desk: Desk) -> None:
    """Case 45: quiet hours do not hold it."""
    quiet(desk, language="es")
    desk.now = NIGHT

    desk.reply(NUMBER, "alto")
    desk.send()

    assert [text for text in said_to(desk, NUMBER) if "Responda START" in text]


def test_a_second_opt_out_is_not_confirmed_again(desk: Desk) -> None:
    """Case 57."""
    quiet(desk)

    desk.reply(NUMBER, "opt out")
    desk.reply(NUMBER, "please stop texting me")
    desk.now += 2 * ANSWER_EVERY
    desk.reply(NUMBER, "STOP")
    desk.send()

    assert answers_to(desk) == [Answer.opted_out]
    assert len(history(desk)) == 1


def test_nothing_is_confirmed_that_the_provider_has_confirmed(desk: Desk) -> None:
    """Case 57: Twilio's own confirmation is the one."""
    quiet(desk)
    text = Text("SM1", NUMBER, "STOP", provider_meaning=Meaning.opt_out, is_answered=True)

    receiving.receive_reply(desk.engine, desk.planner, text, desk.now)
    desk.send()

    assert answers_to(desk) == []
    assert said_to(desk, NUMBER) == []
    (kept,) = history(desk)
    assert (kept.matched_by, kept.confirmed_at) == (MatchedBy.per_se, desk.now)


def test_a_confirmation_that_is_five_minutes_late_does_not_go(desk: Desk) -> None:
    """47 CFR 64.1200(a)(12)."""
    quiet(desk)
    desk.reply(NUMBER, "opt out")

    desk.now += 5 * MINUTE
    desk.send()

    assert said_to(desk, NUMBER) == []
    (row,) = desk.rows(step=Answer.opted_out)
    assert (row.status, row.reason) == (Status.expired, Reason.expired)
    assert history(desk)[0].confirmed_at is None


def test_a_confirmation_that_is_refused_is_no_task_and_no_alarm(desk: Desk) -> None:
    """Case 63: opted out is a state, not an error."""
    quiet(desk)
    desk.reply(NUMBER, "opt out")
    desk.provider.answer = lambda _: PermanentFailure("opted out", "21610", suppress="opted_out")

    desk.send(Lane.ack)

    (row,) = desk.rows(step=Answer.opted_out)
    assert row.status is Status.failed
    assert desk.tasks() == []
    assert len(history(desk)) == 1


def test_a_confirmation_of_lost_outcome_is_found_and_noted(desk: Desk) -> None:
    quiet(desk)
    desk.reply(NUMBER, "opt out")
    (row,) = desk.rows(step=Answer.opted_out)
    desk.change(row, status=Status.unknown, attempted_at=desk.now)

    assert desk.report(row, "delivered", Status.delivered)

    assert history(desk)[0].confirmed_at == desk.now


def test_a_number_that_said_it_is_wrong_is_flagged_and_start_does_not_lift_that(
    desk: Desk,
) -> None:
    lead = quiet(desk)

    desk.reply(NUMBER, "this isn't her phone, stop texting")
    desk.reply(NUMBER, "START")

    assert [(one.reason.value, one.lifted_at is None) for one in history(desk)] == [
        ("opted_out", False),
        ("wrong_number", True),
    ]
    assert len(notices(desk, "replied", lead_id=lead.id)) == 2


class Broken(dict[str, Cadence]):
    """Cadences that a mistake of ours cannot read."""

    def get(self, *_: object) -> NoReturn:
        raise RuntimeError("a mistake of ours")


def test_an_opt_out_is_kept_although_all_else_fails(desk: Desk) -> None:
    """Case 55: recorded first, and committed; the answer is made up for."""
    quiet(desk)
    planner = desk.planner
    desk.with_planner(replace(planner, cadences=Broken()))

    desk.reply(NUMBER, "please stop texting me")

    assert [one.reason.value for one in history(desk)] == ["opted_out"]
    assert answers_to(desk) == []
    desk.now += MINUTE
    assert heeding.heed_left(desk.engine, desk.planner, desk.now) == 0
    assert heeding.heed_left(desk.engine, planner, desk.now) == 1
    assert answers_to(desk) == [Answer.opted_out]


def test_what_a_lost_process_left_is_heeded_later_and_once(desk: Desk) -> None:
    quiet(desk)
    with transaction(desk.engine) as session:
        kept = replies.add_reply(
            session,
            provider_id="SM1",
            sender=NUMBER,
            sender_hash=KEYRING.hash(NUMBER),
            body="opt out",
            meaning=Meaning.opt_out,
            received_at=desk.now,
        )

    assert heeding.heed_left(desk.engine, desk.planner, desk.now) == 0
    desk.now += MINUTE
    assert heeding.heed_left(desk.engine, desk.planner, desk.now) == 1
    assert heeding.heed_left(desk.engine, desk.planner, desk.now) == 0

    assert answers_to(desk) == [Answer.opted_out]
    assert not heeding.heed_reply(desk.engine, desk.planner, kept.id, desk.now)


# HELP and START.


def test_help_is_answered_to_a_silent_number_at_any_hour_with_the_crisis_line(desk: Desk) -> None:
    quiet(desk)
    desk.reply(NUMBER, "STOP")
    desk.now = NIGHT

    desk.reply(NUMBER, "HELP")
    desk.send()

    (answer,) = [text for text in said_to(desk, NUMBER) if "For help call" in text]
    assert "988" in answer
    assert "hello@example.com" in answer


def test_start_is_answered_and_lets_texts_go_again(desk: Desk) -> None:
    quiet(desk)
    desk.reply(NUMBER, "STOP")
    desk.reply(NUMBER, "START")
    desk.send()

    assert answers_to(desk) == [Answer.opted_out, Answer.opted_in]
    assert [one.lifted_at for one in history(desk)] == [desk.now]


# Any other text.


def test_a_text_is_answered_once_a_day(desk: Desk) -> None:
    """Cases 15 and 20."""
    quiet(desk)
    for _ in range(5):
        desk.reply(NUMBER, "Is it far?")
    desk.send()
    assert answers_to(desk) == [Answer.received]

    desk.now += ANSWER_EVERY
    desk.reply(NUMBER, "Are you there?")

    assert answers_to(desk) == [Answer.received] * 2


def test_texts_at_once_are_answered_once(desk: Desk) -> None:
    quiet(desk)

    together(*[lambda n=n: desk.reply(NUMBER, "Hello?", f"SM{n}") for n in range(4)])

    assert answers_to(desk) == [Answer.received]


def test_a_text_ends_the_person_s_reminders_on_both_channels_and_not_the_staff_s(
    desk: Desk,
) -> None:
    """Cases 1, 3 and 11."""
    lead = quiet(desk)
    other = desk.submit({**BOB, "phone": NUMBER})

    desk.reply(NUMBER, "Please call after four")

    for one in (lead, other):
        rows = desk.rows(one, step="not-forgotten")
        assert {(row.channel, row.status, row.reason) for row in rows} == {
            (channel, Status.cancelled, Reason.replied) for channel in TO_PATIENTS
        }
    assert desk.rows(lead, step="reminder", status=Status.planned)


def test_a_stop_ends_the_mail_reminder_too_and_leaves_mail_as_such(desk: Desk) -> None:
    lead = quiet(desk)

    desk.reply(NUMBER, "STOP")

    assert desk.row(lead, "not-forgotten", Channel.email).reason is Reason.replied
    with reading(desk.engine) as session:
        address = KEYRING.hash(ALICE["email"])
        assert consents.list_forbidden(session, [address]) == {}


def test_staff_hear_of_a_text_by_reference_and_link_alone(desk: Desk) -> None:
    lead = quiet(desk)

    desk.reply(NUMBER, "My knee hurts since the accident")
    desk.send(Lane.staff)

    (text,), (mail,) = said_to(desk, FRONT_DESK_PHONE), desk.provider.to(FRONT_DESK)
    for said in (text, mail.text + mail.subject):
        assert lead.reference in said
        assert not any(word in said for word in ("knee", "Alice", NUMBER))
    assert "/act/" in text


def test_a_stop_alone_is_no_news_for_staff(desk: Desk) -> None:
    lead = quiet(desk)

    desk.reply(NUMBER, "STOP")

    assert notices(desk, "replied", lead_id=lead.id) == []


@pytest.mark.parametrize("said", ["end", "take me off your list", "HELP"])
def test_what_may_mean_more_is_told_to_staff(desk: Desk, said: str) -> None:
    lead = quiet(desk)

    desk.reply(NUMBER, said)

    assert {row.channel for row in notices(desk, "replied", lead_id=lead.id)} == set(TO_PATIENTS)


def test_texts_of_a_night_ring_once_in_the_morning(desk: Desk) -> None:
    quiet(desk)
    desk.now = NIGHT
    for _ in range(3):
        desk.reply(NUMBER, "Hello?")
        desk.send(Lane.staff)

    assert len(notices(desk, "replied", channel=Channel.sms)) == 1
    assert len(notices(desk, "replied", channel=Channel.email)) == 3


def test_a_text_of_somebody_who_was_contacted_is_told_and_answered_too(desk: Desk) -> None:
    lead = quiet(desk)
    desk.mark(lead)

    desk.reply(NUMBER, "I forgot to ask")
    desk.send()

    assert len(said_to(desk, NUMBER)) == len(said_to(desk, FRONT_DESK_PHONE)) == 1


def test_a_text_without_consent_is_answered_because_it_asks_to_be(desk: Desk) -> None:
    quiet(desk, consent_sms=False)

    desk.reply(NUMBER, "Can you text me?")
    desk.send()

    assert len(said_to(desk, NUMBER)) == 1


# Who is never answered.


@pytest.mark.parametrize("sender", [FRONT_DESK_PHONE, MANAGER_PHONE])
@pytest.mark.parametrize("said", ["Hello", "HELP", "opt out", "suicide"])
def test_staff_are_never_answered(desk: Desk, sender: str, said: str) -> None:
    """Case 14."""
    desk.submit({**ALICE, "phone": sender})

    desk.reply(sender, said)

    assert answers_to(desk, sender) == []


def test_a_text_of_staff_who_are_no_lead_is_no_news(desk: Desk) -> None:
    desk.reply(FRONT_DESK_PHONE, "Hello")

    assert notices(desk, "replied") == []


@pytest.mark.parametrize("sender", ["+19495550100", "+19495550155"])
def test_a_text_from_our_own_number_is_no_reply(desk: Desk, sender: str) -> None:
    """Case 12: the clinic's number, and the one that it came to."""
    desk.submit({**ALICE, "phone": sender})
    text = Text("SM1", sender, "STOP", recipient="+19495550155")

    receiving.receive_reply(desk.engine, desk.planner, text, desk.now)

    assert desk.rows(cadence="replies") == []
    assert history(desk, sender) == []


def test_a_stranger_is_answered_once_of_a_kind_and_never_thanked(desk: Desk) -> None:
    """Case 14: an automatic answer goes to leads, and to whoever asks for help or for silence."""
    for said in ("Who is this?", "HELP", "HELP", "opt out"):
        desk.reply(STRANGER, said)
        desk.now += 2 * ANSWER_EVERY
        desk.reply(STRANGER, said)

    assert answers_to(desk, STRANGER) == [Answer.help, Answer.opted_out]


def test_a_stranger_s_answer_is_sent_and_staff_hear_without_a_reference(desk: Desk) -> None:
    desk.reply(STRANGER, "HELP")
    desk.send()

    assert len(said_to(desk, STRANGER)) == 1
    (text,) = said_to(desk, FRONT_DESK_PHONE)
    assert "a number of no lead" in text
    assert STRANGER not in text


def test_staff_who_cannot_be_told_of_a_stranger_s_danger_are_an_alarm(desk: Desk) -> None:
    desk.reply(STRANGER, "I want to die")
    refusal = PermanentFailure("there is no such mailbox", "550")
    desk.provider.answer = lambda one: refusal if one.to == FRONT_DESK else None

    desk.send()

    assert (AlarmKind.staff_unreached, "Front desk") in desk.alarms()


@pytest.mark.parametrize("sender", ["", "72975", "CLINIC", "+1"])
def test_what_is_no_number_takes_no_answer(desk: Desk, sender: str) -> None:
    desk.reply(sender, "HELP")
    desk.send()

    assert answers_to(desk, sender) == []


# Danger.


def test_risk_words_in_a_text_put_the_lead_first_and_alert_everybody_by_night(desk: Desk) -> None:
    other = desk.submit(BOB)
    lead = quiet(desk)
    desk.submit({**BOB, "email": "carol@example.com", "name": "Carol"})
    desk.now = NIGHT

    desk.reply(NUMBER, CRISIS)
    desk.send()

    assert desk.lead(lead).priority is Priority.urgent
    assert desk.leads()[-1].id == lead.id
    assert other.id in [one.id for one in desk.leads()]
    for phone in (FRONT_DESK_PHONE, MANAGER_PHONE):
        (alert,) = [text for text in said_to(desk, phone) if "danger" in text]
        assert lead.reference in alert
        assert "end it all" not in alert
    (answer,) = said_to(desk, NUMBER)
    assert "988" in answer
    assert "A staff member has been told" in answer


def test_each_match_is_kept_with_its_list(desk: Desk) -> None:
    lead = quiet(desk)

    desk.reply(NUMBER, "NO QUIERO VIVIR. Overdose?")

    (match,) = risks(desk, lead)
    assert match.words == ["overdose", "no quiero vivir"]
    assert match.list_version == desk.planner.clinic.risk.version


def test_an_alert_about_danger_comes_again_until_somebody_acts(desk: Desk) -> None:
    lead = quiet(desk)
    desk.reply(NUMBER, CRISIS)
    for _ in range(3):
        desk.send(Lane.staff)
        desk.now += 10 * MINUTE
    assert len(said_to(desk, MANAGER_PHONE)) == 2

    desk.attempt(lead)
    desk.now += HOUR
    desk.send(Lane.staff)

    assert len(said_to(desk, MANAGER_PHONE)) == 2


def test_every_text_with_risk_words_alerts_and_the_fixed_text_goes_once_a_day(desk: Desk) -> None:
    quiet(desk)

    desk.reply(NUMBER, CRISIS)
    desk.reply(NUMBER, "suicide")
    desk.send()

    assert answers_to(desk) == [Answer.crisis]
    assert len([text for text in said_to(desk, FRONT_DESK_PHONE) if "danger" in text]) == 2


def test_a_crisis_is_never_an_opt_out(desk: Desk) -> None:
    quiet(desk)

    for said in (CRISIS, "make it stop", "I want everything to stop"):
        desk.reply(NUMBER, said)

    assert history(desk) == []


def test_after_an_opt_out_nothing_is_said_but_its_confirmation(desk: Desk) -> None:
    lead = quiet(desk)

    desk.reply(NUMBER, "Stop texting me. I want to die")
    desk.reply(NUMBER, "suicide")
    desk.send()

    assert len(said_to(desk, NUMBER)) == 1
    assert "unsubscribed" in said_to(desk, NUMBER)[0]
    assert desk.row(lead, Answer.crisis, Channel.sms).reason is Reason.opted_out
    assert len(notices(desk, "danger", channel=Channel.sms, recipient=FRONT_DESK_PHONE)) == 6


def test_nobody_says_that_staff_were_told_when_nobody_could_be(desk: Desk) -> None:
    quiet(desk)
    clinic = desk.planner.clinic.model_copy(update={"escalation": ()})
    desk.with_planner(replace(desk.planner, clinic=clinic))

    desk.reply(NUMBER, CRISIS)

    assert answers_to(desk) == [Answer.received]


def test_risk_words_in_a_form_alert_too_and_change_nothing_else(desk: Desk) -> None:
    lead = desk.submit(ALICE, message="I can't go on like this")
    desk.send()

    assert desk.lead(lead).priority is Priority.urgent
    assert [text for text in said_to(desk, MANAGER_PHONE) if "danger" in text]
    texts = said_to(desk, NUMBER)
    assert [text for text in texts if "We got your message" in text]
    assert [text for text in texts if "We are not an emergency line" in text]
    assert risks(desk, lead)[0].submission_id is not None


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"consent_sms": False}, id="without consent"),
        pytest.param({"role": "referrer"}, id="of somebody else"),
        pytest.param({"phone": None}, id="without a phone"),
    ],
)
def test_the_fixed_text_goes_to_nobody_who_did_not_agree_to_texts(
    desk: Desk, fields: dict[str, Any]
) -> None:
    desk.submit(ALICE, message="overdose", **fields)
    desk.send()

    assert not [text for text in said_to(desk, NUMBER) if "emergency line" in text]
    assert [text for text in said_to(desk, MANAGER_PHONE) if "danger" in text]


def test_ordinary_words_raise_nothing(desk: Desk) -> None:
    lead = quiet(desk, message="My name is Overdosia; I am not well", symptoms=["sad"])

    desk.reply(NUMBER, "I cannot stop worrying")

    assert desk.lead(lead).priority is Priority.normal
    assert risks(desk, lead) == []


def test_the_ledger_keeps_why_an_answer_might_go(desk: Desk) -> None:
    quiet(desk)
    desk.reply(NUMBER, "opt out")
    desk.send(Lane.ack)

    (row,) = desk.rows(step=Answer.opted_out)
    (sending, _) = desk.decisions(row)
    assert sending.facts["answer"] == Answer.opted_out
    assert sending.facts["suppressed"] == "opted_out"
    assert sending.facts["wording"].startswith("replies/opted-out.sms.en@")
