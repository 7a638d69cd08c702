"""Erasing: silent at once, gone everywhere, evidence without a name, nothing ever forgotten."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, delete, inspect, make_url, select, text

from followup.domain.cadence import Audience, Channel
from followup.domain.delivery import Reason, Status
from followup.domain.lead import LeadStatus
from followup.errors import TemporaryFailure
from followup.services import erasing, working
from followup.services.erasing import Eraser
from followup.services.identifying import Identified, identify
from followup.services.tracing import Found, Keeping, trace
from followup.store import consents, erasures
from followup.store.db import make_engine, reading, transaction
from followup.store.models import (
    Action,
    Base,
    Consent,
    Delivery,
    Erasure,
    Lead,
    ProviderCopy,
    Reply,
    Submission,
    Suppression,
)
from followup.store.removals import EVIDENCE
from tests.schema import KEYRING
from tests.services.cast import ALICE, BOB, DAY, HOUR, Desk
from tests.services.dying import Died, dying_at_commit

ALICES_NUMBER = KEYRING.hash(ALICE["phone"])
ON_ITS_WAY = TemporaryFailure("still on its way", "20009")


def eraser(desk: Desk) -> Eraser:
    return Eraser(desk.engine, desk.planner, {Channel.sms: desk.provider})


def person(desk: Desk, **who: str) -> Identified:
    with reading(desk.engine) as session:
        return identify(session, desk.planner, **(who or {"email": ALICE["email"]}))


def erase(desk: Desk, whom: Identified | None = None) -> Any:
    whom = whom or person(desk)
    return erasing.erase(eraser(desk), whom, by="Ann", now=desk.now)


def traces(desk: Desk, whom: Identified) -> Found:
    with reading(desk.engine) as session:
        return trace(session, desk.planner, whom)


def alices_whole_story(desk: Desk) -> Lead:
    """A form, messages, a text back, a word to staff, a note."""
    lead = desk.submit(ALICE, message="Ask for Alice at +1 212 555 0101, please.")
    desk.send()
    desk.reply(ALICE["phone"], "Call me at alice@example.com")
    desk.reply(ALICE["phone"], "STOP")
    with transaction(desk.engine) as session:
        working.record_attempt(
            session, desk.planner, lead.id, by="Ann", now=desk.now, note="Alice, 212-555-0101"
        )
    return lead


def raw_text(engine: Engine) -> str:
    """Every cell of the database as it lies there."""
    with engine.connect() as connection:
        tables = inspect(connection).get_table_names()
        rows = [connection.execute(text(f'SELECT * FROM "{one}"')).all() for one in tables]  # noqa: S608
    return str(rows)


def pending(desk: Desk) -> int:
    return erasing.finish_erasures(eraser(desk), desk.now)


def kept(desk: Desk, row: type[Any]) -> list[Any]:
    with reading(desk.engine) as session:
        return list(session.scalars(select(row)))


def test_nothing_of_the_person_is_left_but_evidence_as_hashes(desk: Desk) -> None:
    alices_whole_story(desk)
    whom = person(desk)
    assert {"leads.name", "leads.phone"} - set(traces(desk, whom).copies) == {"leads.name"}

    erase(desk, whom)

    left = traces(desk, whom)
    assert (left.copies, left.rows[Keeping.others]) == ({}, {})
    evidence = left.rows[Keeping.evidence]
    assert evidence == {"consents.address_hash": 1, "suppressions.address_hash": 1}
    for row in (Lead, Submission, Delivery):
        assert kept(desk, row) == []
    assert KEYRING.hash(ALICE["email"]) not in raw_text(desk.engine)
    assert [one.note for one in kept(desk, Action)] == [None] * 2


def test_the_provider_is_asked_to_delete_every_text_both_ways(desk: Desk) -> None:
    lead = alices_whole_story(desk)
    text = desk.row(lead, "acknowledgement", Channel.sms).provider_id
    desk.reply(ALICE["phone"], "Anybody there?", "SM-reply")

    erase(desk)

    assert {text, "SM-reply"} <= set(desk.provider.deleted)
    assert len(desk.provider.deleted) == 4, "one of ours, three of hers, none of the staff's"
    assert kept(desk, ProviderCopy) == []


def test_a_record_of_the_erasure_stays_without_content(desk: Desk) -> None:
    lead = alices_whole_story(desk)

    erase(desk)

    (record,) = kept(desk, Erasure)
    assert (record.by, record.finished_at) == ("Ann", desk.now)
    assert record.facts["references"] == [lead.reference]
    assert record.facts["leads"] == record.facts["submissions"] == 1
    assert sorted(one.verb for one in kept(desk, Action)) == ["attempt", "erased"]


def test_evidence_keeps_what_was_agreed_and_hides_from_where(desk: Desk) -> None:
    desk.submit(ALICE)
    desk.reply(ALICE["phone"], "STOP\nAlice Ames")
    (before,) = kept(desk, Consent)

    erase(desk)

    (consent,) = kept(desk, Consent)
    (suppression,) = kept(desk, Suppression)
    assert (consent.text, consent.given) == (before.text, True)
    assert consent.evidence["address"] == f"hash:{KEYRING.hash('203.0.113.9')}"
    assert "Alice" not in suppression.evidence


def test_from_the_first_commit_on_nothing_is_sent(desk: Desk) -> None:
    lead = desk.submit(ALICE)

    with pytest.raises(Died), dying_at_commit(desk.engine, 1):
        erase(desk)
    desk.send()

    assert desk.provider.to(ALICE["phone"]) == desk.provider.to(ALICE["email"]) == []
    assert desk.lead(lead).status is LeadStatus.closed
    assert {row.reason for row in desk.rows(lead)} == {Reason.closed}


@pytest.mark.parametrize("number", [1, 2, 4, 6])
def test_killed_at_any_commit_it_is_finished_later(desk: Desk, number: int) -> None:
    alices_whole_story(desk)
    whom = person(desk)
    with pytest.raises(Died), dying_at_commit(desk.engine, number):
        erase(desk, whom)

    desk.now += HOUR
    assert pending(desk) == 0

    assert traces(desk, whom).copies == {}
    assert kept(desk, ProviderCopy) == []
    (record,) = kept(desk, Erasure)
    assert record.finished_at == desk.now


def test_a_message_on_its_way_is_waited_for(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    row = desk.row(lead, "acknowledgement", Channel.sms)
    desk.change(row, status=Status.sending, attempted_at=desk.now)
    whom = person(desk)

    erase(desk, whom)
    left = traces(desk, whom).copies
    assert desk.report(row, "delivered", Status.delivered)
    assert pending(desk) == 0

    assert "deliveries.recipient" in left
    assert "submissions.payload" not in left
    assert "leads.phone" not in left
    assert traces(desk, whom).copies == {}
    assert desk.provider.deleted == ["SM1"]


def test_an_outcome_that_nobody_will_ever_know_is_not_waited_for(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    row = desk.row(lead, "acknowledgement", Channel.sms)
    desk.change(row, status=Status.unknown, ask_at=None)
    whom = person(desk)

    erase(desk, whom)

    assert traces(desk, whom).copies == {}


def test_what_the_provider_cannot_delete_yet_is_asked_for_each_hour(desk: Desk) -> None:
    desk.submit(ALICE)
    desk.send()
    desk.provider.refuses_deletion = ON_ITS_WAY
    erase(desk)

    desk.now += HOUR
    assert pending(desk) == 1
    (copy,) = kept(desk, ProviderCopy)
    assert (copy.failures, copy.code) == (2, "20009")
    desk.provider.refuses_deletion = None
    assert pending(desk) == 1, "it was asked about within the hour"
    desk.now += HOUR
    assert pending(desk) == 0

    assert desk.provider.deleted == [copy.provider_id]
    (record,) = kept(desk, Erasure)
    assert record.finished_at == desk.now
    assert record.facts["deleted_at_provider"] == 1


def test_without_the_providers_account_its_copies_wait_for_who_has_it(desk: Desk) -> None:
    desk.submit(ALICE)
    desk.send()

    erasing.erase(Eraser(desk.engine, desk.planner, {}), person(desk), by="Ann", now=desk.now)
    assert len(kept(desk, ProviderCopy)) == 1

    assert pending(desk) == 0
    assert len(desk.provider.deleted) == 1


def test_somebody_else_at_the_same_number_stays(desk: Desk) -> None:
    alice = desk.submit(ALICE)
    son = desk.submit({"name": "Ben Ames", "phone": ALICE["phone"]})
    whom = person(desk, reference=alice.reference)

    erase(desk, whom)

    left = traces(desk, whom)
    assert left.copies == {}
    assert left.others == {son.reference}
    assert desk.lead(son).phone == ALICE["phone"]
    assert desk.owed(son) > 0


def test_a_later_form_from_a_suppressed_number_is_still_suppressed(desk: Desk) -> None:
    desk.submit(ALICE)
    desk.reply(ALICE["phone"], "STOP")
    erase(desk)

    lead = desk.submit(ALICE)
    desk.send()

    row = desk.row(lead, "acknowledgement", Channel.sms)
    assert (row.status, row.reason) == (Status.skipped, Reason.opted_out)
    assert desk.provider.to(ALICE["phone"]) == []


def test_what_an_erased_person_agreed_to_permits_nothing_any_more(desk: Desk) -> None:
    desk.submit(ALICE)
    erase(desk)

    lead = desk.submit(ALICE, consent_sms=False)
    desk.send()

    assert desk.row(lead, "acknowledgement", Channel.sms).reason is Reason.no_consent
    with reading(desk.engine) as session:
        assert consents.list_consented(session, Channel.sms, [ALICES_NUMBER]) == {}


def test_what_belongs_to_no_lead_goes_too(desk: Desk) -> None:
    desk.receive(BOB)
    desk.receive(ALICE)
    desk.reply(ALICE["phone"], "Hello?", "SM-hello")
    whom = person(desk, phone=ALICE["phone"])
    assert whom.leads == ()

    erase(desk, whom)

    assert traces(desk, whom).copies == {}
    assert desk.provider.deleted == ["SM-hello"]
    assert len(kept(desk, Submission)) == 1


def test_with_a_strangers_text_goes_what_staff_were_still_to_be_told_of_it(desk: Desk) -> None:
    desk.reply(BOB["phone"], "Who is this?")
    assert {row.audience for row in desk.rows()} == {Audience.staff}

    erase(desk, person(desk, phone=BOB["phone"]))
    desk.send()

    assert desk.rows() == []
    assert desk.provider.sent == []


def test_a_message_about_a_text_that_is_gone_holds_up_nobody(desk: Desk) -> None:
    """It was on its way when the stranger was erased, and came back to be tried again."""
    desk.reply(BOB["phone"], "Who is this?")
    with transaction(desk.engine) as session:
        session.execute(delete(Reply))
    alices = desk.submit(ALICE)

    desk.send()

    orphans = desk.rows(lead_id=None)
    assert {(row.status, row.reason) for row in orphans} == {(Status.cancelled, Reason.closed)}
    assert {row.status for row in desk.rows(alices, step="alert")} == {Status.accepted}


def test_an_erasure_is_found_by_the_reference_that_it_took(desk: Desk) -> None:
    lead = desk.submit(ALICE)

    erase(desk)

    with reading(desk.engine) as session:
        found = erasures.find_of_reference(session, lead.reference.lower())
        assert erasures.find_of_reference(session, "Z9Z9") is None
    assert found is not None


def test_an_erased_person_may_be_erased_again_after_coming_back(desk: Desk) -> None:
    desk.submit(ALICE)
    erase(desk)
    desk.now += DAY
    desk.submit(ALICE)
    whom = person(desk)

    erase(desk, whom)

    assert traces(desk, whom).copies == {}
    assert len(kept(desk, Erasure)) == 2


def test_the_files_of_sqlite_hold_nothing_of_the_person(database_url: str, desk: Desk) -> None:
    url = make_url(database_url)
    if url.get_backend_name() != "sqlite":
        # Its vacuum is the server's own.
        return
    desk.engine = make_engine(database_url, KEYRING)
    alices_whole_story(desk)
    kept_hash = KEYRING.hash(ALICE["email"]).encode()
    reference = person(desk).references[0]

    def everything() -> bytes:
        return b"".join(path.read_bytes() for path in Path(url.database or "").parent.glob("*.db*"))

    assert kept_hash in everything()
    assert f"{reference}".encode() in everything()

    erase(desk)
    found = everything()
    desk.engine.dispose()

    assert kept_hash not in found
    assert b"alice@example.com" not in found


def test_each_table_is_removed_with_its_lead_or_named_as_what_outlives_it() -> None:
    """A new table with something about a lead has to be thought about."""
    about_leads = {
        name
        for name, table in Base.metadata.tables.items()
        if {"lead_id", "delivery_id"} & set(table.columns.keys())
    }

    assert about_leads == EVIDENCE | {
        *("submissions", "deliveries", "delivery_history", "receipts", "replies"),
        *("risk_matches", "tasks", "announcements"),
    }
