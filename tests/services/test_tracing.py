"""Where a person is still kept: in text, under a hash, by id, and whose it is."""

from followup.services.identifying import Identified
from followup.services.tracing import Keeping, trace
from followup.store import ledger
from followup.store.db import reading, transaction
from tests.schema import KEYRING
from tests.services.cast import ALICE, BOB, Desk

WHOM = Identified((), frozenset({ALICE["email"]}), frozenset({ALICE["phone"]}))


def rows(desk: Desk, whom: Identified, keeping: Keeping) -> dict[str, int]:
    with reading(desk.engine) as session:
        return dict(trace(session, desk.planner, whom).rows[keeping])


def test_a_person_is_found_in_encrypted_and_plain_columns_by_hash_and_by_id(desk: Desk) -> None:
    lead = desk.submit(ALICE)
    whom = Identified((lead,), WHOM.emails, WHOM.phones)
    with transaction(desk.engine) as session:
        facts = {"said": "call 212-555-0101"}
        ledger.add_action(
            session, lead_id=lead.id, verb="noted", by="Ann", at=desk.now, facts=facts
        )

    found = rows(desk, whom, Keeping.copy)

    assert found["submissions.payload"] == found["leads.email"] == found["leads.id"] == 1
    assert found["leads.phone_hash"] == found["actions.facts"] == 1
    assert found["deliveries.lead_id"] > found["deliveries.recipient"] > 0
    assert "consents.lead_id" not in found


def test_evidence_is_told_apart(desk: Desk) -> None:
    desk.submit(ALICE)
    desk.reply(ALICE["phone"], "STOP")

    assert rows(desk, WHOM, Keeping.evidence) == {
        "consents.address_hash": 1,
        "suppressions.address_hash": 1,
    }


def test_a_mention_in_anothers_lead_is_that_leads(desk: Desk) -> None:
    bob = desk.submit(BOB, message="My wife is alice@example.com")

    with reading(desk.engine) as session:
        found = trace(session, desk.planner, WHOM)

    assert found.rows[Keeping.others] == {"submissions.payload": 1}
    assert (found.others, found.copies) == ({bob.reference}, {})


def test_what_an_older_key_hashed_is_found(desk: Desk) -> None:
    lead = desk.submit({**BOB, "email": "other@example.com"})
    with transaction(desk.engine) as session:
        kept = session.get_one(type(lead), lead.id)
        kept.phone_hash = KEYRING.hashes(ALICE["phone"])[1]

    assert rows(desk, WHOM, Keeping.others) == {"leads.phone_hash": 1}


def test_nobody_is_nowhere(desk: Desk) -> None:
    desk.submit(BOB)

    assert [rows(desk, WHOM, keeping) for keeping in Keeping] == [{}, {}, {}]
