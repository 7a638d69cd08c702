"""Keys: ciphertext at rest, rotation, and the one line that says a key is missing."""

from collections.abc import Iterator

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import Engine, inspect, text
from sqlalchemy.orm import Session

from followup.domain.cadence import Channel
from followup.domain.consent import SuppressionReason
from followup.errors import Misconfigured
from followup.store import consents, leads, ledger, people, replies
from followup.store.crypto import Keyring
from followup.store.db import make_engine, reading, transaction
from followup.store.models import Lead
from tests.schema import ENCRYPTION_KEYS, KEYRING
from tests.store.rows import TUESDAY_TEN, add_delivery, add_lead, add_submission

OLD, ROTATED = Keyring(ENCRYPTION_KEYS[1:]), Keyring(ENCRYPTION_KEYS)
STRANGER = Keyring([Fernet.generate_key().decode()])

#: No two of them are parts of each other, nor likely in ciphertext, which is base64.
PERSONAL = (
    *("Alice Ames", "alice@example.com", "+12125550101", "an extension of 4711"),
    *("keeps crying", "a note on her", "203.0.113.9", "ketamine?", "near Main St."),
    *("Hello Alice", "Dear Alice", "STOP it", "desk@example.com", "+19495550111"),
)


@pytest.fixture
def old_engine(database_url: str) -> Iterator[Engine]:
    engine = make_engine(database_url, OLD)
    yield engine
    engine.dispose()


def write_everything_personal(engine: Engine) -> None:
    with transaction(engine) as session:
        lead = add_lead(
            session,
            phone_extension="an extension of 4711",
            interest="ketamine?",
            location="near Main St.",
        )
        evidence = {"address": "203.0.113.9"}
        payload = {"name": "Alice Ames", "email": "alice@example.com", "message": "keeps crying"}
        add_submission(session, payload=payload, evidence=evidence)
        row = add_delivery(session, lead)
        row.subject, row.body = "Hello Alice", "Dear Alice"
        consents.suppress(
            session, Channel.sms, "0" * 64, SuppressionReason.opted_out, TUESDAY_TEN, "STOP it"
        )
        ledger.add_action(
            session, lead_id=lead.id, verb="attempt", by="Ann", at=TUESDAY_TEN, note="a note on her"
        )
        replies.add_reply(
            session,
            provider_id="SM1",
            sender="+12125550101",
            sender_hash="0" * 64,
            body="STOP it",
            received_at=TUESDAY_TEN,
        )
        people.add_person(
            session,
            name="Ann",
            role="staff",
            email="desk@example.com",
            phone="+19495550111",
            token_hash="0" * 64,
            created_at=TUESDAY_TEN,
        )


def raw_cells(engine: Engine) -> Iterator[bytes]:
    with engine.connect() as connection:
        for table in inspect(connection).get_table_names():
            for row in connection.execute(text(f'SELECT * FROM "{table}"')):  # noqa: S608
                for value in row:
                    yield bytes(value) if isinstance(value, memoryview) else str(value).encode()


def test_what_is_personal_is_ciphertext_in_the_database(engine: Engine) -> None:
    write_everything_personal(engine)

    cells = list(raw_cells(engine))

    assert any(b"newport-beach" in cell for cell in cells)
    assert [one for one in PERSONAL if any(one.encode() in cell for cell in cells)] == []


def test_what_is_personal_reads_back_as_it_was(session: Session) -> None:
    lead_id = add_lead(session, name="Zoë Ōta 🙂").id

    session.expire_all()
    lead = leads.get_lead(session, lead_id)

    assert (lead.name, lead.email) == ("Zoë Ōta 🙂", "alice@example.com")
    assert lead.phone_extension is None


def test_equal_text_is_not_equal_ciphertext(engine: Engine) -> None:
    with transaction(engine) as session:
        add_lead(session)
        add_lead(session)

    with engine.connect() as connection:
        names = connection.execute(text("SELECT name FROM leads")).scalars().all()

    assert len({bytes(name) for name in names}) == 2


def test_an_old_key_is_still_read_and_found_after_rotation(
    old_engine: Engine, database_url: str
) -> None:
    with transaction(old_engine) as session:
        lead_id = add_lead(session, email_hash=OLD.hash("alice@example.com")).id
    engine = make_engine(database_url, ROTATED)

    with reading(engine) as session:
        lead = leads.get_lead(session, lead_id)
        found = leads.list_by_address(session, ROTATED.hashes("alice@example.com"))

    engine.dispose()
    assert lead.name == "Alice Ames"
    assert [one.id for one in found] == [lead_id]


def test_the_first_key_writes(engine: Engine, old_engine: Engine) -> None:
    with transaction(engine) as session:
        lead_id = add_lead(session).id

    with reading(old_engine) as session, pytest.raises(Misconfigured):
        leads.get_lead(session, lead_id)


def test_a_missing_key_is_named_by_its_setting(engine: Engine, database_url: str) -> None:
    with transaction(engine) as session:
        add_lead(session)
    stranger = make_engine(database_url, STRANGER)

    with (
        reading(stranger) as session,
        pytest.raises(Misconfigured, match="FOLLOWUP_ENCRYPTION_KEYS"),
    ):
        session.query(Lead).all()

    stranger.dispose()


def test_which_key_wrote_a_field_is_known() -> None:
    token = OLD.encrypt(b"Alice")

    assert [keys.place_of_key(token) for keys in (OLD, ROTATED, STRANGER)] == [0, 1, None]
    assert (OLD.size, ROTATED.size) == (1, 2)


def test_two_engines_of_one_process_keep_their_own_keys(
    engine: Engine, old_engine: Engine, database_url: str
) -> None:
    with transaction(old_engine) as session:
        lead_id = add_lead(session).id

    with reading(engine) as session:
        assert leads.get_lead(session, lead_id).name == "Alice Ames"


def test_a_hash_is_keyed_and_every_keys_hash_is_known() -> None:
    assert KEYRING.hash("a") != STRANGER.hash("a")
    assert KEYRING.hash("a") != KEYRING.hash("b")
    assert KEYRING.hashes("a") == [KEYRING.hash("a"), OLD.hash("a")]
    assert len(KEYRING.hash("a")) == 64
