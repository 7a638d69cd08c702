"""A text from a phone of the staff is obeyed once, as through any door, and answered with what
happened; nobody is told anything that they did not know."""

from dataclasses import replace
from itertools import product

import pytest
from sqlalchemy import Engine, select

from followup.clinic import Recipient, StaffRole
from followup.clinic_limits import Caps
from followup.domain.audit import Door
from followup.domain.cadence import Audience, Channel
from followup.domain.delivery import Reason, Status
from followup.domain.lead import LeadStatus
from followup.services import heeding, receiving, reviewing, staffing, uniting
from followup.services.receiving import Text
from followup.services.staffing import StaffRole as Role
from followup.store import consents, ledger
from followup.store.db import reading, transaction
from followup.store.models import AuditEntry, Lead, Reply
from tests.parallel import PATIENCE_SECONDS, together
from tests.schema import KEYRING
from tests.services.cast import (
    ALICE,
    BOB,
    DAY,
    FRONT_DESK_PHONE,
    HOUR,
    MANAGER_PHONE,
    MINUTE,
    Desk,
    at,
    clinic,
)
from tests.services.holding import holding_the_first_commit
from tests.store.waiting_for_locks import meanwhile, until_blocked

EVES_PHONE = "+14155550177"


def with_eve(desk: Desk) -> None:
    with transaction(desk.engine) as session:
        staffing.add_person(
            session, KEYRING, name="Eve", role=Role.staff, now=desk.now, phone=EVES_PHONE
        )


def waiting(desk: Desk, person: dict[str, str] = ALICE) -> Lead:
    """A lead of which everybody has heard, with nothing on its way."""
    lead = desk.submit(person)
    desk.send()
    desk.now += MINUTE
    desk.provider.sent.clear()
    return lead


def answers(desk: Desk, number: str = FRONT_DESK_PHONE) -> list[str]:
    """What the phone gets, without the clinic's name."""
    desk.send()
    found = [one.text for one in desk.provider.to(number)]
    desk.provider.sent.clear()
    return [text.partition(": ")[2] for text in found]


def test_done_marks_the_lead_contacted_and_says_so_at_any_hour(desk: Desk) -> None:
    with_eve(desk)
    lead = waiting(desk)
    desk.now = at("2026-10-20 23:30")

    desk.reply(EVES_PHONE, f"done #{lead.reference.lower()}")

    assert answers(desk, EVES_PHONE) == [f"{lead.reference} is marked contacted."]
    marked = desk.lead(lead)
    assert (marked.status, marked.contacted_by) == (LeadStatus.contacted, "Eve")
    assert desk.owed(lead) == 0
    with reading(desk.engine) as session:
        (entry,) = session.scalars(select(AuditEntry).where(AuditEntry.verb == "contacted"))
    assert (entry.by, entry.door, entry.lead_id) == ("Eve", Door.text, lead.id)


def test_tried_and_snooze_say_until_when_the_reminders_rest(desk: Desk) -> None:
    lead = waiting(desk)

    desk.reply(FRONT_DESK_PHONE, f"INTENTADO {lead.reference}")
    desk.reply(FRONT_DESK_PHONE, f"SNOOZE {lead.reference} 5h")

    assert answers(desk) == [
        f"Your attempt to reach {lead.reference} is noted. Reminders rest until today 12:01 PM.",
        f"Reminders of {lead.reference} rest until today 3:01 PM.",
    ]
    assert desk.lead(lead).snoozed_until == desk.now + 5 * HOUR


def test_who_comes_second_hears_who_was_first_and_who_repeats_does_not(desk: Desk) -> None:
    lead = waiting(desk)
    desk.mark(lead, by="Ann")
    other = waiting(desk, BOB)
    desk.reply(FRONT_DESK_PHONE, f"DONE {other.reference}")
    answers(desk)

    for verb, about in product(("DONE", "TRIED"), (lead, other)):
        desk.reply(FRONT_DESK_PHONE, f"{verb} {about.reference}")

    was_first = f"Ann was first and reached {lead.reference}, today 10:01 AM."
    own = f"{other.reference} is marked contacted."
    assert answers(desk) == [was_first, own, was_first, own]
    assert desk.lead(lead).contacted_by == "Ann"


def test_a_text_that_meets_a_merging_marks_the_one_that_goes_on(
    desk: Desk, other_engine: Engine
) -> None:
    one = waiting(desk)
    other = waiting(desk, {**ALICE, "name": "Alicia A.", "email": "alicia@example.com"})

    def merge() -> None:
        with transaction(other_engine) as session:
            uniting.merge_duplicate(session, desk.planner, other.id, by="Ann", now=desk.now)

    with (
        holding_the_first_commit(other_engine) as merging,
        meanwhile(merge) as merged,
    ):
        merging.wait_until_reached()
        with meanwhile(lambda: desk.reply(FRONT_DESK_PHONE, f"DONE {other.reference}")) as texted:
            until_blocked(desk.engine, texted)
            merging.let_go()
            texted.result(PATIENCE_SECONDS)
            merged.result(PATIENCE_SECONDS)

    assert answers(desk) == [f"{other.reference} is marked contacted."]
    assert desk.lead(one).contacted_by == "Front desk"


def test_the_provider_s_retries_are_one_text_with_one_answer(desk: Desk) -> None:
    lead = waiting(desk)
    text = f"TRIED {lead.reference}"

    together(*[lambda: desk.reply(FRONT_DESK_PHONE, text, "SM1") for _ in range(3)])
    desk.reply(FRONT_DESK_PHONE, text, "SM1")

    assert len(answers(desk)) == 1
    with reading(desk.engine) as session:
        assert [one.verb for one in ledger.list_actions(session, lead.id)] == ["attempt"]


def test_a_text_that_a_process_left_is_obeyed_later(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead = waiting(desk)
    with monkeypatch.context() as broken:
        broken.setattr(receiving, "try_to_heed", lambda *_: False)
        desk.reply(FRONT_DESK_PHONE, f"DONE {lead.reference}")
    assert answers(desk) == []

    desk.now += MINUTE

    assert heeding.heed_left(desk.engine, desk.planner, desk.now) == 1
    assert answers(desk) == [f"{lead.reference} is marked contacted."]


@pytest.mark.parametrize("text", ["DONE K2K2", "K2K2", "SNOOZE {known}", "{known}", "HELP"])
def test_an_unknown_reference_and_an_unfinished_command_change_nothing_and_reveal_nothing(
    desk: Desk, text: str
) -> None:
    lead = waiting(desk)

    for _ in range(2):
        desk.reply(FRONT_DESK_PHONE, text.format(known=lead.reference))

    how = (
        "Nothing was changed. Text DONE, TRIED or SNOOZE and the reference, "
        "such as DONE K7Q4 or SNOOZE K7Q4 2h."
    )
    assert answers(desk) == [how] * 2
    with reading(desk.engine) as session:
        assert ledger.list_actions(session, lead.id) == []


def test_a_phone_that_answers_by_itself_is_not_answered_on_and_on(desk: Desk) -> None:
    for _ in range(5):
        desk.reply(FRONT_DESK_PHONE, "I'm driving and will see your message later")
    assert len(answers(desk)) == 1

    desk.now += 10 * MINUTE
    desk.reply(FRONT_DESK_PHONE, "I'm driving and will see your message later")

    assert len(answers(desk)) == 1


def test_a_lead_that_was_rejected_stays_closed(desk: Desk) -> None:
    lead = waiting(desk)
    with transaction(desk.engine) as session:
        session.get_one(Lead, lead.id).status = LeadStatus.held
        session.flush()
        reviewing.reject(session, lead.id, by="Ann", now=desk.now)

    desk.reply(FRONT_DESK_PHONE, f"DONE {lead.reference}")

    assert answers(desk) == [f"{lead.reference} is closed; nothing was changed."]


def test_a_stranger_s_done_is_a_patient_s_text(desk: Desk) -> None:
    lead, other = waiting(desk), waiting(desk, BOB)

    desk.reply("+18085550104", f"DONE {lead.reference}")
    desk.reply(BOB["phone"], f"DONE {lead.reference}")

    (told,) = answers(desk, "+18085550104")
    assert told.startswith("For help call (949) 555-0100")
    assert desk.lead(lead).status is LeadStatus.open
    assert desk.rows(other, step="received")
    assert desk.rows(other, step="replied")


def test_nor_is_who_left_or_an_operator_obeyed(desk: Desk) -> None:
    operator = Recipient(role=StaffRole.operator, name="Ops", phone="+14155550178")
    named = clinic().model_copy(update={"escalation": (*clinic().escalation, operator)})
    desk.with_planner(replace(desk.planner, clinic=named))
    with_eve(desk)
    lead = waiting(desk)
    with transaction(desk.engine) as session:
        staffing.disable(session, "Eve", desk.now)

    numbers = {EVES_PHONE, "+14155550178"}
    for number in numbers:
        desk.reply(number, f"DONE {lead.reference}")

    told = desk.rows(audience=Audience.staff, cadence="replies")
    assert not numbers & {row.recipient for row in told}
    assert desk.lead(lead).status is LeadStatus.open


def test_stop_from_a_phone_of_the_staff_is_an_opt_out_and_gets_no_answer(desk: Desk) -> None:
    lead = waiting(desk)

    desk.reply(FRONT_DESK_PHONE, "STOP")
    desk.reply(FRONT_DESK_PHONE, "START")
    desk.reply(FRONT_DESK_PHONE, f"stop texting me about {lead.reference}. DONE")

    assert answers(desk) == []
    with reading(desk.engine) as session:
        history = consents.list_history(session, [KEYRING.hash(FRONT_DESK_PHONE)])
    assert [one.lifted_at is None for one in history] == [False, True]
    assert desk.lead(lead).status is LeadStatus.open


def test_help_that_the_provider_answered_is_not_answered_twice(desk: Desk) -> None:
    text = Text("SM1", FRONT_DESK_PHONE, "HELP", is_answered=True)

    receiving.receive_reply(desk.engine, desk.planner, text, desk.now)

    assert answers(desk) == []


def test_a_phone_that_filled_in_a_form_itself_commands_as_staff(desk: Desk) -> None:
    """A trial of the clinic's own form must not make its texts the patient's."""
    lead, own = waiting(desk), waiting(desk, {**BOB, "phone": MANAGER_PHONE})

    desk.reply(MANAGER_PHONE, f"DONE {lead.reference}")

    assert answers(desk, MANAGER_PHONE) == [f"{lead.reference} is marked contacted."]
    assert desk.rows(own, step="replied") == []
    assert {row.reason for row in desk.rows(own, step="not-forgotten")} == {None}


def test_an_answer_passes_by_the_caps_and_goes_late_never(desk: Desk) -> None:
    lead = waiting(desk)
    desk.sender = replace(desk.sender, caps=Caps(staff_per_hour=1))
    desk.reply(FRONT_DESK_PHONE, f"TRIED {lead.reference}")
    assert len(answers(desk)) == 1

    desk.reply(FRONT_DESK_PHONE, f"DONE {lead.reference}")
    desk.now += 30 * MINUTE

    assert answers(desk) == []
    (row,) = desk.rows(step="staff-contacted")
    assert (row.status, row.reason) == (Status.expired, Reason.expired)
    assert desk.tasks() == []


def test_no_answer_says_who_the_patient_is(desk: Desk) -> None:
    lead = waiting(desk)
    for text in ("TRIED {}", "SNOOZE {} 1d", "DONE {}", "DONE {}", "{}"):
        desk.reply(FRONT_DESK_PHONE, text.format(lead.reference))
    desk.now += DAY

    with reading(desk.engine) as session:
        told = str([one.told for one in session.scalars(select(Reply))])
    said = " ".join(
        row.body or "" for row in desk.rows(audience=Audience.staff, channel=Channel.sms)
    )
    for secret in (*ALICE.values(), "Alice", "Ames"):
        assert secret not in told + said
