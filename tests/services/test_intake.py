"""What comes in is kept once, and becomes one lead per person, with the consent that was given."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, select, text

from followup.domain.cadence import Channel, Lane
from followup.domain.consent import Act
from followup.domain.delivery import Reason, Status
from followup.domain.submission import Kind
from followup.errors import Invalid, KeyReused
from followup.services import intake
from followup.services.planning import Planner
from followup.store import consents, submissions
from followup.store.db import new_id, reading, transaction
from followup.store.models import Submission
from tests.parallel import together
from tests.schema import KEYRING
from tests.services.cast import ALICE, BOB, HOUR, MINUTE, TUESDAY_TEN, Desk, clinic, planner

DAY = timedelta(days=1)


def receive(engine: Engine, key: str | None = "k1", **fields: Any) -> intake.Received:
    payload = {**ALICE, **fields}
    return intake.receive(
        engine, clinic(), Kind.contact, payload, now=TUESDAY_TEN, idempotency_key=key
    )


def kept(engine: Engine) -> list[Submission]:
    with reading(engine) as session:
        return list(session.scalars(select(Submission).order_by(Submission.id)))


def spoil(desk: Desk, submission_id: Any) -> None:
    """As if an older version had let something through that ours cannot consume."""
    with transaction(desk.engine) as session:
        submission = submissions.find_submission(session, submission_id)
        assert submission is not None
        submission.payload = {"name": "Nobody"}


def test_a_submission_is_kept_as_it_came_in(engine: Engine) -> None:
    received = receive(engine, name="  Alice   Ames ", shoe_size=38)

    (submission,) = kept(engine)
    assert received == intake.Received(submission.id, is_new=True)
    assert submission.payload == {**ALICE, "name": "  Alice   Ames ", "shoe_size": 38}
    assert (submission.received_at, submission.status) == (TUESDAY_TEN, "accepted")


def test_the_same_key_again_gives_the_same_answer_and_keeps_nothing(engine: Engine) -> None:
    first = receive(engine)
    second = receive(engine)

    assert second == intake.Received(first.submission_id, is_new=False)
    assert len(kept(engine)) == 1


def test_the_order_of_the_fields_does_not_make_other_content(engine: Engine) -> None:
    first = receive(engine, a=1, b=2)

    assert receive(engine, b=2, a=1).submission_id == first.submission_id


def test_a_key_with_other_content_is_refused(engine: Engine) -> None:
    receive(engine)

    with pytest.raises(KeyReused):
        receive(engine, message="Something else")

    assert len(kept(engine)) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param("k1", "k2", id="other keys"),
        pytest.param(None, None, id="no keys"),
        pytest.param("k1", "K1", id="keys that differ in case"),
    ],
)
def test_without_the_same_key_the_same_content_is_kept_twice(
    engine: Engine, first: str | None, second: str | None
) -> None:
    receive(engine, first)
    receive(engine, second)

    assert len(kept(engine)) == 2


def test_the_two_forms_have_keys_of_their_own(engine: Engine) -> None:
    receive(engine)
    intake.receive(engine, clinic(), Kind.screening, ALICE, now=TUESDAY_TEN, idempotency_key="k1")

    assert len(kept(engine)) == 2


def test_fifty_at_once_with_the_same_key_keep_one(engine: Engine) -> None:
    answers = together(*[lambda: receive(engine)] * 50)

    (submission,) = kept(engine)
    assert {one.submission_id for one in answers} == {submission.id}
    assert sum(one.is_new for one in answers) == 1


def test_what_is_not_valid_is_named_and_not_kept(engine: Engine) -> None:
    with pytest.raises(Invalid) as refused:
        receive(engine, email="nonsense", consent_text_version="1066", name="")

    fields = {fault.field for fault in refused.value.faults}
    assert fields == {"email", "consent_text_version", "name"}
    assert kept(engine) == []


def test_the_key_and_the_content_are_kept_as_keyed_hashes(engine: Engine) -> None:
    receive(engine, key="a-key-of-the-callers")

    with engine.connect() as connection:
        row = connection.execute(text("SELECT key_hash, content_hash FROM submissions")).one()

    assert row.key_hash == KEYRING.hash("contact:a-key-of-the-callers")
    assert len(row.content_hash) == 64


def test_a_submission_becomes_a_lead_with_all_that_was_said(desk: Desk) -> None:
    lead = desk.submit(
        {**ALICE, "phone": "(212) 555-0101 ext. 47", "email": "alice@EXAMPLE.com"},
        interest="tms",
        location="manhattan-beach",
        language="es",
        preferred_channel="phone",
    )

    assert (lead.name, lead.email, lead.phone) == tuple(ALICE.values())
    assert (lead.phone_extension, lead.interest, lead.language) == ("47", "tms", "es")
    assert (lead.site, lead.location) == ("manhattan-beach", "manhattan-beach")
    assert (lead.status, lead.kind, lead.role) == ("open", "contact", "patient")
    assert lead.promised_at == TUESDAY_TEN + HOUR


def test_a_place_that_we_do_not_know_is_kept_and_the_default_site_takes_care(desk: Desk) -> None:
    lead = desk.submit(ALICE, location="somewhere near Laguna")

    assert (lead.site, lead.location) == ("newport-beach", "somewhere near Laguna")


def test_consuming_twice_does_nothing_more(desk: Desk) -> None:
    desk.submit(ALICE)
    planned = len(desk.rows())

    assert desk.consume() == 0
    assert len(desk.leads()) == 1
    assert len(desk.rows()) == planned


@pytest.mark.parametrize(
    ("other", "leads"),
    [
        pytest.param(ALICE, 1, id="all the same"),
        pytest.param({**ALICE, "name": "A. Ames"}, 1, id="the same email, another name"),
        pytest.param({**ALICE, "email": "ALICE@example.com"}, 1, id="the email in capitals"),
        pytest.param({**ALICE, "email": "a2@example.com"}, 1, id="the same phone and name"),
        pytest.param(
            {"name": "alice  AMES", "phone": "1-212-555-0101"}, 1, id="the name spelled otherwise"
        ),
        pytest.param({**BOB, "phone": ALICE["phone"]}, 2, id="the same phone, another name"),
        pytest.param({**BOB, "name": "Alice Ames"}, 2, id="the same name alone"),
        pytest.param(BOB, 2, id="nothing the same"),
    ],
)
def test_one_person_is_one_lead(desk: Desk, other: dict[str, str], leads: int) -> None:
    """Case 85."""
    desk.submit(ALICE)
    desk.submit(other, kind=Kind.screening)

    assert len(desk.leads()) == leads


def test_both_submissions_are_on_the_lead(desk: Desk) -> None:
    first, second = desk.receive(ALICE), desk.receive(ALICE, kind=Kind.screening)
    desk.consume()

    assert desk.lead_of(first).id == desk.lead_of(second).id


def test_two_submissions_of_one_person_are_acknowledged_once_on_each_channel(desk: Desk) -> None:
    desk.receive(ALICE)
    desk.receive({**ALICE, "email": "Alice@example.com"}, kind=Kind.screening)
    desk.consume()
    desk.send()

    assert len(desk.provider.to("+12125550101")) == 1
    mails = [one for one in desk.provider.sent if one.to.lower() == "alice@example.com"]
    assert len(mails) == 1


def test_one_person_twice_in_one_batch_is_one_lead(desk: Desk) -> None:
    first = desk.receive({"name": ALICE["name"], "email": ALICE["email"]})
    bobs = desk.receive(BOB)
    second = desk.receive(ALICE, kind=Kind.screening, interest="tms")

    assert desk.consume() == 3

    lead = desk.lead_of(second)
    assert desk.lead_of(first).id == lead.id != desk.lead_of(bobs).id
    assert (lead.kind, lead.phone, lead.interest) == ("contact", ALICE["phone"], "tms")
    assert len(desk.rows(lead, step="acknowledgement")) == 2


def test_a_near_match_is_noted_and_not_merged(desk: Desk) -> None:
    alice = desk.submit(ALICE)
    bob = desk.submit({**BOB, "phone": ALICE["phone"]})

    assert bob.possible_duplicate == alice.reference
    assert desk.lead(alice).possible_duplicate is None


def test_who_was_contacted_and_writes_again_is_owed_a_call_again(desk: Desk) -> None:
    first = desk.submit(ALICE)
    desk.mark(first)

    second = desk.submit(ALICE)

    assert second.id != first.id
    assert second.status == "open"


def test_a_newer_address_replaces_the_older_and_what_was_owed_there(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    desk.now += MINUTE
    desk.submit({**ALICE, "email": "alice@new.example.com"})
    desk.send()

    assert desk.lead(lead).email == "alice@new.example.com"
    assert desk.provider.to("alice@example.com") == []
    assert len(desk.provider.to("alice@new.example.com")) == 1
    old = desk.rows(lead, recipient="alice@example.com")
    assert {(row.status, row.reason) for row in old} == {(Status.cancelled, Reason.superseded)}


def test_an_address_that_was_not_there_before_is_acknowledged(desk: Desk) -> None:
    lead = desk.submit({"name": "Alice Ames", "phone": ALICE["phone"]})
    desk.submit(ALICE)
    desk.send()

    assert desk.lead(lead).email == ALICE["email"]
    assert len(desk.provider.to("alice@example.com")) == 1
    assert len(desk.provider.to("+12125550101")) == 1


def test_an_older_submission_that_is_consumed_later_replaces_nothing(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    desk.now += HOUR
    late = desk.receive({**ALICE, "email": "typo@example.com"})
    desk.now += HOUR
    with transaction(desk.engine) as session:
        waiting = submissions.find_submission(session, late)
        assert waiting is not None
        waiting.due_at = desk.now + HOUR
    desk.submit({**ALICE, "email": "right@example.com"})

    desk.now += 2 * HOUR
    desk.consume()

    assert desk.lead_of(late).id == lead.id
    assert desk.lead(lead).email == "right@example.com"


@pytest.mark.parametrize(
    ("later", "mails"),
    [
        pytest.param(DAY - MINUTE, 1, id="within a day"),
        pytest.param(DAY, 2, id="a day later"),
    ],
)
def test_a_further_submission_is_acknowledged_again_after_a_day(
    desk: Desk, later: timedelta, mails: int
) -> None:
    desk.submit(ALICE)
    desk.send()
    desk.now += later
    desk.submit(ALICE)
    desk.send(*desk.sender.threads)

    acknowledgements = desk.rows(step="acknowledgement", channel=Channel.email)
    assert [row.status for row in acknowledgements] == [Status.accepted] * mails


def test_a_new_address_after_a_day_is_acknowledged_once(desk: Desk) -> None:
    desk.submit(ALICE)
    desk.send()
    desk.now += 2 * DAY
    desk.submit({**ALICE, "email": "alice@new.example.com"})
    desk.send()

    assert len(desk.provider.to("alice@new.example.com")) == 1


def test_nothing_restarts_for_staff_when_somebody_writes_again(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    before = desk.rows(lead, audience="staff")
    desk.now += HOUR
    desk.submit(ALICE, kind=Kind.screening)

    assert [row.id for row in desk.rows(lead, audience="staff")] == [row.id for row in before]


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("given", [True, False])
def test_consent_is_kept_with_the_words_that_were_shown(
    desk: Desk, given: bool, language: str
) -> None:
    lead = desk.submit(ALICE, consent_sms=given, language=language, source_url="https://e.test/")

    with reading(desk.engine) as session:
        (consent,) = consents.list_consents(session, lead.id)
    version, words = clinic().consent_text("contact", None, language)
    assert (consent.given, consent.text, consent.text_version) == (given, words, version)
    assert consent.address_hash == KEYRING.hash(ALICE["phone"])
    assert consent.evidence == {
        "address": "203.0.113.9",
        "form": "contact",
        "source": "api",
        "source_url": "https://e.test/",
    }
    assert (consent.occurred_at, consent.recorded_at) == (TUESDAY_TEN, TUESDAY_TEN)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"consent_sms": None}, id="the box was not shown"),
        pytest.param({"phone": None}, id="there is no number"),
    ],
)
def test_without_a_box_beside_a_number_there_is_no_consent(
    desk: Desk, fields: dict[str, Any]
) -> None:
    lead = desk.submit(ALICE, **fields)

    with reading(desk.engine) as session:
        assert consents.list_consents(session, lead.id) == []


def test_what_cannot_be_consumed_is_kept_and_holds_up_nobody(desk: Desk) -> None:
    bad, good = desk.receive(ALICE), desk.receive(BOB)
    spoil(desk, bad)

    assert desk.consume() == 2

    problem, consumed = kept(desk.engine)
    assert (problem.id, problem.status, problem.failures) == (bad, "problem", 1)
    assert problem.problem is not None
    assert "email" in problem.problem
    assert (consumed.id, consumed.status) == (good, "consumed")
    assert desk.lead_of(good).name == "Bob Bell"
    assert desk.consume() == 0


def test_a_fault_of_ours_is_a_problem_without_anything_personal(desk: Desk) -> None:
    broken = Planner(clinic(), {}, KEYRING)
    desk.receive(ALICE)

    intake.consume(desk.engine, broken, desk.now)

    (problem,) = kept(desk.engine)
    assert (problem.status, problem.problem) == ("problem", "unexpected KeyError")
    assert desk.leads() == []


def test_a_problem_is_replayed_once_it_can_be_consumed(desk: Desk) -> None:
    submission_id = desk.receive(ALICE)
    intake.consume(desk.engine, replace(planner(), cadences={}), desk.now)

    assert intake.replay(desk.engine, desk.now, new_id()) == 0
    assert intake.replay(desk.engine, desk.now, submission_id) == 1
    desk.consume()

    assert desk.lead_of(submission_id).name == "Alice Ames"
    assert intake.replay(desk.engine, desk.now) == 0


def test_parallel_consumers_of_one_person_make_one_lead(desk: Desk, other_engine: Engine) -> None:
    ids = [desk.receive(ALICE, message=f"Number {number}") for number in range(40)]

    def consume(engine: Engine) -> None:
        while intake.consume(engine, planner(), desk.now):
            pass

    together(
        *[lambda: consume(desk.engine)] * 2,
        lambda: consume(other_engine),
    )

    assert len({desk.lead_of(one).id for one in ids}) == 1
    assert len(desk.rows(step="acknowledgement")) == 2


def test_parallel_consumers_of_the_same_people_do_not_wait_in_a_ring(
    desk: Desk, other_engine: Engine
) -> None:
    people = [
        {"name": f"P {number}", "email": f"p{number}@example.com"} for number in range(intake.BATCH)
    ]
    for person in [*people, *reversed(people)]:
        desk.receive(person)

    counts = together(
        lambda: intake.consume(desk.engine, planner(), desk.now),
        lambda: intake.consume(other_engine, planner(), desk.now),
    )

    assert counts == [intake.BATCH] * 2
    assert len(desk.leads()) == intake.BATCH


def by_number(desk: Desk, *sources: str) -> None:
    """The clinic takes a number that one of these sources gave for consent."""
    forms = {
        kind: form.model_copy(update={"consent_by_number": frozenset(sources)})
        for kind, form in clinic().forms.items()
    }
    theirs = clinic().model_copy(update={"forms": forms})
    desk.with_planner(replace(desk.planner, clinic=theirs))


@pytest.mark.parametrize(
    ("sources", "fields", "given"),
    [
        pytest.param(["api"], {"consent_sms": None}, [True], id="no box, and the source is named"),
        pytest.param(["form"], {"consent_sms": None}, [], id="another source is named"),
        pytest.param([], {"consent_sms": None}, [], id="none is"),
        pytest.param(["api"], {"consent_sms": None, "phone": None}, [], id="no number"),
        pytest.param(["api"], {"consent_sms": False}, [False], id="an empty box is a no"),
    ],
)
def test_giving_the_number_is_consent_where_the_clinic_takes_it_so(
    desk: Desk, sources: list[str], fields: dict[str, Any], given: list[bool]
) -> None:
    by_number(desk, *sources)
    lead = desk.submit(ALICE, **fields)
    desk.send(Lane.ack)

    with reading(desk.engine) as session:
        kept = consents.list_consents(session, lead.id)
    assert [one.given for one in kept] == given
    assert len(desk.provider.to(ALICE["phone"])) == sum(given)


def test_a_number_that_was_given_is_an_act_of_its_own_without_words(desk: Desk) -> None:
    by_number(desk, "api")
    lead = desk.submit(ALICE, consent_sms=None)

    with reading(desk.engine) as session:
        (kept,) = consents.list_consents(session, lead.id)
    assert (kept.act, kept.text, kept.text_version) == (Act.gave_number, "", "")
    assert kept.evidence["source"] == "api"


def test_a_number_that_was_given_permits_nothing_that_promotes(desk: Desk) -> None:
    by_number(desk, "api")
    contact = desk.planner.cadences["contact"]
    steps = tuple(replace(step, informational=False) for step in contact.steps)
    cadences = {**desk.planner.cadences, "contact": replace(contact, steps=steps)}
    desk.with_planner(replace(desk.planner, cadences=cadences))
    lead = desk.submit(ALICE, consent_sms=None)
    desk.send(Lane.ack)

    assert desk.row(lead, "acknowledgement", Channel.sms).reason is Reason.no_consent
