"""When two submissions are one person, references for speech, and when a call is late."""

import random
import re
from datetime import UTC, datetime, timedelta

import pytest

from followup.domain.lead import (
    REFERENCE_DIGITS,
    REFERENCE_LETTERS,
    Identity,
    LeadStatus,
    Match,
    compare,
    is_overdue,
    name_key,
    new_reference,
)

EMAIL, OTHER_EMAIL = "alice@example.com", "bob@example.com"
PHONE, OTHER_PHONE = "+14155550101", "+14155550102"
NOW = datetime(2026, 12, 1, 18, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("one", "other", "match"),
    [
        pytest.param(
            ("Alice", EMAIL, None), ("Alice", EMAIL, None), Match.same, id="the same email"
        ),
        pytest.param(
            ("Alice", EMAIL, PHONE),
            ("A. Ng", EMAIL, OTHER_PHONE),
            Match.same,
            id="the same email under another name",
        ),
        pytest.param(
            ("Alice", EMAIL, PHONE),
            ("ALICE", OTHER_EMAIL, PHONE),
            Match.same,
            id="the same phone and name",
        ),
        pytest.param(
            ("José Ruiz", None, PHONE),
            ("jose  ruiz.", None, PHONE),
            Match.same,
            id="a name spelled otherwise",
        ),
        pytest.param(
            ("Alice", None, PHONE),
            ("Bob", None, PHONE),
            Match.possible,
            id="a family's phone",
        ),
        pytest.param(
            ("Alice", EMAIL, PHONE),
            ("Bob", OTHER_EMAIL, PHONE),
            Match.possible,
            id="a family's phone with emails of their own",
        ),
        pytest.param(("!", None, PHONE), ("?", None, PHONE), Match.possible, id="names of signs"),
        pytest.param(("愛", None, PHONE), ("愛", None, PHONE), Match.same, id="a name in Chinese"),
        pytest.param(("Alice", None, None), ("Alice", None, None), Match.new, id="a name alone"),
        pytest.param(
            ("Alice", EMAIL, PHONE),
            ("Alice", OTHER_EMAIL, OTHER_PHONE),
            Match.new,
            id="only the name",
        ),
        pytest.param(
            ("Alice", EMAIL, None), ("Alice", None, PHONE), Match.new, id="nothing to compare"
        ),
        pytest.param(("Alice", "", ""), ("Alice", "", ""), Match.new, id="empty addresses"),
    ],
)
def test_one_person_is_one_email_or_one_phone_with_one_name(
    one: tuple[str, str | None, str | None],
    other: tuple[str, str | None, str | None],
    match: Match,
) -> None:
    assert compare(Identity(*one), Identity(*other)) is match
    assert compare(Identity(*other), Identity(*one)) is match


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Alice", "alice"),
        ("  ALICE\tNg ", "alice ng"),
        ("Mary-Ann O\u2019Brien", "mary ann o brien"),
        ("Zoë", "zoe"),
        ("Straße", "strasse"),
        ("\uff21lice", "alice"),
    ],
)
def test_names_compare_blind_to_case_accents_and_spacing(name: str, key: str) -> None:
    assert name_key(name) == key


def test_a_reference_is_letters_and_digits_that_are_not_misheard() -> None:
    references = {new_reference(random.Random(seed).choice) for seed in range(300)}

    assert all(re.fullmatch(r"([A-Z]\d){2}", reference) for reference in references)
    assert not set("".join(references)) & set("IOLSZ015")
    assert len(references) > 250


def test_a_longer_reference_has_more_pairs() -> None:
    assert len(new_reference(random.Random(1).choice, pairs=3)) == 6
    assert len(set(REFERENCE_LETTERS)) * len(set(REFERENCE_DIGITS)) == 147


@pytest.mark.parametrize(
    ("status", "promised", "snoozed", "is_late"),
    [
        pytest.param(LeadStatus.open, -MINUTE, None, True, id="after the promise"),
        pytest.param(LeadStatus.open, 0 * MINUTE, None, False, id="at the promise"),
        pytest.param(LeadStatus.open, MINUTE, None, False, id="before the promise"),
        pytest.param(LeadStatus.open, -MINUTE, MINUTE, False, id="put off"),
        pytest.param(LeadStatus.open, -MINUTE, 0 * MINUTE, True, id="put off until now"),
        pytest.param(LeadStatus.open, -MINUTE, -MINUTE, True, id="was put off"),
        pytest.param(LeadStatus.contacted, -MINUTE, None, False, id="contacted"),
        pytest.param(LeadStatus.closed, -MINUTE, None, False, id="closed"),
        pytest.param(LeadStatus.held, -MINUTE, None, False, id="held"),
    ],
)
def test_an_open_lead_is_overdue_once_its_promise_has_passed(
    status: LeadStatus, promised: timedelta, snoozed: timedelta | None, is_late: bool
) -> None:
    snoozed_until = None if snoozed is None else NOW + snoozed

    assert is_overdue(status, NOW + promised, snoozed_until, NOW) is is_late
