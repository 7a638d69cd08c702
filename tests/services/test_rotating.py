"""Rotation: everything under the first key, killed or not, and no hash is lost with the old one."""

from collections.abc import Iterator

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import select

from followup.domain.cadence import Channel
from followup.domain.consent import SuppressionReason
from followup.domain.submission import Kind
from followup.errors import Misconfigured
from followup.services import intake, rotating
from followup.services.planning import Planner
from followup.store import cells, consents, deliveries, leads
from followup.store.crypto import Keyring, keyring_of
from followup.store.db import make_engine, reading, transaction
from followup.store.hash_keys import find_hash_keys
from followup.store.models import HashKey, Lead, Reply, Submission
from tests.schema import ENCRYPTION_KEYS
from tests.services.cast import ALICE, BOB, TUESDAY_TEN, clinic, templates
from tests.services.dying import Died, dying_at_commit

#: The schema was made under the old one.
NEW, OLD = Fernet.generate_key().decode(), ENCRYPTION_KEYS[0]


class Service:
    """A process with these encryption keys, on that database."""

    def __init__(self, url: str, *keys: str) -> None:
        keyring = Keyring(keys)
        self.engine = make_engine(url, keyring)
        keyring.find_hash_keys_by(lambda: find_hash_keys(self.engine))
        self.planner = Planner(clinic(), templates().cadences, keyring)

    def submit(self, person: dict[str, str], key: str) -> bool:
        """Whether the submission is new."""
        received = intake.receive(
            self.engine,
            clinic(),
            Kind.contact,
            {**person, "consent_sms": True},
            now=TUESDAY_TEN,
            idempotency_key=key,
        )
        intake.consume(self.engine, self.planner, TUESDAY_TEN)
        return received.is_new

    def is_suppressed(self, number: str) -> bool:
        hashes = self.planner.hashes_of(Channel.sms, number)
        with reading(self.engine) as session:
            return bool(consents.list_forbidden(session, hashes))

    def has_consent(self, number: str) -> bool:
        hashes = self.planner.hashes_of(Channel.sms, number)
        with reading(self.engine) as session:
            return bool(consents.list_consented(session, Channel.sms, hashes))

    def find(self, email: str) -> list[Lead]:
        hashes = self.planner.hashes_of(Channel.email, email)
        with reading(self.engine) as session:
            return list(leads.list_by_address(session, hashes))


@pytest.fixture
def url(database_url: str) -> str:
    """A store that began under the old key, with Alice, who said no, and Bob."""
    service = Service(database_url, OLD)
    service.submit(ALICE, "alice's key")
    service.submit(BOB, "bob's key")
    with transaction(service.engine) as session:
        digits = service.planner.hash_address(Channel.sms, ALICE["phone"])
        reason = SuppressionReason.opted_out
        consents.suppress(session, Channel.sms, digits, reason, TUESDAY_TEN, "STOP")
    service.engine.dispose()
    return database_url


@pytest.fixture
def rotated(url: str) -> Iterator[Service]:
    """The service with a new key in front of the old one."""
    service = Service(url, NEW, OLD)
    yield service
    service.engine.dispose()


def alone_with(url: str, key: str) -> Service:
    return Service(url, key)


def test_an_old_key_is_needed_until_everything_is_written_anew(rotated: Service) -> None:
    before = rotating.count_by_key(rotated.engine)

    renewed = rotating.rotate(rotated.engine)

    after = rotating.count_by_key(rotated.engine)
    assert (before.needed, before.is_done) == ([2], False)
    assert renewed == before.old == after.fields[0] > 10
    assert (after.needed, after.is_done) == ([], True)
    assert not rotating.is_rotation_pending(rotated.engine)


def test_without_the_old_key_nothing_is_unreadable_and_nobody_is_missed(
    url: str, rotated: Service
) -> None:
    rotating.rotate(rotated.engine)

    service = alone_with(url, NEW)

    assert [lead.name for lead in service.find("ALICE@example.com")] == ["Alice Ames"]
    assert service.is_suppressed(ALICE["phone"])
    assert service.has_consent(BOB["phone"])
    assert not service.submit(ALICE, "alice's key"), "the idempotency key is known"
    service.submit(BOB, "another key")
    assert len(service.find(BOB["email"])) == 1, "Bob is merged with himself"
    service.engine.dispose()


def test_a_key_removed_too_early_is_told_and_nobody_is_taken_for_unknown(url: str) -> None:
    service = alone_with(url, NEW)

    with pytest.raises(Misconfigured, match="FOLLOWUP_ENCRYPTION_KEYS"):
        service.is_suppressed(ALICE["phone"])

    use = rotating.count_by_key(service.engine)
    assert (use.is_done, use.unreadable > 10) == (False, True)
    assert rotating.rotate(service.engine) == 0
    service.engine.dispose()


def test_hashes_are_made_as_before_so_that_planning_twice_plans_once(
    url: str, rotated: Service
) -> None:
    (lead,) = rotated.find(ALICE["email"])

    with transaction(rotated.engine) as session:
        rows = rotated.planner.first_rows(session, lead, TUESDAY_TEN)
        again = deliveries.plan(session, rows)

    assert again == 0


@pytest.mark.parametrize("number", [0, 1, 2, 4])
def test_killed_between_batches_it_goes_on_where_it_was(rotated: Service, number: int) -> None:
    before = rotating.count_by_key(rotated.engine)

    with pytest.raises(Died), dying_at_commit(rotated.engine, number):
        rotating.rotate(rotated.engine)
    between = rotating.count_by_key(rotated.engine)
    renewed = rotating.rotate(rotated.engine)

    assert between.fields[0] + between.old == before.old
    assert renewed == between.old
    assert rotating.count_by_key(rotated.engine).is_done


def test_rotating_again_writes_nothing(rotated: Service) -> None:
    rotating.rotate(rotated.engine)

    assert rotating.rotate(rotated.engine) == 0


def test_a_row_that_somebody_holds_is_taken_up_later(rotated: Service) -> None:
    if rotated.engine.dialect.name == "sqlite":
        return  # has one writer at a time
    with transaction(rotated.engine) as session:
        held = session.scalars(select(Lead).where(Lead.name.is_not(None)).with_for_update()).all()

        rotating.rotate(rotated.engine)
        left = rotating.count_by_key(rotated.engine)

        assert left.old > 0
        held[0].name = "Alice Adams"
    assert rotating.rotate(rotated.engine) > 0

    assert [lead.name for lead in rotated.find(ALICE["email"])] == ["Alice Adams"]
    assert rotating.count_by_key(rotated.engine).is_done


def test_what_is_written_while_it_runs_stays_as_it_was_written(rotated: Service) -> None:
    """Between two batches somebody changes a row that is yet to come, and one that was."""
    wrote = []
    with pytest.raises(Died), dying_at_commit(rotated.engine, 6):
        rotating.rotate(rotated.engine)
    with transaction(rotated.engine) as session:
        for lead in session.scalars(select(Lead)):
            lead.interest = f"changed {lead.id}"
            wrote.append(lead.interest)

    rotating.rotate(rotated.engine)

    with reading(rotated.engine) as session:
        assert set(session.scalars(select(Lead.interest))) == set(wrote)
    assert rotating.count_by_key(rotated.engine).is_done


def test_the_keys_of_hashes_are_rotated_as_fields_are(url: str, rotated: Service) -> None:
    assert "hash_keys" in {place.table.name for place in cells.encrypted_places()}
    with reading(rotated.engine) as session:
        before = session.scalars(select(HashKey.secret)).all()

    rotating.rotate(rotated.engine)

    service = alone_with(url, NEW)
    assert find_hash_keys(service.engine) == [bytes.fromhex(one) for one in before]
    assert keyring_of(service.engine).hash("a") == Keyring([OLD]).hash("a")
    service.engine.dispose()


def test_every_table_with_encrypted_columns_is_found() -> None:
    found = {place.table.name: set(place.columns) for place in cells.encrypted_places()}

    assert found[Lead.__tablename__] >= {"name", "email", "phone"}
    assert found[Submission.__tablename__] == {"payload", "evidence"}
    assert found[Reply.__tablename__] == {"sender", "body"}
