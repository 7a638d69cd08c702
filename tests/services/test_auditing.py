"""The whole trail on each database, and what somebody with the database's password can do to it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, Uuid, bindparam, delete, select, text, update
from sqlalchemy.orm.attributes import flag_modified
from structlog.testing import capture_logs

from followup.domain.audit import Door
from followup.domain.cadence import Channel
from followup.domain.consent import Act, SuppressionReason
from followup.errors import Invalid
from followup.services import auditing
from followup.store import append_only, consents, entries, ledger
from followup.store.crypto import Keyring
from followup.store.db import make_engine, new_id, reading, transaction
from followup.store.models import Action, AuditEntry, AuditHead, Consent, Suppression
from tests.schema import ENCRYPTION_KEYS, KEYRING
from tests.services.cast import TUESDAY_TEN

ALICE = "a" * 64
OPTED_OUT = SuppressionReason.opted_out
LEAD = new_id()
NEW_ID = bindparam("id", new_id(), Uuid())


@pytest.fixture
def engine(engine: Engine) -> Iterator[Engine]:
    """A database in which six entries speak of four rows, and one of none."""
    write(engine)
    with reading(engine) as session:
        head = entries.get_head(session)

    yield engine

    with transaction(engine) as session:
        append_only.remove(session.connection())
        session.execute(delete(AuditHead))
        session.merge(head)
        session.flush()
        append_only.install(session.connection())


def write(engine: Engine) -> None:
    with transaction(engine) as session:
        for given in (True, False):
            agree(session, given)
    with transaction(engine) as session:
        consents.suppress(session, Channel.sms, ALICE, OPTED_OUT, TUESDAY_TEN, "STOP")
        act(session, note="left a message")
    with transaction(engine) as session:
        consents.lift(session, Channel.sms, [ALICE], OPTED_OUT, TUESDAY_TEN)
    auditing.note(engine, TUESDAY_TEN, "seen", by="Ann", door=Door.api, lead_id=LEAD)
    assert auditing.seal(engine, TUESDAY_TEN) == 6


def agree(session: Any, given: bool = True) -> None:
    consents.add_consent(
        session,
        lead_id=LEAD,
        submission_id=None,
        channel=Channel.sms,
        address_hash=ALICE,
        given=given,
        act=Act.ticked_box,
        text="May text me.",
        text_version="1",
        language="en",
        evidence={"address": "203.0.113.9"},
        occurred_at=TUESDAY_TEN,
        recorded_at=TUESDAY_TEN,
    )


def act(session: Any, **changes: Any) -> None:
    ledger.add_action(session, lead_id=LEAD, verb="attempt", by="Ann", at=TUESDAY_TEN, **changes)


def flaws(engine: Engine) -> list[str]:
    return [str(flaw) for flaw in auditing.verify(engine, TUESDAY_TEN).flaws]


def test_what_nobody_touched_has_no_flaws(engine: Engine) -> None:
    verdict = auditing.verify(engine, TUESDAY_TEN)

    assert (verdict.entries, verdict.rows, list(verdict.flaws)) == (6, 4, [])
    assert verdict.head.startswith("6:")


def cut(*positions: int) -> str:
    return "; ".join(f"DELETE FROM audit WHERE position = {one}" for one in positions)  # noqa: S608


ATTACKS = {
    "a consent's word": ("UPDATE consents SET text = 'May text me!'", "consents"),
    "a consent's answer": ("UPDATE consents SET given = NOT given", "consents"),
    "a consent's number": ("UPDATE consents SET address_hash = '{zeros}'", "consents"),
    "a consent's ciphertext": ("UPDATE consents SET evidence = {byte}", "consents"),
    "who acted": ("UPDATE actions SET \"by\" = 'Eve'", "actions"),
    "a note taken away": ("UPDATE actions SET note = NULL", "actions"),
    "a word that is none": ("UPDATE suppressions SET reason = 'opted_ouT'", "suppressions"),
    "a suppression lifted never": ("UPDATE suppressions SET lifted_at = NULL", "suppressions"),
    "a row of evidence removed": ("DELETE FROM suppressions", "suppressions"),
    "an entry's verb": ("UPDATE audit SET verb = 'seem' WHERE verb = 'seen'", "entry 6"),
    "an entry's door": ("UPDATE audit SET door = 'apj' WHERE position = 6", "entry 6"),
    "an entry's digest": ("UPDATE audit SET digest = '{zeros}' WHERE position = 2", "entry 2"),
    "an entry's seal": ("UPDATE audit SET seal = '{zeros}' WHERE position = 3", "entry 3"),
    "the first entry removed": (cut(1), "entry 1: missing"),
    "an entry amid removed": (cut(3), "entry 3: missing"),
    "the last entry removed": (cut(6), "entry 6: missing at the end"),
    "the last two removed": (cut(5, 6), "entries 5 to 6: missing at the end"),
    "an entry taken out of the chain": (
        "UPDATE audit SET position = NULL, seal = NULL WHERE position = 4",
        "entry 4: missing",
    ),
    "the head's position": ("UPDATE audit_heads SET position = 5", "head: was changed"),
    "the head removed": ("DELETE FROM audit_heads", "head: the audit trail has no head"),
    "all of the trail removed": ("DELETE FROM audit", "entries 1 to 6: missing at the end"),
}


def attack(engine: Engine, statements: str) -> None:
    """As the database's owner can: past the triggers."""
    byte = "x'00'" if engine.dialect.name == "sqlite" else "'\\x00'::bytea"
    with engine.begin() as connection:
        append_only.remove(connection)
        for statement in statements.format(byte=byte, zeros="0" * 64).split("; "):
            connection.execute(text(statement))
        append_only.install(connection)


@pytest.mark.parametrize(("statements", "named"), ATTACKS.values(), ids=ATTACKS)
def test_whatever_is_changed_or_removed_is_found_each_time(
    engine: Engine, statements: str, named: str
) -> None:
    attack(engine, statements)

    found = [flaws(engine), flaws(engine)]

    assert any(flaw.startswith(named) for flaw in found[0]), found[0]
    assert found[0] == found[1]


@pytest.mark.parametrize(("one", "other"), [(1, 2), (3, 4), (1, 6)])
def test_two_entries_swapped_are_both_found(engine: Engine, one: int, other: int) -> None:
    with engine.begin() as connection:
        append_only.remove(connection)
        swap(connection, one, other)

    places = {flaw.partition(":")[0] for flaw in flaws(engine)}
    assert {f"entry {one}", f"entry {other}"} <= places


def swap(connection: Connection, one: int, other: int) -> None:
    """In steps, because a position is unique."""
    for old, new in ((one, 100), (other, one), (100, other)):
        connection.execute(
            text("UPDATE audit SET position = :new WHERE position = :old"), {"old": old, "new": new}
        )


def test_a_row_that_the_service_did_not_write_is_found(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text(_copied("consents", Consent)).bindparams(NEW_ID))

    assert any("no entry speaks of this row" in flaw for flaw in flaws(engine))


def test_an_entry_that_the_service_did_not_write_is_found_though_it_was_sealed(
    engine: Engine,
) -> None:
    with engine.begin() as connection:
        names = [name for name in entries.values_of(AuditEntry()) if name != "id"]
        columns = ", ".join(f'"{name}"' for name in names)
        connection.execute(
            text(
                f"INSERT INTO audit (id, {columns}, mac) "  # noqa: S608
                f"SELECT :id, {columns}, mac FROM audit WHERE position = 6"
            ).bindparams(NEW_ID)
        )

    assert flaws(engine) == ["entry 7: was changed, or is not the service's"]


def _copied(table: str, model: type[Consent]) -> str:
    names = [column.name for column in model.__table__.columns if column.name != "id"]
    columns = ", ".join(names)
    return f"INSERT INTO {table} (id, {columns}) SELECT :id, {columns} FROM {table} LIMIT 1"  # noqa: S608


def test_who_cuts_the_end_and_puts_an_older_head_back_is_found_by_a_head_that_was_noted(
    engine: Engine,
) -> None:
    with reading(engine) as session:
        old = entries.get_head(session)
    with transaction(engine) as session:
        act(session)
    noted = auditing.verify(engine, TUESDAY_TEN).head
    with engine.begin() as connection:
        append_only.remove(connection)
        connection.execute(text("DELETE FROM audit WHERE position = 7"))
        connection.execute(
            update(AuditHead).values(position=old.position, seal=old.seal, mac=old.mac)
        )
        connection.execute(text("DELETE FROM actions WHERE note IS NULL"))

    assert flaws(engine) == []
    (flaw,) = auditing.verify(engine, TUESDAY_TEN, noted).flaws
    assert str(flaw) == "entry 7: is not the one that was noted as head"


def test_a_noted_head_that_is_still_there_is_no_flaw(engine: Engine) -> None:
    noted = auditing.verify(engine, TUESDAY_TEN).head
    with transaction(engine) as session:
        act(session)

    assert auditing.verify(engine, TUESDAY_TEN, noted[:18]).flaws == []


def test_what_is_not_a_head_is_refused(engine: Engine) -> None:
    with pytest.raises(Invalid, match="--head"):
        auditing.verify(engine, TUESDAY_TEN, "six")


# What may happen to evidence, and leaves the chain whole.


def erase(session: Any) -> None:
    (action,) = session.scalars(select(Action))
    action.note = None
    entries.add_entry(session, row=action, at=TUESDAY_TEN, verb="erased", lead_id=LEAD)


def prune(session: Any) -> None:
    for row in session.scalars(select(Consent)).all():
        entries.remove_evidence(session, row, at=TUESDAY_TEN, lead_id=LEAD)


def encrypt_anew(session: Any) -> None:
    for row in session.scalars(select(Consent)).all():
        session.execute(update(Consent).where(Consent.id == row.id).values(evidence=row.evidence))


def hash_anew(session: Any) -> None:
    for row in session.scalars(select(Suppression)).all():
        row.address_hash = "c" * 64
        entries.add_entry(session, row=row, at=TUESDAY_TEN, verb="rehashed")


@pytest.mark.parametrize("change", [erase, prune, encrypt_anew, hash_anew])
def test_erasing_pruning_and_rotating_leave_the_chain_whole(
    engine: Engine, change: Callable[[Any], None]
) -> None:
    with transaction(engine) as session:
        change(session)

    assert flaws(engine) == []


def test_a_pruned_row_that_is_put_back_is_found(engine: Engine) -> None:
    with reading(engine) as session:
        (action,) = session.scalars(select(Action))
    with transaction(engine) as session:
        entries.add_entry(session, row=action, at=TUESDAY_TEN, verb="pruned")

    (flaw,) = flaws(engine)
    assert flaw.endswith("is there, though entry 7 says that it was pruned")


def test_a_change_that_the_trail_was_not_told_of_is_found(engine: Engine) -> None:
    with transaction(engine) as session:
        session.execute(update(Action).values(note="never called"))

    (flaw,) = flaws(engine)
    assert flaw.startswith("actions ")
    assert flaw.endswith("was changed since entry 4 (attempt)")


def test_the_trails_own_key_is_encrypted_anew_as_all_else_is(database_url: str) -> None:
    engine = make_engine(database_url, KEYRING)
    write(engine)
    engine.dispose()
    new = "bmV3LWtleS1uZXcta2V5LW5ldy1rZXktbmV3LWtleSE="
    both = make_engine(database_url, Keyring([new, *ENCRYPTION_KEYS]))
    with transaction(both) as session:
        for row in session.scalars(select(AuditHead)).all():
            flag_modified(row, "key")
        for model in entries.EVIDENCE.values():
            for one in session.scalars(select(model)).all():
                flag_modified(one, "note" if model is Action else "evidence")
    only_new = make_engine(database_url, Keyring([new]))

    assert flaws(only_new) == []
    both.dispose()
    only_new.dispose()


def test_evidence_from_before_the_trail_is_carried_over(
    database_url: str,
) -> None:
    engine = make_engine(database_url, KEYRING)
    with transaction(engine) as session:
        agree(session)
        session.flush()
        append_only.remove(session.connection())
        session.execute(text("DELETE FROM audit"))
        append_only.install(session.connection())

    assert auditing.seal(engine, TUESDAY_TEN) == 0
    auditing.note(engine, TUESDAY_TEN, "seen", by="Ann", door=Door.api)
    assert auditing.seal(engine, TUESDAY_TEN) == 2
    assert flaws(engine) == []
    engine.dispose()


def test_more_than_a_batch_is_sealed_and_walked(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entries, "SEAL_BATCH", 7)
    monkeypatch.setattr(auditing, "BATCH", 5)
    with transaction(engine) as session:
        for _ in range(20):
            act(session)

    assert auditing.verify(engine, TUESDAY_TEN).entries == 26
    attack(engine, cut(13))
    assert [flaw for flaw in flaws(engine) if flaw.startswith("entr")] == ["entry 13: missing"]


def test_the_head_is_told_in_the_log(engine: Engine) -> None:
    head = auditing.verify(engine, TUESDAY_TEN).head

    with capture_logs() as told:
        auditing.tell_head(engine)

    assert head in [line.get("head") for line in told]


def test_nothing_of_a_person_stands_in_the_trail(engine: Engine) -> None:
    with engine.connect() as connection:
        cells = [
            str(value) for row in connection.execute(text("SELECT * FROM audit")) for value in row
        ]

    assert any("Ann" in cell for cell in cells)
    assert not [cell for cell in cells if "message" in cell or "STOP" in cell or ALICE in cell]
