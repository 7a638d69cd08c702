"""One person's whole story: held, in danger, released, silent, welcome again, called, long past,
erased, forgotten; the trail is as it was written after each chapter, and nobody is left in it."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from cryptography.fernet import Fernet
from sqlalchemy import select

from followup.clinic_limits import Limits, Retention
from followup.domain.cadence import Channel, Lane
from followup.domain.delivery import Status
from followup.domain.lead import LeadStatus, Priority
from followup.services import (
    auditing,
    erasing,
    exporting,
    pruning,
    reviewing,
    rotating,
    working,
)
from followup.services.erasing import Eraser
from followup.services.identifying import Identified, identify
from followup.services.planning import Planner
from followup.services.tracing import trace
from followup.store.crypto import Keyring
from followup.store.db import make_engine, reading, transaction
from followup.store.hash_keys import find_hash_keys
from followup.store.models import AuditEntry, Base, Lead, Suppression
from tests.schema import ENCRYPTION_KEYS
from tests.services.cast import (
    ALICE,
    FRONT_DESK,
    HOUR,
    MINUTE,
    Desk,
    clinic,
    templates,
)
from tests.services.recording import Recording

NUMBER = ALICE["phone"]
IN_DANGER = "I want to end it all. http://a.example http://b.example http://c.example"
NEW = Fernet.generate_key().decode()
LONG = timedelta(days=100)
YEARS = timedelta(days=8 * 366)


def desk_with(
    url: str, threads: Mapping[Lane, ThreadPoolExecutor], provider: Recording, *keys: str
) -> Desk:
    """A process that has these encryption keys."""
    keyring = Keyring(keys)
    engine = make_engine(url, keyring)
    keyring.find_hash_keys_by(lambda: find_hash_keys(engine))
    desk = Desk(engine, provider, threads)
    desk.with_planner(Planner(clinic(), templates().cadences, keyring))
    desk.limits = Limits()
    return desk


def flaws(desk: Desk) -> list[str]:
    return [str(flaw) for flaw in auditing.verify(desk.engine, desk.now).flaws]


def identified(desk: Desk) -> Identified:
    with reading(desk.engine) as session:
        return identify(session, desk.planner, email=ALICE["email"])


def release(desk: Desk, lead: Lead) -> None:
    with transaction(desk.engine) as session:
        reviewing.release(session, desk.planner, lead.id, by="Ann", now=desk.now)


def opt_in(desk: Desk, lead: Lead) -> None:
    with transaction(desk.engine) as session:
        working.record_opt_in(
            session,
            desk.planner,
            lead.id,
            by="Ann",
            now=desk.now,
            note="Alice said on the phone: text me again",
            channels=[Channel.sms],
        )


def export(desk: Desk) -> dict[str, Any]:
    with transaction(desk.engine) as session:
        person = identify(session, desk.planner, email=ALICE["email"])
        return exporting.export(session, desk.planner, person, by="Ann", now=desk.now)


def texts_to_alice(desk: Desk) -> list[str]:
    return [row.step for row in desk.rows(recipient=NUMBER, status=Status.accepted)]


def rows_left(desk: Desk) -> dict[str, int]:
    """By table, but those that hold nothing about anybody's leads."""
    service = {"audit", "audit_heads", "hash_keys", "send_counts", "heartbeats"}
    with reading(desk.engine) as session:
        counts = {
            table.name: len(session.execute(select(table)).all())
            for table in Base.metadata.sorted_tables
            if table.name not in service
        }
    return {name: count for name, count in counts.items() if count}


def test_a_whole_story_leaves_a_clean_trail_and_nobody_in_it(
    database_url: str, threads: dict[Lane, ThreadPoolExecutor]
) -> None:
    provider = Recording()
    desk = desk_with(database_url, threads, provider, *ENCRYPTION_KEYS)

    # Held for its links, and in danger: staff hear of it at once, the patient of nothing.
    lead = desk.submit(ALICE, message=IN_DANGER)
    desk.send()
    assert (lead.status, lead.priority) == (LeadStatus.held, Priority.urgent)
    assert [row.step for row in desk.rows(lead, status=Status.accepted)] == ["danger"] * 4
    assert provider.to(FRONT_DESK)
    assert texts_to_alice(desk) == []
    assert flaws(desk) == []

    desk.now += 10 * MINUTE
    release(desk, lead)
    desk.send()
    assert set(texts_to_alice(desk)) == {"acknowledgement", "crisis"}
    assert flaws(desk) == []

    # A word, then a refusal with its one confirmation, then staff are told otherwise.
    desk.reply(NUMBER, "Please call me after five")
    desk.now += MINUTE
    desk.reply(NUMBER, "STOP")
    desk.send()
    assert texts_to_alice(desk)[-1] == "opted-out"
    assert desk.report(desk.row(lead, "opted-out", Channel.sms), "delivered", Status.delivered)
    desk.now += HOUR
    opt_in(desk, lead)
    desk.mark(lead)
    assert flaws(desk) == []

    # All of it is history by then, and is found there.
    desk.now += LONG
    assert pruning.move_to_history(desk.engine, Retention(), desk.now)
    assert not desk.rows(lead)
    whole = export(desk)
    assert len(whole["leads"][0]["deliveries"]) > 4
    (about,) = whole["leads"]
    assert (about["held_for"], about["priority"]) == ("links", "urgent")
    assert about["risks"][0]["words"] == ["end it all"]
    assert [one["body"] for one in about["replies"]] == ["Please call me after five", "STOP"]
    (said,) = whole["suppressions"]
    assert (said["evidence"], said["matched_by"]) == ("STOP", "per_se")
    assert None not in (said["confirmed_at"], said["lifted_at"])
    desk.engine.dispose()

    # Every field under a new key, and the old ones are no more.
    desk, now = desk_with(database_url, threads, provider, NEW, *ENCRYPTION_KEYS), desk.now
    assert rotating.rotate(desk.engine) > 10
    desk.engine.dispose()
    desk = desk_with(database_url, threads, provider, NEW)
    desk.now = now
    assert rotating.count_by_key(desk.engine).is_done
    assert flaws(desk) == []

    alice = identified(desk)
    assert alice.references == [lead.reference]
    eraser = Eraser(desk.engine, desk.planner, {Channel.sms: provider})
    erasing.erase(eraser, alice, by="Ann", now=desk.now)
    assert flaws(desk) == []
    with reading(desk.engine) as session:
        assert not trace(session, desk.planner, alice).copies

    desk.now += YEARS
    while not pruning.prune(desk.engine, Retention(), desk.now):
        pass
    assert flaws(desk) == []
    with reading(desk.engine) as session:
        found = trace(session, desk.planner, alice)
        assert not any(found.rows.values())
        assert session.scalars(select(AuditEntry.verb).where(AuditEntry.lead_id == lead.id)).all()
    assert rows_left(desk).keys() <= {"intake_counts"}
    desk.engine.dispose()


def test_the_confirmation_of_an_opt_out_is_in_the_trail(desk: Desk) -> None:
    desk.submit(ALICE)
    desk.reply(ALICE["phone"], "STOP")
    desk.send()

    with reading(desk.engine) as session:
        (said_no,) = session.scalars(select(Suppression)).all()
    assert said_no.confirmed_at is not None
    assert flaws(desk) == []


def test_words_that_erasing_takes_out_of_a_refusal_are_in_the_trail(desk: Desk) -> None:
    desk.submit(ALICE)
    desk.reply(ALICE["phone"], "STOP\nAlice Example")
    assert flaws(desk) == []

    eraser = Eraser(desk.engine, desk.planner, {})
    erasing.erase(eraser, identified(desk), by="Ann", now=desk.now)

    with reading(desk.engine) as session:
        (said_no,) = session.scalars(select(Suppression)).all()
    assert (said_no.evidence or "").startswith("hash:")
    assert flaws(desk) == []
