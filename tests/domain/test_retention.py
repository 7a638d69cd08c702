"""How long what is kept."""

from datetime import UTC, datetime

import pytest

from followup.domain.retention import cutoffs

KEPT = {
    "history_days": 90,
    "lead_days": 400,
    "held_days": 90,
    "evidence_years": 7,
    "audit_years": 6,
}


@pytest.mark.parametrize("month", range(1, 13))
@pytest.mark.parametrize("year", range(2026, 2034))
def test_years_are_never_a_day_short(year: int, month: int) -> None:
    limits = cutoffs(datetime(year, month, 1, tzinfo=UTC), **KEPT)

    assert limits.evidence <= datetime(year - 7, month, 1, tzinfo=UTC)
    assert limits.audit <= datetime(year - 6, month, 1, tzinfo=UTC)


def test_days_are_days() -> None:
    limits = cutoffs(datetime(2026, 10, 20, tzinfo=UTC), **KEPT)

    assert limits.history == datetime(2026, 7, 22, tzinfo=UTC)
    assert limits.leads == datetime(2025, 9, 15, tzinfo=UTC)
    assert limits.held == datetime(2026, 7, 22, tzinfo=UTC)
