"""The door: one address is refused at last, and whatever else is too much is kept and held."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from sqlalchemy import Engine, func, select

from followup.clinic_limits import Limits
from followup.domain.alarm import AlarmKind
from followup.domain.cadence import TO_PATIENTS, Channel, Lane
from followup.domain.delivery import Status
from followup.domain.lead import LeadStatus
from followup.domain.submission import Kind
from followup.domain.suspicion import Suspicion
from followup.errors import TooMany
from followup.services import intake
from followup.store.db import reading
from followup.store.models import IntakeCount, Lead, Submission
from tests.parallel import together
from tests.services.cast import ALICE, BOB, DAY, FRONT_DESK, HOUR, MINUTE, Desk, clinic

LIMITS = Limits()
_numbers = count()
#: Enough that no two strangers' numbers are next to each other.
AREAS = [
    *(206, 207, 212, 213, 214, 215, 216, 217, 218, 219, 224, 225, 228, 229, 231, 234, 239, 240),
    *(248, 251, 252, 253, 254, 256, 260, 262, 267, 269, 270, 276, 281, 301, 302, 303, 304, 305),
]
LONG = "I would like to hear more about what you offer, and when."


def form() -> dict[str, Any]:
    """The evidence of a hosted form that a person filled in."""
    return {"opening": f"opening {next(_numbers)}", "agent": f"Safari {next(_numbers)}"}


#: N11 is no exchange.
EXCHANGES = [number for number in range(220, 520) if number % 100 != 11]


def stranger(**fields: Any) -> dict[str, Any]:
    """Somebody who has nothing in common with anybody."""
    number = next(_numbers)
    area = AREAS[number // len(EXCHANGES) % len(AREAS)]
    exchange = EXCHANGES[number % len(EXCHANGES)]
    return {
        "name": "Cora Lee",
        "email": f"cora{number}@mail{number}.example.com",
        "phone": f"+1{area}{exchange}4321",
        **fields,
    }


@pytest.fixture
def door(desk: Desk) -> Desk:
    desk.limits = LIMITS
    return desk


def test_those_of_one_batch_are_counted_one_after_the_other(door: Desk) -> None:
    ids = [door.receive(stranger(message=LONG), evidence=form()) for _ in range(4)]
    door.consume()
    ids.append(door.receive(stranger(message=LONG), evidence=form()))
    door.consume()

    held = [door.lead_of(one).held_for for one in ids]
    assert held == [None] * 3 + [Suspicion.same_message] * 2


def from_address(number: int) -> dict[str, Any]:
    return {"address": f"198.51.{number // 256}.{number % 256}"}


def come(desk: Desk, person: dict[str, Any], **evidence: Any) -> Lead:
    submission_id = desk.receive(person, evidence=evidence)
    desk.consume()
    return desk.lead_of(submission_id)


def counts(engine: Engine) -> int:
    with reading(engine) as session:
        return session.execute(select(func.count()).select_from(IntakeCount)).scalar_one()


def kept(engine: Engine) -> int:
    with reading(engine) as session:
        return session.execute(select(func.count()).select_from(Submission)).scalar_one()


def test_one_address_has_so_many_and_is_then_told_when_to_come_again(door: Desk) -> None:
    door.limits = Limits(per_address=3)
    door.now += 4 * MINUTE
    for _ in range(3):
        door.receive(stranger())

    with pytest.raises(TooMany) as refusal:
        door.receive(stranger())

    assert refusal.value.retry_after == 6 * MINUTE
    assert kept(door.engine) == 3
    door.receive(stranger(), evidence=from_address(1))
    door.now += 6 * MINUTE
    door.receive(stranger())
    assert kept(door.engine) == 5


def test_what_was_taken_is_answered_again_however_many_have_come(door: Desk) -> None:
    door.limits = Limits(per_address=1)
    arguments: Any = {
        "now": door.now,
        "idempotency_key": "k",
        "evidence": {"address": "203.0.113.9"},
        "limits": door.limits,
    }
    first = intake.receive(door.engine, clinic(), Kind.contact, ALICE, **arguments)

    again = intake.receive(door.engine, clinic(), Kind.contact, ALICE, **arguments)

    assert again.submission_id == first.submission_id


def test_every_process_counts_the_same_address(door: Desk, other_engine: Engine) -> None:
    limits = Limits(per_address=5)

    def post(engine: Engine) -> int:
        try:
            intake.receive(
                engine,
                clinic(),
                Kind.contact,
                stranger(),
                now=door.now,
                evidence={"address": "2001:db8::1"},
                limits=limits,
            )
        except TooMany:
            return 0
        return 1

    taken = together(
        *[lambda engine=engine: post(engine) for engine in (door.engine, other_engine) * 5]
    )

    assert sum(taken) == 5


@pytest.mark.parametrize(
    ("shared", "suspicion", "limit"),
    [
        pytest.param({"phone": "+12123330000"}, Suspicion.same_number, 5, id="number"),
        pytest.param({"email": "x@gmail.com"}, Suspicion.same_email, 5, id="email"),
        pytest.param({"message": LONG}, Suspicion.same_message, 3, id="message"),
    ],
)
def test_so_many_with_the_same_are_welcome_and_the_next_is_held(
    door: Desk, shared: dict[str, Any], suspicion: Suspicion, limit: int
) -> None:
    for number in range(limit):
        person = stranger(name=f"Person {'abcdefgh'[number]}", **shared)
        assert come(door, person, **form()).status is LeadStatus.open

    person = stranger(name="Zoe Last", **shared)
    if suspicion is Suspicion.same_email:
        # One email address is one person: a further submission does not change what is owed.
        before = len(door.rows())
        come(door, person, **form())
        assert len(door.rows()) == before
        return
    held = come(door, person, **form())

    assert (held.status, held.held_for) == (LeadStatus.held, suspicion)
    assert door.rows(held) == [], "nothing is planned for it"
    door.now += 2 * HOUR
    assert come(door, stranger(name="Ida New", **shared), **form()).status is LeadStatus.open


def test_numbers_next_to_each_other_are_held(door: Desk) -> None:
    phones = [f"+1212333{line:04}" for line in range(7)]

    leads = [come(door, stranger(phone=phone), **form()) for phone in phones]

    assert [lead.status for lead in leads] == [LeadStatus.open] * 6 + [LeadStatus.held]
    assert leads[-1].held_for is Suspicion.same_prefix


def test_what_goes_on_is_held_in_the_next_window_too(door: Desk) -> None:
    door.now += 50 * MINUTE
    for line in range(7):
        come(door, stranger(phone=f"+1212333{line:04}"), **form())
    door.now += 20 * MINUTE

    assert come(door, stranger(phone="+12123339999"), **form()).status is LeadStatus.held


def test_a_name_that_is_an_address_is_held_and_is_never_said(door: Desk) -> None:
    held = come(door, stranger(name="http://win.example"), **form())
    door.send()

    assert held.held_for is Suspicion.link_in_name
    assert door.provider.sent == []


def test_a_flood_is_held_and_a_patient_in_the_middle_of_it_is_not(door: Desk) -> None:
    flood = [
        come(door, stranger(), agent="bot/1", **from_address(number % 4)) for number in range(20)
    ]

    patient = come(door, ALICE, **form(), **from_address(200))

    held = [lead for lead in flood if lead.status is LeadStatus.held]
    assert len(flood) - len(held) <= LIMITS.per_service
    assert {lead.held_for for lead in held} == {Suspicion.burst}
    assert patient.status is LeadStatus.open


def test_a_flood_is_over_when_a_whole_window_was_calm(door: Desk) -> None:
    for number in range(20):
        come(door, stranger(), agent="bot/1", **from_address(number))
    assert come(door, stranger(), agent="bot/1", **from_address(99)).status is LeadStatus.held

    door.now += 20 * MINUTE

    assert come(door, stranger(), agent="bot/1", **from_address(98)).status is LeadStatus.open


def test_what_an_outage_kept_waiting_is_no_flood(door: Desk) -> None:
    for number in range(40):
        door.receive(stranger(), evidence={"agent": "web/1", **from_address(number)})
        door.now += 5 * MINUTE

    while door.consume():
        pass

    assert {lead.status for lead in door.leads()} == {LeadStatus.open}


def test_a_bot_with_one_message_does_not_use_up_everybody_s_budget(door: Desk) -> None:
    for number in range(40):
        person = stranger(message=LONG)
        come(door, person, agent=f"bot/{number}", **from_address(number))

    others = [come(door, stranger(), agent="web/1", **from_address(900 + n)) for n in range(5)]

    assert {lead.status for lead in others} == {LeadStatus.open}


def test_a_suspicious_submission_of_somebody_known_changes_nothing_for_them(door: Desk) -> None:
    lead = come(door, ALICE, **form())
    owed = door.owed(lead)

    same = come(door, {**ALICE, "phone": "+12123334444", "name": "www.x.example"}, **form())

    assert same.id == lead.id
    assert (door.lead(lead).phone, door.owed(lead)) == (ALICE["phone"], owed)


def test_a_further_submission_that_is_welcome_opens_a_held_lead(door: Desk) -> None:
    held = come(door, {**ALICE, "message": "http://a http://b http://c"}, **form())
    assert held.status is LeadStatus.held
    door.now += DAY

    lead = come(door, ALICE, **form())
    door.send()

    assert (lead.id, lead.status) == (held.id, LeadStatus.open)
    acknowledged = [row for row in door.rows(lead, lane=Lane.ack) if row.status is Status.accepted]
    assert {row.channel for row in acknowledged} == set(TO_PATIENTS)
    assert len(acknowledged) == 2


def test_a_flood_raises_one_alarm_with_its_count_and_staff_hear_it_once(door: Desk) -> None:
    for number in range(30):
        come(door, stranger(), agent="bot/1", **from_address(number))
    for _ in range(3):
        door.watch()
        door.send(Lane.staff)
        door.now += MINUTE

    assert [kind for kind, _ in door.alarms()].count(AlarmKind.held) == 1
    (mail,) = [m for m in door.provider.to(FRONT_DESK) if "held for review" in m.text]
    assert "23 submissions are held" in mail.text
    assert "@" not in mail.subject

    door.now += 2 * HOUR
    door.watch()
    assert AlarmKind.held not in [kind for kind, _ in door.alarms()]
    door.now += HOUR
    come(door, stranger(name="http://x.example"), **form())
    door.watch()
    door.send(Lane.staff)
    told = [m for m in door.provider.to(FRONT_DESK) if "held for review" in m.text]
    assert len(told) == 2, "another time is told anew"


def test_counts_are_hashes_and_are_forgotten(door: Desk) -> None:
    come(door, ALICE, **form(), **from_address(7))
    with reading(door.engine) as session:
        likenesses = list(session.scalars(select(IntakeCount.likeness)))

    assert all(len(one) == 64 and set(one) <= set("0123456789abcdef") for one in likenesses)
    door.now += 3 * DAY
    door.watch()
    assert counts(door.engine) == 0


def test_the_operator_s_own_submissions_are_no_flood(door: Desk) -> None:
    for _ in range(20):
        intake.receive(
            door.engine, clinic(), Kind.contact, stranger(), now=door.now, source="command line"
        )
    while door.consume():
        pass

    assert {lead.status for lead in door.leads()} == {LeadStatus.open}


class Bot:
    """Posts from 500 addresses: into the trap, too fast, with one message, or as well as it can."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def post(self, number: int) -> None:
        where = {"agent": "Mozilla/5.0 (bot)", **from_address(number % 500)}
        person = stranger()
        match number % 5:
            case 0:
                self.desk.receive(person, evidence=where, caught=Suspicion.honeypot)
            case 1:
                self.desk.receive(person, evidence=where, caught=Suspicion.too_fast)
            case 2:
                self.desk.receive(person, evidence=where, message=LONG)
            case 3:
                person["phone"] = f"+1212333{number % 10_000:04}"
                self.desk.receive(person, evidence=where)
            case _:
                self.desk.receive(person, evidence=where)


def attack(desk: Desk, posts: int, patients: int) -> Iterator[Lead]:
    """The bot's posts within an hour, and the leads of the patients who came in between."""
    bot, step = Bot(desk), HOUR / posts
    for number in range(posts):
        bot.post(number)
        if number % (posts // patients) == posts // patients // 2:
            # Every other one by a page of the clinic's own, which posts JSON.
            came = form() if number // (posts // patients) % 2 else {"agent": f"Chrome {number}"}
            evidence = {**came, **from_address(60_000 + number)}
            submission_id = desk.receive(stranger(name="Pat Real"), evidence=evidence)
            desk.consume()
            yield desk.lead_of(submission_id)
        if number % 16 == 15:
            desk.consume()
            desk.watch()
            desk.send()
        desk.now += step


def survive(desk: Desk, posts: int, patients: int) -> dict[str, int]:
    desk.limits = LIMITS
    real = {lead.id for lead in attack(desk, posts, patients)}
    while desk.consume():
        pass
    desk.now += timedelta(seconds=1)
    desk.watch()
    desk.send()
    acknowledged = desk.rows(lane=Lane.ack, status=Status.accepted)
    texts = [row for row in acknowledged if row.channel is Channel.sms]
    with reading(desk.engine) as session:
        held = set(session.scalars(select(Lead.id).where(Lead.status == LeadStatus.held)))
    told = [m for m in desk.provider.to(FRONT_DESK) if "held for review" in m.text]
    return {
        "texts to the bot": sum(row.lead_id not in real for row in texts),
        "patients acknowledged by text": sum(row.lead_id in real for row in texts),
        "patients held": len(held & real),
        "submissions kept": kept(desk.engine),
        "leads held": len(held),
        "alarms told": len(told),
    }


def test_a_bot_gets_few_texts_staff_see_it_and_patients_are_acknowledged(desk: Desk) -> None:
    figures = survive(desk, posts=300, patients=6)

    assert figures["texts to the bot"] < 20
    assert figures["patients acknowledged by text"] == 6
    assert figures["patients held"] == 0
    assert figures["submissions kept"] == 306
    assert figures["alarms told"] == 1


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_ten_thousand_posts_from_five_hundred_addresses(desk: Desk) -> None:
    figures = survive(desk, posts=10_000, patients=40)
    print(figures)

    assert figures["texts to the bot"] < 20
    assert figures["patients acknowledged by text"] == 40
    assert figures["leads held"] > 5_900
    assert figures["submissions kept"] == 10_040
    assert figures["alarms told"] == 1


def test_bob_is_not_kept_out_by_what_alice_s_family_sends(door: Desk) -> None:
    for name in ("Ann Ames", "Al Ames", "Abe Ames", "Ada Ames", "Amy Ames", "Ali Ames"):
        come(door, {"name": name, "phone": ALICE["phone"]}, **form())

    assert come(door, BOB, **form()).status is LeadStatus.open
